"""The lowest point of a parabola, in closed form, with an interval and a ratio."""

from __future__ import annotations

from math import log

import numpy as np
import pytest
from scipy.sparse import csr_array

from rankwise.evaluate.score import Tally
from rankwise.experiment.optimum import optimum, ratio
from rankwise.experiment.statistics import Tallies

RATES = [1e-4, 3e-4, 9e-4]


def losses(best: float, noise: float = 0.0, seed: int = 0) -> list[Tallies]:
    """Of 200 rows and 3 seeds, each a parabola in the rate's logarithm, lowest at `best`."""
    drawn = np.random.default_rng(seed)
    cells = []
    for rate in RATES:
        value = 1.0 + 0.1 * log(rate / best) ** 2
        rows = {s: np.stack([value + noise * drawn.standard_normal(200), np.ones(200)], axis=1) for s in range(3)}
        cells.append({s: Tally("bits", csr_array(told), lambda x: x[:, 0] / x[:, 1]) for s, told in rows.items()})
    return cells


@pytest.mark.parametrize("best", [2e-4, 3e-4, 4.5e-4])
def test_a_parabola_gives_its_lowest_point(best: float):
    found = optimum(RATES, losses(best))
    assert found is not None and found.learning_rate == pytest.approx(best)
    assert found.interval == pytest.approx((best, best)) and found.bounded


def test_noise_widens_the_interval_around_it():
    found = optimum(RATES, losses(3e-4, noise=0.3))
    assert found is not None and found.interval[0] < found.learning_rate < found.interval[1]
    assert found.interval[1] / found.interval[0] > 1.05


def test_a_best_that_may_lie_beyond_the_three_is_none():
    assert optimum(RATES, losses(2e-3)) is None
    assert optimum(RATES, losses(1e-5)) is None
    assert ratio((RATES, losses(2e-3)), (RATES, losses(3e-4))) is None


def test_the_ratio_of_two_is_the_closed_form():
    small = [rate / 10 for rate in RATES]
    found = ratio((RATES, losses(2e-4)), (small, losses(3e-4)))
    assert found is not None and found.value == pytest.approx(2e-4 / 3e-5)
    assert found.interval[0] == pytest.approx(found.interval[1])
