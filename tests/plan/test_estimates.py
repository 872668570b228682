"""What a run will take: memory and time grow with what they should grow with."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from rankwise.facts import Anatomy, Measurement
from rankwise.plan.memory import PROCESS, training_bytes
from rankwise.plan.timing import training_seconds

COUNTS = st.integers(0, 10**6)


@given(trainable=COUNTS, tokens=COUNTS, targets=COUNTS)
def test_memory_grows_with_adapter_tokens_and_targets(
    tiny_anatomy: Anatomy, trainable: int, tokens: int, targets: int
) -> None:
    least = training_bytes(tiny_anatomy, trainable, "float32", tokens, targets)
    assert least >= PROCESS + 4 * tiny_anatomy.total_parameters + 16 * trainable
    assert training_bytes(tiny_anatomy, trainable + 1, "float32", tokens, targets) == least + 16
    assert training_bytes(tiny_anatomy, trainable, "float32", tokens + 1, targets) > least
    assert training_bytes(tiny_anatomy, trainable, "float32", tokens, targets + 1) > least
    assert training_bytes(tiny_anatomy, trainable, "bfloat16", tokens, targets) < least


def test_seconds_are_load_plus_training_plus_evaluations() -> None:
    measured = Measurement(
        machine="",
        base="",
        torch="",
        threads=2,
        train_tokens_per_second={"float32": 100.0, "bfloat16": 200.0},
        forward_tokens_per_second={"float32": 400.0, "bfloat16": 800.0},
        load_seconds=3.0,
        measured_at="2026-01-01T00:00:00+00:00",
    )
    assert training_seconds(measured, "float32", 1000, 200, 4) == 3 + 10 + 2
    assert training_seconds(measured, "bfloat16", 1000, 200, 4) == 3 + 5 + 1
