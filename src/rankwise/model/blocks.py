"""Attention as batched products over blocks of rows, forward and backward in one autograd function.

The stock kernels of the CPU take rows one by one and, in bfloat16, several times as long as these products for rows
of a few hundred tokens. A block is a few rows of like length and at most so many queries of each; its scores fit into
a core's cache. The keys that all rows share are one operand for all of them and never copied.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch

WEIGHTS_KEPT = 16
"""Softmax weights are kept for the backward pass where a query has at most so many times as many keys as a head has
numbers; of longer rows they are computed again."""

Pair = tuple[torch.Tensor, torch.Tensor]


@dataclass(frozen=True)
class Block:
    """Some queries of some rows, the keys that they may see, and where both are laid out."""

    rows: int
    queries: int
    """Of each row."""
    keys: int
    """Of each row; those of the prefix come on top."""
    shared: int
    """Keys of the prefix that come first for every row; 0: the rows do not see it."""
    query_index: torch.Tensor
    """Packed places, (rows * queries)."""
    key_index: torch.Tensor
    """Packed places, (rows * keys)."""
    kept: torch.Tensor | None
    """Which of the queries are real, where rows differ in length; None: all."""
    mask: torch.Tensor
    """float32 (1 or rows, queries, keys): 0 where a query sees a key, else -inf."""
    shared_mask: torch.Tensor | None
    """The same of the shared keys, (1 or rows, queries, shared); None: all are seen."""


def attend_blocks(
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    known: Pair | None,
    laid_out: int,
    scale: float,
    blocks: Sequence[Block],
) -> torch.Tensor:
    """query (1, H, T, D), key and value (1, K, T, D) -> (T, H, D).

    The shared keys and values are those of the first `laid_out` tokens, or `known` ones, (K, P, D) each, through
    which no gradient flows.
    """
    out = _Attention.apply(query, key, value, known, laid_out, scale, blocks)
    return out  # type: ignore[no-any-return]


class _Attention(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        query: torch.Tensor,
        key: torch.Tensor,
        value: torch.Tensor,
        known: Pair | None,
        laid_out: int,
        scale: float,
        blocks: Sequence[Block],
    ) -> torch.Tensor:
        _, heads, tokens, size = query.shape
        work = _Heads(query, key, value, known, laid_out, scale)
        out = query.new_empty(tokens, heads, size)
        needed = any(ctx.needs_input_grad[:3])
        weights: list[tuple[torch.Tensor, torch.Tensor | None] | None] = []
        for block in blocks:
            own, shared = work.weights(block, work.queries(block))
            result = torch.bmm(own.flatten(0, 1), work.own(work.value, block))
            if shared is not None:
                result.view(work.key_heads, -1, size).baddbmm_(shared.flatten(1, 2), work.shared_value)
            _put(out, block, result.view(work.key_heads, -1, work.groups * size))
            light = block.keys + block.shared <= WEIGHTS_KEPT * size
            weights.append((own, shared) if needed and light else None)
        if needed:
            ctx.save_for_backward(query, key, value, out)
            ctx.weights, ctx.known, ctx.laid_out, ctx.scale, ctx.blocks = weights, known, laid_out, scale, blocks
        return out

    @staticmethod
    def backward(ctx: Any, grad: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        query, key, value, out = ctx.saved_tensors
        work = _Heads(query, key, value, ctx.known, ctx.laid_out, ctx.scale)
        size, exact = work.size, work.exact
        grad = grad.contiguous()
        # What the softmax's backward pass subtracts: the mean gradient under each query's weights.
        mean = (grad.to(exact) * out).sum(2).view(-1, work.key_heads, work.groups).transpose(0, 1)  # (K, T, G)
        grad_query = torch.empty_like(out)
        # Several blocks may add to a key's gradient, so these are summed in full precision.
        grad_key, grad_value = (torch.zeros_like(x, dtype=exact) for x in (work.key, work.value))
        before_key, before_value = grad_key[:, : ctx.laid_out], grad_value[:, : ctx.laid_out]
        grads = grad.view(-1, work.key_heads, work.groups, size).transpose(0, 1).contiguous()
        for block, weights in zip(ctx.blocks, ctx.weights, strict=True):
            q, k, v = work.queries(block), work.own(work.key, block), work.own(work.value, block)
            own, shared = weights or work.weights(block, q)
            above = grads.index_select(1, block.query_index)
            centre = mean.index_select(1, block.query_index)  # (K, rows * queries, G)
            if block.kept is not None:  # what stands past a row's end is no query
                real = above.new_zeros(above.shape[1]).index_fill_(0, block.kept, 1.0)[None, :, None]
                above, centre = above * real[..., None], centre * real
            above = above.view(work.key_heads * block.rows, -1, size)
            own = own.flatten(0, 1)
            slope = _slope(torch.bmm(above, v.transpose(1, 2)), own, centre.reshape(len(own), -1, 1))
            grad_q = torch.bmm(slope, k)
            _add(grad_key, block, torch.bmm(slope.transpose(1, 2), q.view(len(own), -1, size)))
            _add(grad_value, block, torch.bmm(own.transpose(1, 2), above))
            if shared is not None:
                shared, above = shared.flatten(1, 2), above.view(work.key_heads, -1, size)
                toward = torch.bmm(above, work.shared_value.transpose(1, 2))
                slope = _slope(toward, shared, centre.reshape(work.key_heads, -1, 1))
                grad_q.view(work.key_heads, -1, size).baddbmm_(slope, work.shared_key)
                if ctx.known is None:
                    before_key += torch.bmm(slope.transpose(1, 2), q.flatten(1, 2))
                    before_value += torch.bmm(shared.transpose(1, 2), above)
            _put(grad_query, block, grad_q.mul_(ctx.scale).view(work.key_heads, -1, work.groups * size))
        grads_in = (grad_query.transpose(0, 1), grad_key.to(key.dtype), grad_value.to(value.dtype))
        return *(x[None] for x in grads_in), None, None, None, None


class _Heads:
    """Queries, keys and values of one layer, grouped by key head."""

    def __init__(
        self,
        query: torch.Tensor,
        key: torch.Tensor,
        value: torch.Tensor,
        known: Pair | None,
        laid_out: int,
        scale: float,
    ) -> None:
        _, heads, _, self.size = query.shape
        self.key_heads = key.shape[1]
        self.groups = heads // self.key_heads
        self.exact = torch.promote_types(query.dtype, torch.float32)
        by_key_head = query[0].unflatten(0, (self.key_heads, self.groups)).transpose(1, 2)
        self.query = (by_key_head * scale).contiguous()  # (K, T, G, D)
        self.key, self.value = key[0].contiguous(), value[0].contiguous()
        before = (self.key[:, :laid_out], self.value[:, :laid_out]) if known is None else known
        self.shared_key, self.shared_value = (x.contiguous() for x in before)

    def queries(self, block: Block) -> torch.Tensor:
        """(K, rows * queries, G, D), scaled."""
        return self.query.index_select(1, block.query_index)

    def own(self, x: torch.Tensor, block: Block) -> torch.Tensor:
        """Of keys or values: (K * rows, keys, D)."""
        return x.index_select(1, block.key_index).view(self.key_heads * block.rows, block.keys, self.size)

    def weights(self, block: Block, queries: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor | None]:
        """Softmax weights of own keys, (K, rows, queries * G, keys), and of shared ones, (K, rows, queries * G, P)."""
        heads, rows, groups = self.key_heads, block.rows, self.groups
        own = torch.bmm(queries.view(heads * rows, -1, self.size), self.own(self.key, block).transpose(1, 2))
        shape = (heads, rows, block.queries, groups)
        shared = block.shared
        scores = own.new_empty(*shape, shared + block.keys, dtype=self.exact)
        torch.add(own.view(*shape, block.keys), block.mask[:, :, None], out=scores[..., shared:])
        if shared:
            before = torch.bmm(queries.flatten(1, 2), self.shared_key.transpose(1, 2))
            scores[..., :shared] = before.view(*shape, shared)
            if block.shared_mask is not None:
                scores[..., :shared].add_(block.shared_mask[:, :, None])
        torch.softmax(scores, -1, out=scores)
        scores = scores.flatten(2, 3)
        dtype = self.value.dtype
        own = scores[..., shared:].to(dtype, memory_format=torch.contiguous_format)
        return own, scores[..., :shared].to(dtype, memory_format=torch.contiguous_format) if shared else None


def _slope(toward: torch.Tensor, weights: torch.Tensor, centre: torch.Tensor) -> torch.Tensor:
    """Gradient of the scores: weights * (gradient of the weights - its mean under them)."""
    return toward.to(centre.dtype).sub_(centre).mul_(weights).to(weights.dtype)


def _put(target: torch.Tensor, block: Block, values: torch.Tensor) -> None:
    """target (T, H, D) takes values (K, rows * queries, G * D) at the block's queries."""
    index, rows = block.query_index, values.transpose(0, 1)
    if block.kept is not None:
        index, rows = index[block.kept], rows[block.kept]
    target.view(len(target), *rows.shape[1:])[index] = rows


def _add(target: torch.Tensor, block: Block, values: torch.Tensor) -> None:
    """target (K, T, D) takes on values (K * rows, keys, D) at the block's keys; those past a row's end are zero."""
    target.index_add_(1, block.key_index, values.view(len(target), -1, values.shape[-1]).to(target.dtype))
