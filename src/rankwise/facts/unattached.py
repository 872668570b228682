"""Adapters that attach nothing to the base: examples for its prompt (`prompt.json`), and a linear classifier of its
last hidden states (`classifier.json` and `classifier.safetensors`)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, JsonValue, ValidationError

from rankwise.errors import AdapterError, Problem
from rankwise.facts.adapter import AdapterFacts
from rankwise.facts.base import Anatomy
from rankwise.facts.payload import PROMPT

Features = Literal["mean", "first", "last"]
"""Of a row's last hidden states: their mean, or that of its first or last token."""


class _Content(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    format_version: Literal[1] = 1


class Turn(BaseModel):
    """A message, with whatever else than role and content its row had in it."""

    model_config = ConfigDict(frozen=True, extra="allow")

    role: Literal["user", "assistant", "tool"]
    content: JsonValue = None


class Examples(_Content):
    """The content of `prompt.json`."""

    examples: Annotated[tuple[tuple[Turn, ...], ...], Field(min_length=1)]
    """Conversations that are shown before each question, in this order, as earlier turns."""


class LinearSettings(_Content):
    """The content of `classifier.json`. The head, in `classifier.safetensors`, is `weight` (n, d) and `bias` (n) in
    float64: n is the number of labels, or 1 for two of them, and then for the second."""

    features: Features
    skipped: Annotated[int, Field(ge=0)]
    """Tokens that every row begins with, which are not looked at."""


Content = TypeVar("Content", bound=_Content)


def read_content(facts: AdapterFacts, kind: type[Content]) -> Content:
    """Its `prompt.json` or `classifier.json`; AdapterError with every fault of it."""
    try:
        return kind.model_validate(facts.config)
    except ValidationError as fault:
        raise AdapterError(
            problems=[
                _error(facts, "adapter-config", f"{facts.payload.config}: {'.'.join(map(str, e['loc']))}: {e['msg']}")
                for e in fault.errors()
            ]
        ) from None


def check_unattached(facts: AdapterFacts, anatomy: Anatomy | None) -> Iterator[Problem]:
    """All that is wrong with what the folder claims; with `anatomy`, whether a head fits the base."""
    method = "prompt" if facts.payload == PROMPT else "classifier"
    if facts.record is None:
        yield _error(facts, "adapter-no-record", f"no rankwise.json; {facts.payload.config} means nothing without it")
    elif facts.record.method != method:
        message = f"{facts.payload.config} is of method {method}, and the record's is {facts.record.method}"
        yield _error(facts, "adapter-method", message)
    try:
        read_content(facts, Examples if method == "prompt" else LinearSettings)
    except AdapterError as fault:
        yield from fault.problems
    if method == "classifier":
        yield from _check_head(facts, anatomy)


def _check_head(facts: AdapterFacts, anatomy: Anatomy | None) -> Iterator[Problem]:
    shapes = {name: tensor.shape for name, tensor in facts.tensors.items()}
    labels = 0 if facts.record is None else len(facts.record.task.labels)
    outputs = 1 if labels == 2 else labels
    width = anatomy.hidden_size if anatomy is not None else shapes.get("weight", (0, 0))[-1]
    expected = {"weight": (outputs, width), "bias": (outputs,)}
    if labels and shapes != expected:
        told = f"its head is {shapes}, expected {expected} for {labels} labels"
        yield _error(facts, "adapter-head", told + (f" on {anatomy.name}" if anatomy is not None else ""))


def _error(facts: AdapterFacts, code: str, message: str) -> Problem:
    return Problem("error", code, str(facts.path), message)
