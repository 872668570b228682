"""`rankwise plan`: every value that training will use, with its reason and its source."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from rankwise.cli.options import AsJson, Overrides
from rankwise.cli.screen import answering, end, refuse, table
from rankwise.cli.text import size_text, time_text, value_text, visible

if TYPE_CHECKING:
    from rich.console import Console

    from rankwise.cli.screen import Screen
    from rankwise.plan.fit import Fitted
    from rankwise.plan.plan import Plan
    from rankwise.recipe import Asked

VALUE_WIDTH = 28
"""Characters; what is longer wraps, so that the reason keeps its room."""


def plan(
    recipe: Annotated[
        Path | None,
        typer.Argument(metavar="[RECIPE]", help="Recipe file (YAML); paths in it are relative to its own folder."),
    ] = None,
    domain: Annotated[str | None, typer.Option(metavar="DOMAIN", help="Without a recipe: the domain.")] = None,
    model: Annotated[
        str | None,
        typer.Option(metavar="MODEL", help="Without a recipe: the base; a path is relative to the working folder."),
    ] = None,
    doctrine: Annotated[str | None, typer.Option(metavar="NAME", help="Plan by this doctrine.")] = None,
    explain: Annotated[str | None, typer.Option(metavar="KEY", help="Tell the whole story of one key.")] = None,
    compare: Annotated[bool, typer.Option("--compare", help="All doctrines' plans side by side.")] = False,
    measure: Annotated[
        bool, typer.Option("--measure", help="Rehearse the run for a minute: its time and memory, measured.")
    ] = False,
    fit: Annotated[
        bool,
        typer.Option(
            "--fit", help="Change what must be changed to fit this machine's memory; exit code 2 if nothing helps."
        ),
    ] = False,
    overrides: Overrides = None,
    as_json: AsJson = False,
) -> None:
    """Show what training will do, each value with its reason."""
    with answering(as_json) as screen:
        from rankwise import api
        from rankwise.recipe import with_overrides

        _refuse_together({"--explain": explain is not None, "--compare": compare, "--measure": measure, "--fit": fit})
        asked = _asked(recipe, domain, model, [*(overrides or ()), *_by(doctrine)])
        if explain is not None:
            _explain(screen, asked, explain)
            return
        if compare:
            _compare(screen, asked)
            return
        fitted = None
        with screen.watching() as observer:
            if fit:
                fitted = api.fit(asked, observer)
                asked = with_overrides(asked, fitted.overrides)
            made = api.plan(asked, observer, measure)
        show_plan(screen.tables, made)
        if fitted is not None:
            show_fit(screen.tables, fitted)
        problems = list(made.problems)
        if fitted is not None and fitted.problem is not None:
            problems.append(fitted.problem)
        screen.problems(problems)
        told = made.as_json() | {"problems": [problem.as_json() for problem in problems]}
        screen.answer(told | ({} if fitted is None else {"fit": fitted.as_json()}))
        end(problems)


def _refuse_together(flags: dict[str, bool]) -> None:
    """`--explain` and `--compare` stand alone; `--measure` and `--fit` go together."""
    from rankwise.errors import RecipeError

    given = [flag for flag, there in flags.items() if there]
    if len(given) > 1 and set(given) & {"--explain", "--compare"}:
        raise refuse(RecipeError, "flags-apart", "", f"{' and '.join(given)} show different things; give one of them")


def _explain(screen: Screen, asked: Asked, key: str) -> None:
    from rankwise import api
    from rankwise.cli.explain import show_explanation

    with screen.watching() as observer:
        told = api.explain(asked, key, observer)
    show_explanation(screen.tables, told)
    screen.answer(told.as_json())


def _compare(screen: Screen, asked: Asked) -> None:
    from rankwise import api
    from rankwise.cli.compare import show_comparison

    with screen.watching() as observer:
        found = api.compare(asked, observer)
    show_comparison(screen.tables, found)
    screen.problems(found.problems)
    screen.answer(found.as_json())


def _by(doctrine: str | None) -> list[str]:
    """The override that `--doctrine` is short for."""
    from rankwise.recipe.write import yaml_scalar

    return [] if doctrine is None else [f"doctrine={yaml_scalar(doctrine)}"]


def _asked(recipe: Path | None, domain: str | None, model: str | None, overrides: list[str]) -> Asked:
    from rankwise.errors import RecipeError
    from rankwise.recipe import load_recipe, parse_recipe
    from rankwise.recipe.write import yaml_scalar

    if recipe is not None:
        if domain is not None or model is not None:
            message = "either a recipe, or --domain and --model; with a recipe use --set domain=... --set model=..."
            raise refuse(RecipeError, "recipe-and-domain", str(recipe), message)
        return load_recipe(recipe, overrides)
    given = {"domain": domain, "model": model}
    if domain is None:
        message = "nothing to plan for: give a recipe, or --domain (`rankwise init --list` names them)"
        raise refuse(RecipeError, "recipe-missing", "", message)
    text = "".join(f"{key}: {yaml_scalar(value)}\n" for key, value in given.items() if value is not None)
    return parse_recipe(text, "<command line>", Path.cwd(), overrides)


def show_plan(console: Console, made: Plan) -> None:
    """The decisions as a table, then what they cost and whether they suffice."""
    from rich.text import Text

    shown = table("key", "value", "reason, and source")
    shown.columns[0].no_wrap = True
    shown.columns[1].max_width = VALUE_WIDTH
    for key, decision in made.decisions.items():
        lines = [Text(visible(decision.reason))] if decision.reason else []
        told = Text("\n").join([*lines, Text(visible(decision.source), style="dim")])
        shown.add_row(key, value_text(decision.value), told)
    console.print(shown)
    share = made.trainable_parameters / made.total_parameters
    console.print(f"Trains {made.trainable_parameters:,} of {made.total_parameters:,} parameters ({share:.2%}).")
    console.print(f"Capacity: {made.capacity.status}. {visible(made.capacity.message)}", soft_wrap=True)
    if made.prediction is not None:
        memory, seconds = made.prediction.memory_bytes, made.prediction.seconds
        console.print(
            f"Rehearsed: {size_text(made.memory_bytes)} of memory "
            f"({size_text(round(memory.low))} to {size_text(round(memory.high))}), {time_text(seconds.value)} "
            f"({time_text(seconds.low)} to {time_text(seconds.high)}, {made.prediction.steps_timed} steps timed)."
        )
    else:
        time = "not measured" if made.seconds is None else f"about {time_text(made.seconds)}"
        console.print(f"Memory: about {size_text(made.memory_bytes)}. Training time: {time}. `--measure` tells more.")
    _show_memory(console, made)


def _show_memory(console: Console, made: Plan) -> None:
    """What the estimate is made of, what else is done with the adapter, and the disk."""
    if made.memory is None or made.disk_bytes is None:
        return
    part, disk = made.memory.training, made.disk_bytes
    trained = part.adapter + part.gradients + part.optimizer
    console.print(
        f"Estimated: base {size_text(part.base)}, adapter with gradients and optimizer {size_text(trained)}, "
        f"activations {size_text(part.activations)}, logits {size_text(part.logits)}, "
        f"process {size_text(part.process)}; evaluation {size_text(made.memory.evaluation)}, "
        f"merging {size_text(made.memory.merging) if made.memory.merging else 'not possible'}.",
        soft_wrap=True,
    )
    console.print(f"Disk: {size_text(disk.checkpoints)} of checkpoints, {size_text(disk.adapter)} of adapter.")


def show_fit(console: Console, fitted: Fitted) -> None:
    """What was changed so that the plan fits, and what it takes to keep it so."""
    if not fitted.changes:
        console.print("It fits as it is; nothing was changed.")
        return
    for change in fitted.changes:
        after = "not done" if change.memory_bytes is None else size_text(change.memory_bytes)
        console.print(f"- {visible(change.what)}: {after}", soft_wrap=True)
    if not fitted.fits:
        console.print("Even so it does not fit.")
        return
    keep = " ".join(f"--set '{override}'" for override in fitted.overrides)
    console.print(f"To train so: {keep}", soft_wrap=True)
