from __future__ import annotations

import json
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rouge_score.rouge_scorer import RougeScorer
from sklearn.metrics import accuracy_score, f1_score

from rankwise.evaluate.score import (
    Answer,
    count_outcomes,
    label_scores,
    label_tallies,
    normalise,
    open_scores,
    open_tallies,
    outcomes,
    rouge_l,
)


def said(*texts: str) -> list[Answer]:
    return [Answer(text) for text in texts]


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("  two  words\n", "two words"),
        ('{"a": 1, "b": [true, null]}', '{ "b": [true,null],\n "a": 1.0 }'),
        ('{"a": 100}', '{"a": 1e2}'),
        ('{"a": "two  words "}', '{"a": "two\\nwords"}'),
        ('{"a": "é"}', '{"a": "\\u00e9"}'),
        ('{"a": {"y": 1, "x": 2}}', '{"a": {"x": 2, "y": 1}}'),
    ],
)
def test_texts_that_normalise_alike(one, other):
    assert normalise(one) == normalise(other)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Yes", "yes"),
        ("yes.", "yes"),
        ("1", "1.0"),
        ('{"a": 1}', '{"a": true}'),
        ('{"a": 1}', '{"a": "1"}'),
        ('{"a": null}', "{}"),
        ('{"a": 2}', '{"a": 1, "a": 2}'),
        ("[1, 2]", "[2, 1]"),
        ('{"a": 0.1}', '{"a": 0.10000000000000001}'),
    ],
)
def test_texts_that_do_not(one, other):
    assert normalise(one) != normalise(other)


@settings(max_examples=50, deadline=None)
@given(st.text())
def test_normalising_twice_changes_nothing(text):
    assert normalise(normalise(text)) == normalise(text)


visible = st.text(st.characters(exclude_categories=["Z", "C"]))
leaves = visible | st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False)
trees = st.recursive(leaves, lambda inner: st.lists(inner) | st.dictionaries(visible, inner), max_leaves=8)


@settings(max_examples=50, deadline=None)
@given(st.dictionaries(visible, trees))
def test_layout_and_key_order_of_json_do_not_matter(value):
    shuffled = dict(sorted(value.items(), key=lambda item: item[0], reverse=True))
    assert normalise(json.dumps(value)) == normalise(json.dumps(shuffled, indent=3, ensure_ascii=False))
    assert normalise(normalise(json.dumps(value))) == normalise(json.dumps(value))


def test_deep_nesting_is_text_not_a_failure():
    deep = "[" * 100_000
    assert normalise(deep) == deep
    assert outcomes([deep], said(deep)) == ["correct"]


def test_outcomes_one_by_one():
    answers = [
        Answer("a"),
        Answer(" a "),
        Answer("b"),
        Answer("a", truncated=True),
        Answer("a", error="boom"),
        Answer("a", truncated=True, error="boom"),
    ]
    found = outcomes(["a"] * 6, answers)
    assert found == ["correct", "correct", "wrong", "truncated", "error", "error"]
    assert count_outcomes(found) == {"correct": 2, "wrong": 1, "truncated": 1, "error": 2}


words = st.sampled_from(["a", "b", "c", '{"k": 1}', '{"k":1.0}', "a b", "a  b", ""])
answers = st.builds(Answer, words, truncated=st.booleans(), error=st.none() | st.just("boom"))


@settings(max_examples=50, deadline=None)
@given(st.lists(st.tuples(words, answers), min_size=1))
def test_every_row_has_one_outcome(rows):
    references, given_answers = [row[0] for row in rows], [row[1] for row in rows]
    counts = count_outcomes(outcomes(references, given_answers))
    assert sum(counts.values()) == len(rows)
    assert counts["error"] == sum(answer.error is not None for answer in given_answers)
    assert counts["correct"] / len(rows) == pytest.approx(label_scores(references, given_answers)["accuracy"])
    assert counts["correct"] / len(rows) == pytest.approx(open_scores(references, given_answers)["exact_match"])


@pytest.mark.parametrize("scores", [label_scores, open_scores, outcomes])
def test_rows_must_match(scores):
    with pytest.raises(ValueError, match=r"shorter|longer"):
        scores(["a", "b"], said("a"))
    with pytest.raises(ValueError, match="no rows"):
        scores([], [])


def test_macro_f1_by_hand():
    # a: tp 2, referred 3, answered 2 -> 4/5; b: tp 1, referred 1, answered 2 -> 2/3; mean 11/15.
    assert label_scores(list("aaab"), said(*"aabb")) == pytest.approx({"accuracy": 0.75, "macro_f1": 11 / 15})
    # An answer that is no reference's label is a label of F1 0.
    assert label_scores(["a", "a"], said("a", "z"))["macro_f1"] == pytest.approx((2 / 3 + 0) / 2)


def test_an_error_adds_no_label():
    scores = label_scores(["a", "a"], [Answer("a"), Answer("z", error="boom")])
    assert scores == pytest.approx({"accuracy": 0.5, "macro_f1": 2 / 3})
    assert label_scores(["a", "a"], [Answer("a"), Answer("a", truncated=True)]) == pytest.approx(scores)


labels = st.sampled_from("abcdef")


@settings(max_examples=50, deadline=None)
@given(st.lists(st.tuples(labels, labels), min_size=1, max_size=40))
def test_label_scores_are_those_of_scikit_learn(rows):
    references, texts = [row[0] for row in rows], [row[1] for row in rows]
    assert label_scores(references, said(*texts)) == pytest.approx(
        {
            "accuracy": accuracy_score(references, texts),
            "macro_f1": f1_score(references, texts, average="macro", zero_division=0),
        }
    )


def test_open_scores_by_hand():
    references = [
        '{"part": "hose", "side": "left"}',
        '{"part": "belt", "side": null}',
        '{"part": "pump", "side": "top"}',
    ]
    given_answers = [
        Answer('{"side": "left", "part": "hose"}'),
        Answer('{"part": "belt", "side": "left"}'),
        Answer('{"part": "pump", "side": "top"}', error="boom"),
    ]
    scores = open_scores(references, given_answers)
    assert scores["exact_match"] == pytest.approx(1 / 3)
    assert scores["field_f1"] == pytest.approx(2 * 3 / (2 * 3 + 1 + 3))  # tp 2+1+0, fp 0+1+0, fn 0+1+2
    # LCS "side left" or "part hose" of 4 words: 2/4; "part belt side" of 4: 3/4; error: 0.
    assert scores["rouge_l"] == pytest.approx((1 / 2 + 3 / 4 + 0) / 3)


def test_field_f1_is_none_without_fields():
    assert open_scores(["some text"], said("some text")) == {"exact_match": 1.0, "field_f1": None, "rouge_l": 1.0}
    assert [tally.metric for tally in open_tallies(["some text"], said("x"))] == ["exact_match", "rouge_l"]


def test_a_truncated_answer_keeps_what_it_said_but_is_not_correct():
    reference = "Part: hose\nSide: left"
    scores = open_scores([reference], [Answer("Part: hose", truncated=True)])
    assert scores["exact_match"] == 0
    assert scores["field_f1"] == pytest.approx(2 / 3)
    assert scores["rouge_l"] == pytest.approx(2 / 3)


@settings(max_examples=50, deadline=None)
@given(st.lists(st.tuples(*[st.text(alphabet="ab cD1,.-\n", max_size=20)] * 2), min_size=1, max_size=5))
def test_rouge_l_is_that_of_rouge_score_on_ascii(rows):
    scorer = RougeScorer(["rougeL"])
    expected = [scorer.score(reference, text)["rougeL"].fmeasure for reference, text in rows]
    assert rouge_l([row[0] for row in rows], said(*[row[1] for row in rows])) == pytest.approx(expected)


def test_rouge_l_sees_letters_of_every_script():
    assert rouge_l(["Größe 5 Прокладка"], said("größe 5 прокладка")) == [1.0]


def test_scores_do_not_depend_on_row_order():
    generator = random.Random(0)
    rows = [(generator.choice("abcd"), Answer(generator.choice("abcd"))) for _ in range(60)]
    shuffled = generator.sample(rows, len(rows))
    assert label_scores(*map(list, zip(*rows, strict=True))) == pytest.approx(
        label_scores(*map(list, zip(*shuffled, strict=True)))
    )


def test_a_tally_knows_its_rows():
    assert [(tally.metric, len(tally)) for tally in label_tallies(["a"] * 3, said("a", "b", "a"))] == [
        ("accuracy", 3),
        ("macro_f1", 3),
    ]
