"""All doctrines' plans on one screen: a line for each value of a key, with those that say it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from rankwise.cli.screen import table
from rankwise.cli.text import size_text, time_text, value_text, visible

if TYPE_CHECKING:
    from rich.console import Console
    from rich.text import Text

    from rankwise.doctrine import Value
    from rankwise.plan.compare import Cell, Comparison

CONFLICT = "≠"


def show_comparison(console: Console, found: Comparison) -> None:
    """Keys in the plan's order, each value with its doctrines; then what the plans come to."""
    console.print(
        f"Each doctrine's whole plan. {CONFLICT} marks a conflict; doctrines in (parentheses) are silent, so that the "
        "defaults count.",
    )
    shown = table("", "key", "value", "doctrines")
    shown.columns[1].no_wrap = True
    for key, cells in found.compare.items():
        mark = CONFLICT if key in found.conflicts else ""
        if key in found.yours:
            yours = next(iter(cells.values())).value
            shown.add_row("", key, short_value(yours, found.layers), f"yours: {visible(found.yours[key])}")
            continue
        if all(cell.kind == "computed" for cell in cells.values()):
            first = next(iter(cells.values()))
            shown.add_row("", key, short_value(first.value, found.layers), visible(first.reason))
            continue
        for value, names in _by_value(cells):
            shown.add_row(mark, key, short_value(value, found.layers), names)
            mark = key = ""
    console.print(shown)
    totals = table("doctrine", "trainable", "capacity", "memory", "time", numbers=("trainable", "memory", "time"))
    for name, figures in found.figures.items():
        time = "not measured" if figures.seconds is None else time_text(figures.seconds)
        trainable = f"{figures.trainable_parameters:,}"
        totals.add_row(name, trainable, figures.capacity, size_text(figures.memory_bytes), time)
    console.print(totals)
    for name, reason in found.failed.items():
        console.print(visible(f"{name} cannot plan this: {reason}"), soft_wrap=True)


def short_value(value: object, layers: Sequence[str]) -> str:
    """A value in few characters: `all 7 layers + lm_head`, `q, v` for lists of target names."""
    if not isinstance(value, list | tuple) or not value:
        return value_text(value)
    if set(layers) <= set(value):
        more = [name for name in value if name not in layers]
        return " + ".join([f"all {len(layers)} layers", *more])
    return ", ".join(visible(str(name)).removesuffix("_proj").removesuffix("_lin") for name in value)


def _by_value(cells: Mapping[str, Cell]) -> list[tuple[object, Text]]:
    """Each value with the doctrines that say it, and in parentheses those that fall back on it."""
    from rich.text import Text

    from rankwise.plan.spoken import same_value

    values: list[Value] = []
    for cell in cells.values():
        if not any(same_value(cell.value, value) for value in values):
            values.append(cell.value)
    lines: list[tuple[object, Text]] = []
    for value in values:
        holders = {name: cell for name, cell in cells.items() if same_value(cell.value, value)}
        said = [name for name, cell in holders.items() if not cell.fallback]
        silent = [name for name, cell in holders.items() if cell.fallback]
        line = Text(", ".join(said))
        if silent:
            everyone = len(said) + len(silent) == len(cells) and len(silent) > len(said)
            line.append(f"{' ' if said else ''}({'all others' if everyone else ', '.join(silent)})", style="dim")
        lines.append((value, line))
    return lines
