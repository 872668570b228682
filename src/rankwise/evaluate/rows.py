"""The rows an adapter is evaluated on, found again from what its record says of them."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from rankwise.data.corpus import asked, fit_rows
from rankwise.data.read import is_hub_id, read_table
from rankwise.data.render import Renderer
from rankwise.data.split import split_rows
from rankwise.data.table import LABELLED, Row, Table
from rankwise.errors import DataError, Problem, raise_if_errors
from rankwise.facts import AdapterRecord
from rankwise.facts.classifier import MULTI


@dataclass(frozen=True)
class EvaluationRows:
    held_out: list[Row]
    train: list[Row] | None
    """For the few-shot base and the baseline; None: gone or changed."""
    no_train: str
    """Why `train` is None."""
    name: str
    """Where the held-out rows are from."""
    given: bool = False
    """The held-out rows are not the run's own."""


def evaluation_rows(record: AdapterRecord, data: Path | None) -> EvaluationRows:
    """The run's own held-out rows, or those of `data`, with the adapter's prompt; long ones are as in their files.

    Raises DataError if they are gone or are not the rows they were.
    """
    known = record.data
    train, no_train = _train_rows(record)
    if data is not None:
        held_out, name = _given_rows(record, data), str(data)
    elif known.held_out is not None:
        held_out, name = _held_out_file(record, known.held_out), known.held_out
    elif not known.train:
        raise DataError("another tool trained this adapter, and held out nothing that is known; give rows with --data")
    elif train is None:
        raise DataError(f"the run held out a part of its training file, and {no_train}; give rows with --data")
    elif known.fraction is None:
        raise DataError("rankwise.json names neither a file of held-out rows nor a fraction; give rows with --data")
    else:
        train, held_out = split_rows(train, known.fraction, known.seed)
        name = f"{known.fraction:g} of {known.train}"
    instruction = record.task.instruction
    return EvaluationRows(
        [asked(row, instruction) for row in held_out],
        None if train is None else [asked(row, instruction) for row in train],
        no_train,
        name,
        given=data is not None,
    )


def as_trained(found: EvaluationRows, record: AdapterRecord, renderer: Renderer) -> EvaluationRows:
    """The rows as the run had them: its `data.too_long` applied to its own rows; rows given with --data stay whole."""
    limit, too_long = record.data.max_length, record.data.too_long
    if limit is None or too_long == "error":
        return found

    def fit(rows: list[Row]) -> list[Row]:
        turns = record.task.assistant_turns
        fitted = fit_rows(renderer, rows, [renderer.render(row, turns) for row in rows], limit, too_long, turns)
        raise_if_errors(DataError, fitted.faults)
        return fitted.rows

    train = found.train
    if train is not None:
        # A label of which every training row was left out is none of the adapter's.
        train = fit([row for row in train if set(row.own_labels) <= set(record.task.labels)])
    return replace(found, held_out=found.held_out if found.given else fit(found.held_out), train=train)


def _given_rows(record: AdapterRecord, data: Path) -> list[Row]:
    """The rows of `data`, which must ask what the adapter was trained for."""
    table = read_table(data)
    labels = record.task.labels
    shape = "open" if not labels else "label_lists" if record.task.problem_type == MULTI else "labels"
    if (table.shape if table.shape in LABELLED else "open") != shape:
        trained = f"text/label rows ({len(labels)} labels)" if labels else "rows with open answers"
        trained += ", each with a list of them" if shape == "label_lists" else ""
        message = f"these are {table.shape} rows, and the adapter was trained on {trained}; both must be of one kind"
        raise DataError(problems=[Problem("error", "rows-of-another-kind", table.path, message)])
    first: dict[str, str] = {}
    for row in table.rows:
        for label in set(row.own_labels).difference(labels):
            first.setdefault(label, row.where)
    unknown = [
        Problem("error", "unknown-label", where, f'"{label}" is no label of the adapter ({", ".join(labels)})')
        for label, where in first.items()
    ]
    if unknown:
        raise DataError(problems=unknown)
    return list(table.rows)


def _train_rows(record: AdapterRecord) -> tuple[list[Row] | None, str]:
    path = record.data.train
    if not path:
        return None, "another tool trained the adapter, on rows that are not known"
    if not is_hub_id(path) and not Path(path).is_file():
        return None, f"{path} is not there any more"
    table = _unchanged(path, record.data.train_sha256)
    if table is None:
        return None, f"{path} has changed since training"
    return list(table.rows), ""


def _held_out_file(record: AdapterRecord, path: str) -> list[Row]:
    if not is_hub_id(path) and not Path(path).is_file():
        raise DataError(f"{path}: the run's held-out rows are not there any more; give others with --data")
    table = _unchanged(path, record.data.held_out_sha256)
    if table is None:
        raise DataError(f"{path}: changed since training; restore it, or give it on purpose with --data")
    return list(table.rows)


def _unchanged(path: str, sha256: str | None) -> Table | None:
    """The rows, or None if they are not those of this digest, readable or not."""
    try:
        table = read_table(path)
    except DataError:
        if not is_hub_id(path):
            return None  # it was readable when its digest was taken
        raise
    return table if table.sha256 == sha256 else None
