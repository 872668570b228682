"""Capacity against description length, in closed form."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rankwise.plan.capacity import judge_capacity

PER_RANK = 1000
"""Parameters of the targets at rank 1 in these examples: 2,000 bits."""


@pytest.mark.parametrize(
    ("r", "tokens", "status", "capacity", "suggested"),
    [
        (1, 2000, "AMPLE", 2000, 1),
        (1, 2001, "UNDERCAPACITY", 2000, 2),
        (4, 8001, "UNDERCAPACITY", 8000, 5),
        (4, 8000, "AMPLE", 8000, 4),
        (16, 32, "AMPLE", 32000, 1),
        (16, 31, "WASTEFUL", 32000, 1),
    ],
)
def test_status_at_the_borders(r: int, tokens: int, status: str, capacity: int, suggested: int) -> None:
    found = judge_capacity(r, lambda rank: rank * PER_RANK, tokens)
    assert (found.status, found.capacity_bits, found.required_bits) == (status, capacity, tokens)
    assert found.suggested_rank == suggested
    assert f"{tokens:,} supervised tokens" in found.message
    assert (f"lora.r to at least {suggested}" in found.message) == (status == "UNDERCAPACITY")


@given(st.integers(1, 1024), st.integers(1, 10**6), st.integers(0, 10**9))
def test_the_suggested_rank_is_the_smallest_that_suffices(r: int, per_rank: int, tokens: int) -> None:
    def parameters_at(rank: int) -> int:
        return rank * per_rank

    found = judge_capacity(r, parameters_at, tokens)
    rank = found.suggested_rank
    assert judge_capacity(rank, parameters_at, tokens).status != "UNDERCAPACITY"
    assert rank == 1 or judge_capacity(rank - 1, parameters_at, tokens).status == "UNDERCAPACITY"
    assert (r < rank) == (found.status == "UNDERCAPACITY")
