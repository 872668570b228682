"""The ledger of a plan in the making: what was decided, why, and what was found wrong on the way."""

from __future__ import annotations

from rankwise.doctrine import Value
from rankwise.errors import Problem, Severity
from rankwise.plan.plan import Decision
from rankwise.recipe import Asked


class Ledger:
    """Decisions in the order in which they are made; a later one may look at the earlier ones' values."""

    def __init__(self, asked: Asked) -> None:
        self.asked = asked
        self.decisions: dict[str, Decision] = {}
        self.settled: dict[str, Value] = {}
        """Values alone, and `steps` once they are counted."""
        self.problems: list[Problem] = []

    def settle(
        self, key: str, value: Value, reason: str, source: str, alternatives: dict[str, Value] | None = None
    ) -> None:
        self.settled[key] = value
        self.decisions[key] = Decision(value=value, reason=reason, source=source, alternatives=alternatives or {})

    def asked_value(self, key: str) -> Value:
        """What the recipe says, `auto` where it says nothing."""
        node: object = self.asked.recipe
        for part in key.split("."):
            node = getattr(node, part)
        return list(node) if isinstance(node, list | tuple) else node  # type: ignore[return-value]

    def is_given(self, key: str) -> bool:
        """The user set it."""
        return key in self.asked.given

    def given(self, key: str, value: Value, reason: str) -> None:
        """A value that needs no doctrine: the user's, or what follows from the facts."""
        if self.is_given(key):
            self.settle(key, value, "you set it", self.asked.where(key))
        else:
            self.settle(key, value, reason, "rankwise")

    def number(self, key: str) -> float:
        """A settled value that must be a number."""
        value = self.settled[key]
        assert isinstance(value, int | float)
        return value

    def report(self, severity: Severity, code: str, where: str, message: str) -> None:
        """A problem; `where` may be a key of the recipe."""
        self.problems.append(Problem(severity, code, where, message))
