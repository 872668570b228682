"""Which train rows a few-shot prompt shows the base."""

from __future__ import annotations

import random
import re
from collections.abc import Iterator, Sequence
from itertools import islice

from rankwise.data.read import Row

_WINDOW = 16
"""Rows of like length among which the one least like the chosen ones is taken."""


def choose_examples(train_rows: Sequence[Row], count: int, seed: int, labels: Sequence[str] | None) -> list[Row]:
    """At most `count` train rows to show, the same for the same rows and seed, no question twice.

    With `labels` (label rows): one row of each label in a drawn order, then a second of each, and so on.
    Without (open rows): lengths from all over the range, the middle first, and at each length a row that
    shares few words with those already chosen.
    The first n of a longer choice are the choice of n, so a caller may cut it to what fits the context.
    """
    if count < 0:
        raise ValueError(f"count of examples: got {count}, expected 0 or more")
    generator = random.Random(seed)
    first_with: dict[str, Row] = {}
    for row in train_rows:
        first_with.setdefault(row.question, row)
    rows = list(first_with.values())
    order = _by_label(rows, labels, generator) if labels is not None else _by_length(rows, generator)
    return list(islice(order, count))


def _by_label(rows: Sequence[Row], labels: Sequence[str], generator: random.Random) -> Iterator[Row]:
    of_label: dict[str, list[Row]] = {label: [] for label in labels}
    for row in rows:
        if row.label in of_label:
            of_label[row.label].append(row)
    queues = list(of_label.values())
    generator.shuffle(queues)
    for queue in queues:
        generator.shuffle(queue)
    for turn in range(max(map(len, queues), default=0)):
        yield from (queue[turn] for queue in queues if turn < len(queue))


def _by_length(rows: Sequence[Row], generator: random.Random) -> Iterator[Row]:
    left = list(rows)
    # Shuffled first, so that the seed decides among rows of one length.
    generator.shuffle(left)
    left.sort(key=lambda row: len(row.question) + len(row.answer))
    chosen: list[frozenset[str]] = []
    for share in _halvings():
        if not left:
            return
        start = min(max(0, int(share * len(left)) - _WINDOW // 2), max(0, len(left) - _WINDOW))
        window = range(start, min(start + _WINDOW, len(left)))
        row = left.pop(min(window, key=lambda index: _likeness(_words(left[index]), chosen)))
        chosen.append(_words(row))
        yield row


def _halvings() -> Iterator[float]:
    """1/2, 1/4, 3/4, 1/8, 5/8, 3/8, 7/8, ...: every beginning covers 0 to 1 evenly."""
    number = 1
    while True:
        yield int(f"{number:b}"[::-1], 2) / (1 << number.bit_length())
        number += 1


def _likeness(words: frozenset[str], chosen: Sequence[frozenset[str]]) -> float:
    """The largest Jaccard similarity to a chosen row; 0 before there is one."""
    return max((len(words & other) / max(1, len(words | other)) for other in chosen), default=0.0)


def _words(row: Row) -> frozenset[str]:
    return frozenset(re.findall(r"\w+", f"{row.question} {row.answer}".casefold()))
