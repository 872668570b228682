"""What an experiment keeps: what it is of, its design, and one line for every finished run, never written again."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np

from rankwise.errors import Problem, RunError
from rankwise.evaluate.score import Answer, Floats, Tally
from rankwise.evaluate.task import Task
from rankwise.events import EventLog, read_events
from rankwise.experiment.bench import Run
from rankwise.experiment.design import Design, read_design
from rankwise.files import read_json, write_json

ABOUT, RESULTS = "experiment.json", "results.jsonl"

Losses = tuple[tuple[float, int], ...]
"""Of each row -ln p of its supervised tokens, summed, and their number; of a classifier's rows, of the label."""
LOSS = "bits"
"""The metric of losses: bits a supervised token, or a row of a classifier. Lower is better."""


@dataclass(frozen=True)
class Result:
    """A finished run, or one that cannot be done."""

    run: Run
    learning_rate: float | None
    """That it was trained with."""
    loss: float | None
    """In nats, on the half of the held-out rows by which is chosen, of the weights that were kept."""
    steps: int
    rows_per_second: float
    peak_memory_bytes: int | None
    """None where the system cannot tell one run's peak from an earlier one's."""
    trainable_parameters: int
    seconds: float
    """All that the run took: attaching, training, evaluating, scoring; loading the base where that was due."""
    expected_seconds: float | None
    bits: float | None
    """A token (of a classifier: a row), on the scored half; None of a probe."""
    answers: tuple[tuple[str, bool, str | None], ...] | None
    """Text, truncated, error of each scored row; None of a probe."""
    failed: str | None
    """Why there is no result."""
    looks: tuple[tuple[int, float], ...] = ()
    """Step and loss in nats of each held-out evaluation, on the half by which is chosen."""
    losses: Losses | None = None
    """Of the scored rows; None of a probe."""
    foreign: Losses | None = None
    """Of rows of other domains, where those are looked at."""

    def tally(self, task: Task, references: Sequence[str]) -> Tally | None:
        """The metric by which cells are compared; None of a probe or a failure."""
        if self.answers is None:
            return None
        answers = [Answer(text, truncated=cut, error=error) for text, cut, error in self.answers]
        metric = task.metric(references)
        return next(tally for tally in task.tallies(references, answers) if tally.metric == metric)

    def loss_tally(self, foreign: bool = False) -> Tally | None:
        """The loss on the scored rows or on those of other domains, in bits; None of a probe or a failure."""
        losses = self.foreign if foreign else self.losses
        if not losses:
            return None
        from scipy.sparse import csr_array  # type: ignore[import-untyped]

        return Tally(LOSS, csr_array(np.array(losses, dtype=np.float64)), _bits_of_sums)


def _bits_of_sums(sums: Floats) -> Floats:
    return np.asarray(sums[:, 0] / sums[:, 1] / np.log(2), dtype=np.float64)


class Results:
    """The results of the experiment in a folder; a line is durable before the next run begins."""

    def __init__(self, folder: Path) -> None:
        self.folder, self._path = folder, folder / RESULTS
        self.found: dict[str, Result] = {}
        if self._path.is_file():
            for event in read_events(self._path):
                result = _from_json(event)
                self.found[result.run.key] = result
        self._log = EventLog(self._path)

    def add(self, result: Result) -> None:
        self._log.write("run", asdict(result))
        self._log.sync()
        self.found[result.run.key] = result

    def close(self) -> None:
        self._log.close()

    @property
    def seconds(self) -> float:
        return sum(result.seconds for result in self.found.values())


def begin(folder: Path, request: Mapping[str, Any], make: Callable[[], Design]) -> Design:
    """The design of the experiment in `folder`: as it was begun, so that a second call goes on with it, or a new one.

    `request`: all that a design follows from, as JSON. RunError if the folder holds another experiment.
    """
    file = folder / ABOUT
    if not file.is_file():
        made = make()
        write_json(file, {"request": dict(request), "design": made.as_json()})
        return made
    try:
        known = read_json(file)
        begun_with, design = known["request"], read_design(known["design"])
    except (ValueError, KeyError, TypeError) as fault:
        raise _other(folder, f"its {ABOUT} cannot be read ({fault})") from None
    different = sorted(key for key in request.keys() | begun_with.keys() if begun_with.get(key) != request.get(key))
    if different:
        raise _other(folder, f"it differs in {', '.join(different)}")
    return design


def _other(folder: Path, why: str) -> RunError:
    message = f"another experiment is in this folder: {why}; give another --output, or none"
    return RunError(problems=[Problem("error", "another-experiment", str(folder), message)])


def _from_json(event: Mapping[str, Any]) -> Result:
    values = {field.name: event[field.name] for field in fields(Result) if field.name in event}
    values["run"] = Run(**values["run"])
    if values["answers"] is not None:
        values["answers"] = tuple((text, cut, error) for text, cut, error in values["answers"])
    for name in ("looks", "losses", "foreign"):
        if values.get(name) is not None:
            values[name] = tuple((first, second) for first, second in values[name])
    return Result(**values)
