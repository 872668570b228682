"""The rows an adapter is evaluated on: found again, or told what became of them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import pytest

from rankwise.data.corpus import Corpus, CorpusRequest, build_corpus
from rankwise.data.read import read_table
from rankwise.data.render import Renderer, TooLong
from rankwise.data.split import split_rows
from rankwise.errors import DataError
from rankwise.evaluate.rows import as_trained, evaluation_rows
from rankwise.facts import AdapterRecord, BaseIdentity, BaseRecord, DataRecord, TaskRecord
from rankwise.files import sha256_file


def write_labels(file: Path, labels: Sequence[str]) -> Path:
    file.write_text("".join(json.dumps({"text": f"clause {i}", "label": x}) + "\n" for i, x in enumerate(labels)))
    return file


def write_open(file: Path) -> Path:
    rows = [{"instruction": "Sum up.", "input": f"clause {i}", "output": f"note {i}"} for i in range(6)]
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return file


def record(
    train: Path, held_out: Path | None = None, fraction: float | None = None, labels: tuple[str, ...] = ("bad", "good")
) -> AdapterRecord:
    return AdapterRecord(
        name="a",
        base=BaseRecord(name="tiny", identity=BaseIdentity("w", "c", "t", "x")),
        task=TaskRecord(
            kind="labels" if labels else "open",
            scorer="accuracy",
            labels=labels,
            instruction="Sort it." if labels else "Sum up.",
            shape="labels" if labels else "instruction",
        ),
        data=DataRecord(
            train=str(train),
            train_sha256=sha256_file(train),
            rows=1,
            held_out=None if held_out is None else str(held_out),
            held_out_sha256=None if held_out is None else sha256_file(held_out),
            seed=3,
            fraction=fraction,
        ),
        plan={},
        plan_digest="",
        versions={},
        machine={},
        created="2026-01-01T00:00:00+00:00",
    )


@pytest.fixture
def train(tmp_path: Path) -> Path:
    return write_labels(tmp_path / "train.jsonl", ["good", "bad"] * 10)


@pytest.fixture
def held_out(tmp_path: Path) -> Path:
    return write_labels(tmp_path / "held.jsonl", ["bad", "good", "bad"])


def test_a_fraction_gives_the_rows_that_training_held_out(train: Path) -> None:
    found = evaluation_rows(record(train, fraction=0.2), None)
    assert found.train is not None
    kept, held = split_rows(read_table(train).rows, 0.2, 3)
    assert [row.where for row in found.held_out] == [row.where for row in held]
    assert [row.where for row in found.train] == [row.where for row in kept]
    assert found.name == f"0.2 of {train}"
    assert found.held_out[0].messages[0]["content"] == f"Sort it.\n{held[0].question}"


def test_a_file_of_held_out_rows_is_found(train: Path, held_out: Path) -> None:
    found = evaluation_rows(record(train, held_out), None)
    assert (len(found.held_out), found.name) == (3, str(held_out))
    assert found.train is not None and len(found.train) == 20


def test_rows_given_on_purpose_come_first(train: Path, held_out: Path) -> None:
    found = evaluation_rows(record(train, fraction=0.2), held_out)
    assert (len(found.held_out), found.name) == (3, str(held_out))
    assert found.train is not None and len(found.train) == 20


@pytest.mark.parametrize("text", ['{"text": "another", "label": "good"}\n', "no rows any more"])
def test_an_edited_training_file_is_named(train: Path, held_out: Path, text: str) -> None:
    by_fraction, by_file = record(train, fraction=0.2), record(train, held_out)
    train.write_text(text)
    with pytest.raises(DataError, match=rf"held out a part.*{train} has changed since training; give rows with --data"):
        evaluation_rows(by_fraction, None)
    found = evaluation_rows(by_file, None)
    assert found.train is None and found.no_train == f"{train} has changed since training"


def test_a_training_file_that_is_gone_is_named(train: Path, held_out: Path) -> None:
    by_fraction, by_file = record(train, fraction=0.2), record(train, held_out)
    train.unlink()
    with pytest.raises(DataError, match=rf"{train} is not there any more"):
        evaluation_rows(by_fraction, None)
    assert evaluation_rows(by_file, None).no_train == f"{train} is not there any more"
    assert len(evaluation_rows(by_fraction, held_out).held_out) == 3


def test_held_out_rows_edited_or_gone_are_named(train: Path, held_out: Path) -> None:
    known = record(train, held_out)
    held_out.write_text(held_out.read_text() + "\n")
    with pytest.raises(DataError, match=rf"{held_out}: changed since training; restore it"):
        evaluation_rows(known, None)
    held_out.unlink()
    with pytest.raises(DataError, match=rf"{held_out}: the run's held-out rows are not there any more"):
        evaluation_rows(known, None)


def test_rows_of_another_kind_are_refused(train: Path, tmp_path: Path) -> None:
    answers = write_open(tmp_path / "open.jsonl")
    with pytest.raises(DataError) as caught:
        evaluation_rows(record(train, fraction=0.2), answers)
    [problem] = caught.value.problems
    assert problem.code == "rows-of-another-kind" and "2 labels" in problem.message
    with pytest.raises(DataError) as caught:
        evaluation_rows(record(answers, fraction=0.2, labels=()), train)
    assert caught.value.problems[0].code == "rows-of-another-kind"


def test_labels_the_adapter_never_saw_are_named_once_each(train: Path, tmp_path: Path) -> None:
    other = write_labels(tmp_path / "other.jsonl", ["good", "fine", "fine", "awful"])
    with pytest.raises(DataError) as caught:
        evaluation_rows(record(train, fraction=0.2), other)
    assert [(p.code, p.where) for p in caught.value.problems] == [
        ("unknown-label", "other.jsonl:2"),
        ("unknown-label", "other.jsonl:4"),
    ]
    assert '"fine" is no label of the adapter (bad, good)' in caught.value.problems[0].message


def test_a_record_that_names_no_held_out_rows_is_no_traceback(train: Path) -> None:
    with pytest.raises(DataError, match="neither a file of held-out rows nor a fraction"):
        evaluation_rows(record(train), None)


def write_long(file: Path, count: int, labels: Sequence[str] = ("bad", "good")) -> Path:
    """Every fifth row is long, and every row of the label `rare`."""
    rows = [{"text": f"clause {i}" + " and so on" * (30 * (i % 5 == 2)), "label": labels[i % 2]} for i in range(count)]
    rows += [{"text": f"clause {i}" + " and so on" * 30, "label": "rare"} for i in range(count, count + 2)]
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return file


def record_of(corpus: Corpus, without: tuple[str, ...] = ()) -> AdapterRecord:
    """What a run on `corpus` writes down of its rows."""
    asked, by_file = corpus.request, isinstance(corpus.request.held_out, str)
    made = record(
        Path(asked.train),
        Path(str(asked.held_out)) if by_file else None,
        None if by_file else float(asked.held_out),
        corpus.labels,
    )
    task = made.task.model_copy(update={"instruction": corpus.instruction})
    known = {"seed": asked.seed, "max_length": corpus.max_length, "too_long": asked.too_long}
    data = made.data.model_copy(update={**known, "held_out_rows": len(corpus.held_out)})
    whole = made.model_copy(update={"task": task, "data": data}).model_dump(mode="json")
    for key in without:
        del whole["data"][key]
    return AdapterRecord.model_validate(whole)


@pytest.fixture(scope="module")
def renderer(tiny_base: Path) -> Renderer:
    return Renderer(tiny_base)


@pytest.mark.parametrize("by_file", [False, True])
@pytest.mark.parametrize(
    ("too_long", "max_length"), [("drop", 120), ("truncate", 120), ("drop", None), ("error", None)]
)
def test_evaluation_has_the_rows_that_training_had(
    too_long: TooLong, max_length: int | None, by_file: bool, renderer: Renderer, tmp_path: Path
) -> None:
    train = write_long(tmp_path / "train.jsonl", 30)
    held_out = str(write_long(tmp_path / "held.jsonl", 10)) if by_file else 0.3
    request = CorpusRequest(str(train), held_out, None, max_length, too_long, "all", 1)
    corpus = build_corpus(request, renderer, 512)
    known = record_of(corpus)
    found = as_trained(evaluation_rows(known, None), known, renderer)
    assert len(found.held_out) == known.data.held_out_rows
    assert found.held_out == list(corpus.held_out) and found.train == list(corpus.train)
    cut = {"drop": 30 + 2 - len(corpus.train), "truncate": 0, "error": 0}[too_long]
    assert not by_file or cut == (8 if (too_long, max_length) == ("drop", 120) else 0)
    assert ("rare" in corpus.labels) is ((too_long, max_length) != ("drop", 120))


def test_rows_given_on_purpose_stay_as_they_are(renderer: Renderer, tmp_path: Path) -> None:
    train, other = write_long(tmp_path / "train.jsonl", 30), tmp_path / "other.jsonl"
    other.write_text(json.dumps({"text": "and so on " * 40, "label": "good"}) + "\n")
    corpus = build_corpus(CorpusRequest(str(train), 0.3, None, 120, "drop", "all", 1), renderer, 512)
    known = record_of(corpus)
    found = as_trained(evaluation_rows(known, other), known, renderer)
    assert [row.where for row in found.held_out] == ["other.jsonl:1"]
    assert len(renderer.render(found.held_out[0]).ids) > 120
    assert found.train is not None and max(len(renderer.render(row).ids) for row in found.train) <= 120


def test_a_record_without_a_limit_leaves_the_rows_as_they_are(renderer: Renderer, tmp_path: Path) -> None:
    train = write_long(tmp_path / "train.jsonl", 30)
    corpus = build_corpus(CorpusRequest(str(train), 0.3, None, 120, "drop", "all", 1), renderer, 512)
    known = record_of(corpus, without=("max_length", "too_long"))
    assert (known.data.max_length, known.data.too_long) == (None, "error")
    found = evaluation_rows(known, None)
    assert as_trained(found, known, renderer) == found
