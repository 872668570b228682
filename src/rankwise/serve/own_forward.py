"""Bases that are not built as Llama's are, by their own forward: one row after the other, adapters added to its layers.

Slower than `Decoder`, and right for every base that trains here: windows, norms of heads, experts.
"""

from __future__ import annotations

from collections.abc import Sequence
from types import MethodType
from typing import Any

import torch
from torch import nn

from rankwise.model.cache import Cache
from rankwise.model.packing import Packing
from rankwise.serve.engine import Piece, linear_layers
from rankwise.serve.pool import Group
from rankwise.serve.segments import Segments


class OwnForward:
    keeps_prompts = False

    def __init__(self, model: Any, slots: int, capacity: int) -> None:
        """The model's linear layers get a forward that adds the adapters of the rows at hand."""
        self._model = model
        self.slots, self.capacity = slots, capacity
        self.dtype, self.device = model.dtype, model.device
        self._caches: dict[int, Cache] = {}
        self._segments = Segments([])
        self.groups: list[Group] = []
        for name, layer in linear_layers(model).items():
            self._take_adapters(layer, len(self.groups))
            self.groups.append(Group((name,), layer.in_features, (layer.out_features,)))

    def _take_adapters(self, layer: nn.Linear, group: int) -> None:
        def forward(this: nn.Linear, x: torch.Tensor) -> torch.Tensor:
            out = nn.functional.linear(x, this.weight, this.bias)
            flat = out.view(-1, out.shape[-1])
            return self._segments.add(group, x.reshape(-1, x.shape[-1]), flat).view(out.shape)

        layer.forward = MethodType(forward, layer)  # type: ignore[method-assign]

    @torch.inference_mode()
    def prefill(self, pieces: Sequence[Piece]) -> list[torch.Tensor]:
        """Pieces begin where their slots are empty: nothing is kept of a prompt for others (`copy_out`)."""
        found = []
        for piece in pieces:
            tree = piece.tree.mask if piece.tree is not None and piece.tree.num_nodes else None
            cache = Cache([len(piece.ids)], None, self.capacity - len(piece.ids), self.device)
            packing = Packing([len(piece.ids)], tree=tree, device=self.device, cache=cache)
            wanted = torch.arange(len(piece.ids) - piece.wanted, len(piece.ids), device=self.device)
            self._segments = Segments([piece.seat] * len(piece.ids))
            found.append(self._logits(piece.ids, packing.positions(), packing, wanted))
            self._caches[piece.slot] = cache
        return found

    @torch.inference_mode()
    def decode(self, ids: Sequence[int], lengths: Sequence[int], segments: Segments) -> torch.Tensor:
        found = []
        for slot, token in enumerate(ids):
            cache = self._caches[slot]
            self._segments = segments.of_row(slot)
            found.append(self._logits([token], cache.next_positions(), cache, 0))
        return torch.cat(found)

    def _logits(
        self, ids: Sequence[int], positions: torch.Tensor, packing: Packing | Cache, wanted: torch.Tensor | int
    ) -> torch.Tensor:
        logits: torch.Tensor = self._model(
            input_ids=torch.tensor([list(ids)], device=self.device),
            position_ids=positions,
            packing=packing,
            logits_to_keep=wanted,
            use_cache=False,
        ).logits[0]
        return logits

    def move(self, source: int, target: int, length: int) -> None:
        self._caches[target] = self._caches.pop(source)

    def copy_out(self, slot: int, length: int) -> torch.Tensor:
        raise NotImplementedError("nothing is kept of a prompt here")

    def copy_in(self, slot: int, kept: torch.Tensor, length: int) -> None:
        raise NotImplementedError("nothing is kept of a prompt here")
