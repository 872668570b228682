"""`rankwise train`: from recipe to catalogued adapter, and on again after a stop."""

from __future__ import annotations

import signal
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from rankwise.cli.options import AsJson, Overrides
from rankwise.cli.screen import Screen, answering, refuse
from rankwise.cli.text import bits_text, size_text, time_text
from rankwise.signals import Interrupted, stop_on_signals

if TYPE_CHECKING:
    from rich.console import Console

    from rankwise.api import Trained
    from rankwise.errors import Problem


def train(
    recipe: Annotated[
        Path | None,
        typer.Argument(metavar="[RECIPE]", help="Recipe file (YAML); paths in it are relative to its own folder."),
    ] = None,
    output: Annotated[
        Path | None, typer.Option(metavar="RUN", help="Run folder to make; default runs/<name>-<time>.")
    ] = None,
    resume: Annotated[Path | None, typer.Option(metavar="RUN", help="Go on with a stopped run.")] = None,
    overrides: Overrides = None,
    as_json: AsJson = False,
) -> None:
    """Train an adapter and put it into the catalogue."""
    with answering(as_json) as screen, ending_on_signal(screen):
        from rankwise import api
        from rankwise.errors import RecipeError
        from rankwise.recipe import load_recipe

        if (recipe is None) == (resume is None) or (resume is not None and (output is not None or overrides)):
            message = "give a recipe (with --output and --set if you like), or --resume RUN alone: a run keeps its plan"
            raise refuse(RecipeError, "recipe-or-resume", "", message)
        with screen.watching() as observer:
            if resume is not None:
                trained = api.resume(resume, observer)
            else:
                assert recipe is not None
                trained = api.train(load_recipe(recipe, overrides or ()), output, observer)
        show_trained(screen.tables, trained)
        screen.problems(_remarks(trained.run))
        screen.answer(trained.as_json())


@contextmanager
def ending_on_signal(screen: Screen) -> Iterator[None]:
    """What a signal stopped ends with 128 + the signal, at any moment, and says how to go on."""
    try:
        with stop_on_signals(at_once=True):
            from rankwise.runs import Stopped  # here, as a signal may come while this is imported

            try:
                yield
            except Stopped as stop:
                advice = f"rankwise train --resume {stop.run} goes on"
                raise _ended(screen, stop.signal, str(stop.run), f"; {advice}") from None
    except Interrupted as early:
        raise _ended(screen, early.number, None, " before a run began") from None


def _ended(screen: Screen, number: int, run: str | None, told: str) -> typer.Exit:
    name = signal.Signals(number).name
    screen.note(f"stopped by {name}{told}")
    screen.answer({"run": run, "stopped": name})
    return typer.Exit(128 + number)


UNSTEPPED = ("chosen", "fitted")
"""How a run ends whose method takes no steps: examples, or a linear head."""


def show_trained(console: Console, trained: Trained) -> None:
    """What was done, how fast, and where the adapter lies."""
    took = f"{trained.rows} rows in {time_text(trained.seconds)}"
    at_most = f"at most {size_text(trained.peak_memory_bytes)} of memory."
    if trained.held_out["ended"] not in UNSTEPPED:
        speed = f"{trained.rows_per_second:.1f} rows/s, {trained.tokens_per_second:.0f} tokens/s"
        console.print(f"{trained.steps} steps over {took}: {speed}, {at_most}")
    else:
        console.print(f"{str(trained.held_out['ended']).capitalize()} by {took}; {at_most}")
    held_out = trained.held_out
    console.print(_learnt(held_out))
    if trained.prediction is not None:
        seconds, memory = trained.prediction["seconds"], trained.prediction["memory_bytes"]
        console.print(
            f"The rehearsal had said {time_text(seconds['predicted'])} and {size_text(round(memory['predicted']))}: "
            f"it took {time_text(seconds['actual'])} ({seconds['error']:+.0%}) and {size_text(memory['actual'])} "
            f"({memory['error']:+.0%}), loading and checkpoints included."
        )
    console.print(f"adapter: {trained.adapter}", soft_wrap=True)
    console.print(f"in the catalogue: {trained.entry.id}", soft_wrap=True)


def _learnt(held_out: Mapping[str, Any]) -> str:
    """What the run came to, in the words of its objective."""
    if "held_out_accuracy" in held_out:
        return f"The chosen answer is preferred in {held_out['held_out_accuracy']:.0%} of held-out rows."
    if "reward" in held_out:
        return f"Mean reward at the end of training: {held_out['reward']:.3f}."
    if held_out["ended"] in UNSTEPPED:
        return f"Held-out loss: {bits_text(held_out)}."
    if not held_out["step"]:
        return f"Best held-out loss: {bits_text(held_out)}, before the first step: training gained nothing on it."
    return f"Best held-out loss: {bits_text(held_out)}, after step {held_out['step']}."


def _remarks(run: Path) -> tuple[Problem, ...]:
    """What the run's plan warns of."""
    from rankwise.files import read_json
    from rankwise.plan.plan import Plan

    return Plan.model_validate(read_json(run / "plan.json")).problems
