"""How the tokens of one packed batch belong together: no padding between layers, no cross-talk between rows.

A batch is one sequence, batch dimension 1:

    [shared prefix, P tokens][row 0's own tokens][row 1's own tokens] ...

Positions continue from the prefix in every row. A row's queries see the prefix's keys and their own row's keys,
nothing else, under one softmax; so loss and gradients equal those of the rows laid out one by one, and the prefix
costs its tokens once a batch. Without gradient the prefix may be computed once for many batches (`Prefix`) and is then
not laid out at all.

Shapes, here and in `blocks`: H query heads, K key heads, G = H / K, T packed tokens, P prefix tokens, D head size.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

import torch

from rankwise.model.blocks import Block, Layout, attend_blocks
from rankwise.model.flex import FlexLayout, flex_fits

QUERIES = 64
"""Most queries of a row in one block: a longer row is cut, and each block's keys end with its queries. docs/log.md."""
STRIDE = 8
"""Blocks are laid out for a multiple of so many queries, for oneDNN keeps 0.7 MB for each shape of product it meets."""
SCORES = 1 << 20
"""Scores of one block, a few MB in float32: they stay in a core's cache. From 2^18 to 2^22: docs/log.md."""

Pair = tuple[torch.Tensor, torch.Tensor]
"""Keys and values."""


class Prefix:
    """Every layer's keys and values of tokens that many rows begin with: computed once by a pass over them alone, or
    learnt (model/prefix)."""

    def __init__(self, length: int, before: Prefix | None = None) -> None:
        """`length`: own tokens. `before`: what these follow and see; it is part of this one."""
        self.length: int = length if before is None else before.length + length
        self._before = before
        self._layers: dict[int, Pair] = {}

    def fill(self, layer: int, key: torch.Tensor, value: torch.Tensor) -> None:
        """(1, K, P, D) each: the prefix as the only row of a packing."""
        own = key[0].contiguous(), value[0].contiguous()
        if self._before is not None:
            own = torch.cat([self._before[layer][0], own[0]], 1), torch.cat([self._before[layer][1], own[1]], 1)
        self._layers[layer] = own

    def __getitem__(self, layer: int) -> Pair:
        """Keys and values of a layer, (K, P, D)."""
        return self._layers[layer]


class Filled(Protocol):
    """What takes the rows' keys and values of every layer, (rows, K, longest row, D), as they are computed."""

    def fill(self, layer: int, key: torch.Tensor, value: torch.Tensor) -> None: ...


@dataclass(frozen=True)
class _Span:
    """A row of the batch, or the prefix itself: where it is laid out, and whether it sees the prefix."""

    start: int
    length: int
    sees_prefix: bool


@dataclass(frozen=True)
class _Heads:
    query: int
    key: int
    size: int

    def copy_pays(self, queries: int) -> bool:
        """Whether the prefix is copied to each row's keys: one product instead of two, for no more than its scores."""
        return queries * self.query // self.key >= self.size


class Packing:
    """How the tokens of one packed batch belong together.

    `lengths`: own tokens of each row, in order. `prefix`: tokens all rows share, laid out first; a `Prefix` is not.
    `tree`: bool (n, n); the last n tokens of every row are nodes of a tree, and node i sees node j where tree[i, j].
    `cache`: takes the rows' keys and values of every layer as they are computed.
    `wanted`: packed places whose last hidden states are asked for; a last layer that can leaves out all others, and
    says so in `selected`.
    """

    def __init__(
        self,
        lengths: Sequence[int],
        prefix: int | Prefix = 0,
        tree: torch.Tensor | None = None,
        device: torch.device | str = "cpu",
        cache: Filled | None = None,
        wanted: torch.Tensor | None = None,
    ) -> None:
        self.wanted, self.selected = wanted, False
        self.lengths = list(lengths)
        self.cache = cache
        self.known = prefix if isinstance(prefix, Prefix) else None
        self.prefix = prefix.length if isinstance(prefix, Prefix) else prefix
        self.laid_out = 0 if self.known is not None else self.prefix
        self.tree = tree
        self.device = device
        self._layouts: dict[tuple[_Heads, int | None], Layout] = {}
        self._flex: dict[int | None, FlexLayout] = {}

    def positions(self) -> torch.Tensor:
        """Position of every packed token, (1, T)."""
        own = [self.prefix + self._depths(length) for length in self.lengths]
        return torch.cat([torch.arange(self.laid_out), *own])[None].to(self.device)

    def _depths(self, length: int) -> torch.Tensor:
        """Position of each of a row's own tokens, counted from the prefix's end; a tree's nodes lie at their depth."""
        depths = torch.arange(length)
        if self.tree is not None:
            first = length - len(self.tree)
            depths[first:] = first - 1 + self.tree.sum(1)  # a node sees itself and its ancestors
        return depths

    def attend(
        self,
        layer: int,
        query: torch.Tensor,
        key: torch.Tensor,
        value: torch.Tensor,
        scale: float,
        window: int | None,
    ) -> torch.Tensor:
        """query (1, H, T, D), key and value (1, K, T, D) -> (1, T, H, D)."""
        if self.cache is not None:
            self.cache.fill(layer, self._rows(key), self._rows(value))
        reach = self.prefix + max([self.laid_out, *self.lengths])
        window = None if window is not None and reach <= window else window
        known = None if self.known is None else self.known[layer]
        if self.tree is None and flex_fits(query):
            if window not in self._flex:
                self._flex[window] = FlexLayout(self.lengths, self.prefix, self.laid_out, window, self.device)
            return self._flex[window].attend(query, key, value, known, scale)[None]
        of = _Heads(query.shape[1], key.shape[1], query.shape[3])
        if (of, window) not in self._layouts:
            self._layouts[of, window] = Layout(list(self._cut(of, window)), query.shape[2], of.query, of.key)
        return attend_blocks(query, key, value, known, self.laid_out, scale, self._layouts[of, window])[None]

    def _cut(self, heads: _Heads, window: int | None) -> Iterator[Block]:
        """Blocks of rows of like length, and of their queries: every packed token is a query of exactly one."""
        if self.laid_out:
            yield from self._cut_rows([_Span(0, self.laid_out, False)], heads, window)
        starts = [self.laid_out + sum(self.lengths[:row]) for row in range(len(self.lengths))]
        spans = [_Span(start, length, True) for start, length in zip(starts, self.lengths, strict=True)]
        spans.sort(key=lambda span: -span.length)
        while spans:
            longest = -(-spans[0].length // STRIDE) * STRIDE
            queries = longest if self.tree is not None else min(longest, QUERIES)
            rows = max(1, SCORES // (heads.query * queries * (self.prefix + longest)))
            yield from self._cut_rows(spans[:rows], heads, window)
            spans = spans[rows:]

    def _cut_rows(self, spans: Sequence[_Span], heads: _Heads, window: int | None) -> Iterator[Block]:
        longest = -(-spans[0].length // STRIDE) * STRIDE
        size = longest if self.tree is not None and spans[0].sees_prefix else QUERIES
        for first in range(0, spans[0].length, size):
            here = [span for span in spans if span.length > first]
            last = min(first + size, longest)
            begin = 0 if window is None or self.tree is not None else max(0, first - window + 1)
            yield self._block(here, range(first, last), range(begin, last), heads, window)

    def _block(self, spans: Sequence[_Span], queries: range, keys: range, heads: _Heads, window: int | None) -> Block:
        starts = torch.tensor([span.start for span in spans])[:, None]
        lengths = torch.tensor([span.length for span in spans])[:, None]
        at, of = torch.tensor(queries), torch.tensor(keys)
        query_places = torch.where(at[None] < lengths, starts + at[None], self.laid_out + sum(self.lengths))
        # Past a row's end the keys repeat its last token, which no query of the row sees there.
        key_places = starts + torch.minimum(of[None], lengths - 1)
        shared = self.prefix if spans[0].sees_prefix else 0
        unseen = (of[None] > at[:, None])[None]
        near = None
        if self.tree is not None and shared + spans[0].sees_prefix:
            nodes = len(self.tree)
            unseen = unseen.repeat(len(spans), 1, 1)
            for row, span in enumerate(spans):
                first = span.length - nodes
                unseen[row, first : span.length, first : span.length] = ~self.tree
        if window is not None:
            depths = [self._depths(s.length) if s.sees_prefix else torch.arange(s.length) for s in spans]
            padded = torch.stack([_padded(d, queries.stop) for d in depths])  # by position: nodes lie at their depth
            here, there = padded[:, queries.start :], padded[:, keys.start :]
            unseen = unseen | (there[:, None] <= here[:, :, None] - window)
            if shared:
                before = torch.arange(shared)
                near = before <= (here + shared)[:, :, None] - window
        mask, shared_mask = _mask(unseen), None if near is None else _mask(near)
        if shared and self.known is None and heads.copy_pays(len(queries)):
            key_places = torch.cat([torch.arange(shared).expand(len(spans), -1), key_places], 1)
            before = mask.new_zeros(1, len(at), shared) if shared_mask is None else shared_mask
            count = max(len(before), len(mask))
            mask = torch.cat([before.expand(count, -1, -1), mask.expand(count, -1, -1)], 2)
            shared, shared_mask = 0, None
        return Block(
            query_places=query_places.to(self.device),
            key_places=key_places.to(self.device),
            shared=shared,
            mask=mask[:, None].to(self.device),
            shared_mask=None if shared_mask is None else shared_mask[:, None].to(self.device),
        )

    def _rows(self, x: torch.Tensor) -> torch.Tensor:
        """(1, K, T, D) -> (rows, K, longest, D); past a row's end stands whatever its last token has."""
        longest = max(self.lengths)
        lengths = torch.tensor(self.lengths)[:, None]
        starts = self.laid_out + lengths.cumsum(0) - lengths
        grid = starts + torch.minimum(torch.arange(longest)[None], lengths - 1)
        rows = x[0].index_select(1, grid.flatten().to(x.device))
        return rows.unflatten(1, (len(self.lengths), longest)).transpose(0, 1)


def _mask(unseen: torch.Tensor) -> torch.Tensor:
    return torch.zeros(unseen.shape).masked_fill_(unseen, float("-inf"))


def _padded(depths: torch.Tensor, length: int) -> torch.Tensor:
    return torch.cat([depths, depths.new_zeros(max(0, length - len(depths)))])[:length]
