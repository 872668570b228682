"""Can the adapter hold what the answers say? Capacity against description length, both in bits."""

from __future__ import annotations

from collections.abc import Callable
from math import ceil
from typing import Literal

from pydantic import BaseModel, ConfigDict

BITS_PER_PARAMETER = 2
"""What a parameter can store (Allen-Zhu and Li, cited by "LoRA Without Regret")."""
BITS_PER_TOKEN = 1.0
"""What a supervised token needs, as the same source estimates; measuring it on the base is later work."""
WASTEFUL = 1000


class Capacity(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    status: Literal["UNDERCAPACITY", "AMPLE", "WASTEFUL"]
    message: str
    capacity_bits: int
    required_bits: int
    suggested_rank: int
    """The smallest rank that could hold the answers."""


def judge_capacity(r: int, parameters_at: Callable[[int], int], supervised_tokens: int) -> Capacity:
    """`parameters_at`: trainable parameters of the plan's targets at a rank."""
    required = ceil(supervised_tokens * BITS_PER_TOKEN)
    capacity = parameters_at(r) * BITS_PER_PARAMETER
    smallest = max(1, ceil(required / (parameters_at(1) * BITS_PER_PARAMETER)))
    figures = f"{capacity:,} bits of capacity for about {required:,} bits in {supervised_tokens:,} supervised tokens"
    if capacity < required:
        return Capacity(
            status="UNDERCAPACITY",
            message=f"{figures}: raise lora.r to at least {smallest} or adapt more layers",
            capacity_bits=capacity,
            required_bits=required,
            suggested_rank=smallest,
        )
    if capacity > WASTEFUL * required:
        status: Literal["AMPLE", "WASTEFUL"] = "WASTEFUL"
        rest = "more than storage asks for; rank also speeds learning, so this is no fault by itself"
    else:
        status, rest = "AMPLE", "enough"
    return Capacity(
        status=status,
        message=f"{figures}: {rest}",
        capacity_bits=capacity,
        required_bits=required,
        suggested_rank=smallest,
    )
