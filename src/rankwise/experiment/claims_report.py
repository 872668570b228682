"""What `claims` found: a verdict for every sentence, with its numbers, and the errors that no run has to show."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from math import inf, isfinite
from typing import Any, Literal

from rankwise.doctrine.errata import ERRATA
from rankwise.errors import Problem
from rankwise.experiment.arithmetic import Verdict
from rankwise.experiment.claims_list import Claim, Compared
from rankwise.experiment.design import Design
from rankwise.experiment.document import Document, Interval, Intervals, Plain, Section, Table
from rankwise.experiment.statistics import LEAST_SEEDS, Estimate

Basis = Literal["by arithmetic", "measured here", "not here"]
_ORDER: tuple[Verdict, ...] = ("contradicted here", "holds here", "undecided here")


@dataclass(frozen=True)
class Judged:
    """One claim with its verdict."""

    claim: Claim
    basis: Basis
    verdict: Verdict
    evidence: str
    """The numbers of a computation; of a measured claim, why it is undecided; else what would decide it."""
    value: Estimate | None = None
    """Of the measured sum; above the lower bound speaks for the claim."""
    low: float = -inf
    high: float = inf
    inside: bool = False
    """Whether the value lies between the bounds."""
    p: float | None = None
    """Of the opposite; corrected for all measured claims."""

    @property
    def numbers(self) -> str:
        if self.value is None:
            return self.evidence
        (low, high), value = self.value.interval, self.value.value
        bounds = f"{self.low:+.4g} to {self.high:+.4g}" if isfinite(self.high) else f"above {self.low:g}"
        seeds = "1 seed" if self.value.seeds == 1 else f"{self.value.seeds} seeds"
        told = f"{value:+.4f} ({low:+.4f} to {high:+.4f}), claimed {bounds}; p = {self.p:.3f} corrected, {seeds}"
        return f"{told}; {self.evidence}" if self.evidence else told

    @property
    def compared(self) -> str:
        """The sum that was measured, in words."""
        test = self.claim.test
        if not isinstance(test, Compared):
            return ""
        if test.measure == "time saved":
            return f"share of {test.terms[1][1]}'s time that {test.terms[0][1]} saves"
        terms = [
            f"{'+' if weight > 0 else '-'}{'' if abs(weight) == 1 else f' {abs(weight):g} x'} {name}"
            for weight, name in sorted(test.terms, reverse=True)
        ]
        return f"{test.measure}: {' '.join(terms).removeprefix('+ ')}"


@dataclass(frozen=True)
class ClaimsReport:
    data: str
    base: str
    machine: str
    train_rows: int
    scored_rows: int
    foreign_rows: int
    design: Design
    judged: tuple[Judged, ...]
    """In the order of the documents."""
    failed: Mapping[str, str]
    left_out: tuple[str, ...]
    problems: tuple[Problem, ...]
    seconds: float
    budget: float | None

    def as_json(self) -> dict[str, Any]:
        told = {**asdict(self), "design": self.design.as_json(), "sentences": list(self.sentences())}
        for one in told["judged"]:
            bounds = {**one["claim"]["test"], "low": one["low"], "high": one["high"]}
            one["low"], one["high"] = _json(bounds["low"]), _json(bounds["high"])
            test = one["claim"]["test"]
            test.update({key: _json(test[key]) for key in ("low", "high") if key in test})
        return told

    def sentences(self) -> Iterator[str]:
        counts = {verdict: sum(one.verdict == verdict for one in self.judged) for verdict in _ORDER}
        measured = sum(one.basis == "measured here" for one in self.judged)
        computed = sum(one.basis == "by arithmetic" for one in self.judged)
        yield (
            f"Of {len(self.judged)} claims {counts['holds here']} hold here, {counts['contradicted here']} are "
            f"contradicted, {counts['undecided here']} undecided; {computed} by arithmetic, {measured} measured."
        )
        for verdict in _ORDER[:2]:
            for one in self.judged:
                if one.verdict == verdict:
                    yield f"{verdict.capitalize()}, {one.basis}: {one.claim.says}. {one.numbers}."

    def facts(self) -> Iterator[str]:
        size = self.design.size
        yield (
            f"{self.data} on {self.base}: {self.train_rows} training rows in the same order for all, "
            f"{self.scored_rows} held-out rows scored, {self.foreign_rows} of other domains; {size.seeds} seeds; "
            f"{self.machine}."
        )
        limit = "no limit" if self.budget is None else f"a budget of {self.budget / 60:.0f} minutes"
        yield f"{self.seconds / 60:.1f} minutes spent on runs, under {limit}."
        yield (
            "Each cell was trained at the one rate that the rankwise doctrine fits to it, those that vary alpha or "
            f"dropout at the Default's, {self.design.learning_rate:g}: a verdict is of these rates, rows and base."
        )
        yield (
            f"A verdict takes {LEAST_SEEDS} seeds, an interval that excludes the opposite, and a p that holds after "
            "correction for all measured claims. Undecided never means that two are the same."
        )

    def gaps(self) -> Iterator[str]:
        yield from (f"Given up for the budget: {told}." for told in self.design.gave_up)
        yield from (f"Not run: {name}: {why}." for name, why in self.design.absent.items())
        yield from (f"Failed: {name}: {why}" for name, why in self.failed.items())
        if self.left_out:
            yield f"No time was left in the budget for {len(self.left_out)} runs: {'; '.join(self.left_out)}."

    def document(self) -> Document:
        heads = ("Claim", "Verdict", "By", "Numbers, or what would decide it", "Compared", "Where it stands")
        table = Table(heads, tuple(map(_texts, self.judged)))
        errors = tuple((e.says, "wrong as written", e.fact, e.evidence, e.source) for e in ERRATA)
        return Document(
            "claims",
            self.data,
            tuple(self.facts()),
            (
                Section("What was seen", tuple(self.sentences())),
                Section("Measured claims", self._figure()),
                Section("Every claim", table),
                Section("What to know", tuple(self.gaps())),
                Section(
                    "Errors of the documents that need no run",
                    Table(("Claim", "Verdict", "In fact", "Shown by", "Where it stands"), errors),
                ),
            ),
        )

    def _figure(self) -> Intervals:
        """Losses alone, which are in one unit."""
        drawn = [
            one
            for one in self.judged
            if one.value is not None and isinstance(one.claim.test, Compared) and one.claim.test.measure == "loss"
        ]
        return Intervals(
            tuple(
                Interval(one.claim.says, "", one.value.value, *one.value.interval, one.verdict != "undecided here")
                for one in drawn
                if one.value is not None
            ),
            "Losses in bits, 95% intervals over rows and seeds; right of the line at 0 speaks for the claim. The "
            "second colour: decided here. Claims of being as good need an interval close around 0.",
            signed=True,
        )

    def plain(self) -> Plain:
        heads = ("document", "section", "claim", "basis", "verdict", "value", "low", "high", "p_corrected", "seeds")
        return [heads, *map(_numbers, self.judged)]


def _json(bound: float) -> float | None:
    """JSON has no infinity."""
    return bound if isfinite(bound) else None


def _numbers(one: Judged) -> list[str | float | None]:
    value = one.value
    found = (None, None, None) if value is None else (value.value, *value.interval)
    claim = one.claim
    head = [claim.document, claim.section, claim.says, one.basis, one.verdict]
    return [*head, *found, one.p, None if value is None else value.seeds]


def _texts(one: Judged) -> tuple[str, ...]:
    where = f"{one.claim.document}, {one.claim.section}"
    return one.claim.says, one.verdict, one.basis, one.numbers, one.compared, where
