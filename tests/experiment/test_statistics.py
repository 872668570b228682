"""Intervals that hold, pairs that pair, and no equality out of ignorance."""

from __future__ import annotations

import numpy as np
import pytest

from rankwise.evaluate.score import Answer, Tally, label_tallies
from rankwise.experiment.statistics import Estimate, difference, estimate, holm, verdict


def tally(right: list[bool]) -> Tally:
    """Accuracy of rows that are right or wrong."""
    answers = [Answer("yes" if ok else "no") for ok in right]
    return label_tallies(["yes"] * len(right), answers)[0]


def drawn(rate: float, seed: int, rows: int = 200) -> list[bool]:
    return [bool(x) for x in np.random.default_rng(seed).random(rows) < rate]


def test_one_seed_has_the_interval_of_its_rows():
    """Of a share s of n rows it is about s +- 1.96 sqrt(s (1 - s) / n)."""
    found = estimate({0: tally([True] * 150 + [False] * 50)})
    half = 1.96 * (0.75 * 0.25 / 200) ** 0.5
    assert found.value == 0.75 and found.seeds == 1
    assert found.interval == pytest.approx((0.75 - half, 0.75 + half), abs=0.01)


def test_seeds_that_disagree_widen_the_interval():
    alike = estimate({seed: tally([True] * 100 + [False] * 100) for seed in range(3)})
    apart = estimate({seed: tally([True] * n + [False] * (200 - n)) for seed, n in enumerate((60, 100, 140))})
    assert alike.value == apart.value == 0.5
    assert apart.interval[1] - apart.interval[0] > 2 * (alike.interval[1] - alike.interval[0])


def test_a_cell_against_itself_is_no_difference_seen():
    cell = {seed: tally(drawn(0.7, seed)) for seed in range(3)}
    found = difference(cell, cell)
    assert (found.value, found.interval, found.p) == (0.0, (0.0, 0.0), 1.0)
    assert verdict(found, found.p) == "no difference seen"


def test_pairing_sees_what_two_intervals_hide():
    """Ten rows more of 200 are right, and none is lost: each score's own interval is far wider than that."""
    worse = {seed: tally(drawn(0.6, seed)) for seed in range(3)}
    better = {}
    for seed in range(3):
        right = drawn(0.6, seed)
        for place in [i for i, ok in enumerate(right) if not ok][:10]:
            right[place] = True
        better[seed] = tally(right)
    found = difference(better, worse)
    assert found.value == pytest.approx(0.05) and found.interval[0] > 0
    assert verdict(found, found.p) == "better"
    assert verdict(difference(worse, better), found.p) == "worse"
    assert estimate(better).interval[0] < estimate(worse).interval[1]


def test_only_seeds_that_both_have_are_compared():
    first = {0: tally([True] * 20), 1: tally([False] * 20)}
    assert difference(first, {0: tally([True] * 20)}).value == 0.0
    with pytest.raises(ValueError, match="no seed in common"):
        difference(first, {2: tally([True] * 20)})
    with pytest.raises(ValueError, match="same rows"):
        difference(first, {0: tally([True] * 19)})


def test_holm_is_the_closed_form():
    assert holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])
    assert holm([0.5, 0.9]) == pytest.approx([1.0, 1.0])
    assert holm([]) == []


@pytest.mark.parametrize(
    ("interval", "seeds", "corrected", "said"),
    [
        ((0.01, 0.05), 3, 0.01, "better"),
        ((-0.05, -0.01), 3, 0.01, "worse"),
        ((0.01, 0.05), 3, 0.06, "no difference seen"),
        ((-0.01, 0.05), 3, 0.01, "no difference seen"),
        ((0.01, 0.05), 2, 0.01, "too few seeds"),
    ],
)
def test_a_verdict_takes_interval_correction_and_three_seeds(
    interval: tuple[float, float], seeds: int, corrected: float, said: str
):
    assert verdict(Estimate(sum(interval) / 2, interval, seeds, corrected), corrected) == said
