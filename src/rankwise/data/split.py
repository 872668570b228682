"""Training and held-out rows from one table."""

from __future__ import annotations

import hashlib
import math
from collections import Counter, defaultdict
from collections.abc import Sequence
from typing import TypeVar

from rankwise.data.likeness import question_key
from rankwise.data.table import Row
from rankwise.errors import DataError, Problem

T = TypeVar("T")
Group = list[int]
"""Numbers of the rows that ask the same; they stay on one side."""


def split_rows(rows: Sequence[Row], fraction: float, seed: int) -> tuple[list[Row], list[Row]]:
    """Hold out `fraction` of the rows (at least one): (train, held out), both in the order of `rows`.

    Rows that ask the same stay together. Each label gives its share, and keeps at least one question for training; a
    row with several labels counts for the one that the fewest rows have.
    Which rows are chosen depends on the seed and on what they ask, not on their order or on Python's version.
    Raises DataError when fewer than two different questions are there.
    """
    if not 0 < fraction < 1:
        raise ValueError(f"fraction {fraction}, expected a number between 0 and 1")
    strata = _strata(rows, seed)
    groups = sorted((group for stratum in strata.values() for group in stratum), key=len)
    if len(groups) < 2:
        message = f"{len(rows)} rows with {len(groups)} different questions, at least 2 are needed to hold some out"
        raise DataError(problems=[Problem("error", "too-few-rows", rows[0].where if rows else "", message)])
    chosen: set[int] = set()
    for label, quota in _quotas(strata, max(1, round(fraction * len(rows)))).items():
        for group in strata[label][:-1]:
            if len(group) <= quota:
                chosen.update(group)
                quota -= len(group)
    if not chosen:
        chosen.update(groups[0])
    return (
        [row for number, row in enumerate(rows) if number not in chosen],
        [row for number, row in enumerate(rows) if number in chosen],
    )


def _strata(rows: Sequence[Row], seed: int) -> dict[str, list[Group]]:
    """Label -> its groups in the seed's order. A group whose rows disagree counts for its first row's label."""
    times = Counter(label for row in rows for label in row.own_labels)
    asked: dict[str, Group] = defaultdict(list)
    for number, row in enumerate(rows):
        asked[question_key(row)].append(number)
    strata: dict[str, list[Group]] = defaultdict(list)
    for key in sorted(asked, key=lambda key: _order(seed, key)):
        own = rows[asked[key][0]].own_labels
        strata[min(own, key=lambda label: (times[label], label), default="")].append(asked[key])
    return strata


def _quotas(strata: dict[str, list[Group]], total: int) -> dict[str, int]:
    """Rows to hold out of each label, in proportion (largest remainders), never its last group."""
    sizes = {label: sum(map(len, groups)) for label, groups in strata.items()}
    room = {label: sizes[label] - len(groups[-1]) for label, groups in strata.items()}
    ideal = {label: total * size / sum(sizes.values()) for label, size in sizes.items()}
    quotas = {label: min(room[label], math.floor(ideal[label])) for label in strata}
    left = total - sum(quotas.values())
    while left > 0 and (open_ones := [label for label in strata if quotas[label] < room[label]]):
        # The label furthest below its share; ties go to the first in alphabetical order.
        neediest = max(sorted(open_ones), key=lambda label: ideal[label] - quotas[label])
        quotas[neediest] += 1
        left -= 1
    return quotas


def _order(seed: int, key: str) -> bytes:
    return hashlib.sha256(f"{seed}\n{key}".encode()).digest()


def spread(rows: Sequence[T], count: int) -> list[T]:
    """At most `count` of `rows`, evenly spaced over their order: a file sorted by label gives some of each."""
    return [rows[i * len(rows) // count] for i in range(count)] if len(rows) > count else list(rows)
