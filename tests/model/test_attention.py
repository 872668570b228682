"""The packing's own arithmetic, and the bases that cannot be packed."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from rankwise.errors import BaseError
from rankwise.model import blocks, packing
from rankwise.model.cache import Cache
from rankwise.model.load import load_base
from rankwise.model.packing import Packing, Prefix

HEADS, KEY_HEADS, SIZE, SCALE = 4, 2, 8, 0.37
CHAIN = torch.tensor([[1, 0], [1, 1]], dtype=torch.bool)
FORK = torch.tensor([[1, 0, 0, 0], [1, 1, 0, 0], [1, 0, 1, 0], [0, 0, 0, 1]], dtype=torch.bool)


def random_heads(tokens: int, dtype: torch.dtype = torch.float64) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    shapes = ((HEADS, tokens, SIZE), (KEY_HEADS, tokens, SIZE), (KEY_HEADS, tokens, SIZE))
    query, key, value = (torch.randn((1, *shape), generator=generator, dtype=dtype) for shape in shapes)
    return query, key, value


def by_definition(
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    lengths: list[int],
    prefix: int,
    window: int | None,
    tree: torch.Tensor | None = None,
) -> torch.Tensor:
    """One query at a time: a softmax over the keys of the prefix and of its own row that it may see."""
    tokens = query.shape[2]
    out = torch.zeros(tokens, HEADS, SIZE, dtype=query.dtype)
    row_of = [-1] * prefix + [row for row, length in enumerate(lengths) for _ in range(length)]
    place = list(range(prefix)) + [prefix + i for length in lengths for i in range(length)]
    for t in range(tokens):
        seen = []
        for s in range(t + 1):
            if row_of[s] not in (-1, row_of[t]):
                continue
            here, there = place[t], place[s]
            if tree is not None and row_of[t] >= 0:
                first = prefix + lengths[row_of[t]] - len(tree)
                if place[s] >= first and not tree[place[t] - first, place[s] - first]:
                    continue
                here, there = (p if p < first else first + int(tree[p - first].sum()) - 1 for p in (here, there))
            if window is None or there > here - window:
                seen.append(s)
        for head in range(HEADS):
            k, v = key[0, head // 2, seen], value[0, head // 2, seen]
            out[t, head] = (k @ query[0, head, t] * SCALE).softmax(0) @ v
    return out


@settings(max_examples=60, deadline=None)
@given(
    lengths=st.lists(st.integers(1, 9), min_size=1, max_size=4),
    prefix=st.integers(0, 8),
    window=st.none() | st.integers(1, 12),
    tree=st.sampled_from([None, CHAIN, FORK]),
    held=st.sampled_from([0, 300, 1 << 40]),
    cut=st.sampled_from([1, 3, 128]),
)
def test_attention_is_its_definition(
    lengths: list[int], prefix: int, window: int | None, tree: torch.Tensor | None, held: int, cut: int
) -> None:
    if tree is not None:
        lengths = [length + len(tree) for length in lengths]
    query, key, value = random_heads(prefix + sum(lengths))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(packing, "SCORES", held)
        patch.setattr(packing, "QUERIES", cut)
        got = Packing(lengths, prefix, tree).attend(0, query, key, value, SCALE, window)[0]
    expected = by_definition(query, key, value, lengths, prefix, window, tree)
    torch.testing.assert_close(got, expected, rtol=0, atol=1e-6)  # the softmax is float32


@settings(max_examples=40, deadline=None)
@given(
    lengths=st.lists(st.integers(1, 9), min_size=1, max_size=4),
    prefix=st.integers(0, 8),
    window=st.none() | st.integers(1, 12),
    held=st.sampled_from([0, 300, 1 << 40]),
    cut=st.sampled_from([1, 3, 128]),
    kept=st.sampled_from([0, 1, 16]),
)
def test_gradients_are_those_of_the_definition(
    lengths: list[int], prefix: int, window: int | None, held: int, cut: int, kept: int
) -> None:
    ours = [x.requires_grad_() for x in random_heads(prefix + sum(lengths))]
    theirs = [x.detach().clone().requires_grad_() for x in ours]
    above = torch.randn(prefix + sum(lengths), HEADS, SIZE, dtype=torch.float64)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(packing, "SCORES", held)
        patch.setattr(packing, "QUERIES", cut)
        patch.setattr(blocks, "WEIGHTS_KEPT", kept)
        Packing(lengths, prefix).attend(0, *ours, SCALE, window)[0].backward(above)
    by_definition(*theirs, lengths, prefix, window).backward(above)
    for mine, defined in zip(ours, theirs, strict=True):
        torch.testing.assert_close(mine.grad, defined.grad, rtol=0, atol=1e-6)  # the masks are float32


def prefix_of(length: int, heads: tuple[torch.Tensor, torch.Tensor, torch.Tensor], window: int | None) -> Prefix:
    prefix = Prefix(length)
    Packing([length], cache=prefix).attend(0, *heads, SCALE, window)
    return prefix


@settings(max_examples=60, deadline=None)
@given(
    lengths=st.lists(st.integers(1, 9), min_size=1, max_size=4),
    prefix=st.integers(1, 8),
    window=st.none() | st.integers(1, 12),
    tree=st.sampled_from([None, CHAIN, FORK]),
    held=st.sampled_from([0, 300, 1 << 40]),
    cut=st.sampled_from([1, 3, 128]),
)
def test_a_known_prefix_is_one_laid_out(
    lengths: list[int], prefix: int, window: int | None, tree: torch.Tensor | None, held: int, cut: int
) -> None:
    if tree is not None:
        lengths = [length + len(tree) for length in lengths]
    query, key, value = random_heads(prefix + sum(lengths))
    expected = by_definition(query, key, value, lengths, prefix, window, tree)
    known = prefix_of(prefix, (query[:, :, :prefix], key[:, :, :prefix], value[:, :, :prefix]), window)
    own = (query[:, :, prefix:], key[:, :, prefix:], value[:, :, prefix:])
    with pytest.MonkeyPatch.context() as patch, torch.no_grad():
        patch.setattr(packing, "SCORES", held)
        patch.setattr(packing, "QUERIES", cut)
        got = Packing(lengths, known, tree).attend(0, *own, SCALE, window)[0]
    torch.testing.assert_close(got, expected[prefix:], rtol=0, atol=1e-6)


def test_positions_continue_from_the_prefix_and_follow_the_tree() -> None:
    assert Packing([2, 3], prefix=4).positions().tolist() == [[0, 1, 2, 3, 4, 5, 4, 5, 6]]
    assert Packing([2, 3], Prefix(4)).positions().tolist() == [[4, 5, 4, 5, 6]]
    # A prompt of one token, then: a node, its two children, and a second node beside the first.
    assert Packing([5, 6], prefix=1, tree=FORK).positions().tolist() == [[0, 1, 2, 3, 3, 2, 1, 2, 3, 4, 4, 3]]


@pytest.mark.parametrize("window", [None, 3, 6])
@pytest.mark.parametrize("prefix", [0, 5])
def test_continuing_from_the_cache_is_having_been_there_from_the_start(prefix: int, window: int | None) -> None:
    lengths, more = [3, 1, 6], 4
    whole = [length + more for length in lengths]
    query, key, value = random_heads(prefix + sum(whole))
    expected = by_definition(query, key, value, whole, prefix, window)
    starts = [prefix + sum(whole[:row]) for row in range(len(whole))]

    def at(tokens: list[int]) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        return query[:, :, tokens], key[:, :, tokens], value[:, :, tokens]

    known = prefix_of(prefix, at(list(range(prefix))), window) if prefix else None
    cache = Cache(lengths, known, room=more)
    prompt = [s + i for s, length in zip(starts, lengths, strict=True) for i in range(length)]
    Packing(lengths, known or 0, cache=cache).attend(0, *at(prompt), SCALE, window)
    rows = [0, 1, 2]
    for step in range(more):
        if step == 2:  # the middle row is done
            rows = [0, 2]
            cache.keep(torch.tensor(rows))
        positions = cache.next_positions()
        assert positions.tolist() == [[prefix + lengths[row] + step for row in rows]]
        tokens = [starts[row] + lengths[row] + step for row in rows]
        got = cache.attend(0, *at(tokens), SCALE, window)[0]
        torch.testing.assert_close(got, expected[tokens], rtol=0, atol=1e-6)


def test_a_forward_without_its_packing_is_an_error(base_of: Callable[[str], Path]) -> None:
    model = load_base(base_of("llama"), "float32", "cpu")
    with pytest.raises(RuntimeError, match="without the packing"):
        model(torch.tensor([[1, 2, 3]]))


def tiny(architecture: str) -> torch.nn.Module:
    import transformers as t

    common = {
        "vocab_size": 64,
        "hidden_size": 32,
        "intermediate_size": 48,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "bos_token_id": None,
        "eos_token_id": 1,
        "pad_token_id": 0,
    }
    torch.manual_seed(0)
    return {
        "scores capped": lambda: t.Gemma2ForCausalLM(t.Gemma2Config(**common, head_dim=8)),
        "convolutions": lambda: t.Lfm2ForCausalLM(t.Lfm2Config(**common, full_attn_idxs=[1])),
        "state space": lambda: t.MambaForCausalLM(
            t.MambaConfig(vocab_size=64, hidden_size=32, num_hidden_layers=2, state_size=4, eos_token_id=1)
        ),
        "alibi": lambda: t.BloomForCausalLM(t.BloomConfig(vocab_size=64, hidden_size=32, n_layer=2, n_head=4)),
        "sinks": lambda: t.GptOssForCausalLM(
            t.GptOssConfig(**common, head_dim=8, num_local_experts=4, rope_parameters={"rope_type": "default"})
        ),
    }[architecture]()


@pytest.mark.parametrize(
    ("architecture", "message"),
    [
        ("scores capped", "Gemma2Attention caps attention scores"),
        ("convolutions", "Lfm2ForCausalLM has conv layers"),
        ("state space", "MambaForCausalLM has linear_attention layers"),
        ("alibi", "BloomForCausalLM lets packed rows see each other"),
        ("sinks", "GptOssAttention has attention sinks"),
    ],
)
def test_a_base_whose_rows_cannot_be_packed_is_refused(architecture: str, message: str, tmp_path: Path) -> None:
    tiny(architecture).save_pretrained(tmp_path / "base")
    with pytest.raises(BaseError, match=message):
        load_base(tmp_path / "base", "float32", "cpu")


def test_a_folder_without_weights_is_a_base_error(tmp_path: Path, base_of: Callable[[str], Path]) -> None:
    (tmp_path / "config.json").write_bytes((base_of("llama") / "config.json").read_bytes())
    with pytest.raises(BaseError, match="the base cannot be loaded"):
        load_base(tmp_path, "float32", "cpu")


def test_bfloat16_is_near_float32(base_of: Callable[[str], Path]) -> None:
    packing = Packing([12, 5])
    ids = torch.arange(17)[None]
    logits = {}
    for dtype in ("float32", "bfloat16"):
        model = load_base(base_of("llama"), dtype, "cpu")
        with torch.no_grad():
            logits[dtype] = model(input_ids=ids, position_ids=packing.positions(), packing=packing).logits.float()
    error = float((logits["bfloat16"] - logits["float32"]).norm() / logits["float32"].norm())
    assert math.isfinite(error) and 1e-5 < error < 0.05
