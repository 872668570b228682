"""Attention over packed rows: no padding between layers, no cross-talk between rows, one shared prefix computed once.

A batch is one sequence, batch dimension 1:

    [shared prefix, P tokens][row 0's own tokens][row 1's own tokens] ...

Positions continue from the prefix in every row. A row's queries see the prefix's keys and their own row's keys,
nothing else, under one softmax; so loss and gradients equal those of the rows laid out one by one, and the prefix
costs its tokens once a batch. Without gradient the prefix may be computed once for many batches (`Prefix`) and is then
not laid out at all. The `Packing` object travels to every layer as a keyword of the model's forward,
through transformers' attention interface, so any architecture that uses that interface works without a change.

Shapes: H query heads, G groups of query heads per key head, T packed tokens, B rows, L the longest row's own tokens,
P prefix tokens, D head size.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch.nn import functional as F
from transformers import AttentionInterface

from rankwise.errors import BaseError

IMPLEMENTATION = "rankwise_packed"
SCORES_HELD = 1 << 22
"""Score elements a layer may keep for its backward pass; above it the kernel that recomputes them is used.

A first guess that bounds memory; where the two paths cross in time has not been measured."""

Pair = tuple[torch.Tensor, torch.Tensor]
"""Keys and values."""


class Prefix:
    """Every layer's keys and values of tokens that many rows begin with, computed once by a pass over them alone."""

    def __init__(self, length: int) -> None:
        self.length = length
        self._layers: dict[int, tuple[torch.Tensor, torch.Tensor]] = {}

    def fill(self, layer: int, key: torch.Tensor, value: torch.Tensor) -> None:
        """(1, K, P, D) each: the prefix as the only row of a packing."""
        self._layers[layer] = (key[0].contiguous(), value[0].contiguous())

    def __getitem__(self, layer: int) -> tuple[torch.Tensor, torch.Tensor]:
        """Keys and values of a layer, (K, P, D)."""
        return self._layers[layer]


class Packing:
    """How the tokens of one packed batch belong together.

    `lengths`: own tokens of each row, in order. `prefix`: tokens all rows share, laid out first; a `Prefix` is not.
    `tree`: bool (n, n); the last n tokens of every row are nodes of a tree, and node i sees node j where tree[i, j].
    `cache`: takes the rows' keys and values of every layer as they are computed.
    """

    def __init__(
        self,
        lengths: Sequence[int],
        prefix: int | Prefix = 0,
        tree: torch.Tensor | None = None,
        device: torch.device | str = "cpu",
        cache: Cache | Prefix | None = None,
    ) -> None:
        self.lengths = list(lengths)
        self.cache = cache
        self.known = prefix if isinstance(prefix, Prefix) else None
        self.prefix = prefix.length if isinstance(prefix, Prefix) else prefix
        self.laid_out = 0 if self.known is not None else self.prefix
        self.rows = len(self.lengths)
        self.longest = max(self.lengths)
        self.tree = tree
        sizes = torch.tensor(self.lengths)
        offsets = torch.arange(self.longest)
        starts = self.laid_out + torch.cumsum(sizes, 0) - sizes
        inside = offsets[None] < sizes[:, None]  # (B, L)
        # Past a row's end the grid repeats token 0; causality and the scatter keep it out of every result.
        self.grid = torch.where(inside, starts[:, None] + offsets, 0).flatten().to(device)
        self.back = inside.flatten().nonzero().flatten().to(device)  # place of each own token in the grid
        self.full = bool(inside.all())
        self.device = device
        self._masks: dict[int | None, torch.Tensor | None] = {}

    def positions(self) -> torch.Tensor:
        """Position of every packed token, (1, T)."""
        places = self._places().expand(self.rows, -1)
        own = [places[row, self.prefix : self.prefix + length] for row, length in enumerate(self.lengths)]
        return torch.cat([places[0, : self.laid_out], *own])[None].to(self.device)

    def _places(self) -> torch.Tensor:
        """Position of the prefix's tokens and of every place of a row, (1 or B, P + L)."""
        places = torch.arange(self.prefix + self.longest)[None]
        if self.tree is not None:
            nodes = self.tree.shape[0]
            depth = self.tree.sum(1)  # a node sees itself and its ancestors
            places = places.repeat(self.rows, 1)
            for row, length in enumerate(self.lengths):
                end = self.prefix + length
                places[row, end - nodes : end] = end - nodes + depth - 1
        return places

    def mask(self, window: int | None) -> torch.Tensor:
        """What each own token may see: bool (1 or B, L, P + L)."""
        if window not in self._masks:
            query = torch.arange(self.longest)[:, None] + self.prefix
            seen = (torch.arange(self.prefix + self.longest)[None] <= query)[None]
            if self.tree is not None:
                nodes = self.tree.shape[0]
                seen = seen.repeat(self.rows, 1, 1)
                for row, length in enumerate(self.lengths):
                    first = length - nodes
                    seen[row, first:length, self.prefix + first : self.prefix + length] = self.tree
            if window is not None:
                # By position, not by place: the nodes of a tree lie further apart than they are.
                places = self._places()
                seen = seen & (places[:, None] > places[:, self.prefix :, None] - window)
            self._masks[window] = seen.to(self.device)
        mask = self._masks[window]
        assert mask is not None
        return mask

    def attend(
        self,
        layer: int,
        query: torch.Tensor,
        key: torch.Tensor,
        value: torch.Tensor,
        scale: float,
        window: int | None,
    ) -> torch.Tensor:
        """query (1, H, T, D), key and value (1, H / G, T, D) -> (1, T, H, D)."""
        if self.cache is not None:
            self.cache.fill(layer, self._rows(key), self._rows(value))
        before = (key[0, :, : self.prefix], value[0, :, : self.prefix]) if self.known is None else self.known[layer]
        own = self._attend_rows(query, key, value, before, scale, window)  # (B, H, L, D)
        own = own.transpose(1, 2).flatten(0, 1)
        own = own if self.full else own.index_select(0, self.back)
        if not self.laid_out:
            return own[None]
        return torch.cat([self._attend_prefix(query, key, value, scale, window), own])[None]

    def _attend_prefix(
        self, query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, scale: float, window: int | None
    ) -> torch.Tensor:
        end = self.prefix
        groups = query.shape[1] // key.shape[1]
        mask = None
        if window is not None and end > window:
            at = torch.arange(end, device=query.device)
            mask = (at[None] <= at[:, None]) & (at[None] > at[:, None] - window)
        out = F.scaled_dot_product_attention(
            query[:, :, :end],
            _repeat(key[:, :, :end], groups),
            _repeat(value[:, :, :end], groups),
            attn_mask=mask,
            is_causal=mask is None,
            scale=scale,
        )
        return out[0].transpose(0, 1)  # (P, H, D)

    def _attend_rows(
        self,
        query: torch.Tensor,
        key: torch.Tensor,
        value: torch.Tensor,
        shared: Pair,
        scale: float,
        window: int | None,
    ) -> torch.Tensor:
        heads, groups = query.shape[1], query.shape[1] // key.shape[1]
        q, k, v = (self._rows(x) for x in (query, key, value))
        reach = self.prefix + self.longest
        if window is not None and reach <= window:
            window = None
        a_row = heads * self.longest * reach
        if self.rows * a_row <= SCORES_HELD:
            return self._attend_by_products(q, k, v, shared, scale, window, slice(None))
        if not torch.is_grad_enabled() and (self.prefix or self.tree is not None):
            # Nothing is kept for a backward pass, so a few rows at a time will do, and no key is copied to every row.
            some = max(1, SCORES_HELD // a_row)
            chunks = [slice(start, start + some) for start in range(0, self.rows, some)]
            return torch.cat([self._attend_by_products(q[c], k[c], v[c], shared, scale, window, c) for c in chunks])
        if self.prefix:
            k, v = (torch.cat([p.expand(self.rows, -1, -1, -1), x], dim=2) for p, x in zip(shared, (k, v), strict=True))
        plain = not self.prefix and self.tree is None and window is None
        return F.scaled_dot_product_attention(
            q,
            _repeat(k, groups),
            _repeat(v, groups),
            attn_mask=None if plain else self.mask(window)[:, None],
            is_causal=plain,
            scale=scale,
        )

    def _attend_by_products(
        self,
        q: torch.Tensor,
        k: torch.Tensor,
        v: torch.Tensor,
        shared: Pair,
        scale: float,
        window: int | None,
        chosen: slice,
    ) -> torch.Tensor:
        """Batched products and one float32 softmax; the prefix's keys are shared by all rows and never copied."""
        rows, heads, longest, size = q.shape
        key_heads = k.shape[1]
        groups = heads // key_heads
        folded = (q * scale).reshape(rows, key_heads, -1, size)  # (B, K, G * L, D)
        unseen = ~self.mask(window)
        unseen = unseen if len(unseen) == 1 else unseen[chosen]  # (1 or B, L, P + L)
        scores = (folded @ k.transpose(2, 3)).float()
        scores = scores.masked_fill(unseen[:, :, self.prefix :].repeat(1, groups, 1)[:, None], float("-inf"))
        if self.prefix:
            before = _shared_scores(folded, shared[0])
            if window is not None:
                before = before.masked_fill(unseen[:, :, : self.prefix].repeat(1, groups, 1)[:, None], float("-inf"))
            scores = torch.cat([before, scores], dim=3)
        weights = scores.softmax(dim=3).to(v.dtype)
        out = weights[..., self.prefix :] @ v
        if self.prefix:
            out = out + _shared_values(weights[..., : self.prefix], shared[1])
        return out.reshape(rows, heads, longest, size)

    def _rows(self, x: torch.Tensor) -> torch.Tensor:
        """(1, N, T, D) -> (B, N, L, D)."""
        heads, size = x.shape[1], x.shape[3]
        tokens = x[0].transpose(0, 1)
        tokens = tokens[self.laid_out :] if self.full else tokens.index_select(0, self.grid)
        return tokens.reshape(self.rows, self.longest, heads, size).transpose(1, 2)


class Cache:
    """Keys and values of rows that are being continued one token at a time, and attention over them.

    The prefix they share is held once. Row b's own keys stand at places 0 .. lengths[b] - 1 of its buffer.
    """

    def __init__(
        self, lengths: Sequence[int], prefix: Prefix | None, room: int, device: torch.device | str = "cpu"
    ) -> None:
        """`lengths`: own prompt tokens of each row; `room`: most tokens any row will be continued by."""
        self.prefix = prefix
        self.lengths = torch.tensor(lengths, device=device)
        self.capacity = max(lengths) + room
        self._own: dict[int, Pair] = {}
        self._seen: torch.Tensor | None = None
        self._reach = 0

    def fill(self, layer: int, key: torch.Tensor, value: torch.Tensor) -> None:
        """(B, K, L, D) each."""
        rows, heads, longest, size = key.shape
        buffers = key.new_empty(2, rows, heads, self.capacity, size)
        buffers[0, :, :, :longest], buffers[1, :, :, :longest] = key, value
        buffers[:, :, :, longest:] = 0  # what a softmax weight of zero multiplies must be finite
        self._own[layer] = (buffers[0], buffers[1])

    @property
    def _before(self) -> int:
        return 0 if self.prefix is None else self.prefix.length

    def next_positions(self) -> torch.Tensor:
        """Make room for one token a row; returns their positions, (1, B)."""
        positions = self._before + self.lengths
        self.lengths = self.lengths + 1
        self._reach = int(self.lengths.max())
        self._seen = torch.arange(self._reach, device=self.lengths.device) < self.lengths[:, None]
        return positions[None]

    def keep(self, rows: torch.Tensor) -> None:
        """Go on with these rows only."""
        self.lengths = self.lengths[rows]
        self._own = {layer: (k[rows], v[rows]) for layer, (k, v) in self._own.items()}

    def attend(
        self,
        layer: int,
        query: torch.Tensor,
        key: torch.Tensor,
        value: torch.Tensor,
        scale: float,
        window: int | None,
    ) -> torch.Tensor:
        """One new token a row: query (1, H, B, D), key and value (1, K, B, D) -> (1, B, H, D)."""
        assert self._seen is not None
        heads, rows, size = query.shape[1:]
        key_heads = key.shape[1]
        own_k, own_v = self._own[layer]
        place = torch.arange(rows, device=query.device)
        own_k[place, :, self.lengths - 1] = key[0].transpose(0, 1)
        own_v[place, :, self.lengths - 1] = value[0].transpose(0, 1)
        q = (query[0] * scale).transpose(0, 1).reshape(rows, key_heads, -1, size)  # (B, K, G, D)
        scores = (q @ own_k[:, :, : self._reach].transpose(2, 3)).float()
        seen = self._seen
        if window is not None:
            seen = seen & (torch.arange(self._reach, device=seen.device) >= self.lengths[:, None] - window)
        scores = scores.masked_fill(~seen[:, None, None], float("-inf"))
        before = self._before
        if self.prefix is not None:
            shared = _shared_scores(q, self.prefix[layer][0])
            if window is not None:
                far = torch.arange(before, device=seen.device) < before + self.lengths[:, None] - window
                shared = shared.masked_fill(far[:, None, None], float("-inf"))
            scores = torch.cat([shared, scores], dim=3)
        weights = scores.softmax(dim=3).to(own_v.dtype)
        out = weights[..., before:] @ own_v[:, :, : self._reach]
        if self.prefix is not None:
            out = out + _shared_values(weights[..., :before], self.prefix[layer][1])
        return out.reshape(1, rows, heads, size)


def _shared_scores(query: torch.Tensor, key: torch.Tensor) -> torch.Tensor:
    """query (B, K, Q, D), keys all rows share (K, P, D) -> float32 (B, K, Q, P), in one product."""
    rows, key_heads, queries, size = query.shape
    scores = query.transpose(0, 1).reshape(key_heads, -1, size) @ key.transpose(1, 2)
    return scores.float().view(key_heads, rows, queries, -1).transpose(0, 1)


def _shared_values(weights: torch.Tensor, value: torch.Tensor) -> torch.Tensor:
    """weights (B, K, Q, P), values all rows share (K, P, D) -> (B, K, Q, D), in one product."""
    rows, key_heads, queries, before = weights.shape
    out = weights.transpose(0, 1).reshape(key_heads, -1, before) @ value
    return out.view(key_heads, rows, queries, -1).transpose(0, 1)


def _repeat(x: torch.Tensor, groups: int) -> torch.Tensor:
    return x if groups == 1 else x.repeat_interleave(groups, dim=1)


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
