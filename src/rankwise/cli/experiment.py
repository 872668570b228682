"""`rankwise experiment`: advice held against the user's own rows."""

from __future__ import annotations

import re
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from rankwise.cli.options import AsJson, Overrides, RecipeFile
from rankwise.cli.screen import Screen, answering, refuse, table
from rankwise.cli.text import visible
from rankwise.signals import Interrupted, stop_on_signals

if TYPE_CHECKING:
    from rich.console import Console

    from rankwise.experiment import Group, Report

experiment = typer.Typer(help="Advice held against your own rows: ablation.", no_args_is_help=True)

_TIME = re.compile(r"(?:(\d+(?:\.\d+)?)h)?(?:(\d+(?:\.\d+)?)m)?(?:(\d+(?:\.\d+)?)s)?")


@experiment.command()
def ablation(
    recipe: RecipeFile,
    budget: Annotated[
        str | None, typer.Option(metavar="TIME", help="Time for all runs, such as 90m or 1h30m; default 40m.")
    ] = None,
    seeds: Annotated[int | None, typer.Option(min=1, metavar="N", help="Seeds of every cell; default 3.")] = None,
    rows: Annotated[
        int | None, typer.Option(min=2, metavar="N", help="Most training rows; default: all, within the budget.")
    ] = None,
    full: Annotated[bool, typer.Option("--full", help="All rows, steps and seeds, however long it takes.")] = False,
    targets: Annotated[bool, typer.Option("--targets", help="Vary which projections of attention.")] = False,
    layers: Annotated[bool, typer.Option("--layers", help="Vary attention, MLP, both, and the head.")] = False,
    alpha: Annotated[bool, typer.Option("--alpha", help="Vary alpha as a multiple of the rank.")] = False,
    dropout: Annotated[bool, typer.Option("--dropout", help="Vary the dropout.")] = False,
    doctrines: Annotated[bool, typer.Option("--doctrines", help="Every doctrine's whole plan, face to face.")] = False,
    output: Annotated[
        Path | None, typer.Option(metavar="FOLDER", help="Where results go; default experiments/ablation-<name>-<id>.")
    ] = None,
    overrides: Overrides = None,
    as_json: AsJson = False,
) -> None:
    """Compare ranks, layers and more on the same rows and seeds."""
    with answering(as_json) as screen, ending_on_signal(screen):
        from rankwise.experiment import DEFAULT_BUDGET, DEFAULT_SEEDS, ablate
        from rankwise.recipe import load_recipe

        asked_for: dict[Group, bool] = {
            "targets": targets,
            "layers": layers,
            "alpha": alpha,
            "dropout": dropout,
            "doctrines": doctrines,
        }
        groups = [name for name, on in asked_for.items() if on]
        limit = _seconds(budget, full, DEFAULT_BUDGET)
        asked = load_recipe(recipe, overrides or ())
        with screen.watching() as observer:
            report, folder = ablate(asked, output, groups, seeds or DEFAULT_SEEDS, rows, limit, observer)
        show_report(screen.tables, report, folder)
        screen.problems(report.problems)
        screen.answer({"folder": str(folder), **report.as_json()})


def show_report(console: Console, report: Report, folder: Path) -> None:
    """What was seen, the table, and what to know of it."""
    for sentence in report.sentences():
        console.print(visible(sentence), soft_wrap=True)
    heads, rows = report.table()
    shown = table(*heads)
    shown.title = f"{report.metric} on {report.scored_rows} held-out rows"
    for row in rows:
        shown.add_row(*row)
    console.print(shown)
    for sentence in (*report.facts(), *report.gaps()):
        console.print(visible(sentence), soft_wrap=True)
    console.print(f"report: {folder / 'report.html'} (.md, .csv; every run in results.jsonl)", soft_wrap=True)


def _seconds(budget: str | None, full: bool, default: float) -> float | None:
    """None: no limit."""
    from rankwise.errors import RecipeError

    if full and budget is not None:
        raise refuse(
            RecipeError, "budget-or-full", "--budget", f"{budget}, and --full has no limit; give one of the two"
        )
    if full or budget is None:
        return None if full else default
    found = _TIME.fullmatch(budget.strip())
    hours, minutes, seconds = (float(part or 0) for part in found.groups()) if found else (0.0, 0.0, 0.0)
    total = 3600 * hours + 60 * minutes + seconds
    if not total:
        raise refuse(RecipeError, "bad-budget", "--budget", f"got {budget!r}, expected a time such as 40m, 2h or 1h30m")
    return total


@contextmanager
def ending_on_signal(screen: Screen) -> Iterator[None]:
    """What a signal stops ends with 128 + the signal; every finished run is kept."""
    try:
        with stop_on_signals(at_once=True):
            yield
    except Interrupted as stopped:
        name = signal.Signals(stopped.number).name
        screen.note(f"stopped by {name}; the same command again goes on, and repeats no finished run")
        screen.answer({"stopped": name})
        raise typer.Exit(128 + stopped.number) from None
