"""What prompts begin with, kept: a later prompt to the same adapter computes only what it does not share."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass

import torch

WORTH_KEEPING = 16
"""Tokens a prompt must have beyond what is known of it, to be kept."""


@dataclass(frozen=True)
class _Kept:
    adapter: str
    """Its digest; empty: the base alone."""
    ids: tuple[int, ...]
    values: torch.Tensor
    """As the engine copied them out."""


class Prefixes:
    """Keys and values of the latest prompts, within `budget` bytes. One thread's."""

    def __init__(self, budget: int) -> None:
        self.budget = budget
        self._kept: OrderedDict[tuple[str, tuple[int, ...]], _Kept] = OrderedDict()
        self.bytes = 0
        self._of_a_token = 0
        """Bytes, as seen at the last prompt; 0: none yet."""
        self.reused = 0
        """Tokens that were not computed anew, in all."""

    def find(self, adapter: str, ids: Sequence[int]) -> tuple[int, torch.Tensor | None]:
        """The most tokens that `ids` and a kept prompt to `adapter` begin with, and what was kept; at least one token
        of `ids` is left over."""
        best, found = self._best(adapter, ids)
        if found is None:
            return 0, None
        self._kept.move_to_end((found.adapter, found.ids))
        self.reused += best
        return best, found.values

    def known(self, adapter: str, ids: Sequence[int]) -> int:
        """How many tokens `find` would find."""
        return self._best(adapter, ids)[0]

    def _best(self, adapter: str, ids: Sequence[int]) -> tuple[int, _Kept | None]:
        best, found = 0, None
        for kept in self._kept.values():
            if kept.adapter == adapter:
                shared = shared_tokens(kept.ids, ids[:-1])
                if shared > best:
                    best, found = shared, kept
        return best, found

    def is_worth_keeping(self, ids: Sequence[int], known: int) -> bool:
        """Whether there is enough in it that is not kept, and room for it."""
        fits = self.budget > 0 and len(ids) * self._of_a_token <= self.budget
        return fits and len(ids) - known >= WORTH_KEEPING

    def keep(self, adapter: str, ids: Sequence[int], values: torch.Tensor) -> None:
        key = (adapter, tuple(ids))
        self._of_a_token = values.nbytes // len(ids)
        if key in self._kept or values.nbytes > self.budget:
            return
        self._kept[key] = _Kept(*key, values)
        self.bytes += values.nbytes
        while self.bytes > self.budget:
            _, oldest = self._kept.popitem(last=False)
            self.bytes -= oldest.values.nbytes


def shared_tokens(one: Sequence[int], other: Sequence[int]) -> int:
    end = min(len(one), len(other))
    return next((i for i in range(end) if one[i] != other[i]), end)
