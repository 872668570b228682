"""Random generators go on where they were, whatever was drawn before."""

from __future__ import annotations

import random

import numpy as np
import pytest
import torch

from rankwise.train.generators import read_generators, set_generators


def drawn() -> tuple[object, ...]:
    return (
        [random.random() for _ in range(3)],
        [random.gauss(0, 1) for _ in range(3)],
        np.random.rand(3).tolist(),
        np.random.randn(3).tolist(),
        torch.rand(3).tolist(),
    )


@pytest.mark.parametrize("draws", [0, 1, 2, 700])
def test_what_is_drawn_next_is_the_same(draws: int) -> None:
    for _ in range(draws):  # an odd number leaves one normal number of a pair behind
        random.gauss(0, 1), np.random.randn(), torch.rand(1)
    kept = read_generators()
    expected = drawn()
    random.seed(1), np.random.seed(1), torch.manual_seed(1)
    set_generators(kept)
    assert drawn() == expected
