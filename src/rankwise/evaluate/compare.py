"""Two contestants on the same rows: how far apart, how sure, and which rows flipped."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from scipy.sparse import hstack  # type: ignore[import-untyped]
from scipy.stats import binomtest  # type: ignore[import-untyped]

from rankwise.evaluate.score import Floats, Outcome, Tally

Test = Literal["exact McNemar", "paired bootstrap"]

RESAMPLES = 10_000
LEVEL = 0.05
"""A difference counts as seen if its 95% interval leaves out 0 and its p is under this."""

_DRAWS_AT_ONCE = 1 << 22

_NAMES = {"base": "the base", "few_shot": "the few-shot base", "baseline": "the cheap baseline"}
METRICS = {
    "accuracy": "accuracy",
    "micro_f1": "micro-F1",
    "macro_f1": "macro-F1",
    "exact_match": "exact match",
    "field_f1": "field F1",
    "rouge_l": "ROUGE-L",
}


@dataclass(frozen=True)
class Difference:
    """How much better one contestant is than another, in points of a metric."""

    metric: str
    value: float
    """First minus second, over all rows."""
    interval: tuple[float, float]
    """95%, percentiles of the paired bootstrap."""
    p: float
    """Two-sided, not corrected for the number of comparisons."""
    test: Test
    """What `p` is from."""

    @property
    def seen(self) -> bool:
        """Whether interval and test both tell the two apart."""
        low, high = self.interval
        return not low <= 0 <= high and self.p < LEVEL


@dataclass(frozen=True)
class Flips:
    """Rows, by index, that are correct for one contestant only."""

    gained: tuple[int, ...]
    """Correct now, not before."""
    lost: tuple[int, ...]
    """Correct before, not now."""


def difference(first: Tally, second: Tally, seed: int = 0, resamples: int = RESAMPLES) -> Difference:
    """`first` minus `second`, two tallies of one metric over the same rows in the same order.

    The interval: rows are drawn again with replacement, the same ones for both, and the metric computed
    anew. `p`: the exact McNemar test where rows are right or wrong, else the smallest level at which the
    bootstrap interval leaves out 0. The order of the rows has no influence.
    """
    if first.metric != second.metric or len(first) != len(second):
        raise ValueError(
            f"expected two tallies of one metric over the same rows: "
            f"got {first.metric} of {len(first)} rows and {second.metric} of {len(second)}"
        )
    drawn = _bootstrap(first, second, seed, resamples)
    low, high = np.percentile(drawn, [2.5, 97.5])
    test: Test
    if first.yes_or_no:
        p, test = _mcnemar(first, second), "exact McNemar"
    else:
        p, test = _bootstrap_p(drawn), "paired bootstrap"
    return Difference(first.metric, first.value - second.value, (float(low), float(high)), p, test)


def flips(before: Sequence[Outcome], after: Sequence[Outcome]) -> Flips:
    """The rows that `after` gained over `before`, and those it lost."""
    pairs = [(old == "correct", new == "correct") for old, new in zip(before, after, strict=True)]
    return Flips(
        gained=tuple(row for row, pair in enumerate(pairs) if pair == (False, True)),
        lost=tuple(row for row, pair in enumerate(pairs) if pair == (True, False)),
    )


def verdict(scores: Mapping[str, float], differences: Mapping[str, Difference]) -> str:
    """Did the adapter help? One sentence a line, bad news first.

    `scores`: one metric of `adapter` and of each contestant; `differences`: the adapter minus each of
    `base`, `few_shot`, `baseline` in that metric (any may be left out). What is seen to beat the adapter
    comes first, then what cannot be told apart from it, then what it beats.
    """
    order = sorted((name for name in _NAMES if name in differences), key=lambda name: _standing(differences[name]))
    if not order:
        return f"Nothing to hold the adapter ({scores['adapter']:.3f}) against."
    return "\n".join(_sentence(name, scores, differences[name]) for name in order)


def _standing(difference: Difference) -> int:
    """0 if the other is seen to beat the adapter, 1 if the two cannot be told apart, 2 if the adapter beats it."""
    if not difference.seen:
        return 1
    return 2 if difference.value > 0 else 0


def _sentence(name: str, scores: Mapping[str, float], difference: Difference) -> str:
    other = f"{_NAMES[name]} ({scores[name]:.3f})"
    adapter = f"the adapter ({scores['adapter']:.3f})"
    metric = METRICS[difference.metric]
    low, high = difference.interval
    evidence = f"{difference.value:+.3f}, 95% interval {low:+.3f} to {high:+.3f}, p = {_written(difference.p)}"
    if not difference.seen:
        return f"No difference seen between {adapter} and {other} in {metric}: {evidence}."
    better, worse = (adapter, other) if difference.value > 0 else (other, adapter)
    return f"{better[0].upper()}{better[1:]} beats {worse} in {metric}: {evidence}."


def _written(p: float) -> str:
    return f"{p:.3f}" if p >= 0.001 else f"{p:.0e}"


def _bootstrap(first: Tally, second: Tally, seed: int, resamples: int) -> Floats:
    """(resamples,) differences of the metric over rows drawn with replacement."""
    rows = len(first)
    both = hstack([first.rows, second.rows], format="csr")
    both.sort_indices()
    # Rows in an order of their own make the result independent of the order they came in.
    bounds = list(zip(both.indptr[:-1], both.indptr[1:], strict=True))
    keys = [(both.indices[start:stop].tobytes(), both.data[start:stop].tobytes()) for start, stop in bounds]
    columns_by_rows = both[sorted(range(rows), key=keys.__getitem__)].T.tocsr()

    generator = np.random.default_rng(seed)
    drawn = np.empty(resamples)
    step = max(1, _DRAWS_AT_ONCE // rows)
    for start in range(0, resamples, step):
        width = min(step, resamples - start)
        picks = generator.integers(0, rows, size=(width, rows)) * width + np.arange(width)[:, None]
        times = np.bincount(picks.ravel(), minlength=rows * width).reshape(rows, width)
        sums = (columns_by_rows @ times.astype(np.float64)).T
        split = first.rows.shape[1]
        drawn[start : start + width] = first.combine(sums[:, :split]) - second.combine(sums[:, split:])
    return drawn


def _bootstrap_p(drawn: Floats) -> float:
    """Twice the share of resamples on the far side of 0, counting the observed rows as one more."""
    tail = min(int((drawn <= 0).sum()), int((drawn >= 0).sum()))
    return min(1.0, 2 * (tail + 1) / (len(drawn) + 1))


def _mcnemar(first: Tally, second: Tally) -> float:
    """p of the exact test on the rows that only one of the two has right; 1 if there are none."""
    right, other = (tally.rows[:, [0]].toarray().ravel() == 1 for tally in (first, second))
    gained, lost = int(np.count_nonzero(right & ~other)), int(np.count_nonzero(other & ~right))
    return float(binomtest(gained, gained + lost).pvalue) if gained + lost else 1.0
