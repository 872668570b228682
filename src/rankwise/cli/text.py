"""Values as people read them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

CONTESTANTS: Mapping[str, str] = {
    "base": "base",
    "few_shot": "few-shot base",
    "baseline": "cheap baseline",
    "adapter": "adapter",
}
METRICS: Mapping[str, str] = {
    "accuracy": "accuracy",
    "micro_f1": "micro-F1",
    "macro_f1": "macro-F1",
    "exact_match": "exact match",
    "field_f1": "field F1",
    "rouge_l": "ROUGE-L",
    "bits_per_token": "bits/token",
    "bits_per_row": "bits/row",
    "bits_per_label": "bits/label",
}


def bits_text(told: Mapping[str, Any]) -> str:
    """A held-out loss in the unit it is in."""
    metric = next(name for name in ("bits_per_token", "bits_per_row", "bits_per_label") if name in told)
    return f"{told[metric]:.3f} {METRICS[metric]}"


def visible(text: str) -> str:
    """`text` with control characters spelled out, so that data cannot steer the terminal."""
    return "".join(c if c.isprintable() or c in "\n\t" else ascii(c)[1:-1] for c in text)


def value_text(value: object) -> str:
    """A recipe's or plan's value on one line, as YAML would have it."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float):
        return f"{value:g}"
    if isinstance(value, list | tuple):
        return ", ".join(map(value_text, value))
    if isinstance(value, dict):
        return ", ".join(f"{visible(str(name))}: {value_text(inner)}" for name, inner in value.items())
    return visible(str(value))


def size_text(count: float) -> str:
    """Bytes, in the unit that suits."""
    for unit in ("B", "kB", "MB"):
        if count < 1000:
            return f"{count:.0f} {unit}"
        count /= 1000
    return f"{count:.1f} GB"


def time_text(seconds: float) -> str:
    """`4.2 s`, `41 s`, `12:05` or `1:02:09`."""
    if seconds < 60:
        return f"{seconds:.1f} s" if seconds < 10 else f"{seconds:.0f} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"


def score_text(value: object) -> str:
    return f"{value:.3f}" if isinstance(value, int | float) else "-"
