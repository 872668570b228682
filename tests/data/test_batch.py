"""Packing and order, as properties over any rows."""

from __future__ import annotations

from collections import Counter
from itertools import islice

from hypothesis import given, settings
from hypothesis import strategies as st

from rankwise.data.batch import SHARED_PREFIX_FLOOR, epoch_order, pack, shared_prefix, split_evenly, steps
from rankwise.data.render import Rendered


@st.composite
def batches(draw: st.DrawFn) -> list[Rendered]:
    """Rows of few different tokens that begin alike for a while."""
    start = draw(st.lists(st.integers(0, 2), max_size=30))
    rows = []
    for _ in range(draw(st.integers(1, 5))):
        shared = draw(st.integers(0, len(start)))
        ids = (*start[:shared], *draw(st.lists(st.integers(0, 2), min_size=2, max_size=12)))
        on = draw(st.lists(st.booleans(), min_size=len(ids) - 1, max_size=len(ids) - 1))
        supervised = (False, *on) if any(on) else (False, *on[:-1], True)
        rows.append(Rendered(ids, supervised, supervised.index(True), True))
    return rows


@given(batches(), st.booleans())
def test_targets_are_exactly_the_supervised_tokens_and_each_follows_its_own_row(
    rows: list[Rendered], share: bool
) -> None:
    batch = pack(rows, share)
    expected = [(place, i) for place, row in enumerate(rows) for i, on in enumerate(row.supervised) if on]
    assert list(zip(batch.row_of, batch.targets, strict=True)) == [(place, rows[place].ids[i]) for place, i in expected]
    starts = [batch.prefix + sum(batch.lengths[:place]) for place in range(len(rows))]
    for at, (place, i) in zip(batch.at, expected, strict=True):
        assert batch.ids[at] == rows[place].ids[i - 1]
        assert at == (i - 1 if i - 1 < batch.prefix else starts[place] + i - 1 - batch.prefix)


@given(batches(), st.booleans())
def test_prefix_and_own_tokens_are_the_rows(rows: list[Rendered], share: bool) -> None:
    batch = pack(rows, share)
    start = batch.prefix
    for row, length in zip(rows, batch.lengths, strict=True):
        assert length >= 1
        assert (*batch.ids[: batch.prefix], *batch.ids[start : start + length]) == row.ids
        start += length
    assert start == len(batch.ids)
    assert batch.prefix == 0 or (share and len(rows) > 1 and batch.prefix >= SHARED_PREFIX_FLOOR)


@given(batches())
def test_the_shared_prefix_is_the_longest_there_may_be(rows: list[Rendered]) -> None:
    def may(end: int) -> bool:
        return all(
            row.ids[:end] == rows[0].ids[:end] and len(row.ids) > end and not any(row.supervised[:end]) for row in rows
        )

    end = shared_prefix(rows)
    assert may(end) and not may(end + 1)
    batch = pack(rows, share=True)
    assert batch.prefix == (end if len(rows) > 1 and end >= SHARED_PREFIX_FLOOR else 0)


@given(st.integers(1, 200), st.integers(0, 2**32 - 1), st.integers(0, 50))
def test_each_epoch_is_a_permutation_fixed_by_seed_and_epoch(num_rows: int, seed: int, epoch: int) -> None:
    order = epoch_order(num_rows, seed, epoch)
    assert sorted(order) == list(range(num_rows))
    assert order == epoch_order(num_rows, seed, epoch)


def test_seeds_and_epochs_give_different_orders_and_never_change() -> None:
    assert len({tuple(epoch_order(50, seed, epoch)) for seed in range(5) for epoch in range(5)}) == 25
    assert epoch_order(8, 0, 0) == [2, 4, 3, 6, 5, 0, 1, 7]


@settings(deadline=None)
@given(st.integers(1, 30), st.integers(1, 40), st.integers(0, 99), st.integers(1, 12), st.data())
def test_steps_run_through_whole_epochs_and_can_be_taken_up_anywhere(
    num_rows: int, step_rows: int, seed: int, num_steps: int, data: st.DataObject
) -> None:
    every = list(steps(num_rows, step_rows, seed, 0, num_steps))
    assert [len(step) for step in every] == [step_rows] * num_steps
    flat = [row for step in every for row in step]
    for epoch in range(len(flat) // num_rows):
        assert flat[epoch * num_rows : (epoch + 1) * num_rows] == epoch_order(num_rows, seed, epoch)
    counts = Counter(flat)
    assert max(counts.values()) - min(counts[row] for row in range(num_rows)) <= 1
    k = data.draw(st.integers(0, num_steps))
    assert list(steps(num_rows, step_rows, seed, k, num_steps)) == every[k:]
    assert list(islice(steps(num_rows, step_rows, seed, k, num_steps + 5), num_steps - k)) == every[k:]


@given(st.lists(st.integers(), min_size=1, max_size=60), st.integers(1, 70))
def test_micro_batches_are_even_in_order_and_never_empty(rows: list[int], parts: int) -> None:
    split = split_evenly(rows, parts)
    assert [row for part in split for row in part] == rows
    assert len(split) == min(parts, len(rows))
    sizes = [len(part) for part in split]
    assert min(sizes) >= 1 and max(sizes) - min(sizes) <= 1
