"""What a rehearsal of a run measured, and what it says about the whole of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import sqrt
from statistics import stdev
from typing import Any

from pydantic import BaseModel, ConfigDict

MEMORY_GROWTH = 1.12
"""A run's peak over that of its rehearsal: steps of other lengths leave freed blocks between kept ones, and code that
oneDNN makes for their shapes. Three runs gave 1.05, 1.09 and 1.21 (docs/log.md, 2026-11-25)."""
MEMORY_SPREAD = 0.1
"""Share by which the peaks of runs differ from that."""


@dataclass(frozen=True)
class Rehearsal:
    """Tokens are packed ones, of which a shared prefix counts once a batch; of an encoder padded ones."""

    load_seconds: float
    step_tokens: list[int]
    step_seconds: list[float]
    """Of steps of the run drawn at random."""
    run_tokens: int
    """Of all its steps."""
    evaluation_tokens_timed: int
    evaluation_seconds: float
    """Of those tokens."""
    evaluation_tokens: int
    """Of one held-out evaluation."""
    evaluations: int
    save_seconds: float
    saves: int
    peak_memory_bytes: int
    description: tuple[float, float, float, int] | None
    """The fields of `plan.capacity.DescriptionLength`, of the training rows on the base; None: it writes nothing."""


class Range(BaseModel):
    """An estimate with the range in which it is expected to come true, 95 times in 100."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    value: float
    low: float
    high: float


class Prediction(BaseModel):
    """What a measured plan says before a run, to be held against it afterwards."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    seconds: Range
    """From the base's loading to the last step, evaluations and checkpoints in it."""
    memory_bytes: Range
    """At the peak."""
    steps_timed: int


def predict(rehearsal: Rehearsal) -> Prediction:
    """The run's time by the ratio of seconds to tokens over the steps timed; its memory by the rehearsal's own peak.

    The range of the time is Student's t over the steps timed (of a ratio estimate). It knows nothing of other
    work that the machine may have to do meanwhile.
    """
    tokens, seconds = rehearsal.step_tokens, rehearsal.step_seconds
    rate = sum(seconds) / sum(tokens)
    count = len(tokens)
    residuals = [s - rate * t for s, t in zip(seconds, tokens, strict=True)]
    from scipy.stats import t  # type: ignore[import-untyped]  # slow to import

    spread = t.ppf(0.975, count - 1) * stdev(residuals) / sqrt(count) / (sum(tokens) / count)
    fixed = (
        rehearsal.load_seconds
        + rehearsal.evaluations
        * rehearsal.evaluation_seconds
        * rehearsal.evaluation_tokens
        / rehearsal.evaluation_tokens_timed
        + rehearsal.saves * rehearsal.save_seconds
    )
    run = rehearsal.run_tokens
    peak = MEMORY_GROWTH * rehearsal.peak_memory_bytes
    return Prediction(
        seconds=Range(
            value=fixed + rate * run, low=fixed + max(0.0, rate - spread) * run, high=fixed + (rate + spread) * run
        ),
        memory_bytes=Range(value=peak, low=peak * (1 - MEMORY_SPREAD), high=peak * (1 + MEMORY_SPREAD)),
        steps_timed=count,
    )


def score(prediction: Prediction, seconds: float, memory_bytes: float) -> Mapping[str, Any]:
    """What came of a prediction: the truth over the estimate, and whether it lay in the range."""

    def one(said: Range, truth: float) -> dict[str, Any]:
        return {
            "predicted": said.value,
            "actual": truth,
            "error": truth / said.value - 1,
            "inside": said.low <= truth <= said.high,
        }

    return {"seconds": one(prediction.seconds, seconds), "memory_bytes": one(prediction.memory_bytes, memory_bytes)}
