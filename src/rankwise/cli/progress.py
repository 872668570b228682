"""What a run reports while it works, as bars on a terminal and as a few lines elsewhere."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from rankwise.cli.text import CONTESTANTS, METRICS, bits_text, score_text, size_text, time_text
from rankwise.events import Event, Observer

if TYPE_CHECKING:
    from rich.console import Console
    from rich.progress import Progress, TaskID

LINES_PER_BAR = 10
BYTE_STAGES = ("download", "verify", "extract")


@dataclass(frozen=True)
class Advance:
    """How far one bar is."""

    title: str
    """Names the bar, too."""
    done: int
    of: int
    count: str
    """`done` of `of`, in their unit."""
    facts: Mapping[str, str]
    """What is worth knowing beside it; a fact stays until it is replaced."""


@contextmanager
def watch(console: Console) -> Iterator[Observer]:
    """An observer that draws on `console` for the block."""
    if not console.is_terminal:
        yield _Lines(console)
        return
    from rich.progress import BarColumn, Progress, TextColumn

    columns = (
        TextColumn("{task.description}"),
        BarColumn(bar_width=24),
        TextColumn("{task.fields[count]}"),
        TextColumn("{task.fields[facts]}", style="dim"),
    )
    with Progress(*columns, console=console, redirect_stdout=False) as progress:
        yield _Bars(progress)


def read_event(event: Event) -> Advance | str | None:
    """What an event means for a watcher: a bar that moved, a remark, or nothing."""
    reader = _READERS.get(event["event"])
    return reader(event) if reader else None


class _Bars:
    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self._tasks: dict[str, TaskID] = {}
        self._facts: dict[str, dict[str, str]] = {}

    def __call__(self, event: Event) -> None:
        read = read_event(event)
        if isinstance(read, str):
            self._progress.console.print(read, soft_wrap=True)
        elif read is not None:
            facts = self._facts.setdefault(read.title, {})
            facts.update(read.facts)
            if read.title not in self._tasks:
                self._tasks[read.title] = self._progress.add_task(read.title, total=None, count="", facts="")
            self._progress.update(
                self._tasks[read.title],
                completed=read.done,
                total=read.of or None,
                count=read.count,
                facts=_joined(facts),
            )


class _Lines:
    def __init__(self, console: Console) -> None:
        self._console = console
        self._printed: dict[str, int] = {}
        self._facts: dict[str, dict[str, str]] = {}

    def __call__(self, event: Event) -> None:
        read = read_event(event)
        if isinstance(read, str):
            self._console.print(read, soft_wrap=True)
        elif read is not None:
            facts = self._facts.setdefault(read.title, {})
            facts.update(read.facts)
            part = LINES_PER_BAR * read.done // read.of if read.of else 0
            if part > self._printed.get(read.title, 0):
                self._printed[read.title] = part
                line = " · ".join([f"{read.title} {read.count}", *facts.values()])
                self._console.print(line, soft_wrap=True)


def _joined(facts: Mapping[str, str]) -> str:
    return " · ".join(facts.values())


def _fetch(event: Event) -> Advance:
    done, of, stage = event["done"], event["of"], event["stage"]
    spell = size_text if stage in BYTE_STAGES else str
    count = f"{spell(done)} of {spell(of)}" if of > 1 else ""
    return Advance(f"{event['base']}: {stage}", done, of, count, {})


def _measure(event: Event) -> str:
    return f"measuring this machine: {event['stage']}"


def _selftest(event: Event) -> Advance:
    return Advance("selftest", event["done"], event["of"], f"{event['done']}/{event['of']}", {"stage": event["stage"]})


def _steps(event: Event, facts: Mapping[str, str]) -> Advance:
    return Advance("train", event["step"], event["steps"], f"{event['step']}/{event['steps']} steps", facts)


def _train_begin(event: Event) -> Advance:
    return _steps(event, {"loss": f"{event['rows']} rows"})


def _step(event: Event) -> Advance:
    facts = {"loss": f"loss {event['loss']:.3f}"}
    if "reward" in event:
        facts["learnt"] = f"reward {event['reward']:.3f}"
    elif "accuracy" in event:
        facts["learnt"] = f"chosen preferred in {event['accuracy']:.0%}"
    facts |= {
        "speed": f"{event['tokens_per_second']:.0f} tokens/s",
        "left": f"{time_text(event['seconds_left'])} left",
    }
    return _steps(event, facts)


def _held_out(event: Event) -> str:
    best = ", best so far" if event["best"] else ""
    return f"step {event['step']}: held-out {bits_text(event)} on {event['rows']} rows{best}"


def _preferences(event: Event) -> str:
    return f"step {event['step']}: the chosen answer is preferred in {event['held_out_accuracy']:.0%} of held-out rows"


def _resumed(event: Event) -> str:
    return f"going on after step {event['step']}"


def _checkpoint_damaged(event: Event) -> str:
    return f"checkpoint {event['path']} is damaged and passed over: {event['reason']}"


def _resume(event: Event) -> str | None:
    if event["checkpoint"] is not None:
        return None
    return "no sound checkpoint is left: starting over" if event["damaged"] else "no checkpoint yet: starting over"


def _rollback(event: Event) -> str:
    return (
        f"{event['reason']}\nrolled back to step {event['to']} ({event['rollbacks']} of at most {event['of']} times); "
        f"the rows of step {event['step']} will be left out"
    )


def _tracking_failed(event: Event) -> str:
    return f"{event['tracker']} failed, and training goes on without it: {event['reason']}"


def _stopped(event: Event) -> str:
    return f"stopped by signal {event['signal']} after step {event['step']}; all of it is saved"


def _train_end(event: Event) -> str | None:
    return "stopped early: no improvement" if event.get("reason") == "no improvement" else None


def _rows(event: Event, done: int, facts: Mapping[str, str]) -> Advance:
    name = CONTESTANTS.get(event["contestant"], event["contestant"])
    return Advance(f"evaluate {name}", done, event["rows"], f"{done}/{event['rows']} rows", facts)


def _contestant_begin(event: Event) -> Advance:
    return _rows(event, 0, {})


def _contestant_progress(event: Event) -> Advance:
    return _rows(event, event["done"], {})


def _contestant_end(event: Event) -> str:
    name = CONTESTANTS.get(event["contestant"], event["contestant"])
    scores: Mapping[str, Any] = event["scores"]
    told = [f"{METRICS.get(metric, metric)} {score_text(v)}" for metric, v in scores.items() if v is not None]
    return f"{name}: {', '.join(told) or 'no score'} ({time_text(event['seconds'])})"


def _experiment_plan(event: Event) -> str:
    seconds = event["seconds"]
    time = "an unknown time" if seconds is None else f"about {time_text(seconds)}"
    told = f"{event['runs']} runs at most, {time}, {size_text(event['disk_bytes'])} of disk at a time"
    return "\n".join([told, *(f"given up for the budget: {what}" for what in event["gave_up"])])


def _experiment(event: Event) -> Advance:
    count = f"{event['done']}/{event['of']} runs"
    return Advance("experiment", event["done"], event["of"], count, {"cell": event["cell"]})


_READERS: Mapping[str, Callable[[Event], Advance | str | None]] = {
    "fetch": _fetch,
    "measure": _measure,
    "selftest": _selftest,
    "train_begin": _train_begin,
    "step": _step,
    "held_out": _held_out,
    "preferences": _preferences,
    "checkpoint_damaged": _checkpoint_damaged,
    "resume": _resume,
    "resumed": _resumed,
    "rollback": _rollback,
    "stopped": _stopped,
    "tracking_failed": _tracking_failed,
    "train_end": _train_end,
    "contestant_begin": _contestant_begin,
    "contestant_progress": _contestant_progress,
    "contestant_end": _contestant_end,
    "experiment_plan": _experiment_plan,
    "experiment": _experiment,
}
