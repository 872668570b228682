"""The rows an adapter is evaluated on, found again from what its record says of them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from rankwise.data.corpus import asked
from rankwise.data.read import is_hub_id, read_table
from rankwise.data.split import split_rows
from rankwise.data.table import Row, Table
from rankwise.errors import DataError, Problem
from rankwise.facts import AdapterRecord


@dataclass(frozen=True)
class EvaluationRows:
    held_out: list[Row]
    train: list[Row] | None
    """For the few-shot base and the baseline; None: gone or changed."""
    no_train: str
    """Why `train` is None."""
    name: str
    """Where the held-out rows are from."""


def evaluation_rows(record: AdapterRecord, data: Path | None) -> EvaluationRows:
    """The run's own held-out rows, or those of `data`, all with the adapter's prompt.

    Raises DataError if they are gone or are not the rows they were.
    """
    known = record.data
    train, no_train = _train_rows(record)
    if data is not None:
        held_out, name = _given_rows(record, data), str(data)
    elif known.held_out is not None:
        held_out, name = _held_out_file(record, known.held_out), known.held_out
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
    )


def _given_rows(record: AdapterRecord, data: Path) -> list[Row]:
    """The rows of `data`, which must ask what the adapter was trained for."""
    table = read_table(data)
    labels = record.task.labels
    if (table.shape == "labels") != bool(labels):
        trained = f"text/label rows ({len(labels)} labels)" if labels else "rows with open answers"
        message = f"these are {table.shape} rows, and the adapter was trained on {trained}; both must be of one kind"
        raise DataError(problems=[Problem("error", "rows-of-another-kind", table.path, message)])
    first: dict[str, str] = {}
    for row in table.rows:
        if row.label is not None and row.label not in labels:
            first.setdefault(row.label, row.where)
    unknown = [
        Problem("error", "unknown-label", where, f'"{label}" is no label of the adapter ({", ".join(labels)})')
        for label, where in first.items()
    ]
    if unknown:
        raise DataError(problems=unknown)
    return list(table.rows)


def _train_rows(record: AdapterRecord) -> tuple[list[Row] | None, str]:
    path = record.data.train
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
