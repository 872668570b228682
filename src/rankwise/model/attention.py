"""Attention over packed rows: no padding between layers, no cross-talk between rows, one shared prefix computed once.

A batch is one sequence, batch dimension 1:

    [shared prefix, P tokens][row 0's own tokens][row 1's own tokens] ...

Positions continue from the prefix in every row. A row's queries see the prefix's keys and their own row's keys,
nothing else, under one softmax; so loss and gradients equal those of the rows laid out one by one, and the prefix
costs its tokens once a batch. The `Packing` object travels to every layer as a keyword of the model's forward,
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


class Packing:
    """How the tokens of one packed batch belong together.

    `lengths`: own tokens of each row, in order. `prefix`: tokens all rows share, laid out first.
    `tree`: bool (n, n); the last n tokens of every row are nodes of a tree, and node i sees node j where tree[i, j].
    `cache`: takes every layer's keys and values as they are computed.
    """

    def __init__(
        self,
        lengths: Sequence[int],
        prefix: int = 0,
        tree: torch.Tensor | None = None,
        device: torch.device | str = "cpu",
        cache: Cache | None = None,
    ) -> None:
        self.lengths = list(lengths)
        self.cache = cache
        self.prefix = prefix
        self.rows = len(self.lengths)
        self.longest = max(self.lengths)
        self.tree = tree
        sizes = torch.tensor(self.lengths)
        offsets = torch.arange(self.longest)
        starts = prefix + torch.cumsum(sizes, 0) - sizes
        inside = offsets[None] < sizes[:, None]  # (B, L)
        # Past a row's end the grid repeats token 0; causality and the scatter keep it out of every result.
        self.grid = torch.where(inside, starts[:, None] + offsets, 0).flatten().to(device)
        self.back = inside.flatten().nonzero().flatten().to(device)  # (T - P,) place of each own token in the grid
        self.full = bool(inside.all())
        self.device = device
        self._masks: dict[int | None, torch.Tensor | None] = {}

    def positions(self) -> torch.Tensor:
        """Position of every packed token, (1, T)."""
        places = self._places().expand(self.rows, -1)
        own = [places[row, self.prefix : self.prefix + length] for row, length in enumerate(self.lengths)]
        return torch.cat([places[0, : self.prefix], *own])[None].to(self.device)

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
            end = self.prefix
            self.cache.fill(layer, key[0, :, :end], value[0, :, :end], self._rows(key), self._rows(value))
        heads, size = query.shape[1], query.shape[3]
        parts = []
        if self.prefix:
            parts.append(self._attend_prefix(query, key, value, scale, window))
        own = self._attend_rows(query, key, value, scale, window)  # (B, H, L, D)
        own = own.transpose(1, 2).reshape(self.rows * self.longest, heads, size)
        parts.append(own if self.full else own.index_select(0, self.back))
        return torch.cat(parts)[None] if len(parts) > 1 else parts[0][None]

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
        self, query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, scale: float, window: int | None
    ) -> torch.Tensor:
        heads, groups = query.shape[1], query.shape[1] // key.shape[1]
        q, k, v = (self._rows(x) for x in (query, key, value))
        reach = self.prefix + self.longest
        if window is not None and reach <= window:
            window = None
        if self.rows * heads * self.longest * reach <= SCORES_HELD:
            return self._attend_by_products(q, k, v, key, value, scale, window)
        if self.prefix:
            k = torch.cat([key[:, :, : self.prefix].expand(self.rows, -1, -1, -1), k], dim=2)
            v = torch.cat([value[:, :, : self.prefix].expand(self.rows, -1, -1, -1), v], dim=2)
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
        key: torch.Tensor,
        value: torch.Tensor,
        scale: float,
        window: int | None,
    ) -> torch.Tensor:
        """Batched products and one float32 softmax; the prefix's keys are shared by all rows and never copied."""
        rows, heads, longest, size = q.shape
        key_heads = k.shape[1]
        folded = (q * scale).reshape(rows, key_heads, -1, size)  # (B, K, G * L, D)
        mask = self.mask(window)
        mask = mask.repeat(1, heads // key_heads, 1)[:, None]  # (1 or B, 1, G * L, P + L)
        scores = (folded @ k.transpose(2, 3)).float()
        if self.prefix:
            shared_k, shared_v = key[0, :, : self.prefix], value[0, :, : self.prefix]  # (K, P, D)
            by_head = folded.transpose(0, 1).reshape(key_heads, -1, size)  # (K, B * G * L, D)
            shared = (by_head @ shared_k.transpose(1, 2)).float()
            shared = shared.view(key_heads, rows, -1, self.prefix).transpose(0, 1)
            scores = torch.cat([shared, scores], dim=3)
        weights = scores.masked_fill(~mask, float("-inf")).softmax(dim=3).to(v.dtype)
        out = weights[..., self.prefix :] @ v
        if self.prefix:
            by_head = weights[..., : self.prefix].transpose(0, 1).reshape(key_heads, -1, self.prefix)
            out = out + (by_head @ shared_v).view(key_heads, rows, -1, size).transpose(0, 1)
        return out.reshape(rows, heads, longest, size)

    def _rows(self, x: torch.Tensor) -> torch.Tensor:
        """(1, N, T, D) -> (B, N, L, D)."""
        heads, size = x.shape[1], x.shape[3]
        tokens = x[0].transpose(0, 1)
        tokens = tokens[self.prefix :] if self.full else tokens.index_select(0, self.grid)
        return tokens.reshape(self.rows, self.longest, heads, size).transpose(1, 2)


class Cache:
    """Keys and values of rows that are being continued one token at a time, and attention over them.

    The shared prefix is held once. Row b's own keys stand at places 0 .. lengths[b] - 1 of its buffer.
    """

    def __init__(self, lengths: Sequence[int], prefix: int, room: int, device: torch.device | str = "cpu") -> None:
        """`lengths`: own prompt tokens of each row; `room`: most tokens any row will be continued by."""
        self.prefix = prefix
        self.lengths = torch.tensor(lengths, device=device)
        self.capacity = max(lengths) + room
        self._shared: dict[int, tuple[torch.Tensor, torch.Tensor]] = {}
        self._own: dict[int, tuple[torch.Tensor, torch.Tensor]] = {}
        self._seen: torch.Tensor | None = None
        self._reach = 0

    def fill(
        self, layer: int, prefix_k: torch.Tensor, prefix_v: torch.Tensor, own_k: torch.Tensor, own_v: torch.Tensor
    ) -> None:
        """prefix (K, P, D); own (B, K, L, D)."""
        rows, heads, longest, size = own_k.shape
        self._shared[layer] = (prefix_k.contiguous(), prefix_v.contiguous())
        buffers = own_k.new_empty(2, rows, heads, self.capacity, size)
        buffers[0, :, :, :longest], buffers[1, :, :, :longest] = own_k, own_v
        buffers[:, :, :, longest:] = 0  # what a softmax weight of zero multiplies must be finite
        self._own[layer] = (buffers[0], buffers[1])

    def next_positions(self) -> torch.Tensor:
        """Make room for one token a row; returns their positions, (1, B)."""
        positions = self.prefix + self.lengths
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
        if self.prefix:
            shared_k, shared_v = self._shared[layer]
            by_head = q.transpose(0, 1).reshape(key_heads, -1, size)
            shared = (by_head @ shared_k.transpose(1, 2)).float()
            shared = shared.view(key_heads, rows, -1, self.prefix).transpose(0, 1)
            if window is not None:
                far = torch.arange(self.prefix, device=seen.device) < self.prefix + self.lengths[:, None] - window
                shared = shared.masked_fill(far[:, None, None], float("-inf"))
            scores = torch.cat([shared, scores], dim=3)
        weights = scores.softmax(dim=3).to(own_v.dtype)
        out = weights[..., self.prefix :] @ own_v[:, :, : self._reach]
        if self.prefix:
            by_head = weights[..., : self.prefix].transpose(0, 1).reshape(key_heads, -1, self.prefix)
            out = out + (by_head @ shared_v).view(key_heads, rows, -1, size).transpose(0, 1)
        return out.reshape(1, rows, heads, size)


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
