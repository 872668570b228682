"""The best learning rate between those that were tried: the lowest point of a parabola in the rate's logarithm."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import exp, log

import numpy as np

from rankwise.evaluate.score import Floats
from rankwise.experiment.statistics import Tallies, drawn_means


@dataclass(frozen=True)
class Optimum:
    learning_rate: float
    interval: tuple[float, float]
    """95%, over rows and seeds, within the three rates."""
    bounded: bool
    """Whether the interval ends before the outer two of the three rates do."""


@dataclass(frozen=True)
class Ratio:
    value: float
    interval: tuple[float, float]
    """95%, the same rows and seeds drawn for both."""


def optimum(rates: Sequence[float], losses: Sequence[Tallies]) -> Optimum | None:
    """Of the loss at three rates, each a factor above the one before, with the same seeds. None where the middle one is
    not the lowest, so that the best may lie beyond them."""
    middle, unit = log(rates[1]), log(rates[2] / rates[1])
    value = _vertex(*(np.array([_mean(cell)]) for cell in losses))[0]
    if abs(value) > 0.5:
        return None
    drawn = _drawn(losses)
    low, high = np.percentile(drawn, [2.5, 97.5])
    return Optimum(
        exp(middle + unit * value), (exp(middle + unit * low), exp(middle + unit * high)), bool(low > -1 and high < 1)
    )


def ratio(
    first: tuple[Sequence[float], Sequence[Tallies]], second: tuple[Sequence[float], Sequence[Tallies]]
) -> Ratio | None:
    """The first's best rate over the second's; None where one of them has none."""
    best = [optimum(*one) for one in (first, second)]
    if best[0] is None or best[1] is None:
        return None
    logs = [log(rates[1]) + log(rates[2] / rates[1]) * _drawn(losses) for rates, losses in (first, second)]
    low, high = np.percentile(np.exp(logs[0] - logs[1]), [2.5, 97.5])
    return Ratio(best[0].learning_rate / best[1].learning_rate, (float(low), float(high)))


def _mean(cell: Tallies) -> float:
    return sum(tally.value for tally in cell.values()) / len(cell)


def _drawn(losses: Sequence[Tallies]) -> Floats:
    return _vertex(*map(drawn_means, losses))


def _vertex(low: Floats, middle: Floats, high: Floats) -> Floats:
    """Where a parabola through -1, 0 and 1 is lowest, at most 1 away; without a lowest point, the lower end."""
    bend, slope = (low + high) / 2 - middle, (high - low) / 2
    inside = -slope / (2 * np.where(bend > 0, bend, 1.0))
    return np.where(bend > 0, np.clip(inside, -1.0, 1.0), -np.sign(slope))
