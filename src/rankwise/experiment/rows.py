"""The rows of an experiment: the same for all its cells, drawn by seed, and held out in two halves.

By the one half a rate and a step are chosen, on the other the cells are scored, so that picking the best of several is
not rewarded for luck.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from rankwise.data.render import Rendered
from rankwise.data.split import split_rows
from rankwise.data.table import Row
from rankwise.plan import Prepared


@dataclass(frozen=True)
class LabRows:
    prepared: Prepared
    """Its training rows, and as held-out rows those by which is chosen."""
    scored: tuple[Row, ...]
    scored_rendered: tuple[Rendered, ...]


def draw_rows(prepared: Prepared, train: int, held_out: int, seed: int) -> LabRows:
    """About so many rows of each side, each label in proportion. Raises DataError if the held-out rows ask fewer than
    two different questions."""
    corpus = prepared.corpus
    kept = _drawn(corpus.train, train, seed)
    choosing, scored = split_rows(_drawn(corpus.held_out, held_out, seed), 0.5, seed)
    smaller = replace(
        corpus,
        train=tuple(kept),
        train_rendered=_rendered(kept, corpus.train, corpus.train_rendered),
        held_out=tuple(choosing),
        held_out_rendered=_rendered(choosing, corpus.held_out, corpus.held_out_rendered),
    )
    scored_rendered = _rendered(scored, corpus.held_out, corpus.held_out_rendered)
    return LabRows(replace(prepared, corpus=smaller), tuple(scored), scored_rendered)


def _drawn(rows: Sequence[Row], count: int, seed: int) -> list[Row]:
    """The side of a split that keeps every label."""
    return list(rows) if count >= len(rows) else split_rows(rows, 1 - count / len(rows), seed)[0]


def _rendered(kept: Sequence[Row], rows: Sequence[Row], rendered: Sequence[Rendered]) -> tuple[Rendered, ...]:
    places = {id(row) for row in kept}
    return tuple(shown for row, shown in zip(rows, rendered, strict=True) if id(row) in places)
