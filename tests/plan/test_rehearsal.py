"""From a rehearsal to the whole run: closed forms, and a range that holds what it promises."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rankwise.plan.rehearsal import MEMORY_GROWTH, Rehearsal, predict, score

STEADY = Rehearsal(
    load_seconds=2.0,
    step_tokens=[100, 200, 300, 400],
    step_seconds=[1.0, 2.0, 3.0, 4.0],
    run_tokens=10_000,
    evaluation_tokens_timed=500,
    evaluation_seconds=1.0,
    evaluation_tokens=2_000,
    evaluations=5,
    save_seconds=0.5,
    saves=4,
    peak_memory_bytes=1_000,
    description=(100.0, 90.0, 110.0, 8),
)


def test_a_steady_machine_gives_the_sum_of_its_parts_and_no_range() -> None:
    made = predict(STEADY)
    seconds = 2 + 100 + 5 * 4 + 4 * 0.5
    assert (made.seconds.value, made.seconds.low, made.seconds.high) == pytest.approx((seconds, seconds, seconds))
    assert made.memory_bytes.value == pytest.approx(MEMORY_GROWTH * 1_000)
    assert made.steps_timed == 4


def test_a_slower_step_widens_the_range_around_what_does_not_vary() -> None:
    made = predict(replace(STEADY, step_seconds=[1.0, 2.0, 3.0, 6.0]))
    assert made.seconds.low >= 24
    assert made.seconds.low < made.seconds.value < made.seconds.high
    assert made.seconds.value == pytest.approx(24 + 10_000 * 12 / 1000)


def test_the_range_holds_the_truth_about_as_often_as_it_says() -> None:
    """Steps of a simulated run with noise of 20%; eight of 160 are rehearsed."""
    random, inside = np.random.default_rng(0), 0
    for _ in range(400):
        tokens = random.integers(500, 1500, 160)
        seconds = tokens * 0.001 * random.normal(1, 0.2, 160)
        drawn = random.permutation(160)[:8]
        made = predict(
            replace(
                STEADY,
                load_seconds=0,
                evaluations=0,
                saves=0,
                step_tokens=[int(tokens[i]) for i in drawn],
                step_seconds=[float(seconds[i]) for i in drawn],
                run_tokens=int(tokens.sum()),
            )
        )
        inside += made.seconds.low <= seconds.sum() <= made.seconds.high
    assert 0.90 <= inside / 400 <= 0.99


@given(st.floats(0.5, 2.0), st.floats(0.5, 2.0))
def test_a_score_is_the_truth_over_the_estimate(slower: float, larger: float) -> None:
    made = predict(STEADY)
    scored = score(made, made.seconds.value * slower, made.memory_bytes.value * larger)
    assert scored["seconds"]["error"] == pytest.approx(slower - 1)
    assert scored["memory_bytes"]["error"] == pytest.approx(larger - 1)
    assert scored["memory_bytes"]["inside"] == (
        made.memory_bytes.low <= larger * made.memory_bytes.value <= made.memory_bytes.high
    )
