"""How sure a score is, and a difference, over the seeds of training and the rows that were answered.

Two cells are compared on the rows and seeds that both have: a row that is hard for one is hard for the other, and a
seed orders the rows alike for both, so what they share says nothing about which is better.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Literal

import numpy as np

from rankwise.evaluate.score import Floats, Tally

LEVEL = 0.05
RESAMPLES = 4_000
LEAST_SEEDS = 3
"""Fewer say too little about what another seed would give for a verdict."""

Tallies = Mapping[int, Tally]
"""Seed -> one metric of a cell, always over the same rows in the same order."""
Verdict = Literal["better", "worse", "no difference seen", "too few seeds"]


@dataclass(frozen=True)
class Estimate:
    value: float
    """The mean over seeds of the metric over all rows."""
    interval: tuple[float, float]
    """95%, over rows and, where there are several, seeds."""
    seeds: int
    p: float
    """Two-sided, that it is 0; not corrected for the number of comparisons."""


def estimate(cell: Tallies) -> Estimate:
    """The score of one cell. Raises ValueError without a seed."""
    return _estimate([_drawn(tally) for _, tally in sorted(cell.items())], [tally.value for tally in cell.values()])


def difference(first: Tallies, second: Tallies) -> Estimate:
    """`first` minus `second` over the seeds that both have. Raises ValueError if there is none, or if the rows or the
    metrics are not the same."""
    return contrast([(1.0, first), (-1.0, second)])


def contrast(terms: Sequence[tuple[float, Tallies]], bound: float = 0.0) -> Estimate:
    """The sum of weight x metric, less `bound`, over the seeds that all have, on the same rows.

    Raises ValueError if there is none, or if the rows or the metrics are not the same."""
    seeds = sorted(set.intersection(*(set(cell) for _, cell in terms)))
    alike = {(len(cell[seed]), cell[seed].metric) for _, cell in terms for seed in seeds}
    if len(alike) > 1:
        raise ValueError("expected cells with one metric over the same rows")
    drawn = [sum((weight * _drawn(cell[seed]) for weight, cell in terms), np.full(RESAMPLES, -bound)) for seed in seeds]
    return _estimate(drawn, [sum(weight * cell[seed].value for weight, cell in terms) - bound for seed in seeds])


def opposite(found: Estimate) -> Estimate:
    """Of the difference the other way round: of a loss, lower is better."""
    low, high = found.interval
    return replace(found, value=-found.value, interval=(-high, -low))


def holm(ps: Sequence[float]) -> list[float]:
    """Each p corrected for the number of comparisons (Holm 1979), in the order given, at most 1."""
    corrected, least = [0.0] * len(ps), 0.0
    for place, number in enumerate(sorted(range(len(ps)), key=ps.__getitem__)):
        least = max(least, min(1.0, (len(ps) - place) * ps[number]))
        corrected[number] = least
    return corrected


def verdict(found: Estimate, corrected: float) -> Verdict:
    """`no difference seen` says that these rows and seeds cannot tell the two apart, never that they are equal."""
    low, high = found.interval
    if low <= 0 <= high or corrected >= LEVEL:
        return "no difference seen"
    if found.seeds < LEAST_SEEDS:
        return "too few seeds"
    return "better" if found.value > 0 else "worse"


@lru_cache(maxsize=1)
def _times(rows: int) -> Floats:
    """(RESAMPLES, rows): how often each row is drawn."""
    return np.random.default_rng(0).multinomial(rows, np.full(rows, 1 / rows), size=RESAMPLES).astype(np.float64)


def _drawn(tally: Tally) -> Floats:
    """(RESAMPLES,) values of the metric over rows drawn with replacement; the same draws for every tally of as many
    rows, which is what pairs two of them."""
    return tally.combine(_times(len(tally)) @ tally.rows.toarray())


def drawn_means(cell: Tallies) -> Floats:
    """(RESAMPLES,) values of a cell over drawn rows and seeds; the same draws for every cell of as many of both."""
    return _over_seeds([_drawn(tally) for _, tally in sorted(cell.items())])


def _over_seeds(by_seed: Sequence[Floats]) -> Floats:
    """`by_seed`: for each seed (RESAMPLES,) values over drawn rows; the seeds are drawn here."""
    drawn, seeds = np.stack(by_seed, axis=1), len(by_seed)  # (RESAMPLES, seeds)
    center: Floats = drawn.mean(axis=1)
    if seeds > 1:
        picks = np.random.default_rng(1).integers(0, seeds, size=drawn.shape)
        # A mean of n drawn from n varies too little by (n - 1) / n, which matters where n is 3.
        wider = (seeds / (seeds - 1)) ** 0.5
        center = center + wider * (np.take_along_axis(drawn, picks, axis=1).mean(axis=1) - center)
    return center


def _estimate(by_seed: Sequence[Floats], values: Sequence[float]) -> Estimate:
    if not by_seed:
        raise ValueError("no seed in common: expected at least one")
    center = _over_seeds(by_seed)
    low, high = np.percentile(center, [2.5, 97.5])
    tail = min(int((center <= 0).sum()), int((center >= 0).sum()))
    p = min(1.0, 2 * (tail + 1) / (len(center) + 1))
    return Estimate(float(np.mean(values)), (float(low), float(high)), len(by_seed), p)
