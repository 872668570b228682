"""Two adapters answer the same rows, each as it was taught: how far apart they are, and which rows flip."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from rankwise.data.corpus import asked
from rankwise.data.likeness import question_key
from rankwise.data.table import Row
from rankwise.errors import DataError, Problem
from rankwise.evaluate.compare import Difference, Flips, difference, flips
from rankwise.evaluate.judge import Contestant, Judge
from rankwise.evaluate.opened import open_recorded, require_record
from rankwise.evaluate.rows import EvaluationRows, as_trained, evaluation_rows
from rankwise.evaluate.score import outcomes
from rankwise.evaluate.task import Task
from rankwise.events import Observer
from rankwise.facts import AdapterRecord
from rankwise.facts.classifier import MULTI
from rankwise.model.open import OpenAdapter

FEWEST_ROWS = 10
"""On fewer rows two adapters are not told apart by any test, so that nothing would be said."""


@dataclass(frozen=True)
class Pair:
    """What two adapters were found to be worth on the same rows."""

    rows: int
    metric: str
    first: Contestant
    second: Contestant
    difference: Difference
    """The first minus the second, in `metric`."""
    flips: Flips
    """Rows, by their place, that the first has right and the second has not, and the other way round."""
    flipped_rows: dict[str, list[str]]
    """The same by file and line."""
    held_out: str
    left_out: int
    """Rows of `held_out` that the second was trained on, and that are therefore not among `rows`."""
    unknown_training: str
    """Why it is not known which rows the second was trained on; empty if it is."""

    @property
    def is_worse(self) -> bool:
        """Whether the first is seen to be worse than the second."""
        return self.difference.seen and self.difference.value < 0

    def figures(self) -> dict[str, Any]:
        """What is kept of it with the move that it allowed."""
        metric = {"first": self.first.scores[self.metric], "second": self.second.scores[self.metric]}
        found = {"value": self.difference.value, "interval": list(self.difference.interval), "p": self.difference.p}
        counts = {"gained": len(self.flips.gained), "lost": len(self.flips.lost)}
        return {"rows": self.rows, "held_out": self.held_out, "metric": self.metric, **metric, **found, **counts}

    def as_json(self) -> dict[str, Any]:
        return {
            "rows": self.rows,
            "metric": self.metric,
            "first": self.first.as_json(),
            "second": self.second.as_json(),
            "difference": asdict(self.difference),
            "flips": self.flipped_rows,
            "held_out": self.held_out,
            "left_out": self.left_out,
            "unknown_training": self.unknown_training,
        }


def judge_pair(first: Path, second: Path, data: Path | None, observer: Observer) -> Pair:
    """Two adapter folders on the held-out rows of the first, or on those of `data`; one base at a time in memory.

    Raises AdapterError and DataError: other tasks, no rows, or too few once those that the second was trained on are
    left out.
    """
    one, other = require_record(first), require_record(second)
    _require_one_task(one, other)
    opened = open_recorded(first, one, observer)
    found = as_trained(evaluation_rows(one, data), one, opened.renderer)
    rows, unknown = _unseen(found, other)
    left_out = len(found.held_out) - len(rows)
    if len(rows) < FEWEST_ROWS:
        told = f"{len(rows)} rows are left of {found.name}, of which {left_out} are training rows of {second.name}"
        message = f"{told}; at least {FEWEST_ROWS} are needed, give others with --data"
        raise DataError(problems=[Problem("error", "too-few-rows", found.name, message)])
    references = [row.answer for row in rows]
    answered = _answers("first adapter", opened, one, rows, observer)
    del opened
    answers = (
        answered,
        _answers("second adapter", open_recorded(second, other, observer), other, rows, observer),
    )
    metric = _task(one).metric(references)
    tallies = [next(tally for tally in contestant.tallies if tally.metric == metric) for contestant in answers]
    flipped = flips(outcomes(references, answers[1].answers), outcomes(references, answers[0].answers))
    return Pair(
        len(rows),
        metric,
        *answers,
        difference(tallies[0], tallies[1], one.data.seed),
        flipped,
        {side: [rows[i].where for i in getattr(flipped, side)] for side in ("gained", "lost")},
        found.name,
        left_out,
        unknown,
    )


def _answers(
    name: str, opened: OpenAdapter, record: AdapterRecord, rows: Sequence[Row], observer: Observer
) -> Contestant:
    judge = Judge(opened.model, opened.asked_by, opened.max_length, _task(record), observer)
    return judge.adapter([asked(row, record.task.instruction) for row in rows], name)


def _task(record: AdapterRecord) -> Task:
    task = record.task
    return Task(
        task.labels,
        task.assistant_turns,
        task.scorer,
        classifies=task.task == "seq_cls",
        multi_label=task.problem_type == MULTI,
    )


def _require_one_task(one: AdapterRecord, other: AdapterRecord) -> None:
    if one.task.kind == other.task.kind:
        return
    kinds = [f"labels ({', '.join(task.labels)})" if task.labels else "open answers" for task in (one.task, other.task)]
    message = f"one answers {kinds[0]}, the other {kinds[1]}; only adapters for one task are held against each other"
    raise DataError(problems=[Problem("error", "another-task", "", message)])


def _unseen(found: EvaluationRows, other: AdapterRecord) -> tuple[list[Row], str]:
    """The held-out rows that the other adapter was not trained on, and why that is not known where it is not."""
    try:
        trained = evaluation_rows(other, None)
    except DataError as fault:
        return found.held_out, str(fault)
    if trained.train is None:
        return found.held_out, trained.no_train
    seen = {question_key(row) for row in trained.train}
    return [row for row in found.held_out if question_key(row) not in seen], ""
