"""Packed attention in transformers' attention interface: any architecture that uses it works without a change.

The `Packing` of a batch (or the `Cache` of rows being continued) travels to every layer as a keyword of the model's
forward.
"""

from __future__ import annotations

import torch
from transformers import AttentionInterface

from rankwise.errors import BaseError
from rankwise.model.cache import Cache
from rankwise.model.packing import Packing

IMPLEMENTATION = "rankwise_packed"


def _packed_attention(
    module: torch.nn.Module,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attention_mask: torch.Tensor | None,
    scaling: float | None = None,
    sliding_window: int | None = None,
    softcap: float | None = None,
    s_aux: torch.Tensor | None = None,
    packing: Packing | Cache | None = None,
    **kwargs: object,  # the interface hands every layer's extras to every implementation
) -> tuple[torch.Tensor, None]:
    if packing is None:
        raise RuntimeError(f"{type(module).__name__} was called without the packing of its batch")
    if softcap is not None or s_aux is not None:
        what = "caps attention scores" if s_aux is None else "has attention sinks"
        raise BaseError(f"{type(module).__name__} {what}, which packed attention does not do; choose another base")
    scale = query.shape[-1] ** -0.5 if scaling is None else scaling
    return packing.attend(module.layer_idx, query, key, value, scale, sliding_window), None  # type: ignore[arg-type]


AttentionInterface.register(IMPLEMENTATION, _packed_attention)
