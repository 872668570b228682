"""`rankwise selftest`: the promises of equality, tried on the user's own base and machine."""

from __future__ import annotations

from itertools import groupby
from typing import TYPE_CHECKING, Annotated

import typer

from rankwise.cli.options import AsJson
from rankwise.cli.screen import answering, table
from rankwise.cli.text import time_text, visible

if TYPE_CHECKING:
    from rich.console import Console

    from rankwise.selftest.report import Check, SelfTest

CHECK_SAYS_NO = 1
MODEL = "smollm2-135m"


def selftest(
    model: Annotated[
        str,
        typer.Argument(metavar="[MODEL]", help="Embedded name, folder of a transformers model, .gguf file, or hub id."),
    ] = MODEL,
    as_json: AsJson = False,
) -> None:
    """Try the promises of equality on a base; exit code 1 if one fails."""
    with answering(as_json) as screen:
        from rankwise import api

        with screen.watching() as observer:
            found = api.selftest(model, observer)
        show_selftest(screen.tables, found)
        screen.answer(found.as_json())
        if not found.ok:
            raise typer.Exit(CHECK_SAYS_NO)


def show_selftest(console: Console, found: SelfTest) -> None:
    """Every difference beside its tolerance, then the verdict; details only where they are asked for."""
    shown = table("promise", "difference in", "found", "tolerance", "holds", "", numbers=("found", "tolerance"))
    shown.columns[0].no_wrap = True  # what else is long may wrap on a narrow screen
    for promise, checks in groupby(found.checks, key=lambda check: check.promise):
        for place, check in enumerate(checks):
            shown.add_row(
                "" if place else promise,
                check.measure,
                _number(check.difference),
                _number(check.tolerance),
                _verdict(check),
                "" if check.ok and check.decides else visible(check.detail),
            )
    console.print(shown)
    if not all(check.decides for check in found.checks):
        console.print("In brackets: for information, decides nothing.")
    broken = list(dict.fromkeys(check.promise for check in found.checks if check.decides and not check.ok))
    promises = {check.promise for check in found.checks if check.decides}
    verdict = f"broken: {'; '.join(broken)}" if broken else f"all {len(promises)} promises hold"
    console.print(
        f"{visible(found.model)} on {found.device}, float32, {found.rows} rows of {found.tokens} tokens: {verdict} "
        f"({time_text(found.seconds)}).",
        style="bold",
        soft_wrap=True,
    )


def _number(value: float) -> str:
    return "0" if value == 0 else "-" if value != value else f"{value:.1e}" if value < 1 else f"{value:.0f}"


def _verdict(check: Check) -> str:
    if check.decides:
        return "yes" if check.ok else "NO"
    return f"({'yes' if check.ok else 'no'})"
