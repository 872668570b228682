"""`rankwise evaluate`: base, few-shot base, cheap baseline and adapter on the same rows."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from rankwise.cli.options import AsJson
from rankwise.cli.screen import answering, table
from rankwise.cli.text import CONTESTANTS, METRICS, score_text, visible

if TYPE_CHECKING:
    from rich.console import Console

    from rankwise.evaluate.run import Evaluation

LABELS_SHOWN = 30
OUTCOMES = ("correct", "wrong", "truncated", "error")


def evaluate(
    target: Annotated[
        str, typer.Argument(metavar="ADAPTER|RUN", help="Adapter folder, run folder, or name in the catalogue.")
    ],
    data: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Rows to judge on; default: the run's held-out rows.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Judge an adapter against base and baselines."""
    with answering(as_json) as screen:
        from rankwise import api

        with screen.watching() as observer:
            judged = api.evaluate(target, data, observer)
        show_evaluation(screen.tables, judged)
        screen.answer(judged.as_json())


def show_evaluation(console: Console, judged: Evaluation) -> None:
    """The verdict, the contestants side by side, how far the adapter is from each, the rows that flipped."""
    console.print(f"{judged.verdict}\n", style="bold", soft_wrap=True)
    entered = judged.contestants
    shown = table("", *CONTESTANTS.values(), numbers=tuple(CONTESTANTS.values()))
    for metric, title in METRICS.items():
        scores = [entered[name].scores.get(metric) if name in entered else None for name in CONTESTANTS]
        if any(score is not None for score in scores):
            shown.add_row(title, *map(score_text, scores))
    for outcome in OUTCOMES:
        counts = [entered[name].counts[outcome] if name in entered else None for name in CONTESTANTS]
        if outcome in ("correct", "wrong") or any(counts):
            shown.add_row(outcome, *("-" if count is None else str(count) for count in counts))
    shown.add_section()
    distances = [judged.differences.get(name) for name in CONTESTANTS]
    shown.add_row("adapter minus it", *(f"{d.value:+.3f}" if d else "" for d in distances))
    shown.add_row("95% interval", *("{:+.3f} to {:+.3f}".format(*d.interval) if d else "" for d in distances))
    shown.title = f"{judged.rows} held-out rows; differences in {METRICS[judged.metric]}"
    console.print(shown)
    _show_labels(console, judged)
    told = {name: contestant.note for name, contestant in entered.items()} | dict(judged.absent)
    for name, note in told.items():
        if note:
            console.print(f"{CONTESTANTS[name]}: {visible(note)}", soft_wrap=True)
    if judged.flips is not None:
        gained, lost = len(judged.flips.gained), len(judged.flips.lost)
        console.print(f"From base to adapter {gained} rows became right and {lost} wrong.")


def _show_labels(console: Console, judged: Evaluation) -> None:
    """Where a row may have several labels: the F1 of each, and how far the adapter is from the cheap baseline in it."""
    adapter, found = judged.contestants["adapter"].label_f1, judged.label_differences.get("baseline", {})
    if not adapter:
        return
    baseline = judged.contestants["baseline"].label_f1 if found else {}
    columns = ("cheap baseline", "adapter", "adapter minus it", "95% interval")
    shown = table("F1 of a label", *columns, numbers=columns)
    for label in list(adapter)[:LABELS_SHOWN]:
        apart = found.get(label)
        told = (f"{apart.value:+.3f}", "{:+.3f} to {:+.3f}".format(*apart.interval)) if apart else ("", "")
        shown.add_row(visible(label), score_text(baseline.get(label)), score_text(adapter[label]), *told)
    if len(adapter) > LABELS_SHOWN:
        shown.add_row(f"... and {len(adapter) - LABELS_SHOWN} more (--json has all)", "", "", "", "")
    console.print(shown)
