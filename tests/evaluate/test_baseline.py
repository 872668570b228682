from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.metrics.pairwise import cosine_similarity
from sklearn.pipeline import make_pipeline
from sklearn.svm import LinearSVC

from rankwise.data.read import read_table
from rankwise.evaluate import baseline
from rankwise.evaluate.baseline import label_baseline, nearest_answer
from rankwise.evaluate.score import Answer, label_scores

PHRASEBANK = Path(__file__).parents[2].parent / "shared" / "data" / "financial_phrasebank"
QUESTIONS = [
    "replace blown cooler hose",
    "replace hose left",
    "engine will not start",
    "engine oil leaking",
    "paint door",
]
LABELS = ["hydraulic", "hydraulic", "engine", "engine", "body"]


def test_labels_are_those_of_the_pipeline_it_names():
    asked = ["hose blown", "engine leaking oil", "door paint", "start engine", "nothing known"]
    pipeline = make_pipeline(TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True), LinearSVC(random_state=0))
    expected = pipeline.fit(QUESTIONS, LABELS).predict(asked).tolist()
    assert [answer.text for answer in label_baseline(QUESTIONS, LABELS, asked)] == expected
    assert expected[:3] == ["hydraulic", "engine", "body"]
    assert label_baseline(QUESTIONS, LABELS, asked) == label_baseline(QUESTIONS, LABELS, asked)


def test_one_train_label_is_the_answer_to_everything():
    assert label_baseline(["a hose", "a pump"], ["x", "x"], ["hose", "other"]) == [Answer("x"), Answer("x")]


def test_train_rows_without_words_give_the_most_frequent_answer():
    assert label_baseline(["!", "?", "."], ["x", "y", "y"], ["hose"]) == [Answer("y")]
    assert nearest_answer(["!", "?", "."], ["x", "y", "y"], ["hose"]) == [Answer("y")]


def test_the_nearest_answer_by_hand():
    answers = ["A", "B", "C", "D", "D"]
    asked = ["the cooler hose", "engine start", "oil", "zebra"]
    assert [answer.text for answer in nearest_answer(QUESTIONS, answers, asked)] == ["A", "C", "D", "D"]


def test_the_first_of_equally_near_rows_counts():
    assert nearest_answer(["hose", "pump", "hose"], ["first", "x", "second"], ["hose"]) == [Answer("first")]


def test_many_questions_are_answered_in_pieces(monkeypatch):
    asked = QUESTIONS[::-1] * 3
    whole = nearest_answer(QUESTIONS, LABELS, asked)
    monkeypatch.setattr(baseline, "_CELLS_AT_ONCE", 11)
    assert nearest_answer(QUESTIONS, LABELS, asked) == whole
    assert [answer.text for answer in whole] == LABELS[::-1] * 3


words = st.lists(st.sampled_from(["hose", "pump", "left", "right", "oil", "!"]), min_size=1, max_size=5).map(" ".join)


@settings(max_examples=50, deadline=None)
@given(st.lists(words, min_size=1, max_size=8), st.lists(words, max_size=4))
def test_no_train_row_is_nearer_than_the_one_that_answers(train, asked):
    answers = [str(index) for index in range(len(train))]
    found = nearest_answer(train, answers, asked)
    assert len(found) == len(asked)
    if asked and any(character.isalpha() for question in train for character in question):
        vectorizer = TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True).fit(train)
        similarity = cosine_similarity(vectorizer.transform(asked), vectorizer.transform(train))
        chosen = [row[int(answer.text)] for row, answer in zip(similarity, found, strict=True)]
        assert chosen == pytest.approx(np.max(similarity, axis=1).tolist())


@pytest.mark.parametrize("contestant", [label_baseline, nearest_answer])
def test_edges(contestant):
    assert contestant(QUESTIONS, LABELS, []) == []
    with pytest.raises(ValueError, match="0 questions and 0 answers"):
        contestant([], [], ["x"])
    with pytest.raises(ValueError, match="1 questions and 2 answers"):
        contestant(["a"], ["x", "y"], ["x"])


@pytest.mark.skipif(not PHRASEBANK.is_dir(), reason="the financial_phrasebank rows are not on this machine")
def test_the_known_scores_on_real_rows():
    train, held_out = (read_table(PHRASEBANK / f"{part}.jsonl").rows for part in ("train", "test"))
    found = label_baseline(
        [row.question for row in train], [row.answer for row in train], [row.question for row in held_out]
    )
    assert label_scores([row.answer for row in held_out], found) == pytest.approx(
        {"accuracy": 0.772, "macro_f1": 0.702}, abs=0.005
    )
