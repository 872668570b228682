from __future__ import annotations

import random
import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import f1_score

from rankwise.evaluate.compare import Difference, Flips, difference, flips, verdict
from rankwise.evaluate.score import Answer, label_tallies, open_tallies, outcomes


def accuracy(correct: list[bool]):
    """The accuracy tally of a contestant that is right where `correct` says so."""
    return label_tallies(["a"] * len(correct), [Answer("a" if right else "b") for right in correct])[0]


def test_mcnemar_by_hand():
    # 8 rows gained, 1 lost: p = 2 * (C(9,0) + C(9,1)) / 2^9 = 20/512.
    adapter, base = [True] * 8 + [False] + [True] * 5, [False] * 8 + [True] * 6
    found = difference(accuracy(adapter), accuracy(base))
    assert (found.metric, found.test) == ("accuracy", "exact McNemar")
    assert found.p == pytest.approx(20 / 512)
    assert found.value == pytest.approx(7 / 14)
    assert difference(accuracy(base), accuracy(adapter)).p == pytest.approx(20 / 512)


def test_the_interval_is_the_one_theory_gives():
    # Row differences +1, 0, -1 with shares .2, .75, .05: mean .15, variance .2275.
    adapter = [True] * 200 + [False] * 50 + [True] * 750
    base = [False] * 200 + [True] * 800
    found = difference(accuracy(adapter), accuracy(base))
    half_width = 1.96 * (0.2275 / 1000) ** 0.5
    assert found.interval == pytest.approx((0.15 - half_width, 0.15 + half_width), abs=0.002)
    assert found.seen


def test_macro_f1_of_a_resample_is_that_of_scikit_learn():
    generator = np.random.default_rng(3)
    # The third label is so rare that many resamples do not hold it.
    references = generator.choice(list("abc"), size=30, p=[0.8, 0.15, 0.05])
    texts = np.where(generator.random(30) < 0.7, references, "b")
    tally = label_tallies(references.tolist(), [Answer(text) for text in texts.tolist()])[1]
    for _ in range(100):
        rows = generator.integers(0, 30, 30)
        expected = f1_score(references[rows], texts[rows], average="macro", zero_division=0)
        assert tally.combine(np.asarray(tally.rows[rows].sum(axis=0))[None]) == pytest.approx([expected])
    found = difference(tally, tally)
    assert (found.test, found.interval, found.p) == ("paired bootstrap", (0, 0), 1)


def test_bootstrap_p_by_hand():
    # Every row is better by the same amount, so every resample is: the least p there is.
    references = ["one two three four"] * 5
    better = open_tallies(references, [Answer("one two three four")] * 5)[-1]
    worse = open_tallies(references, [Answer("one two")] * 5)[-1]
    found = difference(better, worse, resamples=999)
    assert found.metric == "rouge_l"
    assert found.value == pytest.approx(1 - 2 / 3)
    assert found.interval == pytest.approx((1 / 3, 1 / 3))
    assert found.p == pytest.approx(2 / 1000)
    assert found.seen


def test_field_f1_weighs_fields_not_rows():
    references = ['{"a": 1, "b": 2, "c": 3}', '{"a": 1}']
    one = open_tallies(references, [Answer(references[0]), Answer("{}")])[1]
    other = open_tallies(references, [Answer("{}"), Answer(references[1])])[1]
    assert (one.metric, one.value, other.value) == ("field_f1", pytest.approx(6 / 7), pytest.approx(2 / 5))
    found = difference(one, other)
    assert found.value == pytest.approx(6 / 7 - 2 / 5)
    # A resample holds the first row twice (F1 1 and 0), the second twice (0 and 1), or both.
    assert found.interval == pytest.approx((-1, 1))
    # A quarter of the resamples is at -1: p = 1/2.
    assert found.p == pytest.approx(0.5, abs=0.03)


answers = st.builds(Answer, st.sampled_from("abcd"), error=st.none() | st.none() | st.just("boom"))
rows = st.lists(st.tuples(st.sampled_from("abcd"), answers, answers), min_size=1, max_size=30)


@settings(max_examples=40, deadline=None)
@given(rows)
def test_identical_contestants_show_no_difference(table):
    references = [f"word: {row[0]}" for row in table]
    texts = [row[1] for row in table]
    for tally in [*label_tallies(references, texts), *open_tallies(references, texts)]:
        found = difference(tally, tally, resamples=200)
        assert (found.value, found.interval, found.p, found.seen) == (0, (0, 0), 1, False)


@settings(max_examples=40, deadline=None)
@given(rows, st.randoms(use_true_random=False))
def test_row_order_has_no_influence(table, shuffler):
    shuffled = shuffler.sample(table, len(table))

    def found(rows):
        references, one, other = ([row[column] for row in rows] for column in range(3))
        pairs = zip(label_tallies(references, one), label_tallies(references, other), strict=True)
        return [difference(*pair, resamples=200) for pair in pairs]

    for one, other in zip(found(table), found(shuffled), strict=True):
        assert one.interval == pytest.approx(other.interval)
        assert one.p == other.p
        assert one.value == pytest.approx(other.value)


@settings(max_examples=40, deadline=None)
@given(rows, st.integers(0, 3))
def test_differences_are_bounded_and_seeded(table, seed):
    references, one, other = ([row[column] for row in table] for column in range(3))
    for first, second in zip(label_tallies(references, one), label_tallies(references, other), strict=True):
        found = difference(first, second, seed, resamples=200)
        assert -1 <= found.interval[0] <= found.interval[1] <= 1
        assert 0 < found.p <= 1
        assert found.value == pytest.approx(first.value - second.value)
        assert found == difference(first, second, seed, resamples=200)


def test_pieces_of_any_size_cover_all_resamples(monkeypatch):
    adapter, base = accuracy([True] * 60 + [False] * 40), accuracy([True, False] * 50)
    whole = difference(adapter, base)
    monkeypatch.setattr("rankwise.evaluate.compare._DRAWS_AT_ONCE", 1_700)
    assert difference(adapter, base).interval == pytest.approx(whole.interval, abs=0.02)


def test_5000_rows_of_150_labels_in_under_5_seconds():
    generator = random.Random(0)
    labels = [f"label {number}" for number in range(150)]
    references = [generator.choice(labels) for _ in range(5_000)]
    contestants = [
        [Answer(label if generator.random() < share else generator.choice(labels)) for label in references]
        for share in (0.8, 0.6)
    ]
    tallies = [label_tallies(references, texts)[1] for texts in contestants]
    start = time.perf_counter()
    found = difference(*tallies)
    assert time.perf_counter() - start < 5
    assert found.seen


def test_tallies_must_belong_together():
    one, other = label_tallies(["a"], [Answer("a")])
    with pytest.raises(ValueError, match="accuracy of 1 rows and macro_f1 of 1"):
        difference(one, other)
    with pytest.raises(ValueError, match="accuracy of 2"):
        difference(one, accuracy([True, True]))


def test_flips_by_hand():
    before = outcomes(["a"] * 5, [Answer(text) for text in "abbab"])
    after = outcomes(["a"] * 5, [Answer("b"), Answer("a"), Answer("b"), Answer("a"), Answer("a", truncated=True)])
    assert flips(before, after) == Flips(gained=(1,), lost=(0,))
    assert flips(after, before) == Flips(gained=(0,), lost=(1,))


def apart(value: float) -> Difference:
    return Difference("macro_f1", value, (value - 0.02, value + 0.02), 0.001, "paired bootstrap")


def unclear(value: float) -> Difference:
    return Difference("macro_f1", value, (value - 0.1, value + 0.1), 0.4, "paired bootstrap")


SCORES = {"base": 0.3, "few_shot": 0.5, "baseline": 0.7, "adapter": 0.8}


def test_a_verdict_on_an_adapter_that_helped():
    text = verdict(SCORES, {"base": apart(0.5), "few_shot": apart(0.3), "baseline": apart(0.1)})
    assert text.splitlines() == [
        "The adapter (0.800) beats the base (0.300) in macro-F1: +0.500, 95% interval +0.480 to +0.520, p = 0.001.",
        "The adapter (0.800) beats the few-shot base (0.500) in macro-F1: "
        "+0.300, 95% interval +0.280 to +0.320, p = 0.001.",
        "The adapter (0.800) beats the cheap baseline (0.700) in macro-F1: "
        "+0.100, 95% interval +0.080 to +0.120, p = 0.001.",
    ]


def test_a_cheap_contestant_that_wins_is_named_first():
    lost = {**SCORES, "adapter": 0.6}
    first, second, third = verdict(
        lost, {"base": apart(0.3), "few_shot": unclear(0.05), "baseline": apart(-0.1)}
    ).splitlines()
    assert first.startswith("The cheap baseline (0.700) beats the adapter (0.600) in macro-F1: -0.100")
    assert second.startswith("No difference seen between the adapter (0.600) and the few-shot base (0.500)")
    assert third.startswith("The adapter (0.600) beats the base")


def test_a_base_that_wins_comes_before_what_cannot_be_told_apart():
    lines = verdict(
        {**SCORES, "adapter": 0.2}, {"base": apart(-0.1), "few_shot": unclear(-0.05), "baseline": apart(-0.5)}
    ).splitlines()
    assert [line.partition(" (")[0] for line in lines] == [
        "The base",
        "The cheap baseline",
        "No difference seen between the adapter",
    ]
    beaten_last = verdict(SCORES, {"base": unclear(0.05), "few_shot": apart(0.3), "baseline": unclear(0.1)})
    assert ["few-shot" in line for line in beaten_last.splitlines()] == [False, False, True]


@pytest.mark.parametrize("name", ["few_shot", "baseline"])
def test_a_cheap_contestant_that_is_as_good_is_named_first(name):
    others = {other: apart(0.3) for other in ("base", "few_shot", "baseline") if other != name}
    text = verdict(SCORES, {**others, name: unclear(0.02)})
    assert text.startswith("No difference seen between the adapter")
    assert "equal" not in text


def test_seen_needs_interval_and_test_to_agree():
    assert not Difference("accuracy", 0.2, (0.05, 0.4), 0.0625, "exact McNemar").seen
    assert not Difference("accuracy", 0.2, (-0.01, 0.4), 0.04, "exact McNemar").seen
    assert Difference("accuracy", -0.2, (-0.4, -0.05), 0.04, "exact McNemar").seen
