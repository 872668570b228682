"""`rankwise check`: recipe and data held against the base, before anything is spent."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from rankwise.cli.options import AsJson, Overrides, RecipeFile
from rankwise.cli.screen import answering, end, table
from rankwise.cli.text import visible

if TYPE_CHECKING:
    from rich.console import Console

    from rankwise.api import Checked
    from rankwise.data.inspect import Inspection, Lengths

BAR = 40
LABELS_SHOWN = 30


def check(recipe: RecipeFile, overrides: Overrides = None, as_json: AsJson = False) -> None:
    """Check recipe and data; preview what is learnt."""
    with answering(as_json) as screen:
        from rankwise import api
        from rankwise.recipe import load_recipe

        asked = load_recipe(recipe, overrides or ())
        with screen.watching() as observer:
            checked = api.check(asked, observer)
        show_check(screen.tables, checked)
        screen.problems(checked.problems)
        screen.answer(checked.as_json())
        end(checked.problems)


def show_check(console: Console, checked: Checked) -> None:
    """Rows, lengths, labels and duplicates, then a preview of what is trained on."""
    if checked.inspection is not None:
        _show_inspection(console, checked.inspection)
    if checked.preview:
        plain = console.color_system is None or console.no_color
        marks = "in [[ ]]" if plain else "in colour"
        console.print(f"\nWhat is trained on ({marks}), and what is masked:", style="bold")
    for row in checked.preview:
        show_preview(console, row)


def show_preview(console: Console, row: Sequence[tuple[str, bool]]) -> None:
    """One row as the model reads it, the tokens that are trained on set off from the masked ones."""
    from rich.text import Text

    plain = console.color_system is None or console.no_color
    shown = Text()
    for run, supervised in row:
        if plain:
            shown.append(f"[[{visible(run)}]]" if supervised else visible(run))
        else:
            shown.append(visible(run), style="bold green" if supervised else "dim")
    console.print(shown, soft_wrap=True)
    console.print()


def _show_inspection(console: Console, found: Inspection) -> None:
    console.print(f"{found.train_rows} training rows, {found.held_out_rows} held out ({found.shape}).")
    lengths = found.train_lengths
    console.print(
        f"Tokens a row: {lengths.p50} (median), {lengths.p95} (95%), {lengths.max} (most); the limit is "
        f"{found.max_length}. {lengths.total} in all."
    )
    _show_histogram(console, lengths)
    if found.labels:
        shown = table("label", "training rows", "held out", numbers=("training rows", "held out"))
        for label, train, held_out in found.labels[:LABELS_SHOWN]:
            shown.add_row(visible(label), str(train), str(held_out))
        if len(found.labels) > LABELS_SHOWN:
            shown.add_row(f"... and {len(found.labels) - LABELS_SHOWN} more", "", "")
        console.print(shown)
    console.print(
        f"Repeats: {len(found.exact_duplicates)} groups of equal rows, {len(found.near_duplicates)} of near ones, "
        f"{len(found.contradictions)} with different answers. Held-out rows also in training: "
        f"{len(found.exact_overlap)} equal, {len(found.near_overlap)} near."
    )


def _show_histogram(console: Console, lengths: Lengths) -> None:
    most = max((rows for _, _, rows in lengths.histogram), default=0)
    for low, high, rows in lengths.histogram:
        console.print(f"{low:>7}-{high:<6} {bar(rows, most)} {rows}")


def bar(value: int, most: int) -> str:
    """A bar of up to BAR characters, drawn to an eighth of one."""
    eighths = round(8 * BAR * value / most) if most else 0
    if value and not eighths:
        eighths = 1
    return "█" * (eighths // 8) + " ▏▎▍▌▋▊▉"[eighths % 8].strip()
