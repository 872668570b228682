"""Greedy, drawn and constrained by top_p; ln p beside it."""

from __future__ import annotations

from collections import Counter
from math import log

import pytest
import torch

from rankwise.serve.sampling import Chooser, Sampling

LOGITS = torch.tensor([0.5, 0.3, 0.15, 0.05]).log()


def test_without_temperature_it_is_the_most_probable_token() -> None:
    chooser = Chooser(Sampling(1))
    assert chooser.is_plain and chooser.choose(LOGITS).token == 0
    told = Chooser(Sampling(1, top_logprobs=2))
    assert not told.is_plain
    choice = told.choose(LOGITS)
    assert choice.logprob == pytest.approx(log(0.5))
    assert [each.token for each in choice.top] == [0, 1]
    assert [each.logprob for each in choice.top] == pytest.approx([log(0.5), log(0.3)])


@pytest.mark.parametrize(("top_p", "expected"), [(1.0, {0, 1, 2, 3}), (0.79, {0, 1}), (0.49, {0}), (0.01, {0})])
def test_top_p_leaves_the_fewest_tokens_that_have_it_together(top_p: float, expected: set[int]) -> None:
    chooser = Chooser(Sampling(1, temperature=1, top_p=top_p, seed=0))
    drawn = Counter(chooser.choose(LOGITS).token for _ in range(2000))
    assert set(drawn) == expected
    kept = [float(LOGITS[token].exp()) for token in sorted(expected)]
    for token, p in zip(sorted(expected), kept, strict=True):
        assert drawn[token] / 2000 == pytest.approx(p / sum(kept), abs=0.04)


def test_a_low_temperature_sharpens() -> None:
    chooser = Chooser(Sampling(1, temperature=0.1, seed=0))
    assert sum(chooser.choose(LOGITS).token == 0 for _ in range(200)) > 190


def test_one_seed_gives_one_answer_and_each_of_several_its_own() -> None:
    first, second = Sampling(1, temperature=1, seed=3), Sampling(1, temperature=1, seed=3).of_answer(1)
    assert second.seed == 4 and Sampling(1).of_answer(1).seed is None
    draws = [[Chooser(s).choose(LOGITS).token for _ in range(1)] for s in (first, first)]
    assert draws[0] == draws[1]


def test_what_may_not_come_is_told_as_a_number_json_can_hold() -> None:
    masked = LOGITS.masked_fill(torch.tensor([False, True, True, True]), float("-inf"))
    choice = Chooser(Sampling(1, top_logprobs=3)).choose(masked)
    assert choice.token == 0 and [each.logprob for each in choice.top] == [0.0, -9999.0, -9999.0]


@pytest.mark.parametrize("temperature", [5e-324, 1e-30, 2.0])
@pytest.mark.parametrize("top_p", [5e-324, 0.5, 1.0])
def test_the_smallest_temperature_and_top_p_still_draw(temperature: float, top_p: float) -> None:
    chosen = Chooser(Sampling(4, temperature=temperature, top_p=top_p, seed=0)).choose(torch.tensor([-3.0, 40.0, 2.0]))
    assert chosen.token == 1
