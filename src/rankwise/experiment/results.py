"""What an experiment keeps: what it is of, its design, and one line for every finished run, never written again."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from rankwise.errors import Problem, RunError
from rankwise.evaluate.score import Answer, Tally
from rankwise.evaluate.task import Task
from rankwise.events import EventLog, read_events
from rankwise.experiment.design import Design, Run, read_design
from rankwise.files import read_json, write_json

ABOUT, RESULTS = "experiment.json", "results.jsonl"


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

    def tally(self, task: Task, references: Sequence[str]) -> Tally | None:
        """The metric by which cells are compared; None of a probe or a failure."""
        if self.answers is None:
            return None
        answers = [Answer(text, truncated=cut, error=error) for text, cut, error in self.answers]
        metric = task.metric(references)
        return next(tally for tally in task.tallies(references, answers) if tally.metric == metric)


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
    values = {field.name: event[field.name] for field in fields(Result)}
    values["run"] = Run(**values["run"])
    if values["answers"] is not None:
        values["answers"] = tuple((text, cut, error) for text, cut, error in values["answers"])
    return Result(**values)
