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

    from rankwise.plan.plan import Plan
    from rankwise.recipe import Asked


def plan(
    recipe: Annotated[Path | None, typer.Argument(metavar="[RECIPE]", help="Recipe file (YAML).")] = None,
    domain: Annotated[str | None, typer.Option(metavar="DOMAIN", help="Without a recipe: the domain.")] = None,
    model: Annotated[str | None, typer.Option(metavar="MODEL", help="Without a recipe: the base.")] = None,
    overrides: Overrides = None,
    as_json: AsJson = False,
) -> None:
    """Show what training will do, each value with its reason."""
    with answering(as_json) as screen:
        from rankwise import api

        asked = _asked(recipe, domain, model, overrides or [])
        with screen.watching() as observer:
            made = api.plan(asked, observer)
        show_plan(screen.tables, made)
        screen.problems(made.problems)
        screen.answer(made.as_json())
        end(made.problems)


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
    shown = table("key", "value", "reason", "source")
    shown.columns[0].no_wrap = True
    for key, decision in made.decisions.items():
        shown.add_row(key, value_text(decision.value), visible(decision.reason), visible(decision.source))
    console.print(shown)
    share = made.trainable_parameters / made.total_parameters
    console.print(f"Trains {made.trainable_parameters:,} of {made.total_parameters:,} parameters ({share:.2%}).")
    console.print(f"Capacity: {made.capacity.status}. {visible(made.capacity.message)}", soft_wrap=True)
    time = "not measured" if made.seconds is None else f"about {time_text(made.seconds)}"
    console.print(f"Memory: about {size_text(made.memory_bytes)}. Training time: {time}.")
