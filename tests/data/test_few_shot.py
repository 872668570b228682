from __future__ import annotations

from collections import Counter
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rankwise.data.few_shot import choose_examples
from rankwise.data.read import Row


def row(question: str, answer: str, *, label: bool = False) -> Row:
    messages = ({"role": "user", "content": question}, {"role": "assistant", "content": answer})
    return Row("train.jsonl:1", messages, question, answer, answer if label else None, None, None)


def label_rows(**counts: int) -> list[Row]:
    return [row(f"{label} {number}", label, label=True) for label, count in counts.items() for number in range(count)]


LABELS = ["a", "b", "c"]


def test_labels_take_turns_however_unlike_their_counts():
    chosen = choose_examples(label_rows(a=90, b=5, c=2), 8, 0, LABELS)
    assert {row.label for row in chosen[:3]} == {row.label for row in chosen[3:6]} == set(LABELS)
    assert Counter(row.label for row in chosen) == {"a": 3, "b": 3, "c": 2}


def test_fewer_examples_than_labels_are_of_different_labels():
    assert len({row.label for row in choose_examples(label_rows(a=9, b=9, c=9), 2, 0, LABELS)}) == 2


def test_a_label_that_is_not_asked_for_is_not_shown():
    assert {row.label for row in choose_examples(label_rows(a=3, z=3), 6, 0, LABELS)} == {"a"}
    assert choose_examples(label_rows(z=3), 6, 0, LABELS) == []


def test_open_examples_cover_the_lengths():
    rows = [row(f"question {number}", "x " * number) for number in range(400)]
    lengths = [len(row.answer) // 2 for row in choose_examples(rows, 7, 0, None)]
    expected = [200, 100, 300, 50, 250, 150, 350]
    assert all(abs(length - near) <= 12 for length, near in zip(lengths, expected, strict=True))


def test_open_examples_are_unlike_each_other():
    rows = [row(f"replace hose {number:02}", "hose replaced") for number in range(15)]
    rows.append(row("engine won't run", "no start"))
    assert "no start" in {row.answer for row in choose_examples(rows, 2, 0, None)}
    first, second = choose_examples([row("x y", "z"), row("x y z", "z"), row("p q r", "s")], 2, 0, None)
    assert not {*first.question.split()} & {*second.question.split()}


tables = st.lists(
    st.builds(
        lambda question, answer: row(question, answer, label=True),
        st.text("xy z", max_size=6),
        st.sampled_from("abcd"),
    ),
    max_size=40,
)


@settings(max_examples=50, deadline=None)
@given(tables, st.integers(0, 12), st.integers(0, 3), st.sampled_from([None, LABELS]))
def test_a_choice_is_seeded_without_repeats_and_grows_at_its_end(rows, count, seed, labels):
    chosen = choose_examples(rows, count, seed, labels)
    assert chosen == choose_examples(rows, count, seed, labels)
    assert chosen == choose_examples(rows, count + 1, seed, labels)[:count]
    assert all(row in rows for row in chosen)
    questions = [row.question for row in chosen]
    assert len(set(questions)) == len(questions)
    if labels is None:
        assert len(chosen) == min(count, len({row.question for row in rows}))
    else:
        first_with = {row.question: row.label for row in reversed(rows)}
        there, shown = Counter(first_with.values()), Counter(row.label for row in chosen)
        assert set(shown) <= set(labels)
        assert len(chosen) == min(count, sum(there[label] for label in labels))
        # A label falls behind another by two turns only when it has no more rows.
        assert all(shown[one] <= shown[other] + 1 or shown[other] == there[other] for one in shown for other in labels)


def test_seeds_differ():
    rows = label_rows(a=50, b=50, c=50)
    assert any(one != other for one, other in pairwise(choose_examples(rows, 6, seed, LABELS) for seed in range(4)))
    same_length = [row(f"question {number:03}", "x") for number in range(200)]
    assert choose_examples(same_length, 4, 0, None) != choose_examples(same_length, 4, 1, None)


def test_a_negative_count_is_refused():
    with pytest.raises(ValueError, match="got -1"):
        choose_examples([], -1, 0, None)
