"""Attention as batched products over blocks of rows, forward and backward in one autograd function.

The stock kernels of the CPU take rows one by one and, in bfloat16, several times as long as these products for rows
of a few hundred tokens. A block is a few rows of like length and at most so many queries of each; its scores fit into
a core's cache. Queries are gathered for all blocks at once, and so are the results given back: each is one copy a
layer. The keys of a long shared prefix are one operand for all rows and never copied.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import torch
from torch.nn import functional as F

WEIGHTS_KEPT = 16
"""Softmax weights are kept for the backward pass where a query has at most so many times as many keys as a head has
numbers; of longer rows they are computed again."""

Pair = tuple[torch.Tensor, torch.Tensor]


@dataclass(frozen=True)
class Block:
    """Some queries of some rows, the keys that they may see, and where both are laid out."""

    query_places: torch.Tensor
    """Packed places, (rows, queries); one past the last: where the row has ended, and no query is."""
    key_places: torch.Tensor
    """Packed places, (rows, keys)."""
    shared: int
    """Keys of the prefix that come first for every row and are not among the `key_places`."""
    mask: torch.Tensor
    """(1 or rows, 1, queries, keys): 0 where a query sees a key, else -inf."""
    shared_mask: torch.Tensor | None
    """The same of the shared keys, (rows, 1, queries, shared); None: all are seen."""


class Layout:
    """The blocks of a batch and, for one number of heads, where their queries and keys lie.

    Shapes: H query heads, K key heads, G = H / K, T packed tokens, D head size. The queries of all blocks follow each
    other, those of one as (K, rows, G, queries).
    """

    def __init__(self, blocks: Sequence[Block], tokens: int, heads: int, key_heads: int) -> None:
        self.blocks = blocks
        self.key_heads = key_heads
        self.key_index = [
            (torch.arange(key_heads, device=b.key_places.device)[:, None] * tokens + b.key_places.flatten()).flatten()
            for b in blocks
        ]
        """Of each block among (K, T): (K * rows * keys)."""
        of_heads = torch.arange(heads, device=blocks[0].mask.device).view(key_heads, 1, -1, 1)
        by_token = [(b.query_places[None, :, None] * heads + of_heads).flatten() for b in blocks]
        ends = torch.tensor([0, *map(len, by_token)]).cumsum(0).tolist()
        self.spans = [slice(start, end) for start, end in pairwise(ends)]
        """Of each block, among the queries of all."""
        self.by_token = torch.cat(by_token)
        """Of each query, among (T + 1, H)."""
        real = (self.by_token < tokens * heads).nonzero().flatten()
        back = torch.empty(tokens * heads, dtype=torch.long, device=real.device)
        back[self.by_token[real]] = real
        self.back_by_token, self.back_by_head = back, back.view(tokens, heads).t().flatten()
        """Of each of (T, H) and of (H, T), among the queries."""
        place = (self.by_token // heads).clamp_(max=tokens - 1)  # where no query is, any will do
        self.by_head = self.by_token % heads * tokens + place
        """Of each query, among (H, T)."""


def attend_blocks(
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    known: Pair | None,
    laid_out: int,
    scale: float,
    layout: Layout,
) -> torch.Tensor:
    """query (1, H, T, D), key and value (1, K, T, D) -> (T, H, D).

    The shared keys and values are those of the first `laid_out` tokens, or `known` ones, (K, P, D) each.
    """
    known_key, known_value = (None, None) if known is None else known
    out = _Attention.apply(query, key, value, known_key, known_value, laid_out, scale, layout)
    return out  # type: ignore[no-any-return]


class _Attention(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        query: torch.Tensor,
        key: torch.Tensor,
        value: torch.Tensor,
        known_key: torch.Tensor | None,
        known_value: torch.Tensor | None,
        laid_out: int,
        scale: float,
        layout: Layout,
    ) -> torch.Tensor:
        _, heads, tokens, size = query.shape
        work = _Keys(key, value, known_key, known_value, laid_out, scale, layout)
        asked = query.reshape(heads * tokens, size).index_select(0, layout.by_head)
        result = torch.empty_like(asked)
        needed = any(ctx.needs_input_grad[:5])
        kept: list[torch.Tensor | None] = []
        for number, block in enumerate(layout.blocks):
            span = layout.spans[number]
            weights = work.weights(number, asked[span])
            own, shared = _parts(weights, block.shared)
            mixed = torch.bmm(own, work.own(work.value, number), out=result[span].view(len(own), -1, size))
            if shared is not None:
                work.together(mixed).baddbmm_(work.together(shared), work.shared_value)
            light = block.shared + block.key_places.shape[1] <= WEIGHTS_KEPT * size
            kept.append(weights if needed and light else None)
        if needed:
            ctx.save_for_backward(asked, key, value, known_key, known_value)
            ctx.kept, ctx.laid_out, ctx.scale, ctx.layout = kept, laid_out, scale, layout
        return result.index_select(0, layout.back_by_token).view(tokens, heads, size)

    @staticmethod
    def backward(ctx: Any, grad: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        asked, key, value, known_key, known_value = ctx.saved_tensors
        layout: Layout = ctx.layout
        work = _Keys(key, value, known_key, known_value, ctx.laid_out, ctx.scale, layout)
        tokens, heads, size = grad.shape
        exact = torch.promote_types(grad.dtype, torch.float32)
        # Where no query is, no gradient comes from above.
        above_all = F.pad(grad, (0, 0, 0, 0, 0, 1)).view(-1, size).index_select(0, layout.by_token)
        grad_asked = torch.empty_like(asked)
        # Several blocks may add to a key's gradient, so these are summed in full precision.
        grad_key, grad_value = (x.new_zeros(work.key.shape, dtype=exact) for x in (key, value))
        # What all rows share: the first tokens' keys and values, or known ones.
        if known_key is None:
            before = [x.view(work.key_heads, tokens, size)[:, : ctx.laid_out] for x in (grad_key, grad_value)]
        else:
            before = [x.new_zeros(x.shape, dtype=exact) for x in (known_key, known_value)]
        for number, block in enumerate(layout.blocks):
            span = layout.spans[number]
            q, k, v = asked[span], work.own(work.key, number), work.own(work.value, number)
            weights = work.weights(number, q) if ctx.kept[number] is None else ctx.kept[number]
            q, above = q.view(len(weights), -1, size), above_all[span].view(len(weights), -1, size)
            toward = torch.bmm(above, v.transpose(1, 2))
            if block.shared:
                toward = work.joined(torch.bmm(work.together(above), work.shared_value.transpose(1, 2)), toward)
            slope = torch._softmax_backward_data(toward, weights, -1, weights.dtype)
            own, shared = _parts(weights, block.shared)
            slope, shared_slope = _parts(slope, block.shared)
            grad_q = torch.bmm(slope, k, out=grad_asked[span].view(len(weights), -1, size))
            index = layout.key_index[number]
            grad_key.index_add_(0, index, torch.bmm(slope.transpose(1, 2), q).view(-1, size).to(exact))
            grad_value.index_add_(0, index, torch.bmm(own.transpose(1, 2), above).view(-1, size).to(exact))
            if shared is not None and shared_slope is not None:
                shared, shared_slope = work.together(shared), work.together(shared_slope)
                work.together(grad_q).baddbmm_(shared_slope, work.shared_key)
                for total, more, of in zip(before, (shared_slope, shared), (q, above), strict=True):
                    total += torch.bmm(more.transpose(1, 2), work.together(of))
        grad_query = grad_asked.index_select(0, layout.back_by_head).mul_(ctx.scale).view(1, heads, tokens, size)
        grad_key = grad_key.mul_(ctx.scale).to(key.dtype).view(key.shape)
        grad_value = grad_value.to(value.dtype).view(value.shape)
        if known_key is None:
            return grad_query, grad_key, grad_value, None, None, None, None, None
        of_key, of_value = before
        of_key = of_key.mul_(ctx.scale).to(known_key.dtype)
        return grad_query, grad_key, grad_value, of_key, of_value.to(known_value.dtype), None, None, None


class _Keys:
    """Keys and values of one layer."""

    def __init__(
        self,
        key: torch.Tensor,
        value: torch.Tensor,
        known_key: torch.Tensor | None,
        known_value: torch.Tensor | None,
        laid_out: int,
        scale: float,
        layout: Layout,
    ) -> None:
        self.layout, self.scale = layout, scale
        _, self.key_heads, _, self.size = key.shape
        self.key, self.value = key.reshape(-1, self.size), value.reshape(-1, self.size)  # (K * T, D)
        self.shared_key = (key[0, :, :laid_out] if known_key is None else known_key).contiguous()
        self.shared_value = (value[0, :, :laid_out] if known_value is None else known_value).contiguous()

    def own(self, x: torch.Tensor, number: int) -> torch.Tensor:
        """Of keys or values: (K * rows, keys, D)."""
        rows, keys = self.layout.blocks[number].key_places.shape
        return x.index_select(0, self.layout.key_index[number]).view(self.key_heads * rows, keys, self.size)

    def together(self, x: torch.Tensor) -> torch.Tensor:
        """(K * rows, n, m) -> (K, rows * n, m), for what all rows share."""
        return x.view(self.key_heads, -1, x.shape[-1])

    def joined(self, shared: torch.Tensor, own: torch.Tensor) -> torch.Tensor:
        """(K, rows * n, P) and (K * rows, n, keys) -> (K * rows, n, P + keys)."""
        return torch.cat([shared.view(*own.shape[:2], -1), own], -1)

    def weights(self, number: int, queries: torch.Tensor) -> torch.Tensor:
        """Softmax weights, (K * rows, G * queries, shared + keys); the softmax itself computes in float32."""
        block = self.layout.blocks[number]
        rows, count = block.query_places.shape
        scores = torch.bmm(queries.view(self.key_heads * rows, -1, self.size), self.own(self.key, number).mT)
        if block.shared:
            before = torch.bmm(queries.view(self.key_heads, -1, self.size), self.shared_key.mT)
            scores = self.joined(before, scores)
        parts = scores.view(self.key_heads, rows, -1, count, scores.shape[-1])
        own = parts[..., block.shared :]
        torch.add(block.mask.to(own.dtype), own, alpha=self.scale, out=own)
        if block.shared:
            shared = parts[..., : block.shared]
            shared.mul_(self.scale)
            if block.shared_mask is not None:
                shared.add_(block.shared_mask.to(own.dtype))
        return torch.softmax(scores, -1, out=scores)


def _parts(x: torch.Tensor, shared: int) -> tuple[torch.Tensor, torch.Tensor | None]:
    """(..., shared + keys) -> (..., keys) and (..., shared), None where there are none."""
    if not shared:
        return x, None
    return x[..., shared:].contiguous(), x[..., :shared].contiguous()
