"""What doctrines say about a key here, and how it is put into words."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from rankwise.doctrine import DEFAULTS, DOCTRINES, Advice, Doctrine, Situation, Value
from rankwise.doctrine.rule import Kind
from rankwise.errors import PlanError

METHOD_SOURCES = ("working-notes", "honest-choice")
"""Doctrines whose rules look at goal, rows, labels, GPUs and memory to choose a method."""


class Spoken(NamedTuple):
    """Advice with the name of the doctrine that gives it."""

    by: str
    value: Value
    reason: str
    source: str
    kind: Kind

    @property
    def why(self) -> str:
        """The reason, to go on after."""
        return self.reason.rstrip(".")


def advice_on(key: str, doctrine: Doctrine, situation: Situation) -> Spoken:
    """The doctrine's word, else the defaults'. Raises PlanError where they are silent, too."""
    for one in (doctrine, DEFAULTS):
        advice = one.advise(key, situation)
        if advice is not None:
            return _spoken(one.name, advice)
    raise PlanError(f"no doctrine decides {key}")


def advice_of_all(key: str, situation: Situation) -> dict[str, Value]:
    """Doctrine -> the value it would give; those that are silent are left out."""
    said = {name: doctrine.advise(key, situation) for name, doctrine in DOCTRINES.items()}
    return {name: advice.value for name, advice in said.items() if advice is not None}


def method_advice(doctrine: Doctrine, situation: Situation) -> Spoken:
    """The doctrine's own word on the method, else that of METHOD_SOURCES: what one asks for instead of LoRA counts; if
    none does, all speak for LoRA."""
    own = doctrine.advise("method", situation)
    if own is not None:
        return _spoken(doctrine.name, own)
    said = [
        _spoken(name, advice)
        for name in METHOD_SOURCES
        if (advice := DOCTRINES[name].advise("method", situation)) is not None
    ]
    other = next((spoken for spoken in said if spoken.value != "lora"), None)
    if other is not None or not said:
        return other or advice_on("method", doctrine, situation)
    return said[0]._replace(
        by=" and ".join(spoken.by for spoken in said),
        reason="; ".join(spoken.why for spoken in said),
        source=" and ".join(spoken.source for spoken in said),
    )


def _spoken(name: str, advice: Advice) -> Spoken:
    return Spoken(name, advice.value, advice.reason, advice.source, advice.kind)


def same_value(one: Value, other: Value) -> bool:
    """Whether two values mean the same; the order of names means nothing."""
    if isinstance(one, list) and isinstance(other, list):
        return set(one) == set(other)
    return one == other


def differing(said: Mapping[str, Value], value: Value) -> dict[str, Value]:
    return {name: other for name, other in said.items() if not same_value(other, value)}


def shown(value: Value) -> str:
    """A value in a sentence."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float):
        return f"{value:g}"
    if isinstance(value, dict):
        return ", ".join(f"{name} {shown(number)}" for name, number in value.items())
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)
