"""How long a run takes, from the measured speed of this machine on this base."""

from __future__ import annotations

from collections.abc import Sequence

from rankwise.data.batch import SHARED_PREFIX_FLOOR, shared_prefix
from rankwise.data.render import Rendered
from rankwise.facts import Measurement


def tokens_a_row(rows: Sequence[Rendered], batch_rows: int, share: bool) -> float:
    """Tokens a row costs on average: its own, and its part of the prefix that a batch computes once."""
    mean = sum(len(row.ids) for row in rows) / len(rows)
    prefix = shared_prefix(rows) if share else 0
    return mean if prefix < SHARED_PREFIX_FLOOR else mean - prefix + prefix / batch_rows


def training_seconds(measured: Measurement, dtype: str, train_tokens: float, forward_tokens: float) -> float:
    """Loading, every token that is trained on, and every one that is only read."""
    return (
        measured.load_seconds
        + train_tokens / measured.train_tokens_per_second[dtype]
        + forward_tokens / measured.forward_tokens_per_second[dtype]
    )
