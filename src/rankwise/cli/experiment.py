"""`rankwise experiment`: advice held against the user's own rows."""

from __future__ import annotations

import re
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Protocol

import typer

from rankwise.cli.options import AsJson, Overrides, RecipeFile
from rankwise.cli.screen import Screen, answering, refuse, table
from rankwise.cli.text import visible
from rankwise.signals import Interrupted, stop_on_signals

if TYPE_CHECKING:
    from rich.console import Console

    from rankwise.errors import Problem
    from rankwise.experiment import Group
    from rankwise.experiment.document import Document

experiment = typer.Typer(help="Advice held against your own rows.", no_args_is_help=True)

_TIME = re.compile(r"(?:(\d+(?:\.\d+)?)h)?(?:(\d+(?:\.\d+)?)m)?(?:(\d+(?:\.\d+)?)s)?")


Budget = Annotated[
    str | None, typer.Option("--budget", metavar="TIME", help="Time for all runs, such as 90m or 1h30m; default 40m.")
]
Seeds = Annotated[int | None, typer.Option("--seeds", min=1, metavar="N", help="Seeds of every cell; default 3.")]
Rows = Annotated[
    int | None,
    typer.Option("--rows", min=2, metavar="N", help="Most training rows; default: all, within the budget."),
]
Full = Annotated[bool, typer.Option("--full", help="All rows, steps and seeds, however long it takes.")]
Output = Annotated[
    Path | None,
    typer.Option("--output", metavar="FOLDER", help="Where results go; default experiments/<kind>-<name>-<id>."),
]


@experiment.command()
def ablation(
    recipe: RecipeFile,
    budget: Budget = None,
    seeds: Seeds = None,
    rows: Rows = None,
    full: Full = False,
    targets: Annotated[bool, typer.Option("--targets", help="Vary which projections of attention.")] = False,
    layers: Annotated[bool, typer.Option("--layers", help="Vary attention, MLP, both, and the head.")] = False,
    alpha: Annotated[bool, typer.Option("--alpha", help="Vary alpha as a multiple of the rank.")] = False,
    dropout: Annotated[bool, typer.Option("--dropout", help="Vary the dropout.")] = False,
    doctrines: Annotated[bool, typer.Option("--doctrines", help="Every doctrine's whole plan, face to face.")] = False,
    output: Output = None,
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
        _answer(screen, report, folder)


@experiment.command()
def regret(
    recipe: RecipeFile,
    budget: Budget = None,
    seeds: Seeds = None,
    rows: Rows = None,
    full: Full = False,
    output: Output = None,
    overrides: Overrides = None,
    as_json: AsJson = False,
) -> None:
    """What the plan loses against the best rate and rank found here."""
    with answering(as_json) as screen, ending_on_signal(screen):
        from rankwise.experiment import DEFAULT_BUDGET, DEFAULT_SEEDS, measure_regret
        from rankwise.recipe import load_recipe

        limit = _seconds(budget, full, DEFAULT_BUDGET)
        asked = load_recipe(recipe, overrides or ())
        with screen.watching() as observer:
            report, folder = measure_regret(asked, output, seeds or DEFAULT_SEEDS, rows, limit, observer)
        _answer(screen, report, folder)


@experiment.command()
def claims(
    recipe: RecipeFile,
    budget: Budget = None,
    seeds: Seeds = None,
    rows: Rows = None,
    full: Full = False,
    output: Output = None,
    overrides: Overrides = None,
    as_json: AsJson = False,
) -> None:
    """Every checkable sentence of five guides, with a verdict here."""
    with answering(as_json) as screen, ending_on_signal(screen):
        from rankwise.experiment import DEFAULT_BUDGET, DEFAULT_SEEDS, check_claims
        from rankwise.recipe import load_recipe

        limit = _seconds(budget, full, DEFAULT_BUDGET)
        asked = load_recipe(recipe, overrides or ())
        with screen.watching() as observer:
            report, folder = check_claims(asked, output, seeds or DEFAULT_SEEDS, rows, limit, observer)
        _answer(screen, report, folder)


@experiment.command()
def search(
    recipe: RecipeFile,
    budget: Budget = None,
    seeds: Seeds = None,
    rows: Rows = None,
    full: Full = False,
    output: Output = None,
    overrides: Overrides = None,
    as_json: AsJson = False,
) -> None:
    """Look for a better recipe from the plan on, with Optuna."""
    with answering(as_json) as screen, ending_on_signal(screen):
        from rankwise.experiment import DEFAULT_BUDGET, DEFAULT_SEEDS, search_recipes
        from rankwise.recipe import load_recipe

        limit = _seconds(budget, full, DEFAULT_BUDGET)
        asked = load_recipe(recipe, overrides or ())
        with screen.watching() as observer:
            report, folder = search_recipes(asked, output, seeds or DEFAULT_SEEDS, rows, limit, observer)
        _answer(screen, report, folder)


class Reported(Protocol):
    """What every kind of experiment ends with."""

    @property
    def problems(self) -> tuple[Problem, ...]: ...

    def document(self) -> Document: ...

    def as_json(self) -> dict[str, Any]: ...


def _answer(screen: Screen, report: Reported, folder: Path) -> None:
    show_document(screen.tables, report.document(), folder)
    screen.problems(report.problems)
    screen.answer({"folder": str(folder), **report.as_json()})


def show_document(console: Console, document: Document, folder: Path) -> None:
    """All of a report that is words or a table."""
    from rankwise.experiment.document import Table

    for section in document.sections:
        if isinstance(section.part, tuple):
            for sentence in section.part:
                console.print(visible(sentence), soft_wrap=True)
        elif isinstance(section.part, Table):
            shown = table(*section.part.heads)
            for row in section.part.rows:
                shown.add_row(*map(visible, row))
            console.print(shown)
    for sentence in document.facts:
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
