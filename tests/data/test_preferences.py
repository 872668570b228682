"""Rows with a better and a worse answer: read, checked, rendered."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from rankwise.data.corpus import Corpus, CorpusRequest, build_corpus
from rankwise.data.read import Table, read_table
from rankwise.data.render import Renderer
from rankwise.errors import DataError

PAIR = {"chosen": "yes", "rejected": "no"}


def read(folder: Path, *rows: dict[str, Any]) -> Table:
    path = folder / "pairs.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return read_table(path)


def faults(folder: Path, *rows: dict[str, Any]) -> list[str]:
    with pytest.raises(DataError) as caught:
        read(folder, *rows)
    return [f"{p.where} {p.code}" for p in caught.value.problems if p.severity == "error"]


def corpus(folder: Path, base: Path, count: int, **more: Any) -> Corpus:
    rows = [{"prompt": f"question {i}", "chosen": "yes", "rejected": f"no {i}"} for i in range(count)]
    read(folder, *rows)
    request = CorpusRequest(str(folder / "pairs.jsonl"), 0.25, None, more.get("max_length"), "drop", "last", 0)
    return build_corpus(request, Renderer(base), 2048)


def test_a_prompt_or_an_instruction(tmp_path: Path) -> None:
    table = read(
        tmp_path,
        {"prompt": "Is it?", **PAIR},
        {"instruction": "Say.", "input": "now", "system": "Be short.", **PAIR},
        {
            "prompt": [{"role": "user", "content": "a"}],
            "chosen": [{"role": "assistant", "content": "b"}],
            "rejected": "c",
        },
    )
    assert table.shape == "preferences"
    assert [(row.answer, row.rejected) for row in table.rows] == [("yes", "no"), ("yes", "no"), ("b", "c")]
    assert [message["content"] for message in table.rows[1].messages] == ["Be short.", "Say.\nnow", "yes"]


def test_every_fault_is_named_with_its_line(tmp_path: Path) -> None:
    assert faults(
        tmp_path,
        {"prompt": "fine", **PAIR},
        {"prompt": "same", "chosen": "yes", "rejected": " yes"},
        {"prompt": "empty", "chosen": "", "rejected": "no"},
        {"chosen": "no prompt", "rejected": "at all"},
        {"prompt": "both", "instruction": "of them", **PAIR},
        {"prompt": " ", **PAIR},
        {"prompt": "a turn of the user", "chosen": [{"role": "user", "content": "x"}], "rejected": "no"},
    ) == [
        "pairs.jsonl:2 no-preference",
        "pairs.jsonl:3 empty-answer",
        "pairs.jsonl:4 missing-key",
        "pairs.jsonl:5 missing-key",
        "pairs.jsonl:6 empty-question",
        "pairs.jsonl:7 wrong-type",
    ]


def test_both_answers_continue_one_prompt(tmp_path: Path, tiny_base: Path) -> None:
    made, renderer = corpus(tmp_path, tiny_base, 8), Renderer(tiny_base)
    row, shown = made.train[0], made.train_rendered[0]
    assert shown.rejected is not None and row.rejected is not None
    assert renderer.decode(shown.rejected).strip() == row.rejected
    assert shown.rejected[-1] in renderer.stop_ids
    assert shown.ids[: shown.prompt] == tuple(renderer.prompt(row.messages[:-1]))


def test_the_longer_answer_counts(tmp_path: Path, tiny_base: Path) -> None:
    shown = corpus(tmp_path, tiny_base, 8).train_rendered[0]
    assert shown.rejected is not None
    assert shown.length == shown.prompt + len(shown.rejected) > len(shown.ids)
    with pytest.raises(DataError):  # every row is left out
        corpus(tmp_path, tiny_base, 8, max_length=shown.length - 3)


def test_equal_pairs_are_a_warning_and_other_answers_are_not(tmp_path: Path, tiny_base: Path) -> None:
    same = {"prompt": "question 1", "chosen": "yes", "rejected": "no"}
    read(tmp_path, same, same, {**same, "rejected": "never"}, {**same, "prompt": "else"})
    made = build_corpus(
        CorpusRequest(str(tmp_path / "pairs.jsonl"), 0.25, None, None, "error", "last", 0), Renderer(tiny_base), 2048
    )
    assert made.inspection.exact_duplicates == (("pairs.jsonl:1", "pairs.jsonl:2"),)
    assert [p.severity for p in made.problems if p.code == "exact-duplicates"] == ["warning"]
