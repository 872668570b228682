"""From logits to the next token: the most probable, or drawn; and what was probable beside it."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch

LEAST = -9999.0
"""What ln p of zero is told as, for JSON has no infinity."""


@dataclass(frozen=True)
class Sampling:
    """OpenAI's own names and meanings."""

    max_tokens: int
    temperature: float = 0.0
    """0: the most probable token."""
    top_p: float = 1.0
    seed: int | None = None
    """None: another draw each time."""
    stop: tuple[str, ...] = ()
    top_logprobs: int | None = None
    """Of each token, and of so many of the most probable; None: none."""

    def of_answer(self, number: int) -> Sampling:
        """For one of several answers to a prompt: each draws with a seed of its own."""
        return self if self.seed is None else replace(self, seed=self.seed + number)


@dataclass(frozen=True)
class Likely:
    """A token and ln p of it, before temperature and top_p."""

    token: int
    logprob: float


@dataclass(frozen=True)
class Choice:
    token: int
    logprob: float | None
    top: tuple[Likely, ...]


class Chooser:
    """Chooses the tokens of one row; its draws depend on its seed alone, not on the batch."""

    def __init__(self, sampling: Sampling) -> None:
        self._sampling = sampling
        self._generator = torch.Generator()
        if sampling.seed is None:
            self._generator.seed()
        else:
            self._generator.manual_seed(sampling.seed)

    @property
    def is_plain(self) -> bool:
        """Whether the argmax of its logits is all it needs."""
        return self._sampling.temperature == 0 and self._sampling.top_logprobs is None

    def choose(self, logits: torch.Tensor) -> Choice:
        """logits (vocabulary)."""
        wide = logits.float().cpu()
        token = int(wide.argmax()) if self._sampling.temperature == 0 else self._draw(wide)
        if self._sampling.top_logprobs is None:
            return Choice(token, None, ())
        logprobs = wide.log_softmax(0)
        values, ids = logprobs.topk(self._sampling.top_logprobs)
        pairs = zip(ids.tolist(), values.tolist(), strict=True)
        top = tuple(Likely(int(i), max(float(value), LEAST)) for i, value in pairs)
        return Choice(token, max(float(logprobs[token]), LEAST), top)

    def _draw(self, logits: torch.Tensor) -> int:
        # Float64 and from the largest down: neither the smallest temperature nor the smallest top_p gives NaN.
        wide = logits.double()
        probabilities = ((wide - wide.max()) / self._sampling.temperature).softmax(0)
        if self._sampling.top_p < 1:
            ordered, ids = probabilities.sort(descending=True)
            beyond = ordered.cumsum(0) - ordered >= self._sampling.top_p
            beyond[0] = False
            ordered[beyond] = 0  # the fewest tokens that together have top_p
            return int(ids[ordered.multinomial(1, generator=self._generator)])
        return int(probabilities.multinomial(1, generator=self._generator))
