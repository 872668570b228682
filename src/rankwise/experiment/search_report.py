"""What `search` found: the winner, what the plan loses against it, and the configuration guide's advice on it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from rankwise.errors import Problem
from rankwise.experiment.design import Design
from rankwise.experiment.document import Chart, Curve, Document, Interval, Intervals, Plain, Section, Table
from rankwise.experiment.space import Choice
from rankwise.experiment.statistics import LEAST_SEEDS, Estimate, opposite, verdict

LN2 = 0.6931471805599453
AS_GOOD = 0.02
"""A cheaper trial is worth a look within this share of the best's loss on the same rung. A convention of ours."""
_GUIDE = "LoRA Configuration Guide, Experimental Approach"


@dataclass(frozen=True)
class Tried:
    choice: Choice
    trainable_parameters: int
    loss: float | None
    """In nats, on the last rung it reached; None: it failed."""
    rungs: tuple[float, ...] | None
    """Loss on each rung it reached."""
    failed: str | None


@dataclass(frozen=True)
class Finalist:
    """A trial that was trained whole."""

    choice: Choice
    trainable_parameters: int
    chosen_loss: float
    """In nats, by which the winner is chosen."""
    loss: Estimate
    """In bits, on the scored half."""
    regret: Estimate | None
    """The plan's loss minus its."""


@dataclass(frozen=True)
class SearchReport:
    data: str
    base: str
    machine: str
    bits_per: str
    """token, row or label"""
    train_rows: int
    scored_rows: int
    design: Design
    plan: Estimate | None
    plans_own: Choice
    tried: tuple[Tried, ...]
    finalists: tuple[Finalist, ...]
    winner: Finalist | None
    """None: nothing that was trained whole had less loss than the plan on the rows by which is chosen."""
    advice: tuple[str, ...]
    recipe: str | None
    """File of the winner's, in the experiment's folder."""
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
        if self.plan is None or not self.finalists:
            yield "The plan, or no trial at all, was trained whole, so there is no winner yet."
        elif self.winner is None:
            yield (
                f"No trial had less loss than the plan on the rows by which is chosen; {len(self.finalists)} were "
                "trained whole. No regret seen."
            )
        else:
            yield self._won(self.winner)
        if self.recipe is not None:
            yield f"The winner's recipe: {self.recipe}, beside this report."
        yield from self.advice

    def _won(self, winner: Finalist) -> str:
        told = f"{spoken(winner.choice)}, has a loss of {winner.loss.value:.4f} {self.unit}"
        if winner.regret is None:
            return f"The best trial: {told}; it has no seed in common with the plan."
        (low, high), apart = winner.regret.interval, winner.regret.value
        seeds = "1 seed" if winner.regret.seeds == 1 else f"{winner.regret.seeds} seeds"
        evidence = (
            f"the plan's is {apart:+.4f} from that ({apart / winner.loss.value:+.1%}), 95% interval {low:+.4f} to "
            f"{high:+.4f}, p = {winner.regret.p:.3f}, {seeds}"
        )
        said = verdict(opposite(winner.regret), winner.regret.p)
        head = {
            "worse": "The plan loses against the best trial",
            "better": "The plan wins against the best trial",
            "too few seeds": f"Undecided, fewer than {LEAST_SEEDS} seeds: the plan against the best trial",
        }.get(said, "No regret seen: the plan against the best trial")
        return f"{head}: {told}; {evidence}."

    def facts(self) -> Iterator[str]:
        size = self.design.size
        yield (
            f"{self.data} on {self.base}: {self.train_rows} training rows; trials and winner chosen on one half of the "
            f"held-out rows, losses from the other, {self.scored_rows} rows; {size.seeds} seeds of what is trained "
            f"whole; {self.machine}."
        )
        limit = "no limit" if self.budget is None else f"a budget of {self.budget / 60:.0f} minutes"
        yield f"{self.seconds / 60:.1f} minutes spent on runs, under {limit}."
        farther = sum(len(one.rungs or ()) > 1 for one in self.tried)
        yield (
            f"{len(self.tried)} trials, the first of them the plan's values; each on a ninth of the steps, {farther} "
            f"of them on a third, {len(self.finalists)} whole."
        )

    def gaps(self) -> Iterator[str]:
        yield from (f"Given up for the budget: {told}." for told in self.design.gave_up)
        yield from (f"Failed: {name}: {why}" for name, why in self.failed.items())
        if self.left_out:
            yield f"No time was left in the budget for {len(self.left_out)} runs: {'; '.join(self.left_out)}."
        yield "Many trials look better than they are on the rows that chose them; the losses here are from other rows."

    def document(self) -> Document:
        sections = (
            Section("What was seen", tuple(self.sentences())),
            Section(f"Trained whole, {self.unit}", self._whole()),
            Section(f"Trials, {self.unit}", self._course()),
            Section("Trained whole", self.table()),
            Section("Trials", self.trials()),
            Section("What to know", tuple(self.gaps())),
        )
        return Document("search", self.data, tuple(self.facts()), sections)

    def _whole(self) -> Intervals:
        lines = [Interval(spoken(one.choice), "", one.loss.value, *one.loss.interval) for one in self.finalists]
        if self.plan is not None:
            lines.insert(0, Interval("the plan", "", self.plan.value, *self.plan.interval, second=True))
        return Intervals(tuple(lines), "95% intervals over rows and seeds, on the scored half. Left is better.")

    def _course(self) -> Chart:
        done = [(number, one.rungs or ()) for number, one in enumerate(self.tried, 1)]
        curves = [
            Curve(name, tuple((number, rungs[rung] / LN2) for number, rungs in done if len(rungs) > rung))
            for rung, name in enumerate(("a ninth of the steps", "a third"))
        ]
        caption = "Loss of each trial on the rows by which is chosen, in the order tried. Lower is better."
        return Chart(tuple(curve for curve in curves if curve.points), "trial", self.unit, caption)

    def table(self) -> Table:
        rows = []
        if self.plan is not None:
            rows.append(("the plan", _range(self.plan), "-", "-", spoken(self.plans_own)))
        for one in self.finalists:
            name = "winner" if one == self.winner else "finalist"
            regret = "-" if one.regret is None else _range(one.regret, signed=True)
            rows.append((name, _range(one.loss), regret, f"{one.trainable_parameters:,}", spoken(one.choice)))
        return Table(("", f"{self.unit} (95%)", "The plan minus it", "Trained", "Values"), tuple(rows))

    def trials(self) -> Table:
        rows = []
        for number, one in enumerate(self.tried, 1):
            rungs = [f"{loss / LN2:.3f}" for loss in one.rungs or ()]
            rows.append((str(number), *rungs, *["-"] * (2 - len(rungs)), spoken(one.choice)))
        return Table(("Trial", "At a ninth", "At a third", "Values"), tuple(rows))

    def plain(self) -> Plain:
        heads = ("trial", *Choice.__dataclass_fields__, "trainable_parameters", "bits_ninth", "bits_third", "failed")
        rows = []
        for number, one in enumerate(self.tried, 1):
            rungs = [loss / LN2 for loss in one.rungs or ()]
            padded = [*rungs, *[None] * (2 - len(rungs))]
            rows.append((number, *asdict(one.choice).values(), one.trainable_parameters, *padded, one.failed))
        return [heads, *rows]


def spoken(choice: Choice) -> str:
    return (
        f"r={choice.r}, alpha={choice.scale:g}r, dropout {choice.dropout:g}, {choice.targets}, batch {choice.batch}, "
        f"rate {choice.learning_rate:.3g}"
    )


def advise_by_guide(tried: Sequence[Tried], winner: Finalist | None, own: Choice) -> Iterator[str]:
    """The guide: good but slow or large, fewer ranks and modules; poor, more of both. Held against what was seen."""
    done = [one for one in tried if one.rungs]
    if not done:
        return
    rung = max(len(one.rungs or ()) for one in done) - 1
    there = [one for one in done if _reached(one, rung)]
    best = min(there, key=_loss)
    close = [one for one in there if _loss(one) <= (1 + AS_GOOD) * _loss(best)]
    smallest = min(close, key=lambda one: one.trainable_parameters)
    shown = "a ninth" if rung == 0 else "a third"
    if smallest.trainable_parameters < best.trainable_parameters:
        share, more = smallest.trainable_parameters / best.trainable_parameters, _loss(smallest) / _loss(best) - 1
        yield (
            f"{_GUIDE}: good but too slow or large, lower the rank and adapt fewer modules. Seen: "
            f"{spoken(smallest.choice)} has {share:.0%} of the best trial's parameters and {more:+.1%} of its loss "
            f"after {shown} of the steps."
        )
    else:
        yield (
            f"{_GUIDE}: good but too slow or large, lower the rank and adapt fewer modules. Seen: no smaller trial "
            f"came within {AS_GOOD:.0%} of the best one's loss after {shown} of the steps."
        )
    if winner is not None:
        word = "the plan's" if winner.choice.r == own.r else "a higher" if winner.choice.r > own.r else "a lower"
        yield (
            f"{_GUIDE}: poor, raise the rank and adapt more modules. Seen: the winner has {word} rank "
            f"({winner.choice.r}; the plan: {own.r}) and adapts {winner.choice.targets} (the plan: {own.targets})."
        )


def _loss(one: Tried) -> float:
    """On the last rung it reached."""
    return one.rungs[-1] if one.rungs else float("inf")


def _reached(one: Tried, rung: int) -> bool:
    return one.rungs is not None and len(one.rungs) > rung


def _range(found: Estimate, signed: bool = False) -> str:
    low, high = found.interval
    if signed:
        return f"{found.value:+.3f} ({low:+.3f} to {high:+.3f})"
    return f"{found.value:.3f} ({low:.3f} to {high:.3f})"
