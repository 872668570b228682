"""Attention over packed rows on a GPU: one FlexAttention kernel, no scores kept, gradients summed in a fixed order.

Says the same as `blocks`, which is for the CPU and for what this kernel cannot do (float64, trees of labels).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch.nn import functional as F
from torch.nn.attention.flex_attention import BlockMask, create_block_mask, flex_attention

from rankwise.model.compiled import can_compile, compiled

BLOCK = 128
"""Queries and keys are filled up to a multiple of so many, the kernel's own block."""
HEAD_SIZES = (16, 32, 64, 128, 256)
DTYPES = (torch.float32, torch.bfloat16, torch.float16)
SHARED = 0
"""The document that the tokens of a shared prefix are of; the rows are 1, 2, ..."""

Pair = tuple[torch.Tensor, torch.Tensor]


def flex_fits(query: torch.Tensor) -> bool:
    """query (1, H, T, D): whether the kernel takes its dtype and head size, and this machine can compile one."""
    return query.dtype in DTYPES and query.shape[-1] in HEAD_SIZES and can_compile(query.device)


class FlexLayout:
    """Which keys every query of a packed batch sees, in the kernel's terms: made once a batch, used by every layer.

    `lengths`: own tokens of each row; `prefix`: tokens of a shared prefix, which come first; of the queries only where
    it is `laid_out`, else as keys known before.
    """

    def __init__(
        self, lengths: Sequence[int], prefix: int, laid_out: int, window: int | None, device: torch.device | str
    ) -> None:
        documents = torch.cat(
            [torch.full((prefix,), SHARED), torch.arange(1, len(lengths) + 1).repeat_interleave(torch.tensor(lengths))]
        )
        positions = torch.cat([torch.arange(prefix), *(prefix + torch.arange(length) for length in lengths)])
        self.keys = len(documents)
        self.queries = self.keys - (prefix - laid_out)
        known = self.keys - self.queries
        self.mask = _mask(
            _Places(documents, positions, known, device), _Places(documents, positions, 0, device), window
        )

    def attend(
        self, query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, known: Pair | None, scale: float
    ) -> torch.Tensor:
        """query (1, H, T, D), key and value (1, K, T, D), `known` ones (K, P, D) each -> (T, H, D)."""
        if known is not None:
            key, value = (torch.cat([before[None], own], 2) for before, own in zip(known, (key, value), strict=True))
        run: Any = compiled(flex_attention) if query.is_cuda else flex_attention
        query, key, value = (_whole_blocks(x) for x in (query, key, value))
        options: Any = {"FORCE_USE_FLEX_ATTENTION": True} if query.is_cuda else None
        out = run(query, key, value, block_mask=self.mask, scale=scale, enable_gqa=True, kernel_options=options)
        return out[0, :, : self.queries].transpose(0, 1)


class _Places:
    """Queries or keys: those after the first `known`, filled up to whole blocks."""

    def __init__(
        self, documents: torch.Tensor, positions: torch.Tensor, known: int, device: torch.device | str
    ) -> None:
        order = torch.arange(len(documents))
        parts = ((order, len(documents)), (documents, -1), (positions, 0))
        self.order, self.document, self.position = (_filled(x[known:], value).to(device) for x, value in parts)


def _mask(queries: _Places, keys: _Places, window: int | None) -> BlockMask:
    # Numbers that change from batch to batch stand in tensors, for the kernel is compiled anew for another number.
    order, mine, at = queries.order, queries.document, queries.position
    place, theirs, there = keys.order, keys.document, keys.position

    def sees(batch: torch.Tensor, head: torch.Tensor, asking: torch.Tensor, asked: torch.Tensor) -> torch.Tensor:
        same = (theirs[asked] == mine[asking]) | (theirs[asked] == SHARED)
        seen = same & (place[asked] <= order[asking])
        return seen if window is None else seen & (at[asking] - there[asked] < window)

    return create_block_mask(sees, None, None, len(order), len(place), device=str(order.device), BLOCK_SIZE=BLOCK)


def _filled(x: torch.Tensor, value: int) -> torch.Tensor:
    """(n) -> (whole blocks)."""
    return F.pad(x, (0, -len(x) % BLOCK), value=value)


def _whole_blocks(x: torch.Tensor) -> torch.Tensor:
    """(1, heads, T, D) -> (1, heads, whole blocks, D)."""
    missing = -x.shape[2] % BLOCK
    return F.pad(x, (0, 0, 0, missing)) if missing else x
