# ruff: noqa: E501 (the messages stand here as they are printed)
"""Data files that are wrong, and the exact lines a user reads."""

from __future__ import annotations

import json
from pathlib import Path
from typing import NamedTuple

import pytest

from rankwise.data.read import read_table
from rankwise.errors import DataError

A = '{"text": "good", "label": "yes"}\n'
"""A sound line."""
U = {"role": "user", "content": "hi"}
S = {"role": "assistant", "content": "hello"}


class Case(NamedTuple):
    name: str
    file: str
    data: str | bytes
    errors: list[str]


def L(*rows: object) -> str:
    return "".join(json.dumps(row) + "\n" for row in rows)


def chat(*messages: object, **keys: object) -> str:
    return L({"messages": list(messages), **keys})


def call(calls: object) -> dict[str, object]:
    return {"role": "assistant", "content": "", "tool_calls": calls}


CASES = [
    Case(
        "bad-utf8",
        "d.jsonl",
        A.encode() + b'{"text": "caf\xe9", "label": "yes"}\n' + A.encode(),
        ["d.jsonl:2: error: byte 0xE9 at byte 46 of the file is not UTF-8; save the file as UTF-8 [bad-utf8]"],
    ),
    Case(
        "utf16",
        "d.jsonl",
        A.encode("utf-16"),
        ["d.jsonl:1: error: the file is UTF-16, by its first two bytes; save it as UTF-8 [bad-utf8]"],
    ),
    Case(
        "truncated",
        "d.jsonl",
        A + '{"text": "go',
        [
            "d.jsonl:2: error: the JSON ends in mid-value (Unterminated string starting at); the file was cut off; write it again [truncated-json]"
        ],
    ),
    Case(
        "truncated-value",
        "d.jsonl",
        A + '{"text": "go", "label":',
        [
            "d.jsonl:2: error: the JSON ends in mid-value (Expecting value); the file was cut off; write it again [truncated-json]"
        ],
    ),
    Case(
        "invalid",
        "d.jsonl",
        A + '{"text": "a" "label": "b"}\n' + A,
        ["d.jsonl:2: error: not JSON at column 14: Expecting ',' delimiter [invalid-json]"],
    ),
    Case(
        "single-quotes",
        "d.jsonl",
        A + "{'text': 'a', 'label': 'b'}\n" + A,
        ["d.jsonl:2: error: not JSON at column 2: Expecting property name enclosed in double quotes [invalid-json]"],
    ),
    Case(
        "two-per-line",
        "d.jsonl",
        A + A.strip() + A,
        ["d.jsonl:2: error: not JSON at column 33: Extra data [invalid-json]"],
    ),
    Case(
        "not-object",
        "d.jsonl",
        A + '["good", "yes"]\n"x"\n7\nnull\n',
        [
            "d.jsonl:2: error: got a list, expected one JSON object {...} per line [not-an-object]",
            "d.jsonl:3: error: got a string, expected one JSON object {...} per line [not-an-object]",
            "d.jsonl:4: error: got the number 7, expected one JSON object {...} per line [not-an-object]",
            "d.jsonl:5: error: got null, expected one JSON object {...} per line [not-an-object]",
        ],
    ),
    Case(
        "raw-nul",
        "d.jsonl",
        A.encode() + b'{"text": "a\x00b", "label": "x"}\n',
        ["d.jsonl:2: error: a NUL byte at column 12; remove it [nul-character]"],
    ),
    Case(
        "escaped-nul",
        "d.jsonl",
        A + '{"text": "a\\u0000b", "label": "x"}\n',
        ['d.jsonl:2: error: "text" holds a NUL character (U+0000) at character 2; remove it [nul-character]'],
    ),
    Case(
        "surrogate",
        "d.jsonl",
        A + '{"text": "a\\ud800", "label": "x"}\n',
        ['d.jsonl:2: error: "text" holds half a character (U+D800) at character 2; remove it [lone-surrogate]'],
    ),
    Case(
        "duplicate-key",
        "d.jsonl",
        A + '{"text": "a", "label": "x", "label": "y"}\n',
        ['d.jsonl:2: error: key "label" stands 2 times in an object; keep one [duplicate-key]'],
    ),
    Case(
        "nested-duplicate-key",
        "d.jsonl",
        '{"messages": [{"role": "user", "content": "a", "content": "b"}, {"role": "assistant", "content": "c"}]}\n',
        ['d.jsonl:1: error: key "content" stands 2 times in an object; keep one [duplicate-key]'],
    ),
    Case(
        "nan",
        "d.jsonl",
        A + '{"text": "a", "label": NaN}\n{"text": "a", "label": "x", "weight": -Infinity}\n',
        [
            "d.jsonl:2: error: NaN is not JSON; write a number, a string or null [non-finite-number]",
            "d.jsonl:3: error: -Infinity is not JSON; write a number, a string or null [non-finite-number]",
        ],
    ),
    Case(
        "huge-number",
        "d.jsonl",
        A + '{"text": "a", "label": "x", "weight": 1e999}\n',
        ["d.jsonl:2: error: 1e999 is too large for a number; write it as a string [non-finite-number]"],
    ),
    Case(
        "endless-integer",
        "d.jsonl",
        A + '{"text": "a", "label": ' + "9" * 5000 + "}\n",
        ["d.jsonl:2: error: holds a whole number of thousands of digits; write it as a string [invalid-json]"],
    ),
    Case(
        "deep",
        "d.jsonl",
        A + '{"text": "a", "label": "x", "more": ' + "[" * 80 + "]" * 80 + "}\n",
        ['d.jsonl:2: error: "more" nests lists and objects over 64 deep; flatten it [too-deep]'],
    ),
    Case(
        "bottomless",
        "d.jsonl",
        A + '{"text": "a", "label": "x", "more": ' + "[" * 100000 + "]" * 100000 + "}\n",
        ["d.jsonl:2: error: nests lists and objects over 64 deep; flatten it [too-deep]"],
    ),
    Case(
        "text-not-string",
        "d.jsonl",
        A + '{"text": ["a"], "label": "x"}\n{"text": {"a": 1}, "label": "x"}\n{"text": 3, "label": "x"}\n',
        [
            'd.jsonl:2: error: "text" is a list, expected a string [wrong-type]',
            'd.jsonl:3: error: "text" is an object, expected a string [wrong-type]',
            'd.jsonl:4: error: "text" is the number 3, expected a string [wrong-type]',
        ],
    ),
    Case(
        "label-not-string",
        "d.jsonl",
        A + '{"text": "a", "label": 1.5}\n{"text": "a", "label": true}\n{"text": "a", "label": {"x": 1}}\n',
        [
            'd.jsonl:2: error: "label" is the number 1.5, expected a string or a whole number [wrong-type]',
            'd.jsonl:3: error: "label" is true, expected a string or a whole number [wrong-type]',
            'd.jsonl:4: error: "label" is an object, expected a string or a whole number [wrong-type]',
        ],
    ),
    Case(
        "null-label",
        "d.jsonl",
        A + '{"text": "a", "label": null}\n',
        ['d.jsonl:2: error: "label" is null; write the label or drop the row [null-label]'],
    ),
    Case(
        "null-text",
        "d.jsonl",
        A + '{"text": null, "label": "a"}\n',
        ['d.jsonl:2: error: "text" is null, expected a string [null-value]'],
    ),
    Case(
        "empty-label",
        "d.jsonl",
        A + '{"text": "a", "label": ""}\n{"text": "a", "label": " \\t"}\n',
        [
            'd.jsonl:2: error: "label" is empty; write the answer or drop the row [empty-answer]',
            'd.jsonl:3: error: "label" is blank; write the answer or drop the row [empty-answer]',
        ],
    ),
    Case(
        "empty-text",
        "d.jsonl",
        A + '{"text": "", "label": "a"}\n',
        ['d.jsonl:2: error: "text" is empty; write it or drop the row [empty-question]'],
    ),
    Case(
        "missing-label",
        "d.jsonl",
        A + '{"text": "a", "lable": "x"}\n',
        [
            'd.jsonl:2: error: key "label" missing: text/label rows need "text", "label", got "text", "lable"; rename "lable"? [missing-key]'
        ],
    ),
    Case(
        "missing-everywhere",
        "d.jsonl",
        '{"text": "a"}\n{"text": "b"}\n',
        [
            'd.jsonl:1: error: key "label" missing: text/label rows need "text", "label", got "text" [missing-key]',
            'd.jsonl:2: error: key "label" missing: text/label rows need "text", "label", got "text" [missing-key]',
        ],
    ),
    Case(
        "empty-object",
        "d.jsonl",
        A + "{}\n",
        ['d.jsonl:2: error: key "text", "label" missing: text/label rows need "text", "label", got none [missing-key]'],
    ),
    Case(
        "unknown-format",
        "d.jsonl",
        '{"q": "a", "a": "b"}\n{"q": "a", "a": "b"}\n',
        [
            'd.jsonl:1: error: keys "q", "a" are of no known format; expected one of: "text", "label" (text/label); "instruction", "output" (Alpaca); "prompt", "completion" (prompt/completion); "messages" (chat); "conversations" (ShareGPT chat); "chosen", "rejected" (preference) [unknown-format]'
        ],
    ),
    Case(
        "ambiguous",
        "d.jsonl",
        '{"text": "a", "label": "b", "prompt": "c", "completion": "d"}\n' * 3,
        [
            'd.jsonl:1: error: the keys fit more than one format: text/label ("text", "label") and prompt/completion ("prompt", "completion"); keep the keys of one (2 more rows alike) [ambiguous-format]'
        ],
    ),
    Case(
        "one-ambiguous",
        "d.jsonl",
        A + A + '{"text": "a", "label": "b", "prompt": "c", "completion": "d"}\n',
        [
            'd.jsonl:3: error: the keys fit more than one format: text/label ("text", "label") and prompt/completion ("prompt", "completion"); keep the keys of one [ambiguous-format]'
        ],
    ),
    Case(
        "mixed",
        "d.jsonl",
        A + A + '{"prompt": "c", "completion": "d"}\n{"instruction": "c", "output": "d"}\n',
        [
            'd.jsonl:3: error: format prompt/completion (keys "prompt", "completion") in a file of text/label rows; keep one format per file [mixed-formats]',
            'd.jsonl:4: error: format Alpaca (keys "instruction", "output") in a file of text/label rows; keep one format per file [mixed-formats]',
        ],
    ),
    Case("empty", "d.jsonl", "", ["d.jsonl: error: no rows in it; expected at least one [empty-file]"]),
    Case("blank", "d.jsonl", " \n\n \n", ["d.jsonl: error: no rows in it; expected at least one [empty-file]"]),
    Case("bom-only", "d.jsonl", b"\xef\xbb\xbf", ["d.jsonl: error: no rows in it; expected at least one [empty-file]"]),
    Case(
        "alpaca-empty-output",
        "d.jsonl",
        L(
            {"instruction": "a", "input": "b", "output": "  "},
            {"instruction": "", "input": "", "output": "x"},
            {"instruction": "a", "input": 5, "output": "x"},
            {"instruction": "a", "output": None},
        ),
        [
            'd.jsonl:1: error: "output" is blank; write the answer or drop the row [empty-answer]',
            'd.jsonl:2: error: "instruction" and "input" are both empty; write one or drop the row [empty-question]',
            'd.jsonl:3: error: "input" is the number 5, expected a string [wrong-type]',
            'd.jsonl:4: error: "output" is null, expected a string [null-value]',
        ],
    ),
    Case(
        "completion-empty",
        "d.jsonl",
        L(
            {"prompt": "a", "completion": ""},
            {"prompt": " ", "completion": "b"},
            {"prompt": None, "completion": "b"},
            {"prompt": 7, "completion": "b"},
        ),
        [
            "d.jsonl:1: error: message 2, the assistant's, is empty; write the answer or drop the row [empty-answer]",
            "d.jsonl:2: error: message 1, the user's, is empty; write it or drop the row [empty-question]",
            'd.jsonl:3: error: "prompt" is null, expected a string or a list of messages [null-value]',
            'd.jsonl:4: error: "prompt" is the number 7, expected a string or a list of messages [wrong-type]',
        ],
    ),
    Case(
        "completion-without-assistant",
        "d.jsonl",
        L(
            {"prompt": [U], "completion": [U]},
            {"prompt": [U, S], "completion": []},
            {"prompt": [U, S], "completion": {}},
        ),
        [
            "d.jsonl:1: error: the last message is the user's, expected the assistant's [last-turn-not-assistant]",
            'd.jsonl:2: error: "completion" is an empty list, expected a list of messages {"role": ..., "content": ...} [wrong-type]',
            'd.jsonl:3: error: "completion" is an object, expected a string or a list of messages [wrong-type]',
        ],
    ),
    Case(
        "unknown-role",
        "d.jsonl",
        chat({"role": "human", "content": "a"}, S)
        + chat(U, {"role": "assitant", "content": "x"})
        + chat({"role": 3, "content": "a"}, S),
        [
            'd.jsonl:1: error: role of "messages" item 1 is "human", expected one of system, user, assistant, tool; did you mean "user"? [unknown-role]',
            'd.jsonl:2: error: role of "messages" item 2 is "assitant", expected one of system, user, assistant, tool; did you mean "assistant"? [unknown-role]',
            'd.jsonl:3: error: role of "messages" item 1 is the number 3, expected one of system, user, assistant, tool [unknown-role]',
        ],
    ),
    Case(
        "sharegpt-role",
        "d.jsonl",
        L(
            {"conversations": [{"from": "human", "value": "a"}, {"from": "robot", "value": "b"}]},
            {"conversations": [{"from": "human", "value": "a"}, {"speaker": "gpt", "value": "b"}]},
        ),
        [
            'd.jsonl:1: error: role of "conversations" item 2 is "robot", expected one of system, human, user, gpt, assistant, tool, observation [unknown-role]',
            'd.jsonl:2: error: "conversations" item 2 lacks "role", "content"; got "speaker", "value" [missing-key]',
        ],
    ),
    Case(
        "last-not-assistant",
        "d.jsonl",
        chat(U, S, U),
        ["d.jsonl:1: error: the last message is the user's, expected the assistant's [last-turn-not-assistant]"],
    ),
    Case(
        "no-user",
        "d.jsonl",
        chat({"role": "system", "content": "x"}, S),
        ["d.jsonl:1: error: the conversation has no user message; at least one is needed [no-user-turn]"],
    ),
    Case(
        "messages-empty",
        "d.jsonl",
        chat() + L({"messages": "hello"}) + L({"messages": ["hi"]}) + L({"messages": None}),
        [
            'd.jsonl:1: error: "messages" is an empty list, expected a list of messages {"role": ..., "content": ...} [wrong-type]',
            'd.jsonl:2: error: "messages" is a string, expected a list of messages {"role": ..., "content": ...} [wrong-type]',
            'd.jsonl:3: error: "messages" item 1 is a string, expected an object with a role and a content [wrong-type]',
            'd.jsonl:4: error: "messages" is null, expected a list of messages {"role": ..., "content": ...} [wrong-type]',
        ],
    ),
    Case(
        "content-not-text",
        "d.jsonl",
        chat({"role": "user", "content": [{"type": "text", "text": "a"}]}, S)
        + chat(U, {"role": "assistant", "content": None})
        + chat(U, {"role": "assistant"}),
        [
            'd.jsonl:1: error: "content" of "messages" item 1 is a list, expected a string [content-not-text]',
            'd.jsonl:2: error: "content" of "messages" item 2 is null, expected a string [content-not-text]',
            'd.jsonl:3: error: "messages" item 2 lacks "content"; got "role" [missing-key]',
        ],
    ),
    Case(
        "empty-turns",
        "d.jsonl",
        chat(U, {"role": "assistant", "content": " "}, U, S) + chat({"role": "user", "content": ""}, S),
        [
            "d.jsonl:1: error: message 2, the assistant's, is empty; write the answer or drop the row [empty-answer]",
            "d.jsonl:2: error: message 1, the user's, is empty; write it or drop the row [empty-question]",
        ],
    ),
    Case(
        "bad-tools",
        "d.jsonl",
        chat(U, S, tools="[{")
        + chat(U, S, tools={"name": "f"})
        + chat(U, S, tools=[{"description": "f"}])
        + chat(U, S, tools="3"),
        [
            'd.jsonl:1: error: "tools" is a string that is not JSON: Expecting property name enclosed in double quotes: line 1 column 3 (char 2) [invalid-json]',
            'd.jsonl:2: error: "tools" is an object, expected a list of tool definitions, or its JSON text [bad-tools]',
            'd.jsonl:3: error: "tools" item 1 has no function name; expected {"name": ..., ...} [bad-tools]',
            'd.jsonl:4: error: "tools" is the number 3, expected a list of tool definitions, or its JSON text [bad-tools]',
        ],
    ),
    Case(
        "bad-tool-calls",
        "d.jsonl",
        chat(U, call({"name": "f"}))
        + chat(U, call([{"function": {}}]))
        + chat(U, call([{"name": "f", "arguments": "{x"}]))
        + chat(U, call([{"name": "f", "arguments": [1]}]))
        + chat({**U, "tool_calls": [{"name": "f"}]}, S),
        [
            'd.jsonl:1: error: "tool_calls" of "messages" item 2 is an object, expected a list [bad-tool-call]',
            'd.jsonl:2: error: tool call 1 of "messages" item 2 has no function name; expected {"name": ..., "arguments": {...}} [bad-tool-call]',
            'd.jsonl:3: error: arguments of tool call 1 of "messages" item 2 is a string that is not JSON: Expecting property name enclosed in double quotes: line 1 column 2 (char 1) [invalid-json]',
            'd.jsonl:4: error: arguments of tool call 1 of "messages" item 2 are a list, expected an object [bad-tool-call]',
            'd.jsonl:5: error: "messages" item 1 has "tool_calls" but is the user\'s; only the assistant calls tools [bad-tool-call]',
        ],
    ),
    Case(
        "json-truncated",
        "d.json",
        '[\n  {"text": "a", "label": "x"},\n  {"text": "b", "la',
        [
            "d.json:3: error: the JSON ends in mid-value (Unterminated string starting at); the file was cut off; write it again [truncated-json]"
        ],
    ),
    Case(
        "json-invalid",
        "d.json",
        '[\n  {"text": "a", "label": "x"},\n  {"text": "b" "label": "x"}\n]\n',
        ["d.json:3: error: not JSON at column 16: Expecting ',' delimiter [invalid-json]"],
    ),
    Case(
        "json-faulty-items",
        "d.json",
        '[\n  {"text": "a", "label": "x"},\n  7,\n  {\n    "text": "",\n    "label": "x"\n  }\n]\n',
        [
            "d.json:3: error: item 2 is the number 7, expected an object {...} [not-an-object]",
            'd.json:4: error: "text" is empty; write it or drop the row [empty-question]',
        ],
    ),
    Case(
        "json-one-object",
        "d.json",
        '{"text": "a", "label": "x"}',
        [
            'd.json:1: error: got one object (keys: "text", "label"), expected a list of objects, or {"data": [...]} [not-a-list]'
        ],
    ),
    Case(
        "json-data-not-list",
        "d.json",
        '{"data": {"text": "a"}}',
        ['d.json:1: error: "data" is an object, expected a list of objects [wrong-type]'],
    ),
    Case(
        "json-scalar",
        "d.json",
        '"hello"',
        ["d.json:1: error: got a string, expected a list of objects [{...}, ...] [not-an-object]"],
    ),
    Case(
        "json-extra",
        "d.json",
        '[{"text": "a", "label": "x"}]\n]\n',
        ["d.json:2: error: not JSON at column 1: Extra data [invalid-json]"],
    ),
    Case("json-empty-list", "d.json", "[]", ["d.json: error: no rows in it; expected at least one [empty-file]"]),
    Case(
        "json-empty-data",
        "d.json",
        '{"version": 1, "data": []}',
        ["d.json: error: no rows in it; expected at least one [empty-file]"],
    ),
    Case(
        "json-bad-utf8",
        "d.json",
        b'[\n{"text": "a", "label": "x"},\n{"text": "\xff", "label": "x"}]',
        ["d.json:3: error: byte 0xFF at byte 41 of the file is not UTF-8; save the file as UTF-8 [bad-utf8]"],
    ),
    Case(
        "csv-ragged",
        "d.csv",
        "text,label\na,x\nb,x,y\nc\nd,x\n",
        [
            "d.csv:3: error: cells: 3 here, 2 in the header; quote the cells that hold the delimiter [csv-ragged-row]",
            "d.csv:4: error: cells: 1 here, 2 in the header; quote the cells that hold the delimiter [csv-ragged-row]",
        ],
    ),
    Case(
        "csv-no-header",
        "d.csv",
        "good,yes\nbad,no\n",
        [
            'd.csv:1: error: the first line must name the columns (say "text", "label"; "instruction", "output"; "prompt", "completion"), got "good", "yes"; add it [csv-no-header]'
        ],
    ),
    Case(
        "csv-missing-column",
        "d.csv",
        "text,lable\na,x\n",
        [
            'd.csv:1: error: column "label" missing: text/label rows need "text", "label", got "text", "lable"; rename "lable"? [missing-key]'
        ],
    ),
    Case(
        "csv-duplicate-column",
        "d.csv",
        "text,label,text\na,x,b\n",
        ['d.csv:1: error: the header names the column "text" more than once; keep one [duplicate-key]'],
    ),
    Case(
        "csv-open-quote",
        "d.csv",
        'text,label\na,x\n"b,x\nc,x\n',
        [
            'd.csv:3: error: unexpected end of data; close each quote, and write a quote inside a quoted cell as "" [csv-bad-quoting]'
        ],
    ),
    Case(
        "csv-bad-quote",
        "d.csv",
        'text,label\n"b"b,x\n"two\nlines",\n',
        [
            "d.csv:2: error: ',' expected after '\"'; close each quote, and write a quote inside a quoted cell as \"\" [csv-bad-quoting]",
            'd.csv:3: error: "label" is empty; write the answer or drop the row [empty-answer]',
        ],
    ),
    Case(
        "csv-header-only", "d.csv", "text,label\n", ["d.csv: error: no rows in it; expected at least one [empty-file]"]
    ),
    Case(
        "csv-bad-utf8",
        "d.csv",
        b"text,label\na,x\ncaf\xe9,x\n",
        ["d.csv:3: error: byte 0xE9 at byte 18 of the file is not UTF-8; save the file as UTF-8 [bad-utf8]"],
    ),
    Case(
        "csv-nul",
        "d.csv",
        b"text,label\na\x00,x\n",
        ['d.csv:2: error: "text" holds a NUL character (U+0000) at character 2; remove it [nul-character]'],
    ),
    Case("parquet-empty", "d.parquet", b"", ["d.parquet: error: no rows in it; expected at least one [empty-file]"]),
    Case(
        "nine",
        "d.jsonl",
        A
        + '{"text": "", "label": ""}\n{\n[]\n{"text": 1, "label": null}\n{"text": "a"}\n{"text": "\\u0000", "label": NaN}\n',
        [
            'd.jsonl:2: error: "text" is empty; write it or drop the row [empty-question]',
            'd.jsonl:2: error: "label" is empty; write the answer or drop the row [empty-answer]',
            "d.jsonl:3: error: not JSON at column 2: Expecting property name enclosed in double quotes [invalid-json]",
            "d.jsonl:4: error: got a list, expected one JSON object {...} per line [not-an-object]",
            'd.jsonl:5: error: "text" is the number 1, expected a string [wrong-type]',
            'd.jsonl:5: error: "label" is null; write the label or drop the row [null-label]',
            'd.jsonl:6: error: key "label" missing: text/label rows need "text", "label", got "text" [missing-key]',
            "d.jsonl:7: error: NaN is not JSON; write a number, a string or null [non-finite-number]",
            'd.jsonl:7: error: "text" holds a NUL character (U+0000) at character 1; remove it [nul-character]',
        ],
    ),
]


def write(folder: Path, case: Case) -> Path:
    path = folder / case.file
    path.write_bytes(case.data if isinstance(case.data, bytes) else case.data.encode())
    return path


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_every_fault_is_told(tmp_path: Path, case: Case) -> None:
    with pytest.raises(DataError) as caught:
        read_table(write(tmp_path, case))
    assert [str(p) for p in caught.value.problems if p.severity == "error"] == case.errors


def test_there_are_enough_of_them() -> None:
    assert len(CASES) >= 40
    assert len({case.name for case in CASES}) == len(CASES)


def test_a_wrong_file_does_not_hide_its_sound_format(tmp_path: Path) -> None:
    with pytest.raises(DataError) as caught:
        read_table(write(tmp_path, CASES[0]))
    notes = [str(p) for p in caught.value.problems if p.severity == "note"]
    assert notes == ['d.jsonl: note: text/label rows, by the keys "text", "label" [format-detected]']


def test_fifty_errors_are_listed_and_the_rest_counted(tmp_path: Path) -> None:
    path = tmp_path / "d.jsonl"
    path.write_text(A + '{"text": "a", "label": ""}\n' * 60 + "{\n" + A)
    with pytest.raises(DataError) as caught:
        read_table(path)
    errors = [p for p in caught.value.problems if p.severity == "error"]
    assert [p.where for p in errors[:50]] == [f"d.jsonl:{line}" for line in range(2, 52)]
    assert [str(p) for p in errors[50:]] == [
        "d.jsonl: error: 11 more errors (10 empty-answer, 1 invalid-json); the first 50 of 61 are listed [more-errors]"
    ]


def test_a_line_over_the_limit_is_not_parsed(tmp_path: Path) -> None:
    path = tmp_path / "d.jsonl"
    path.write_text(A + '{"text": "' + "a" * (16 << 20) + '", "label": "x"}\n' + A)
    with pytest.raises(DataError) as caught:
        read_table(path)
    assert str(caught.value.problems[-1]) == (
        "d.jsonl:2: error: 16777242 bytes in one row; at most 16777216 are read; shorten or split it [line-too-long]"
    )


def test_a_csv_cell_over_the_limit(tmp_path: Path) -> None:
    path = tmp_path / "d.csv"
    path.write_text("text,label\na,x\n" + "a" * ((16 << 20) + 1) + ",x\nb,y\n")
    with pytest.raises(DataError) as caught:
        read_table(path)
    assert [str(p) for p in caught.value.problems if p.severity == "error"] == [
        "d.csv:3: error: a cell is over 16777216 characters long; shorten it [line-too-long]"
    ]


@pytest.mark.parametrize(
    ("columns", "error"),
    [
        (
            {"text": ["a", "b"], "label": ["x", None]},
            'd.parquet:row 2: error: "label" is null; write the label or drop the row [null-label]',
        ),
        (
            {"text": ["a", "b"], "label": [0.5, 1.0]},
            'd.parquet:row 1: error: "label" is the number 0.5, expected a string or a whole number [wrong-type]',
        ),
        (
            {"text": ["a", "b"], "kind": ["x", "y"]},
            'd.parquet: error: column "label" missing: text/label rows need "text", "label", got "text", "kind" '
            "[missing-key]",
        ),
        (
            {"text": [b"a", b"b"], "label": [1, 2]},
            'd.parquet:row 1: error: "text" is a value of type bytes, expected a string [wrong-type]',
        ),
        ({"text": [], "label": []}, "d.parquet: error: no rows in it; expected at least one [empty-file]"),
    ],
)
def test_parquet(tmp_path: Path, columns: dict[str, list[object]], error: str) -> None:
    import polars as pl

    path = tmp_path / "d.parquet"
    pl.DataFrame(columns).write_parquet(path)
    with pytest.raises(DataError) as caught:
        read_table(path)
    assert next(str(p) for p in caught.value.problems if p.severity == "error") == error


def test_bytes_that_are_no_parquet(tmp_path: Path) -> None:
    (tmp_path / "d.parquet").write_bytes(b"PAR1 not parquet at all PAR1")
    with pytest.raises(DataError, match=r"^d.parquet: error: not a Parquet file that can be read \(.*\[bad-parquet\]$"):
        read_table(tmp_path / "d.parquet")


def test_wrong_paths(tmp_path: Path) -> None:
    (tmp_path / "reports.jsonl").write_text(A)
    (tmp_path / "reports.txt").write_text(A)

    def message(path: Path) -> str:
        with pytest.raises(DataError) as caught:
            read_table(path)
        return str(caught.value)

    missing, nowhere = tmp_path / "report.jsonl", tmp_path / "none" / "x.jsonl"
    assert message(missing) == (
        f'{missing}: error: no such file; did you mean "{tmp_path / "reports.jsonl"}"? [file-not-found]'
    )
    assert message(nowhere) == f"{nowhere}: error: no such file; check the path [file-not-found]"
    assert message(tmp_path) == (
        f"{tmp_path}: error: a folder, expected a file; name one of the files in it: reports.jsonl [is-a-folder]"
    )
    assert message(tmp_path / "reports.txt") == (
        f'{tmp_path / "reports.txt"}: error: extension ".txt", expected one of .jsonl, .json, .csv, .parquet '
        "[unknown-extension]"
    )
