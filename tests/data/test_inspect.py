from __future__ import annotations

import json
import time
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rankwise.data.inspect import Inspection, inspect_rows
from rankwise.data.read import Row

WORDS = [f"w{n}" for n in range(40)]


def label_row(where: str, text: str, label: str = "a") -> Row:
    messages = ({"role": "user", "content": text}, {"role": "assistant", "content": label})
    return Row(where, messages, question=text, answer=label, label=label)


def alpaca_row(where: str, instruction: str, given: str, output: str = "x") -> Row:
    messages = ({"role": "user", "content": f"{instruction}\n{given}"}, {"role": "assistant", "content": output})
    return Row(where, messages, question=given, answer=output, instruction=instruction)


def inspect(train: Sequence[Row], held_out: Sequence[Row] = ()) -> Inspection:
    return inspect_rows(train, held_out, [1] * len(train), [1] * len(held_out), 10)


def messages(inspection: Inspection) -> list[str]:
    return [str(problem) for problem in inspection.problems]


def distinct(number: int) -> str:
    """Texts without a word in common."""
    return " ".join(f"t{number}x{n}" for n in range(12))


def test_lengths_in_closed_form() -> None:
    rows = [label_row(f"t:{n}", distinct(n), "ab"[n % 2]) for n in range(100)]
    found = inspect_rows(rows, rows[:0], list(range(1, 101)), [], 100)
    assert (found.train_rows, found.held_out_rows, found.shape) == (100, 0, "labels")
    lengths = found.train_lengths
    assert (lengths.p50, lengths.p95, lengths.max, lengths.total) == (50, 95, 100, 5050)
    assert lengths.histogram[0] == (0, 9, 9) and lengths.histogram[1] == (10, 19, 10)
    assert lengths.histogram[-1] == (100, 109, 1)
    assert found.held_out_lengths.histogram == ()
    assert found.over_limit == () and messages(found) == []


def test_rows_that_were_over_the_limit_are_counted_though_they_are_gone() -> None:
    rows = [label_row(f"t:{n}", distinct(n), "ab"[n]) for n in range(2)]
    found = inspect_rows(rows, [], [5, 6], [], 6, [f"t:{n}" for n in range(2, 62)])
    assert found.over_limit[0] == "t:2" and messages(found) == []
    assert found.as_json()["over_limit"]["rows"] == 60 and len(found.as_json()["over_limit"]["listed"]) == 50


@given(st.lists(st.integers(0, 5000), min_size=1, max_size=60))
def test_the_histogram_holds_every_row(lengths: list[int]) -> None:
    rows = [label_row(f"t:{n}", f"{n}") for n in range(len(lengths))]
    summary = inspect_rows(rows, [], lengths, [], 10_000).train_lengths
    assert sum(count for _, _, count in summary.histogram) == len(lengths)
    for low, high, count in summary.histogram:
        assert count == sum(low <= length <= high for length in lengths)
    assert len(summary.histogram) <= 14
    assert sum(length <= summary.p50 for length in lengths) >= len(lengths) / 2
    assert sum(length < summary.p50 for length in lengths) < len(lengths) / 2


def test_label_balance_and_its_faults() -> None:
    train = [label_row(f"t:{n}", distinct(n), "many") for n in range(22)]
    train += [label_row("t:22", distinct(22), "few"), label_row("t:23", distinct(23), "Few ")]
    held_out = [label_row("h:0", distinct(30), "many"), label_row("h:1", distinct(31), "new")]
    found = inspect(train, held_out)
    assert found.labels == (("many", 22, 1), ("Few ", 1, 0), ("few", 1, 0), ("new", 0, 1))
    assert messages(found) == [
        't:22: warning: label "many" has 22 rows, "few" 1: judge by macro-F1, or add rows of the rare labels '
        "(warned of over 10 to 1) [label-imbalance]",
        't:22: warning: labels "Few ", "few" differ only in case or space; write them alike [label-variants]',
        'h:1: warning: held-out labels that no training row has, 1: "new" (1 row); they cannot be answered rightly '
        "[unseen-label]",
        'note: labels that no held-out row has, 2: "Few ", "few"; they are not judged [label-not-held-out]',
    ]


def test_a_single_label() -> None:
    assert messages(inspect([label_row("t:1", distinct(1)), label_row("t:2", distinct(2))])) == [
        't:1: warning: every training row has the label "a"; there is nothing to tell apart [single-label]'
    ]


def test_ten_to_one_is_not_yet_imbalance() -> None:
    rows = [label_row(f"t:{n}", distinct(n), "ab"[n == 10]) for n in range(11)]
    assert messages(inspect(rows)) == []


def test_exact_duplicates_contradictions_and_overlap() -> None:
    train = [
        label_row("t:1", distinct(1), "a"),
        label_row("t:2", distinct(2), "b"),
        label_row("t:3", f" {distinct(1)}\n", "a"),
        label_row("t:4", distinct(2), "a"),
        label_row("t:5", distinct(1), "a"),
    ]
    held_out = [label_row("h:1", distinct(2), "b"), label_row("h:2", distinct(3), "a")]
    found = inspect(train, held_out)
    assert found.exact_duplicates == (("t:1", "t:3", "t:5"),)
    assert found.contradictions == (("t:2", "t:4", "h:1"),)
    assert found.exact_overlap == (("h:1", "t:2"),)
    assert found.near_duplicates == () and found.near_overlap == ()
    assert messages(found) == [
        "t:1: warning: 2 rows equal to an earlier one: t:1 = t:3 = t:5; drop the repeats [exact-duplicates]",
        "t:2: warning: texts with more than one label, 1: t:2 = t:4 = h:1; keep the right one [contradictory-rows]",
        "h:1: warning: 1 held-out row with the prompt of a training row: h:1 = t:2; scores on them flatter "
        "[exact-overlap]",
    ]


def test_several_answers_to_an_open_question_are_a_note() -> None:
    found = inspect([alpaca_row("t:1", "Say", "hello", "x"), alpaca_row("t:2", "Say", "hello", "y")])
    assert messages(found) == ["t:1: note: questions with more than one answer, 1: t:1 = t:2 [contradictory-rows]"]


def test_near_duplicates_by_construction() -> None:
    """40 words give 38 shingles of 3: a changed last word changes 1 of them (37/39 = 0.95 alike), another word 3."""
    base = " ".join(WORDS)
    last = " ".join([*WORDS[:-1], "other"])
    middle = " ".join([*WORDS[:20], "other", *WORDS[21:]])  # 35/41 = 0.854
    two = " ".join([*WORDS[:10], "other", *WORDS[11:30], "another", *WORDS[31:]])  # 32/44 = 0.73
    train = [
        label_row("t:1", base, "a"),
        label_row("t:2", distinct(1), "b"),
        label_row("t:3", last, "a"),
        label_row("t:4", two, "a"),
        label_row("t:5", base.upper() + "!", "a"),
    ]
    found = inspect(train, [label_row("h:1", last, "a"), label_row("h:2", middle, "a"), label_row("h:3", two, "b")])
    assert found.near_duplicates == (("t:1", "t:3", "t:5"),)
    assert ("h:1", "t:3") in found.exact_overlap and ("h:3", "t:4") in found.exact_overlap
    assert found.near_overlap == (("h:2", "t:1"),)


def test_pairs_at_the_threshold_are_found() -> None:
    """Of 60 pairs that are 0.9 alike, each proposed with probability 0.996, all but a few must be found."""
    train, held_out = [], []
    for n in range(60):
        words = [f"p{n}x{i}" for i in range(41)]  # 39 shingles; two new words at the end change 2: 37/41 = 0.902
        train.append(label_row(f"t:{n}", " ".join(words), "a"))
        held_out.append(label_row(f"h:{n}", " ".join([*words[:-2], "new", "words"]), "a"))
    found = inspect(train, held_out)
    assert len(found.near_overlap) >= 57
    assert all(h[2:] == t[2:] for h, t in found.near_overlap)


def test_one_input_under_two_instructions_is_no_duplicate() -> None:
    text = " ".join(WORDS)
    found = inspect([alpaca_row("t:1", "Translate.", text), alpaca_row("t:2", "Summarise.", text)])
    assert messages(found) == []


def test_the_prompt_that_all_rows_share_does_not_make_them_alike() -> None:
    def row(number: int) -> Row:
        text = f"{' '.join(WORDS)} ticket{number} is late"
        turns = ({"role": "user", "content": text}, {"role": "assistant", "content": "x"})
        return Row(f"t:{number}", turns, question=text, answer="x", completion_start=1)

    assert messages(inspect([row(n) for n in range(30)])) == []


def test_json_holds_counts_and_places() -> None:
    rows = [label_row(f"t:{n}", distinct(n // 2), "ab"[n // 2 % 2]) for n in range(200)]
    found = json.loads(json.dumps(inspect(rows).as_json()))
    assert found["rows"] == {"train": 200, "held_out": 0}
    assert found["exact_duplicates"]["groups"] == 100
    assert found["exact_duplicates"]["listed"][0] == ["t:0", "t:1"] and len(found["exact_duplicates"]["listed"]) == 50
    assert found["labels"] == [
        {"label": "a", "train": 100, "held_out": 0},
        {"label": "b", "train": 100, "held_out": 0},
    ]
    assert [problem["code"] for problem in found["problems"]] == ["exact-duplicates"]


def test_no_rows_and_mismatched_lengths() -> None:
    empty = inspect([])
    assert (empty.shape, empty.train_lengths.max, empty.problems) == (None, 0, ())
    with pytest.raises(ValueError, match="1 rows with 0 lengths"):
        inspect_rows([label_row("t:1", "a")], [], [], [], 10)


def test_thousands_of_rows_that_all_resemble_each_other_stay_cheap() -> None:
    rows = [label_row(f"t:{n}", f"{' '.join(WORDS)} row{n}", "a") for n in range(4000)]
    rows.append(label_row("t:4000", distinct(1), "b"))
    began = time.monotonic()
    found = inspect(rows)
    assert time.monotonic() - began < 30
    assert len(found.near_duplicates[0]) == 4000
