"""The cross-validated loss of a linear head."""

from __future__ import annotations

import numpy as np
import pytest

from rankwise.train.head import held_back_loss


@pytest.fixture
def states() -> np.ndarray:
    """Twelve rows of a label at +1, eleven at -1, and one far from both."""
    drawn = np.random.default_rng(0).standard_normal((24, 3)) / 4
    drawn[:12, 0] += 1
    drawn[12:23, 0] -= 1
    drawn[23, 1] += 5
    return drawn


def test_rows_told_apart_cost_little(states: np.ndarray) -> None:
    targets = np.array([0] * 12 + [1] * 12)
    assert held_back_loss(states[:23], targets[:23], 2, 100.0, 4, seed=0) < 0.1
    shuffled = np.random.default_rng(1).permutation(targets[:23])
    assert held_back_loss(states[:23], shuffled, 2, 1.0, 4, seed=0) > 0.5


def test_the_only_row_of_a_label_is_judged_by_none_and_known_to_all(states: np.ndarray) -> None:
    """Left out, its label would be unknown to the fit, and every strength would look the same."""
    three = np.array([0] * 12 + [1] * 11 + [2])
    weak, strong = (held_back_loss(states, three, 3, strength, 4, seed=0) for strength in (1e-3, 100.0))
    assert strong < 0.1 < weak
    two = np.array([0] * 23 + [1])
    weak, strong = (held_back_loss(states, two, 2, strength, 4, seed=0) for strength in (1e-3, 1.0))
    assert 0 < strong < weak < 0.7
