"""The ledger of a plan in the making: what was decided, why, and what was found wrong on the way."""

from __future__ import annotations

from collections.abc import Mapping

from rankwise.doctrine import Value
from rankwise.errors import Problem, Severity
from rankwise.plan.plan import Basis, Decision
from rankwise.recipe import Asked
from rankwise.recipe.keys import LEAVES


class Ledger:
    """Decisions in the order in which they are made; a later one may look at the earlier ones' values."""

    def __init__(self, asked: Asked) -> None:
        self.asked = asked
        self.decisions: dict[str, Decision] = {}
        self.settled: dict[str, Value] = {}
        """Values alone, and `steps` once they are counted."""
        self.problems: list[Problem] = []

    def settle(
        self,
        key: str,
        value: Value,
        reason: str,
        source: str,
        alternatives: Mapping[str, Value] | None = None,
        kind: Basis = "computed",
    ) -> None:
        self.settled[key] = value
        self.decisions[key] = Decision(
            value=value, reason=reason, source=source, kind=kind, alternatives=dict(alternatives or {})
        )

    def settle_yours(self, key: str, value: Value, advice: str = "", others: Mapping[str, Value] | None = None) -> None:
        """The user's own value, or one that `init` wrote down; `advice`: what the plan's doctrine says to it."""
        if not advice and key in LEAVES and LEAVES[key].default == value:
            advice = ", as it would be if left out"
        self.settle(key, value, f"you set it{advice}", self.asked.where(key), others, "yours")

    def amend(self, key: str, value: Value, *notes: str) -> None:
        """Write a decided value out in full, with what there is to say about that."""
        self.settled[key] = value
        old = self.decisions[key]
        self.decisions[key] = old.model_copy(update={"value": value, "reason": "; ".join([old.reason, *notes])})

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
            self.settle_yours(key, value)
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
