"""Which train rows a few-shot prompt shows the base, and how."""

from __future__ import annotations

import random
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Any

from rankwise.data.read import Message, Row
from rankwise.data.render import AssistantTurns, Rendered, Renderer
from rankwise.data.split import split_rows

EXAMPLE_TOKENS = 2048
"""Most tokens the few-shot examples may take."""
EXAMPLES = 8
"""Examples shown, or one of each label where there are more labels."""
CANDIDATES = 8
"""Sets of examples that are drawn and held against each other."""
JUDGED_ROWS = 96
"""Most training rows that are held back to judge them by; never more than half of all."""

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


def draw_candidates(
    rows: Sequence[Row], count: int, seed: int, labels: Sequence[str] | None
) -> tuple[list[list[Row]], list[Row]]:
    """Different sets of at most `count` of the training rows, and the rows they are judged by, which none of them has.

    The first n of each are the candidates for n. Raises DataError where there are not two different questions.
    """
    pool, judged = split_rows(rows, min(0.5, JUDGED_ROWS / len(rows)), seed)
    drawn = [choose_examples(pool, count, seed, labels)]
    for number in range(1, CANDIDATES):
        # By length, the seed decides among rows of one length alone: so from another half of the rows each time.
        generator = random.Random(f"{seed} {number}")
        among = pool if labels is not None else generator.sample(pool, max(1, len(pool) // 2))
        drawn.append(choose_examples(among, count, seed + number, labels))
    return [chosen for place, chosen in enumerate(drawn) if chosen not in drawn[:place]], judged


def within(chosen: Sequence[Row], lengths: Mapping[str, int], room: int) -> list[Row]:
    """The first of `chosen` that take at most `room` tokens together; `lengths`: tokens of each, by its place."""
    kept: list[Row] = []
    for row in chosen:
        room -= lengths[row.where]
        if room < 0:
            break
        kept.append(row)
    return kept


def with_examples(renderer: Renderer, row: Row, examples: Sequence[Row]) -> Rendered:
    """The row after worked examples, shown as earlier turns of the same conversation."""
    shown = _after([example.messages for example in examples], row.messages)
    return renderer.render(replace(row, messages=shown, completion_start=None), "last")


class ExampleRenderer(Renderer):
    """Renders every row, and every prompt, after the same worked examples."""

    def __init__(self, folder: Path, examples: Sequence[Sequence[Message]]) -> None:
        super().__init__(folder)
        self.examples = examples

    def render(self, row: Row, turns: AssistantTurns = "all") -> Rendered:
        """What is asked for is the last answer, whatever `turns` says: the others are shown."""
        shown = _after(self.examples, row.messages)
        return super().render(replace(row, messages=shown, completion_start=None), "last")

    def prompt(self, messages: Sequence[Message], tools: Sequence[Mapping[str, Any]] | None = None) -> list[int]:
        return super().prompt(_after(self.examples, messages), tools)


def turns_of(example: Row) -> list[Message]:
    """What is shown of a row: all but its system message, which the row that is asked has too."""
    return [message for message in example.messages if message["role"] != "system"]


def _after(examples: Sequence[Sequence[Message]], messages: Sequence[Message]) -> tuple[Message, ...]:
    system = [message for message in messages if message["role"] == "system"]
    shown = [message for example in examples for message in example if message["role"] != "system"]
    return (*system, *shown, *(message for message in messages if message["role"] != "system"))


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
