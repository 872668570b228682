"""What a rule is: a plain function from a situation to a value with its reason and its source."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

Value = str | int | float | bool | None | list[str]


@dataclass(frozen=True)
class Situation:
    """What rules may look at."""

    base_parameters: int
    hidden_size: int
    linear_layers: tuple[str, ...]
    """Names of the base's projections, its head left out."""
    rows: int
    supervised_tokens: int
    longest_row: int
    """Tokens, prompt and answer together."""
    settled: Mapping[str, Value]
    """Values of keys decided before this one, the user's own among them, and `steps` once they are counted."""

    def number(self, key: str) -> float:
        """A settled value that must be a number."""
        value = self.settled[key]
        assert isinstance(value, int | float)
        return value


@dataclass(frozen=True)
class Advice:
    value: Value
    reason: str
    """One sentence."""
    source: str
    """Document and section, or who measured it."""


Rule = Callable[[Situation], Advice | None]
"""None: the source says nothing about this situation."""


@dataclass(frozen=True)
class Doctrine:
    """A named, cited body of advice."""

    name: str
    title: str
    rules: Mapping[str, Rule]
    """Recipe key -> rule."""
