from __future__ import annotations

import csv
import hashlib
import json
import os
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from rankwise.data.hub import is_hub_id, records_of
from rankwise.data.read import Table, read_table
from rankwise.errors import DataError

# A character that UTF-8 can hold, but for NUL, which is refused.
characters = st.characters(codec="utf-8", exclude_characters="\0")
texts = st.text(characters, min_size=1, max_size=30).filter(str.strip)
label_rows = st.lists(st.fixed_dictionaries({"text": texts, "label": texts}), min_size=1, max_size=8)
alpaca_rows = st.lists(
    st.fixed_dictionaries({"instruction": texts, "input": st.none() | texts, "output": texts}), min_size=1, max_size=8
)
chat_rows = st.lists(
    st.lists(st.tuples(texts, texts), min_size=1, max_size=3).map(
        lambda pairs: {
            "messages": [
                {"role": role, "content": content}
                for pair in pairs
                for role, content in zip(("user", "assistant"), pair, strict=True)
            ]
        }
    ),
    min_size=1,
    max_size=4,
)
in_tmp_path = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


def codes(table: Table) -> list[str]:
    return [problem.code for problem in table.problems]


def pairs(table: Table) -> list[tuple[str, str]]:
    return [(row.question, row.answer) for row in table.rows]


def read_bytes(folder: Path, name: str, data: str | bytes) -> Table:
    path = folder / name
    path.write_bytes(data if isinstance(data, bytes) else data.encode())
    return read_table(path)


def expected_pairs(rows: list[dict[str, Any]]) -> list[tuple[str, str]]:
    if "text" in rows[0]:
        return [(row["text"], row["label"]) for row in rows]
    if "messages" in rows[0]:
        return [(row["messages"][-2]["content"], row["messages"][-1]["content"]) for row in rows]
    return [(row["input"] or row["instruction"], row["output"]) for row in rows]


@in_tmp_path
@given(rows=label_rows | alpaca_rows | chat_rows, ascii_only=st.booleans())
def test_json_lines_round_trip(tmp_path: Path, rows: list[dict[str, Any]], ascii_only: bool) -> None:
    lines = [json.dumps(row, ensure_ascii=ascii_only) for row in rows]
    table = read_bytes(tmp_path, "d.jsonl", "\n".join(lines))
    assert pairs(table) == expected_pairs(rows)
    assert [row.where for row in table.rows] == [f"d.jsonl:{n}" for n in range(1, len(rows) + 1)]


@in_tmp_path
@given(rows=label_rows | alpaca_rows | chat_rows, indent=st.none() | st.integers(0, 3), wrapped=st.booleans())
def test_json_round_trip(tmp_path: Path, rows: list[dict[str, Any]], indent: int | None, wrapped: bool) -> None:
    text = json.dumps({"data": rows} if wrapped else rows, indent=indent)
    table = read_bytes(tmp_path, "d.json", text)
    assert pairs(table) == expected_pairs(rows)
    if indent:  # each item starts on a line of its own
        starts = [n for n, line in enumerate(text.split("\n"), 1) if line == " " * indent * (1 + wrapped) + "{"]
        assert [row.where for row in table.rows] == [f"d.json:{n}" for n in starts]


@in_tmp_path
@given(rows=label_rows | alpaca_rows, delimiter=st.sampled_from(",;\t"), end=st.sampled_from(["\n", "\r\n"]))
def test_csv_round_trip(tmp_path: Path, rows: list[dict[str, Any]], delimiter: str, end: str) -> None:
    path = tmp_path / "d.csv"
    with path.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.DictWriter(
            stream, fieldnames=list(rows[0]), delimiter=delimiter, lineterminator=end, quoting=csv.QUOTE_ALL
        )
        writer.writeheader()
        writer.writerows(rows)
    table = read_table(path)
    assert pairs(table) == expected_pairs(rows)
    assert ("delimiter-detected" in codes(table)) == (delimiter != ",")


@in_tmp_path
@given(rows=label_rows | alpaca_rows | chat_rows)
def test_parquet_round_trip(tmp_path: Path, rows: list[dict[str, Any]]) -> None:
    import polars as pl

    path = tmp_path / "d.parquet"
    pl.DataFrame(rows, infer_schema_length=None).write_parquet(path)
    table = read_table(path)
    assert pairs(table) == expected_pairs(rows)
    assert [row.where for row in table.rows] == [f"d.parquet:row {n}" for n in range(1, len(rows) + 1)]


@st.composite
def damaged_files(draw: st.DrawFn) -> bytes:
    """A sound file of some kind in which some bytes were replaced."""
    data = draw(
        st.sampled_from(
            [
                b'{"text": "a", "label": "x"}\n{"text": "b", "label": "y"}\n',
                b'{"data": [\n{"prompt": "a", "completion": "x"},\n{"prompt": "b", "completion": "y"}\n]}\n',
                b'text,label\n"a ""b""\nc",x\nd,y\n',
            ]
        )
    )
    start = draw(st.integers(0, len(data)))
    return data[:start] + draw(st.binary(max_size=4)) + data[start + draw(st.integers(0, 4)) :]


@in_tmp_path
@given(
    data=st.binary(max_size=60) | damaged_files(),
    name=st.sampled_from(["d.jsonl", "d.json", "d.csv", "d.parquet"]),
)
def test_any_bytes_give_a_table_or_a_data_error(tmp_path: Path, data: bytes, name: str) -> None:
    try:
        table = read_bytes(tmp_path, name, data)
    except DataError as error:
        assert any(problem.severity == "error" for problem in error.problems)
    else:
        assert table.rows


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)
known_keys = st.sampled_from(
    [
        *("text", "label", "instruction", "input", "output", "system", "prompt", "completion"),
        *("messages", "conversations", "tools", "role", "content", "from", "value", "tool_calls"),
    ]
)


@in_tmp_path
@given(
    rows=st.lists(
        st.dictionaries(known_keys, json_values | st.lists(st.dictionaries(known_keys, json_values))), max_size=4
    )
)
def test_any_json_gives_a_table_or_a_data_error(tmp_path: Path, rows: list[dict[str, Any]]) -> None:
    try:
        table = read_bytes(tmp_path, "d.jsonl", "\n".join(map(json.dumps, rows)))
    except DataError as error:
        assert any(problem.severity == "error" for problem in error.problems)
    else:
        assert all(row.answer.strip() for row in table.rows)


def test_byte_order_mark_and_crlf_are_read_and_said(tmp_path: Path) -> None:
    data = b'\xef\xbb\xbf{"text": "a", "label": "x"}\r\n{"text": "b", "label": "y"}\r\n'
    table = read_bytes(tmp_path, "d.jsonl", data)
    assert pairs(table) == [("a", "x"), ("b", "y")]
    assert [str(problem) for problem in table.problems] == [
        "d.jsonl: note: a byte order mark at the start was skipped [bom-removed]",
        "d.jsonl: note: 2 lines end in CR LF, read as line ends [crlf-line-ends]",
        'd.jsonl: note: text/label rows, by the keys "text", "label" [format-detected]',
    ]
    assert table.sha256 == hashlib.sha256(data).hexdigest()
    table = read_bytes(tmp_path, "d.csv", b"\xef\xbb\xbftext,label\r\na,x\r\n")
    assert pairs(table) == [("a", "x")]
    assert codes(table) == ["bom-removed", "crlf-line-ends", "format-detected"]


def test_lines_are_counted_through_blank_lines_and_quoted_newlines(tmp_path: Path) -> None:
    table = read_bytes(tmp_path, "d.jsonl", '\n{"text": "a", "label": "x"}\n\n{"text": "b\u2028c", "label": "x"}\n\n')
    assert [row.where for row in table.rows] == ["d.jsonl:2", "d.jsonl:4"]
    assert "d.jsonl: note: 2 blank lines skipped [blank-lines]" in map(str, table.problems)
    table = read_bytes(tmp_path, "d.csv", 'text,label\n"two\nlines, ""quoted""",x\n\nb,y\n')
    assert [(row.where, row.question) for row in table.rows] == [
        ("d.csv:2", 'two\nlines, "quoted"'),
        ("d.csv:5", "b"),
    ]


def test_a_long_csv_cell_is_read_and_the_limit_of_the_process_is_left_alone(tmp_path: Path) -> None:
    before = csv.field_size_limit()
    table = read_bytes(tmp_path, "d.csv", f"text,label\n{'a' * 300_000},x\n")
    assert len(table.rows[0].question) == 300_000
    assert csv.field_size_limit() == before


def test_json_and_json_lines_under_each_others_names(tmp_path: Path) -> None:
    lines = '{"text": "a", "label": "x"}\n{"text": "b", "label": "y"}\n'
    table = read_bytes(tmp_path, "d.json", lines)
    assert [row.where for row in table.rows] == ["d.json:1", "d.json:2"]
    assert codes(table) == ["json-lines-detected", "format-detected"]
    table = read_bytes(tmp_path, "d.jsonl", '[\n{"text": "a", "label": "x"}\n]')
    assert [row.where for row in table.rows] == ["d.jsonl:2"]
    assert codes(table) == ["json-list-detected", "format-detected"]


def test_keys_beside_the_data_list_are_told(tmp_path: Path) -> None:
    table = read_bytes(tmp_path, "d.json", '{"version": 1, "data": [{"text": "a", "label": "x"}], "by": "me"}')
    assert pairs(table) == [("a", "x")]
    assert 'd.json: warning: keys beside "data" ignored: version, by [extra-keys]' in map(str, table.problems)


def test_parquet_leaves_out_the_nulls_of_absent_keys(tmp_path: Path) -> None:
    import polars as pl

    call = {"role": "assistant", "content": None, "tool_calls": [{"name": "f", "arguments": '{"x": null}'}]}
    rows = [{"messages": [{"role": "user", "content": "hi"}, call, {"role": "tool", "content": "1"}, {**call}]}]
    path = tmp_path / "d.parquet"
    pl.DataFrame(rows, infer_schema_length=None).write_parquet(path)
    messages = read_table(path).rows[0].messages
    assert messages[0] == {"role": "user", "content": "hi"}
    assert messages[1]["tool_calls"] == [{"type": "function", "function": {"name": "f", "arguments": {"x": None}}}]


@pytest.mark.parametrize(
    ("source", "is_id"),
    [
        ("owner/name", True),
        ("owner/name:test", True),
        ("owner/some.name-v1_2:train[:10%]", True),
        ("owner/name.jsonl", False),
        ("name", False),
        ("./owner/name", False),
        ("/owner/name", False),
        ("a/b/c", False),
        ("owner/name:", False),
        ("", False),
    ],
)
def test_hub_ids(source: str, is_id: bool) -> None:
    assert is_hub_id(source) is is_id


def test_a_hub_that_cannot_be_reached_is_told_within_seconds(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as taken:  # bound and not listening: nothing else can answer there
        taken.bind(("127.0.0.1", 0))
        endpoint = f"http://127.0.0.1:{taken.getsockname()[1]}"
        monkeypatch.setenv("HF_ENDPOINT", endpoint)
        for name in ("HF_HUB_OFFLINE", "https_proxy", "HTTPS_PROXY", "http_proxy", "HTTP_PROXY"):
            monkeypatch.delenv(name, raising=False)
        began = time.monotonic()
        with pytest.raises(DataError) as caught:
            read_table("owner/name:test")
    assert time.monotonic() - began < 8
    assert str(caught.value) == (
        f"owner/name:test: error: no such file here, and the hub ({endpoint}) cannot be reached; check the path or the "
        "network, or set HF_HUB_OFFLINE=1 if the data set is in the local cache [hub-unreachable]"
    )


def test_a_data_set_that_is_not_in_the_cache_offline(tmp_path: Path) -> None:
    program = (
        "from rankwise.data.read import read_table\n"
        "from rankwise.errors import DataError\n"
        "try: read_table('owner/name')\n"
        "except DataError as error: print([p.code for p in error.problems])\n"
    )
    environment = os.environ | {"HF_HUB_OFFLINE": "1", "HF_HOME": str(tmp_path)}
    done = subprocess.run(
        [sys.executable, "-c", program], env=environment, capture_output=True, text=True, timeout=120, cwd=tmp_path
    )
    assert done.stdout.strip() == "['hub-error']", done.stderr


def test_class_labels_of_a_hub_data_set_become_their_names() -> None:
    import datasets

    features = datasets.Features({"text": datasets.Value("string"), "label": datasets.ClassLabel(names=["no", "yes"])})
    table = datasets.Dataset.from_dict({"text": ["a", "b", "c"], "label": [1, 0, None]}, features=features)
    assert [record.fields for record in records_of(table)] == [
        {"text": "a", "label": "yes"},
        {"text": "b", "label": "no"},
        {"text": "c", "label": None},
    ]


def test_reading_json_imports_nothing_heavy(tmp_path: Path) -> None:
    (tmp_path / "d.jsonl").write_text('{"text": "a", "label": "x"}\n')
    program = (
        "import sys; from rankwise.data.read import read_table; read_table(sys.argv[1]);"
        "print(sorted({'polars', 'datasets', 'datasketch', 'numpy', 'torch', 'transformers'} & set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, str(tmp_path / "d.jsonl")], capture_output=True, text=True, timeout=60
    )
    assert done.stdout.strip() == "[]", done.stderr
