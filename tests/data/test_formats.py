from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from rankwise.data.read import Row, Table, read_table

U = {"role": "user", "content": "hi"}
S = {"role": "assistant", "content": "hello"}


def read(folder: Path, *rows: dict[str, Any]) -> Table:
    path = folder / "d.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return read_table(path)


def test_text_and_label(tmp_path: Path) -> None:
    table = read(tmp_path, {"text": "good", "label": "yes"}, {"text": "bad", "label": 0})
    assert table.shape == "labels"
    assert table.rows[0] == Row(
        where="d.jsonl:1",
        messages=({"role": "user", "content": "good"}, {"role": "assistant", "content": "yes"}),
        question="good",
        answer="yes",
        label="yes",
    )
    assert (table.rows[1].label, table.rows[1].answer) == ("0", "0")


def test_alpaca(tmp_path: Path) -> None:
    table = read(
        tmp_path,
        {"instruction": "Add.", "input": "1 and 2", "output": "3", "system": "You count."},
        {"instruction": "Say hi.", "input": "", "output": "hi"},
        {"instruction": "Say no.", "output": "no", "input": None, "system": None},
        {"instruction": "", "input": "only this", "output": "x"},
    )
    assert table.shape == "instruction"
    assert [row.shape for row in table.rows] == ["instruction"] * 4
    first = table.rows[0]
    assert first.messages == (
        {"role": "system", "content": "You count."},
        {"role": "user", "content": "Add.\n1 and 2"},
        {"role": "assistant", "content": "3"},
    )
    assert (first.question, first.answer, first.instruction, first.label) == ("1 and 2", "3", "Add.", None)
    assert [row.question for row in table.rows] == ["1 and 2", "Say hi.", "Say no.", "only this"]
    assert [row.messages[0]["content"] for row in table.rows[1:]] == ["Say hi.", "Say no.", "only this"]


def test_prompt_and_completion(tmp_path: Path) -> None:
    table = read(
        tmp_path,
        {"prompt": "hi", "completion": "hello"},
        {"prompt": [{"role": "system", "content": "s"}, U, S, {"role": "user", "content": "bye"}], "completion": [S]},
        {"prompt": [U], "completion": "hello"},
        {"prompt": "hi", "completion": [S, U, {"role": "assistant", "content": "last"}]},
    )
    assert table.shape == "prompt_completion"
    assert [row.shape for row in table.rows] == ["prompt_completion"] * 4
    assert [row.completion_start for row in table.rows] == [1, 4, 1, 1]
    assert table.rows[0].messages == table.rows[2].messages == (U, S)
    assert [row.question for row in table.rows] == ["hi", "bye", "hi", "hi"]
    assert [row.answer for row in table.rows] == ["hello", "hello", "hello", "last"]


def test_chat_of_several_turns(tmp_path: Path) -> None:
    turns = [{"role": "system", "content": "s"}, U, S, {"role": "user", "content": "bye"}, S]
    table = read(tmp_path, {"messages": turns})
    assert table.shape == "messages"
    assert table.rows[0].messages == tuple(turns)
    assert (table.rows[0].question, table.rows[0].answer) == ("bye", "hello")


@pytest.mark.parametrize("keys", [("from", "value", "human", "gpt"), ("role", "content", "user", "assistant")])
def test_sharegpt(tmp_path: Path, keys: tuple[str, str, str, str]) -> None:
    role, text, user, assistant = keys
    table = read(
        tmp_path, {"conversations": [{role: user, text: "hi"}, {role: assistant, text: "hello"}], "system": "s"}
    )
    assert table.shape == "messages"
    assert table.rows[0].messages == ({"role": "system", "content": "s"}, U, S)


def test_tools_and_tool_calls_come_to_one_form(tmp_path: Path) -> None:
    tool = {"type": "function", "function": {"name": "add", "parameters": {"type": "object"}}}
    result = {"role": "tool", "content": "3", "tool_call_id": "c1", "name": "add"}

    def rows(call: dict[str, Any], tools: object) -> dict[str, Any]:
        asks = {"role": "assistant", "content": None, "tool_calls": [call]}
        return {"messages": [U, asks, result, S], "tools": tools}

    nested = {"id": "c1", "type": "function", "function": {"name": "add", "arguments": '{"a": 1, "b": 2}'}}
    flat = {"id": "c1", "name": "add", "arguments": {"a": 1, "b": 2}}
    table = read(tmp_path, rows(nested, [tool]), rows(flat, json.dumps([tool])), rows(flat, []), rows(flat, ""))
    normal = {"type": "function", "function": {"name": "add", "arguments": {"a": 1, "b": 2}}, "id": "c1"}
    for row in table.rows:
        assert row.messages == (U, {"role": "assistant", "content": "", "tool_calls": [normal]}, result, S)
    assert [row.tools for row in table.rows] == [(tool,), (tool,), None, None]


def test_an_answer_that_is_a_tool_call_reads_as_json(tmp_path: Path) -> None:
    call = {"role": "assistant", "content": "", "tool_calls": [{"name": "now"}]}
    row = read(tmp_path, {"messages": [U, call]}).rows[0]
    assert json.loads(row.answer) == [{"name": "now", "arguments": {}}]


def test_keys_that_are_not_used_are_counted_in_one_warning(tmp_path: Path) -> None:
    table = read(
        tmp_path, {"text": "a", "label": "x", "id": 1}, {"text": "b", "label": "x", "id": 2, "note": "n", "text2": None}
    )
    assert [str(p) for p in table.problems if p.severity == "warning"] == [
        "d.jsonl: warning: keys that text/label rows do not use are ignored (key, rows): "
        '"id" 2, "note" 1, "text2" 1 [extra-keys]'
    ]


def test_null_keys_of_another_format_do_not_make_a_row_ambiguous(tmp_path: Path) -> None:
    table = read(tmp_path, {"text": "a", "label": "x", "prompt": None, "completion": None})
    assert table.shape == "labels"


def test_the_format_of_most_rows_is_the_file_s(tmp_path: Path) -> None:
    alpaca, labels = {"instruction": "a", "output": "b"}, {"text": "a", "label": "x"}
    with pytest.raises(ValueError, match=r"d.jsonl:1: error: format text/label .* in a file of Alpaca rows"):
        read(tmp_path, labels, alpaca, alpaca)
