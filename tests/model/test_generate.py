"""Batches, limits and label trees; that the tokens are transformers' own is shown in test_shapes."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from rankwise.model import generate as module
from rankwise.model.generate import LabelTree, generate, score_labels, shared_tokens
from rankwise.model.load import load_base

tokens = st.lists(st.integers(0, 2), min_size=1, max_size=25)


@given(st.lists(tokens, min_size=1, max_size=5), st.lists(st.integers(0, 2), max_size=30))
def test_shared_tokens_are_the_longest_common_beginning_worth_it(prompts: list[list[int]], start: list[int]) -> None:
    prompts = [start + prompt for prompt in prompts]
    end = 0
    while all(len(p) > end + 1 and p[end] == prompts[0][end] for p in prompts):
        end += 1
    assert shared_tokens(prompts) == (end if len(prompts) > 1 and end >= 16 else 0)


@given(st.lists(st.lists(st.integers(0, 3), min_size=1, max_size=5), min_size=1, max_size=8))
def test_a_tree_has_one_node_for_each_beginning_and_sees_its_ancestors(answers: list[list[int]]) -> None:
    tree = LabelTree(answers)
    beginnings = {tuple(answer[:i]) for answer in answers for i in range(1, len(answer))}
    assert tree.num_nodes == len(beginnings) == len(tree.tokens)
    depths = tree.mask.sum(1).tolist()
    assert sorted(depths) == sorted(map(len, beginnings))
    assert torch.equal(tree.mask, tree.mask.tril()) and bool(tree.mask.diagonal().all())
    # Logits that make token t cost t nats more than token 0, whatever came before.
    logits = -torch.arange(4.0).expand(2, 1 + tree.num_nodes, 4)
    normaliser = float(torch.logsumexp(-torch.arange(4.0), 0))
    expected = [-sum(answer) - normaliser * len(answer) for answer in answers]
    assert tree.log_probabilities(logits).tolist() == [pytest.approx(expected, abs=1e-4)] * 2


def prompts_of(*lengths: int) -> list[list[int]]:
    generator = torch.Generator().manual_seed(3)
    return [torch.randint(0, 256, (length,), generator=generator).tolist() for length in lengths]


def test_answers_come_in_the_prompts_order_however_they_are_batched(
    base_of: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    model = load_base(base_of("llama"), "float32", "cpu")
    prompts = prompts_of(4, 19, 1, 7, 7, 30, 2)
    reported: list[int] = []
    expected = generate(model, prompts, frozenset({7, 40, 99}), 12, reported.append)
    assert sum(reported) == len(prompts)
    for rows in (1, 3):
        assert generate(model, prompts, frozenset({7, 40, 99}), 12, batch_rows=rows) == expected
    scores = score_labels(model, prompts, [[1, 2, 257], [1, 257], [3, 257]])
    monkeypatch.setattr(module, "BATCH_TOKENS", 40)
    monkeypatch.setattr(module, "BATCH_LOGITS", 1)
    assert generate(model, prompts, frozenset({7, 40, 99}), 12) == expected
    small = score_labels(model, prompts, [[1, 2, 257], [1, 257], [3, 257]], reported.append)
    torch.testing.assert_close(small, scores, rtol=1e-4, atol=1e-4)
    assert sum(reported) == 2 * len(prompts)


def test_limits(base_of: Callable[[str], Path]) -> None:
    model = load_base(base_of("llama"), "float32", "cpu")
    prompt = prompts_of(5)
    long = generate(model, prompt, frozenset(), 9)[0]
    assert len(long.ids) == 9 and long.truncated
    one = generate(model, prompt, frozenset(), 1)[0]
    assert one.ids == long.ids[:1] and one.truncated
    none = generate(model, prompt, frozenset({long.ids[0]}), 9)[0]
    assert none.ids == () and not none.truncated
    assert generate(model, [], frozenset(), 9) == []
    assert score_labels(model, [], [[1, 257]]).shape == (0, 1)


def test_the_probabilities_of_all_single_tokens_sum_to_one(base_of: Callable[[str], Path]) -> None:
    model = load_base(base_of("qwen3"), "float32", "cpu")
    scores = score_labels(model, prompts_of(3, 8), [[token] for token in range(260)])
    assert scores.exp().sum(1).tolist() == pytest.approx([1, 1], abs=1e-5)
