"""How long a run takes, from the measured speed of this machine on this base."""

from __future__ import annotations

from rankwise.facts import Measurement


def training_seconds(
    measured: Measurement, dtype: str, train_tokens: int, held_out_tokens: int, evaluations: int
) -> float:
    """Loading, every training token once, and every held-out evaluation."""
    return (
        measured.load_seconds
        + train_tokens / measured.train_tokens_per_second[dtype]
        + evaluations * held_out_tokens / measured.forward_tokens_per_second[dtype]
    )
