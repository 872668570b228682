"""Keys and values of rows that are being continued one token at a time, and attention over them."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from rankwise.model.packing import Pair, Prefix


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
