"""What the batcher asks of a base: rows in slots, prompts taken in, one token a row at each step."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import torch

from rankwise.model.generate import LabelTree
from rankwise.serve.pool import Group, Seat
from rankwise.serve.segments import Segments


@dataclass(frozen=True)
class Piece:
    """Tokens that follow what a slot holds."""

    slot: int
    start: int
    """Tokens the slot holds."""
    ids: Sequence[int]
    seat: Seat | None
    tree: LabelTree | None = None
    """`ids` end in its nodes."""

    @property
    def wanted(self) -> int:
        """Of how many of its last tokens logits are asked for."""
        return 1 if self.tree is None else 1 + self.tree.num_nodes

    def positions(self) -> torch.Tensor:
        """(tokens,); a tree's nodes lie at their depth."""
        at = torch.arange(self.start, self.start + len(self.ids))
        if self.tree is not None and self.tree.num_nodes:
            own = len(self.ids) - self.tree.num_nodes
            at[own:] = self.start + own - 1 + self.tree.mask.sum(1)
        return at


class Engine(Protocol):
    @property
    def groups(self) -> Sequence[Group]:
        """What adapters may be on; `Segments.add` is called with their numbers."""
        ...

    slots: int
    """Rows 0 .. n - 1 of a batch stand in the slots of these numbers."""
    capacity: int
    """Most tokens a slot holds."""
    dtype: torch.dtype
    device: torch.device
    keeps_prompts: bool
    """Whether `copy_out` and `copy_in` are built."""

    def prefill(self, pieces: Sequence[Piece]) -> list[torch.Tensor]:
        """Take in new tokens; for each piece its logits, (wanted, vocabulary)."""
        ...

    def decode(self, ids: Sequence[int], lengths: Sequence[int], segments: Segments) -> torch.Tensor:
        """One token for each of the slots 0 .. rows - 1, which hold `lengths` tokens: logits (rows, vocabulary)."""
        ...

    def move(self, source: int, target: int, length: int) -> None:
        """Let slot `target` hold what `source` does."""
        ...

    def copy_out(self, slot: int, length: int) -> torch.Tensor:
        """What a slot keeps of its first tokens, for `copy_in`."""
        ...

    def copy_in(self, slot: int, kept: torch.Tensor, length: int) -> None: ...


def linear_layers(model: Any) -> Mapping[str, torch.nn.Linear]:
    """Path -> plain linear layer of the model's body."""
    return {
        name: module
        for name, module in model.named_modules()
        if type(module) is torch.nn.Linear and module is not model.get_output_embeddings()
    }
