"""What `regret` found: sentences, one line a rank, curves over rates and steps."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal

from rankwise.errors import Problem
from rankwise.experiment.curves import BATCH_TIMES, FULL, PLAN
from rankwise.experiment.design import Design
from rankwise.experiment.document import Chart, Curve, Document, Interval, Intervals, Plain, Section, Table
from rankwise.experiment.optimum import Optimum, Ratio
from rankwise.experiment.statistics import LEVEL, Estimate, opposite, verdict

Against = Literal["adapters", "full fine-tuning"]


@dataclass(frozen=True)
class Regret:
    against: Against
    best: str
    """The cell with the least loss on the half by which is chosen; the plan itself where none has less."""
    rate: float | None
    found: Estimate
    """The plan's loss minus its, on the other half."""
    share: float
    """Of the best's loss."""
    p: float | None
    """Corrected for all comparisons of the report."""
    ranks: int
    """Cells from which it was chosen."""


@dataclass(frozen=True)
class Line:
    cell: str
    advised_rate: float | None
    """In the middle of its grid."""
    learning_rate: float
    """Chosen of the grid."""
    optimum: Optimum | None
    loss: Estimate
    """On the scored half, at the chosen rate, in bits."""
    gap: Estimate | None
    """Its loss minus full fine-tuning's, each at its chosen rate."""
    p: float | None
    leaves_at: int | None
    """Step from which on its loss stays above full fine-tuning's in every seed."""
    steps: int
    trainable_parameters: int


@dataclass(frozen=True)
class Ratios:
    cell: str
    ratio: Ratio
    """Of its best rate to full fine-tuning's."""


@dataclass(frozen=True)
class Gap:
    cell: str
    at_large: Estimate
    """Loss minus full fine-tuning's, both at the larger batch."""
    found: Estimate
    """That, minus the same at the plan's batch: how much the larger batch costs the adapter more."""
    p: float | None


@dataclass(frozen=True)
class Point:
    """One cell at one rate."""

    cell: str
    learning_rate: float
    chosen_bits: float
    """Loss on the half by which is chosen."""
    loss: Estimate


@dataclass(frozen=True)
class RegretReport:
    data: str
    base: str
    machine: str
    bits_per: str
    """token, row or label"""
    train_rows: int
    scored_rows: int
    design: Design
    plan: Line | None
    regrets: tuple[Regret, ...]
    lines: tuple[Line, ...]
    ratios: tuple[Ratios, ...]
    gaps: tuple[Gap, ...]
    points: tuple[Point, ...]
    looks: Mapping[str, tuple[tuple[float, float], ...]]
    """Cell -> step and mean loss in bits, at its chosen rate, on the half by which is chosen."""
    failed: Mapping[str, str]
    left_out: tuple[str, ...]
    problems: tuple[Problem, ...]
    seconds: float
    budget: float | None

    @property
    def unit(self) -> str:
        return f"bits/{self.bits_per}"

    def as_json(self) -> dict[str, Any]:
        return {**asdict(self), "design": self.design.as_json(), "sentences": list(self.sentences())}

    def sentences(self) -> Iterator[str]:
        yield from map(self._regret, self.regrets)
        if self.plan is None:
            yield "The plan itself was not run to its end, so its regret is unknown."
        yield from self._optima()
        yield from (self._gap(line) for line in self.lines if line.gap is not None)
        yield from map(self._batch, self.gaps)

    def _regret(self, regret: Regret) -> str:
        if regret.best == PLAN:
            return (
                f"No regret seen: the plan had the least loss of all on the rows by which is chosen, before the best "
                f"rates of {regret.ranks} ranks."
            )
        of = f"{regret.best} at {regret.rate:.3g}, the best of {regret.ranks} ranks at their best rates"
        if regret.against != "adapters":
            of = f"full fine-tuning at {regret.rate:.3g}"
        told = f"{self._evidence(regret.found, regret.p)}, {regret.share:+.1%} of its loss"
        said = verdict(opposite(regret.found), 1.0 if regret.p is None else regret.p)
        if said == "no difference seen":
            return f"No regret seen: the plan minus {of}: {told}."
        if said == "too few seeds":
            return f"Undecided, too few seeds: the plan minus {of}: {told}."
        return f"The plan {'loses' if said == 'worse' else 'wins'} against {of}: {told}."

    def _optima(self) -> Iterator[str]:
        for line in self.lines:
            if line.optimum is None:
                yield f"{line.cell}: no best rate between those tried; {line.learning_rate:.3g} had the least loss."
            else:
                low, high = line.optimum.interval
                open_end = "" if line.optimum.bounded else "; the interval ends with the rates tried, not before"
                yield (
                    f"{line.cell}: best rate {line.optimum.learning_rate:.2g} (95% interval {low:.2g} to {high:.2g}"
                    f"{open_end}); advised: {line.advised_rate:g}."
                )
        for one in self.ratios:
            low, high = one.ratio.interval
            yield f"Best rate of {one.cell} over full fine-tuning's: {one.ratio.value:.1f} ({low:.1f} to {high:.1f})."

    def _gap(self, line: Line) -> str:
        assert line.gap is not None
        said = verdict(opposite(line.gap), 1.0 if line.p is None else line.p)
        apart = {"worse": "more", "better": "less"}.get(said)
        head = f"{line.cell} has {apart} loss than full fine-tuning" if apart else f"{line.cell}: {said} to it"
        if said == "no difference seen":
            head = f"No difference seen between {line.cell} and full fine-tuning"
        elif said == "too few seeds":
            head = f"Undecided, too few seeds: {line.cell} against full fine-tuning"
        at = "its loss never stays above" if line.leaves_at is None else f"from step {line.leaves_at} on it stays above"
        return f"{head}: {self._evidence(line.gap, line.p)}; of {line.steps} steps, {at}, in every seed."

    def _batch(self, gap: Gap) -> str:
        said = verdict(opposite(gap.found), 1.0 if gap.p is None else gap.p)
        head = {
            "worse": f"A batch {BATCH_TIMES} times as large costs {gap.cell} more than full fine-tuning",
            "better": f"A batch {BATCH_TIMES} times as large costs {gap.cell} less than full fine-tuning",
            "too few seeds": f"Undecided, too few seeds: batch {BATCH_TIMES} times as large, {gap.cell}",
        }.get(said, f"No difference seen in what a batch {BATCH_TIMES} times as large costs {gap.cell} and full")
        return f"{head}: {self._evidence(gap.found, gap.p)}."

    def _evidence(self, found: Estimate, p: float | None) -> str:
        (low, high), seeds = found.interval, "1 seed" if found.seeds == 1 else f"{found.seeds} seeds"
        tested = "" if p is None else f", p = {p:.3f} corrected"
        return f"{found.value:+.4f} {self.unit}, 95% interval {low:+.4f} to {high:+.4f}{tested}, {seeds}"

    def facts(self) -> Iterator[str]:
        size = self.design.size
        yield (
            f"{self.data} on {self.base}: {self.train_rows} training rows in the same order for all; rates, ranks and "
            f"steps chosen on one half of the held-out rows, losses from the other, {self.scored_rows} rows; "
            f"{size.seeds} seeds; {self.machine}."
        )
        limit = "no limit" if self.budget is None else f"a budget of {self.budget / 60:.0f} minutes"
        yield f"{self.seconds / 60:.1f} minutes spent on runs, under {limit}."
        yield (
            "Each rank is tried at rates 3 times apart around the one that the recipe's doctrine gives for it; the "
            "best and its neighbours have all seeds. The best rate is the lowest point of a parabola through the three."
        )
        yield f"A comparison counts with an interval that leaves out 0 and a corrected p under {LEVEL:g}, of 3 seeds."

    def gaps_told(self) -> Iterator[str]:
        yield from (f"Given up for the budget: {told}." for told in self.design.gave_up)
        yield from (f"Not run: {name}: {why}." for name, why in self.design.absent.items())
        yield from (f"Failed: {name}: {why}" for name, why in self.failed.items())
        if self.left_out:
            yield f"No time was left in the budget for {len(self.left_out)} runs: {'; '.join(self.left_out)}."
        if FULL in self.design.absent or all(line.cell != FULL for line in self.lines):
            yield "Without full fine-tuning there is no ratio of rates, and no rank that leaves its curve."

    def document(self) -> Document:
        sections = [
            Section("What was seen", tuple(self.sentences())),
            Section(f"Loss against learning rate, {self.unit}", self._rates()),
            Section(f"Loss over steps, {self.unit}, each at its chosen rate", self._steps()),
            Section(f"Loss at the chosen rate, {self.unit}", self._losses()),
            Section("Table", self.table()),
            Section("What to know", tuple(self.gaps_told())),
        ]
        return Document("regret", self.data, tuple(self.facts()), tuple(sections))

    def _rates(self) -> Chart:
        names = [line.cell for line in self.lines]
        curves = [
            Curve(name, tuple((p.learning_rate, p.loss.value) for p in self.points if p.cell == name), name == FULL)
            for name in names
        ]
        if self.plan is not None:
            curves.append(Curve(PLAN, ((self.plan.learning_rate, self.plan.loss.value),)))
        caption = (
            "Mean over the seeds that each rate has; whole runs on the scored half of the held-out rows. Lower is "
            "better. Dashed: full fine-tuning."
        )
        return Chart(tuple(curves), "learning rate", self.unit, caption, logarithmic=True)

    def _steps(self) -> Chart:
        curves = tuple(Curve(name, points, name == FULL) for name, points in self.looks.items() if points)
        caption = "Mean over seeds, on the half of the held-out rows by which is chosen. Lower is better."
        return Chart(curves, "step", self.unit, caption)

    def _losses(self) -> Intervals:
        lines = [*([self.plan] if self.plan is not None else []), *self.lines]
        return Intervals(
            tuple(
                Interval(
                    line.cell, f"at {line.learning_rate:.3g}", line.loss.value, *line.loss.interval, line.cell == PLAN
                )
                for line in lines
            ),
            "95% intervals over rows and seeds. Left is better. Intervals overlap where cells may still differ.",
        )

    def table(self) -> Table:
        heads = (
            "Cell",
            "Advised",
            "Chosen",
            "Best (95%)",
            f"{self.unit} (95%)",
            "Minus full",
            "Leaves full",
            "Trained",
        )
        lines = [*([self.plan] if self.plan is not None else []), *self.lines]
        return Table(heads, tuple(map(_texts, lines)))

    def plain(self) -> Plain:
        """One line a cell and rate."""
        heads = ("cell", "learning_rate", "seeds", "chosen_bits", "bits", "bits_low", "bits_high")
        rows = [
            (p.cell, p.learning_rate, p.loss.seeds, p.chosen_bits, p.loss.value, *p.loss.interval) for p in self.points
        ]
        return [heads, *rows]


def _texts(line: Line) -> tuple[str, ...]:
    best, gap = line.optimum, line.gap
    low, high = line.loss.interval
    return (
        line.cell,
        "-" if line.advised_rate is None else f"{line.advised_rate:g}",
        f"{line.learning_rate:.3g}",
        "-" if best is None else f"{best.learning_rate:.2g} ({best.interval[0]:.2g} to {best.interval[1]:.2g})",
        f"{line.loss.value:.3f} ({low:.3f} to {high:.3f})",
        "-" if gap is None else f"{gap.value:+.3f} ({gap.interval[0]:+.3f} to {gap.interval[1]:+.3f})",
        "-" if line.leaves_at is None else f"step {line.leaves_at} of {line.steps}",
        f"{line.trainable_parameters:,}",
    )
