"""One forward pass over packed tokens, as far as the last hidden states."""

from __future__ import annotations

from typing import Any

import torch

from rankwise.model.packing import Packing


def last_hidden(base: Any, ids: torch.Tensor, packing: Packing) -> torch.Tensor:
    """ids (T) -> (wanted, d), all T of them where `packing` wants none in particular."""
    out = base.base_model(input_ids=ids[None], position_ids=packing.positions(), packing=packing, use_cache=False)
    hidden: torch.Tensor = out.last_hidden_state[0]
    return hidden if packing.wanted is None or packing.selected else hidden.index_select(0, packing.wanted)


def probe_ids(base: Any, count: int) -> torch.Tensor:
    """Some tokens that every vocabulary has, to run a base on."""
    return torch.arange(2, 2 + count, device=base.device)


def near(got: torch.Tensor, expected: torch.Tensor, steps: int) -> bool:
    """Whether two results differ by at most so many rounding steps of the second's dtype."""
    step = torch.finfo(expected.dtype).eps
    return got.shape == expected.shape and bool((got - expected).norm() <= steps * step * expected.norm())
