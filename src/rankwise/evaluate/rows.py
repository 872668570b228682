"""The rows an adapter is evaluated on, found again from what its record says of them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from rankwise.data.corpus import asked
from rankwise.data.read import is_hub_id, read_table
from rankwise.data.split import split_rows
from rankwise.data.table import Row
from rankwise.errors import DataError
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
        held_out, name = list(read_table(data).rows), str(data)
    elif known.held_out is not None:
        held_out, name = _held_out_file(record, known.held_out), known.held_out
    elif train is None:
        raise DataError(f"the run held out a part of its training file, and {no_train}; give rows with --data")
    else:
        assert known.fraction is not None
        train, held_out = split_rows(train, known.fraction, known.seed)
        name = f"{known.fraction:g} of {known.train}"
    instruction = record.task.instruction
    return EvaluationRows(
        [asked(row, instruction) for row in held_out],
        None if train is None else [asked(row, instruction) for row in train],
        no_train,
        name,
    )


def _train_rows(record: AdapterRecord) -> tuple[list[Row] | None, str]:
    path = record.data.train
    if not is_hub_id(path) and not Path(path).is_file():
        return None, f"{path} is not there any more"
    table = read_table(path)
    if table.sha256 != record.data.train_sha256:
        return None, f"{path} has changed since training"
    return list(table.rows), ""


def _held_out_file(record: AdapterRecord, path: str) -> list[Row]:
    if not is_hub_id(path) and not Path(path).is_file():
        raise DataError(f"{path}: the run's held-out rows are not there any more; give others with --data")
    table = read_table(path)
    if table.sha256 != record.data.held_out_sha256:
        raise DataError(f"{path}: changed since training; restore it, or give it on purpose with --data")
    return list(table.rows)
