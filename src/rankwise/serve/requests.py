"""What the batcher is asked, and what it tells about each answer."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, Protocol

import torch

from rankwise.model.generate import LabelTree
from rankwise.serve.pool import Seat
from rankwise.serve.sampling import Choice, Sampling


class Grammar(Protocol):
    """What an answer may be, token by token."""

    def allow(self, logits: torch.Tensor) -> torch.Tensor:
        """logits (vocabulary), with minus infinity for every token that may not come next."""
        ...

    def accept(self, token: int) -> None: ...


@dataclass(frozen=True)
class Said:
    """Text that became certain, and the tokens since the last time."""

    text: str
    choices: tuple[Choice, ...]


@dataclass(frozen=True)
class Labelled:
    """ln p of each label's whole answer."""

    logprobs: tuple[float, ...]


@dataclass(frozen=True)
class Ended:
    reason: Literal["stop", "length"]
    tokens: int
    """Of the answer, a stop token included."""
    reused: int
    """Of the prompt's tokens, those that were known."""


@dataclass(frozen=True)
class Failed:
    message: str


Event = Said | Labelled | Ended | Failed


@dataclass(eq=False)
class Request:
    """One answer to be given. `labels` asks for probabilities instead of text."""

    ids: tuple[int, ...]
    seat: Seat | None
    """None: the base alone."""
    sampling: Sampling
    tell: Callable[[Event], None]
    """Called from the batcher's thread, in order; Ended or Failed comes last, and nothing after `cancelled`."""
    labels: LabelTree | None = None
    grammar: Grammar | None = None
    cancelled: bool = False
    """Set by whoever no longer listens."""

    @property
    def adapter(self) -> str:
        return "" if self.seat is None else self.seat.key
