"""Answers that are sets of labels: how right they are as a whole, in parts, and for each label."""

from __future__ import annotations

import json
from collections.abc import Sequence

import numpy as np
from scipy.sparse import csr_array  # type: ignore[import-untyped]

from rankwise.evaluate.score import Answer, Tally, exact_tally, macro_f1, micro_f1

LABEL_F1 = "f1"


def set_tallies(labels: Sequence[str], references: Sequence[str], answers: Sequence[Answer]) -> tuple[Tally, ...]:
    """`micro_f1` over all labels of all rows, `macro_f1`, the mean F1 of the labels that references or answers have,
    `exact_match`, the share of rows whose whole set is right, and the `f1` of each label.

    References and answers are JSON lists. An answer that failed gives no label. A label that neither references nor
    answers have has an F1 of 1: there was nothing to find, and nothing was claimed.
    """
    wanted = [set(json.loads(reference)) for reference in references]
    given = [set() if answer.error is not None else set(json.loads(answer.text)) for answer in answers]
    names = sorted({*labels, *(label for row in wanted for label in row)})
    there, said = (np.array([[name in row for name in names] for row in rows]) for rows in (wanted, given))
    hits, extra, missed = there & said, said & ~there, there & ~said
    counts = np.stack([hits.sum(1), extra.sum(1), missed.sum(1)], axis=1).astype(np.float64)
    blocks = np.concatenate([hits, there, said], axis=1).astype(np.float64)
    each = (np.stack([hits[:, n], extra[:, n], missed[:, n]], axis=1).astype(np.float64) for n in range(len(names)))
    return (
        Tally("micro_f1", csr_array(counts), micro_f1),
        Tally("macro_f1", csr_array(blocks), macro_f1),
        exact_tally(references, answers),
        *(Tally(LABEL_F1, csr_array(part), micro_f1, label=name) for name, part in zip(names, each, strict=True)),
    )
