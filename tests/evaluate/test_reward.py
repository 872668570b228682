"""Rewards are evaluation's scores, an answer at a time."""

from __future__ import annotations

import json

import pytest

from rankwise.evaluate.reward import rewards
from rankwise.evaluate.score import Answer, label_scores

ORDER = json.dumps({"part": "seal", "count": 2})


def test_a_label_is_right_or_wrong() -> None:
    references = ["good", "good", "bad", "bad"]
    answers = [Answer("good"), Answer(" good\n"), Answer("good"), Answer("bad", truncated=True)]
    found = rewards("allowed_label", references, answers)
    assert found == [1.0, 1.0, 0.0, 0.0]
    assert sum(found) / 4 == label_scores(references, answers)["accuracy"]


@pytest.mark.parametrize(
    ("answer", "worth"),
    [
        (Answer(ORDER), 1.0),
        (Answer('{"count": 2.0, "part": "Seal"}'), 1.0),
        (Answer('{"part": "seal", "count": 3}'), 0.5),
        (Answer('{"part": "seal"}'), 2 / 3),
        (Answer("seal, twice"), 0.0),
        (Answer(ORDER, truncated=True), 0.0),
        (Answer(ORDER, error="no answer"), 0.0),
    ],
)
def test_fields_count_by_their_f1(answer: Answer, worth: float) -> None:
    assert rewards("exact_fields", [ORDER], [answer]) == [pytest.approx(worth)]


def test_another_reward_is_refused() -> None:
    with pytest.raises(ValueError, match="expected one of exact_fields, allowed_label"):
        rewards("length", ["a"], [Answer("a")])
