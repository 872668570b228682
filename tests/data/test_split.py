from __future__ import annotations

from collections import Counter
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rankwise.data.read import Row
from rankwise.data.split import split_rows, spread
from rankwise.errors import DataError


def label_row(number: int, text: str, label: str) -> Row:
    messages = ({"role": "user", "content": text}, {"role": "assistant", "content": label})
    return Row(f"d.jsonl:{number}", messages, question=text, answer=label, label=label)


def open_row(number: int, text: str, answer: str = "x") -> Row:
    messages = ({"role": "user", "content": text}, {"role": "assistant", "content": answer})
    return Row(f"d.jsonl:{number}", messages, question=text, answer=answer, instruction=text)


several_rows = st.lists(st.tuples(st.integers(0, 30), st.sampled_from("abc")), min_size=2, max_size=60).map(
    lambda pairs: [label_row(n, f"question {q}", label) for n, (q, label) in enumerate(pairs)]
)


@given(rows=several_rows, fraction=st.floats(0.01, 0.99), seed=st.integers(0, 2**32 - 1))
def test_no_row_is_lost_and_no_question_is_on_both_sides(rows: list[Row], fraction: float, seed: int) -> None:
    if len({row.question for row in rows}) < 2:
        with pytest.raises(DataError, match="too-few-rows"):
            split_rows(rows, fraction, seed)
        return
    train, held_out = split_rows(rows, fraction, seed)
    assert train and held_out
    number = {row.where: n for n, row in enumerate(rows)}
    assert sorted(number[row.where] for row in train + held_out) == list(range(len(rows)))
    for side in (train, held_out):
        assert [number[row.where] for row in side] == sorted(number[row.where] for row in side)
    assert not {row.question for row in train} & {row.question for row in held_out}


@given(
    sizes=st.dictionaries(st.sampled_from("abcdef"), st.integers(2, 40), min_size=1),
    fraction=st.floats(0.05, 0.5),
    seed=st.integers(0, 99),
)
def test_labels_keep_their_shares(sizes: dict[str, int], fraction: float, seed: int) -> None:
    rows = [label_row(n, f"{label} {n}", label) for label, size in sizes.items() for n in range(size)]
    train, held_out = split_rows(rows, fraction, seed)
    total = max(1, round(fraction * len(rows)))
    assert len(held_out) == total
    taken, kept = Counter(row.label for row in held_out), Counter(row.label for row in train)
    for label, size in sizes.items():
        assert abs(taken[label] - total * size / len(rows)) < 1 or kept[label] == 1
        assert kept[label] >= 1


def test_labels_of_equal_size_give_equally() -> None:
    rows = [label_row(n, f"text {n}", "abcd"[n % 4]) for n in range(400)]
    _, held_out = split_rows(rows, 0.1, 0)
    assert Counter(row.label for row in held_out) == dict.fromkeys("abcd", 10)


def test_the_choice_is_the_same_everywhere_and_follows_the_seed() -> None:
    rows = [open_row(n, f"question {n}") for n in range(40)]

    def chosen(seed: int, given_rows: list[Row] = rows) -> list[str]:
        return sorted(row.question for row in split_rows(given_rows, 0.1, seed)[1])

    assert chosen(0) == ["question 20", "question 25", "question 26", "question 30"]
    assert chosen(0) == chosen(0, rows[::-1])
    assert chosen(0) != chosen(1)


def test_a_conversation_is_known_by_all_its_user_turns() -> None:
    def row(number: int, opening: str) -> Row:
        turns = ("user", opening), ("assistant", "ok"), ("user", "go on"), ("assistant", "x")
        messages = tuple({"role": role, "content": content} for role, content in turns)
        return Row(f"d.jsonl:{number}", messages, question="go on", answer="x")

    train, held_out = split_rows([row(n, f"opening {n // 2}") for n in range(20)], 0.2, 0)
    assert (len(train), len(held_out)) == (16, 4)
    assert not {r.messages[0]["content"] for r in train} & {r.messages[0]["content"] for r in held_out}


def test_one_row_is_held_out_of_a_few() -> None:
    train, held_out = split_rows([open_row(1, "a"), open_row(2, "b")], 0.1, 0)
    assert (len(train), len(held_out)) == (1, 1)
    train, held_out = split_rows([open_row(n, "ab"[n % 2]) for n in range(10)], 0.1, 0)
    assert (len(train), len(held_out)) == (5, 5)


def test_too_few_rows_are_refused() -> None:
    for rows in ([], [open_row(1, "a")], [open_row(1, "a b"), open_row(2, " a  b ")]):
        with pytest.raises(DataError, match="at least 2 are needed"):
            split_rows(rows, 0.1, 0)


@pytest.mark.parametrize("fraction", [0.0, 1.0, -0.1, 2.0])
def test_a_fraction_that_is_none(fraction: float) -> None:
    with pytest.raises(ValueError, match="expected a number between 0 and 1"):
        split_rows([open_row(1, "a"), open_row(2, "b")], fraction, 0)


@given(st.lists(st.integers()), st.integers(1, 50))
def test_spread_takes_some_of_everything_in_order(values: list[int], count: int) -> None:
    taken = spread(range(len(values)), count)
    assert len(taken) == min(count, len(values)) and taken == sorted(set(taken))
    assert max((b - a for a, b in pairwise(taken)), default=0) <= -(-len(values) // count)
