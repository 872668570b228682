"""How long a run will take."""

from __future__ import annotations

from rankwise.facts import Measurement
from rankwise.plan.timing import training_seconds


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
    assert training_seconds(measured, "float32", 1000, 800) == 3 + 10 + 2
    assert training_seconds(measured, "bfloat16", 1000, 800) == 3 + 5 + 1
