"""The cheap contestants: what word counts alone can do, in seconds and without a model.

An adapter that does not beat them is not worth its training.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Sequence

import numpy as np
from scipy.sparse import csr_array  # type: ignore[import-untyped]
from sklearn.feature_extraction.text import TfidfVectorizer  # type: ignore[import-untyped]
from sklearn.svm import LinearSVC  # type: ignore[import-untyped]

from rankwise.data.label_lists import labels_text
from rankwise.evaluate.score import Answer

_CELLS_AT_ONCE = 1 << 24
"""Similarities held in memory at a time (float64: 128 MiB)."""


def label_baseline(
    train_questions: Sequence[str], train_labels: Sequence[str], questions: Sequence[str]
) -> list[Answer]:
    """Labels of a linear SVM over TF-IDF of words and word pairs, trained on the train rows.

    The same rows give the same labels. If there is only one train label, or no train row has a word, the
    answer is the most frequent label.
    """
    _check(train_questions, train_labels)
    vectors = _fit(train_questions)
    if not questions or vectors is None or len(set(train_labels)) == 1:
        return [Answer(_most_frequent(train_labels))] * len(questions)
    vectorizer, train = vectors
    classifier = LinearSVC(random_state=0, max_iter=10_000).fit(train, list(train_labels))
    return [Answer(str(label)) for label in classifier.predict(vectorizer.transform(questions))]


def label_set_baseline(
    train_questions: Sequence[str], train_sets: Sequence[Collection[str]], questions: Sequence[str]
) -> list[Answer]:
    """Sets of labels, as JSON lists, of the same linear model one-vs-rest: for each label an SVM that says whether a
    row has it. A label that every train row has is given to every row.

    If no train row has a word, the answer is the most frequent set.
    """
    sets = [labels_text(list(labels)) for labels in train_sets]
    _check(train_questions, sets)
    vectors = _fit(train_questions)
    if not questions or vectors is None:
        return [Answer(_most_frequent(sets))] * len(questions)
    vectorizer, train = vectors
    asked = vectorizer.transform(questions)
    said: list[list[str]] = [[] for _ in questions]
    for label in sorted({label for labels in train_sets for label in labels}):
        there = [label in labels for labels in train_sets]
        always = [True] * len(questions)
        found = always if all(there) else LinearSVC(random_state=0, max_iter=10_000).fit(train, there).predict(asked)
        for labels, has in zip(said, found, strict=True):
            labels += [label] if has else []
    return [Answer(labels_text(labels)) for labels in said]


def nearest_answer(
    train_questions: Sequence[str], train_answers: Sequence[str], questions: Sequence[str]
) -> list[Answer]:
    """For each question the answer of the train row whose question is most like it by TF-IDF cosine.

    The first of equally near rows counts. A question that shares no word with any train row gets the most
    frequent train answer.
    """
    _check(train_questions, train_answers)
    vectors = _fit(train_questions)
    fallback = Answer(_most_frequent(train_answers))
    if not questions or vectors is None:
        return [fallback] * len(questions)
    vectorizer, train = vectors
    asked = vectorizer.transform(questions)
    answers: list[Answer] = []
    step = max(1, _CELLS_AT_ONCE // len(train_questions))
    for start in range(0, len(questions), step):
        similarity = (asked[start : start + step] @ train.T).toarray()
        # Rounded, so that rows that tie on paper tie here.
        best = np.round(similarity, 12).argmax(axis=1)
        near = similarity[np.arange(len(best)), best] > 0
        answers += [Answer(train_answers[row]) if found else fallback for row, found in zip(best, near, strict=True)]
    return answers


def _fit(questions: Sequence[str]) -> tuple[TfidfVectorizer, csr_array] | None:
    """The fitted vectorizer and the (rows, terms) matrix; None if no question has a word."""
    vectorizer = TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True)
    analyse = vectorizer.build_analyzer()
    if not any(analyse(question) for question in questions):
        return None
    return vectorizer, vectorizer.fit_transform(questions)


def _most_frequent(values: Sequence[str]) -> str:
    return Counter(values).most_common(1)[0][0]


def _check(train_questions: Sequence[str], train_answers: Sequence[str]) -> None:
    if not train_questions or len(train_questions) != len(train_answers):
        raise ValueError(
            f"expected as many train answers as questions, at least one: "
            f"got {len(train_questions)} questions and {len(train_answers)} answers"
        )
