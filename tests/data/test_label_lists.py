"""Rows with a list of labels: read, refused by line, split and counted."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from rankwise.data.inspect import inspect_rows
from rankwise.data.read import Row, Table, read_table
from rankwise.data.split import split_rows
from rankwise.errors import DataError


def read(folder: Path, *rows: dict[str, Any], name: str = "d.jsonl") -> Table:
    path = folder / name
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return read_table(path)


def labelled(*lists: list[str]) -> list[Row]:
    texts = [f"text {number}" for number in range(len(lists))]
    return [
        Row(
            f"d.jsonl:{number + 1}",
            ({"role": "user", "content": text}, {"role": "assistant", "content": json.dumps(labels)}),
            question=text,
            answer=json.dumps(labels),
            labels=tuple(labels),
        )
        for number, (text, labels) in enumerate(zip(texts, lists, strict=True))
    ]


def test_lists_are_sorted_and_may_be_empty(tmp_path: Path) -> None:
    table = read(tmp_path, {"text": "a", "label": ["y", "x"]}, {"text": "b", "label": []}, {"text": "c", "label": [3]})
    assert table.shape == "label_lists"
    assert [row.own_labels for row in table.rows] == [("x", "y"), (), ("3",)]
    assert [row.answer for row in table.rows] == ['["x", "y"]', "[]", '["3"]']
    assert all(row.label is None for row in table.rows)


def test_parquet_holds_lists_too(tmp_path: Path) -> None:
    pl.DataFrame({"text": ["a", "b"], "label": [["x", "y"], []]}).write_parquet(tmp_path / "d.parquet")
    assert [row.labels for row in read_table(tmp_path / "d.parquet").rows] == [("x", "y"), ()]


def test_every_fault_of_a_list_has_its_line(tmp_path: Path) -> None:
    rows = [["x", "x"], ["x", None], ["x", " "], ["x", 1.5], ["x", True]]
    with pytest.raises(DataError) as caught:
        read(tmp_path, *({"text": f"{i}", "label": label} for i, label in enumerate(rows)))
    assert [(p.where, p.code) for p in caught.value.problems if p.severity == "error"] == [
        ("d.jsonl:1", "duplicate-label"),
        ("d.jsonl:2", "wrong-type"),
        ("d.jsonl:3", "empty-answer"),
        ("d.jsonl:4", "wrong-type"),
        ("d.jsonl:5", "wrong-type"),
    ]


@pytest.mark.parametrize(
    ("labels", "faulty"),
    [([["x"], ["y"], "x"], "d.jsonl:3"), (["x", ["y"], "y"], "d.jsonl:2"), ([["x"], 1], "d.jsonl:2")],
)
def test_one_file_has_one_kind_of_label(labels: list[Any], faulty: str, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="one label") as caught:
        read(tmp_path, *({"text": f"{i}", "label": label} for i, label in enumerate(labels)))
    assert [(p.where, p.code) for p in caught.value.problems if p.severity == "error"] == [(faulty, "mixed-labels")]


def test_a_list_in_a_cell_of_csv_is_not_taken_for_a_label(tmp_path: Path) -> None:
    (tmp_path / "d.csv").write_text('text,label\na,"[""x"", ""y""]"\nb,[x]\n')
    with pytest.raises(DataError, match=r"d.csv:2: .*CSV has no lists.*label-list-in-text") as caught:
        read_table(tmp_path / "d.csv")
    assert sum(p.severity == "error" for p in caught.value.problems) == 1  # [x] is no JSON, so a label


def test_rows_are_held_out_by_their_rarest_label() -> None:
    """Of 40 rows all have `often`, ten also have `rare`: a tenth of each kind is held out."""
    rows = labelled(*(["often", "rare"] if i % 4 == 0 else ["often"] for i in range(40)))
    train, held_out = split_rows(rows, 0.1, seed=0)
    assert (len(train), len(held_out)) == (36, 4)
    assert sum("rare" in row.own_labels for row in held_out) == 1


def test_what_misleads_is_told() -> None:
    train = labelled(["a", "b"], ["a"], ["a", "c"])
    held_out = [
        Row(f"e.jsonl:{n}", row.messages, row.question, row.answer, labels=row.labels)
        for n, row in enumerate(labelled(["d"], ["a"]), 1)
    ]
    found = inspect_rows(train, held_out, [1] * 3, [1] * 2, 10)
    assert found.labels == (("a", 3, 1), ("b", 1, 0), ("c", 1, 0), ("d", 0, 1))
    problems = {problem.code: problem for problem in found.problems}
    assert '"a"' in problems["label-always"].message
    assert problems["unseen-label"].where == "e.jsonl:1" and '"d" (1 row)' in problems["unseen-label"].message
    assert problems["contradictory-rows"].severity == "warning"  # text 0 has d, and a and b
