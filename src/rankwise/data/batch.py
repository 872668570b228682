"""Rendered rows become packed batches, in an order that a seed fixes and a cursor can take up anywhere."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from rankwise.data.render import Rendered

SHARED_PREFIX_FLOOR = 16
"""Shared tokens below which laying the prefix out apart costs more than it saves."""


@dataclass(frozen=True)
class Batch:
    """Rows packed into one sequence: `[shared prefix][row 0's own tokens][row 1's own tokens]...`"""

    ids: list[int]
    lengths: list[int]
    """Own tokens of each row."""
    prefix: int
    at: list[int]
    """Packed indices whose next token is supervised; an index of the prefix's end may repeat, once a row."""
    targets: list[int]
    """The supervised token after each of `at`."""
    row_of: list[int]
    """For each of `at`, the place of its row in this batch."""


def shared_prefix(rows: Sequence[Rendered]) -> int:
    """Tokens all rows begin with, at most up to the first supervised one, leaving each row at least one of its own."""
    first = rows[0].ids
    end = min(min(row.supervised.index(True), len(row.ids) - 1) for row in rows)
    for row in rows[1:]:
        ids = row.ids
        while ids[:end] != first[:end]:
            end = next((i for i in range(end) if ids[i] != first[i]), end)
    return end


def pack(rows: Sequence[Rendered], share: bool) -> Batch:
    """Lay rows out as one sequence; `share` computes a common beginning of at least 16 tokens only once."""
    prefix = shared_prefix(rows) if share and len(rows) > 1 else 0
    if prefix < SHARED_PREFIX_FLOOR:
        prefix = 0
    batch = Batch(list(rows[0].ids[:prefix]), [], prefix, [], [], [])
    for place, row in enumerate(rows):
        start = len(batch.ids)
        batch.ids.extend(row.ids[prefix:])
        batch.lengths.append(len(row.ids) - prefix)
        for i in range(1, len(row.ids)):
            if row.supervised[i]:
                before = i - 1
                batch.at.append(before if before < prefix else start + before - prefix)
                batch.targets.append(row.ids[i])
                batch.row_of.append(place)
    return batch


def epoch_order(num_rows: int, seed: int, epoch: int) -> list[int]:
    """The rows' order in one epoch: the same for the same seed, on every machine."""
    return [int(i) for i in np.random.default_rng([seed, epoch]).permutation(num_rows)]


def steps(num_rows: int, step_rows: int, seed: int, first_step: int, num_steps: int) -> Iterator[list[int]]:
    """Row numbers of each optimizer step from `first_step` on; epochs follow one another without a gap.

    The position is derived from the step alone, so resuming needs no other state.
    """
    epoch, order = -1, []
    for step in range(first_step, num_steps):
        chosen = []
        for place in range(step * step_rows, (step + 1) * step_rows):
            if place // num_rows != epoch:
                epoch = place // num_rows
                order = epoch_order(num_rows, seed, epoch)
            chosen.append(order[place % num_rows])
        yield chosen


def split_evenly(rows: Sequence[int], parts: int) -> list[list[int]]:
    """`parts` micro-batches in order, their sizes differing by at most one, none empty."""
    parts = min(parts, len(rows))
    bounds = [round(i * len(rows) / parts) for i in range(parts + 1)]
    return [list(rows[a:b]) for a, b in pairwise(bounds)]
