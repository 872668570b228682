"""Draws: stratified, the same for a seed, and two halves that share nothing."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

from rankwise.experiment.bench import Bench
from rankwise.experiment.rows import draw_rows


def test_a_draw_keeps_labels_in_proportion_and_halves_apart(bench_of: Callable[..., Bench]):
    prepared = bench_of(train=90, held_out=48).prepared
    rows = draw_rows(prepared, 30, 24, 0)
    corpus = rows.prepared.corpus
    assert Counter(row.label for row in corpus.train) == {"low": 10, "medium": 10, "high": 10}
    assert len(corpus.held_out) == len(rows.scored) == 12
    assert not {row.where for row in corpus.held_out} & {row.where for row in rows.scored}
    for kept, shown in ((corpus.train, corpus.train_rendered), (rows.scored, rows.scored_rendered)):
        assert [prepared.renderer.render(row, "all").ids for row in kept] == [row.ids for row in shown]
    again, other = draw_rows(prepared, 30, 24, 0), draw_rows(prepared, 30, 24, 1)
    assert again.prepared.corpus.train == corpus.train and again.scored == rows.scored
    assert other.prepared.corpus.train != corpus.train


def test_all_rows_are_all_rows_in_their_order(bench_of: Callable[..., Bench]):
    prepared = bench_of().prepared
    assert draw_rows(prepared, 48, 24, 0).prepared.corpus.train == prepared.corpus.train
