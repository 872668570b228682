"""One key of the plan, told in full."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rankwise.cli.screen import table
from rankwise.cli.text import size_text, value_text, visible

if TYPE_CHECKING:
    from rich.console import Console

    from rankwise.plan.explain import Explanation
    from rankwise.plan.method import Method

NOT_COMPUTED = "not computed"


def show_explanation(console: Console, told: Explanation) -> None:
    """Why the value is so; who says otherwise; what speaks against it; what hangs on it."""
    decision = told.decision
    console.print(f"{told.key}: {value_text(decision.value)}", style="bold", soft_wrap=True)
    if told.meaning:
        console.print(visible(f"{told.meaning} ({told.accepts})"))
    console.print(visible(f"Why: {decision.reason}."))
    console.print(visible(f"Source: {decision.source} ({decision.kind}); the plan is by {told.doctrine}."))
    looked = [f"{name.replace('_', ' ')} {_fact(value)}" for name, value in told.facts.items()]
    looked += told.follows_from
    if looked:
        console.print(visible(f"Looks at: {', '.join(looked)}."))
    if told.leads_to:
        console.print(visible(f"What follows from it: {', '.join(told.leads_to)}."))
    _show_voices(console, told)
    _show_unused(console, told)
    _show_list(
        console,
        "Against this value",
        [f"{broken.sentence} ({broken.source}; {broken.kind})" for broken in told.objections],
    )
    _show_list(
        console,
        "Lessons",
        [f"{one.lesson.text.rstrip('.')} ({one.lesson.source}; {one.lesson.kind})" for one in told.lessons],
    )
    _show_list(
        console,
        "Where these sources are wrong",
        [f"{e.source} says: {e.says} In fact: {e.fact} Therefore: {e.consequence}" for e in told.errata],
    )
    if told.methods:
        _show_methods(console, told.methods)


def _show_voices(console: Console, told: Explanation) -> None:
    if told.voices:
        shown = table("doctrine", "says", "because", "source", "kind")
        shown.title = "What the doctrines say"
        for voice in told.voices:
            said = value_text(voice.value) if voice.agrees else f"≠ {value_text(voice.value)}"
            shown.add_row(voice.doctrine, said, visible(voice.reason), visible(voice.source), voice.kind)
        console.print(shown)
    if told.silent:
        console.print(f"Silent about it here: {', '.join(told.silent)}.")


def _show_unused(console: Console, told: Explanation) -> None:
    if told.unused:
        shown = table("doctrine", "for", "source", "here")
        shown.title = "Rules that decide nothing here"
        for rule in told.unused:
            shown.add_row(rule.doctrine, visible(rule.when), visible(rule.source), rule.because)
        console.print(shown)


def _show_list(console: Console, title: str, lines: list[str]) -> None:
    """Points with their later lines set in."""
    from rich.padding import Padding
    from rich.table import Table

    if lines:
        console.print(f"\n{title}", style="bold")
        points = Table.grid(padding=(0, 1))
        for line in lines:
            points.add_row("-", visible(line))
        console.print(Padding(points, (0, 0, 1, 0), expand=False))


def _show_methods(console: Console, methods: tuple[Method, ...]) -> None:
    numbers = ("trainable", "memory", "time")
    shown = table("method", "built", *numbers, "fits", "for and against", numbers=numbers)
    shown.title = "Methods, at the plan's rank, targets and batch; time relative to LoRA's"
    for method in methods:
        cost = NOT_COMPUTED if method.trainable is None else f"{method.trainable:,} ({method.share:.2%})"
        memory = NOT_COMPUTED if method.memory_bytes is None else size_text(method.memory_bytes)
        time = NOT_COMPUTED if method.time is None else f"{method.time:.2f}x"
        fits = {True: "yes", False: "no", None: "-"}[method.fits]
        why = [method.remark]
        why += [f"+ {', '.join(names)}: {sentence}" for sentence, names in _grouped(method, "advised").items()]
        why += [f"- {', '.join(names)}: {sentence}" for sentence, names in _grouped(method, "objections").items()]
        built = "yes" if method.built else "no"
        shown.add_row(method.name, built, cost, memory, time, fits, visible("\n".join(why)))
    console.print(shown)


def _grouped(method: Method, side: str) -> dict[str, list[str]]:
    """Sentence -> the doctrines that say it."""
    said: dict[str, list[str]] = {}
    for one in method.advised if side == "advised" else method.objections:
        said.setdefault(one.sentence, []).append(one.doctrine)
    return said


def _fact(value: object) -> str:
    return f"{value:,}" if isinstance(value, int) else value_text(value)
