"""What an answer is worth: an outcome for every row, and the metrics of all rows.

Answers are compared after `normalise`. A metric is a function of sums over rows (`Tally`), so the score
of all rows and the score of any resample of them (`compare`) come from the same few lines.
An answer that failed with an error counts as nothing at all: no label, no field, no word of it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray
from rouge_score.rouge_scorer import RougeScorer  # type: ignore[import-untyped]
from rouge_score.tokenizers import Tokenizer  # type: ignore[import-untyped]
from scipy.sparse import csr_array  # type: ignore[import-untyped]

from rankwise.evaluate.fields import JsonValue, field_counts, have_fields, number_spelling, parse_json

Outcome = Literal["correct", "wrong", "truncated", "error"]
Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]


@dataclass(frozen=True)
class Answer:
    """What a contestant said to one row."""

    text: str
    probability: float | None = None
    """Of this label among all labels; None where there is no such number."""
    truncated: bool = False
    """The answer was cut off at the length limit before it ended."""
    error: str | None = None
    """Why there is no answer; `text` is then ignored."""


@dataclass(frozen=True)
class Tally:
    """One metric of one contestant: what each row adds, and what the sums say."""

    metric: str
    rows: csr_array
    """(rows, columns) of numbers that are summed over rows."""
    combine: Callable[[Floats], Floats]
    """(resamples, columns) sums -> (resamples,) values of the metric."""
    yes_or_no: bool = False
    """Every row is right or wrong, 1 or 0 in the only column before the row count."""
    label: str | None = None
    """Of one label of several that a row may have; None: of all."""

    def __len__(self) -> int:
        return int(self.rows.shape[0])

    @property
    def value(self) -> float:
        """The metric over all rows."""
        return float(self.combine(np.asarray(self.rows.sum(axis=0), dtype=np.float64)[None])[0])


def normalise(text: str) -> str:
    """`text` stripped, with every run of white space as one space; a JSON object or array in one spelling.

    Two JSON texts of the same value (key order, number spelling, escapes, layout) normalise alike; white
    space is folded inside their strings too. Case, punctuation and Unicode form are kept.
    """
    folded = _fold(text)
    value = parse_json(folded)
    if value is None:
        return folded
    try:
        return _spelling(value)
    except RecursionError:
        return folded


def outcomes(references: Sequence[str], answers: Sequence[Answer]) -> list[Outcome]:
    """One outcome per row. An error comes before truncation, and truncation before the text.

    A truncated answer is never correct: the contestant had not finished.
    """
    return [_outcome(reference, answer) for reference, answer in _paired(references, answers)]


def count_outcomes(found: Sequence[Outcome]) -> dict[Outcome, int]:
    """Rows of each outcome, zeros included; the counts add up to the rows."""
    return {outcome: found.count(outcome) for outcome in get_args(Outcome)}


def label_scores(references: Sequence[str], answers: Sequence[Answer]) -> dict[str, float]:
    """`accuracy` and `macro_f1` of label answers."""
    return {tally.metric: tally.value for tally in label_tallies(references, answers)}


def open_scores(references: Sequence[str], answers: Sequence[Answer]) -> dict[str, float | None]:
    """`exact_match`, `field_f1` and `rouge_l` of open answers; `field_f1` is None if the references have no fields."""
    scores: dict[str, float | None] = {"exact_match": None, "field_f1": None, "rouge_l": None}
    scores.update((tally.metric, tally.value) for tally in open_tallies(references, answers))
    return scores


def label_tallies(references: Sequence[str], answers: Sequence[Answer]) -> tuple[Tally, ...]:
    """`accuracy`, the share of correct rows, and `macro_f1`, the mean F1 of the labels in references or answers.

    A truncated answer or an error is no label: its row is missed by the reference's label, and no other pays.
    """
    correct = [outcome == "correct" for outcome in outcomes(references, answers)]
    given = [None if answer.error is not None or answer.truncated else normalise(answer.text) for answer in answers]
    return (
        _mean_tally("accuracy", correct, yes_or_no=True),
        _macro_f1_tally([normalise(reference) for reference in references], given),
    )


def open_tallies(references: Sequence[str], answers: Sequence[Answer]) -> tuple[Tally, ...]:
    """`exact_match`, `field_f1` if the references have fields, and `rouge_l`.

    Fields and ROUGE-L of a truncated answer count as far as it got.
    """
    tallies = [exact_tally(references, answers)]
    if have_fields(references):
        counts = [field_counts(reference, _said(answer)) for reference, answer in _paired(references, answers)]
        tallies.append(Tally("field_f1", csr_array(np.array(counts, dtype=np.float64)), micro_f1))
    tallies.append(_mean_tally("rouge_l", rouge_l(references, answers)))
    return tuple(tallies)


def exact_tally(references: Sequence[str], answers: Sequence[Answer]) -> Tally:
    """`exact_match`, the share of correct rows."""
    correct = [outcome == "correct" for outcome in outcomes(references, answers)]
    return _mean_tally("exact_match", correct, yes_or_no=True)


def rouge_l(references: Sequence[str], answers: Sequence[Answer]) -> list[float]:
    """ROUGE-L F-measure of every row, by rouge-score without stemming; 0 for an error.

    Words are runs of letters and digits of any script, so ASCII text scores as with rouge-score's own
    tokenizer, which sees no other letters.
    """
    scorer = RougeScorer(["rougeL"], tokenizer=_Words())
    return [
        float(scorer.score(reference, _said(answer))["rougeL"].fmeasure)
        for reference, answer in _paired(references, answers)
    ]


class _Words(Tokenizer):  # type: ignore[misc]
    def tokenize(self, text: str) -> list[str]:
        return re.findall(r"[^\W_]+", text.lower())


def _outcome(reference: str, answer: Answer) -> Outcome:
    if answer.error is not None:
        return "error"
    if answer.truncated:
        return "truncated"
    return "correct" if normalise(answer.text) == normalise(reference) else "wrong"


def _said(answer: Answer) -> str:
    return "" if answer.error is not None else answer.text


def _paired(references: Sequence[str], answers: Sequence[Answer]) -> list[tuple[str, Answer]]:
    if not references:
        raise ValueError("no rows to score: expected at least one reference")
    return list(zip(references, answers, strict=True))


def _spelling(value: JsonValue) -> str:
    if isinstance(value, dict):
        pairs = sorted(f"{json.dumps(_fold(key))}:{_spelling(inner)}" for key, inner in value.items())
        return "{" + ",".join(pairs) + "}"
    if isinstance(value, list):
        return "[" + ",".join(map(_spelling, value)) + "]"
    if isinstance(value, Decimal):
        return number_spelling(value)
    return json.dumps(_fold(value) if isinstance(value, str) else value)


def _fold(text: str) -> str:
    return " ".join(text.split())


def _mean_tally(metric: str, values: Sequence[float], *, yes_or_no: bool = False) -> Tally:
    columns = np.stack([np.asarray(values, dtype=np.float64), np.ones(len(values))], axis=1)
    return Tally(metric, csr_array(columns), lambda sums: sums[:, 0] / sums[:, 1], yes_or_no)


def _macro_f1_tally(references: Sequence[str], given: Sequence[str | None]) -> Tally:
    """Columns as `macro_f1` has them."""
    labels = sorted({*references, *(label for label in given if label is not None)})
    column = {label: index for index, label in enumerate(labels)}
    cells: list[tuple[int, int]] = []
    for row, (reference, answer) in enumerate(zip(references, given, strict=True)):
        cells.append((row, len(labels) + column[reference]))
        if answer is not None:
            cells.append((row, 2 * len(labels) + column[answer]))
        if answer == reference:
            cells.append((row, column[reference]))
    rows, columns = np.array(cells).T
    shape = (len(references), 3 * len(labels))
    return Tally("macro_f1", csr_array((np.ones(len(cells)), (rows, columns)), shape=shape), macro_f1)


def macro_f1(sums: Floats) -> Floats:
    """Mean F1 of labels. Columns: a block of labels for hits, one for references, one for answers."""
    hits, referred, answered = np.moveaxis(sums.reshape(len(sums), 3, -1), 1, 0)
    # A label that a resample holds in neither references nor answers has no F1 there.
    present = referred + answered > 0
    f1 = 2 * hits / np.where(present, referred + answered, 1)
    labels = present.sum(axis=1)
    return np.where(labels > 0, f1.sum(axis=1) / np.maximum(labels, 1), 1.0)


def micro_f1(sums: Floats) -> Floats:
    """Columns: hits, what was said too much, what was missed."""
    hits, extra, missed = sums.T
    total = 2 * hits + extra + missed
    # Nothing to find and nothing claimed is a full score.
    return np.where(total > 0, 2 * hits / np.where(total > 0, total, 1), 1.0)
