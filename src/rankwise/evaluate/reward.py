"""What a single answer is worth, from 0 to 1: the scores of `rankwise evaluate`, a row at a time."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, get_args

from rankwise.evaluate.fields import field_counts
from rankwise.evaluate.score import Answer, outcomes

RewardName = Literal["exact_fields", "allowed_label"]


def rewards(name: str, references: Sequence[str], answers: Sequence[Answer]) -> list[float]:
    """`allowed_label`: 1 for the reference's label, else 0, whose mean is the accuracy. `exact_fields`: F1 of the
    fields that are exactly the reference's. An answer that was cut off, or failed, is worth nothing."""
    if name == "allowed_label":
        return [float(outcome == "correct") for outcome in outcomes(references, answers)]
    if name == "exact_fields":
        return [_fields_f1(reference, answer) for reference, answer in zip(references, answers, strict=True)]
    raise ValueError(f"reward {name!r}, expected one of {', '.join(get_args(RewardName))}")


def _fields_f1(reference: str, answer: Answer) -> float:
    if answer.truncated or answer.error is not None:
        return 0.0
    right, wrong, missed = field_counts(reference, answer.text)
    return 2 * right / (2 * right + wrong + missed) if right else 0.0
