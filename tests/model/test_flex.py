"""The GPU's attention says what the definition says: its masks on any machine, its kernels where there is a GPU."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from rankwise.model.flex import FlexLayout
from rankwise.model.packing import Packing

HEADS, KEY_HEADS, SIZE, SCALE = 4, 2, 16, 0.37
needs_gpu = pytest.mark.skipif(not torch.cuda.is_available(), reason="FlexAttention has a backward pass on a GPU alone")


def random_heads(tokens: int, device: str = "cpu") -> list[torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    counts = (HEADS, KEY_HEADS, KEY_HEADS)
    return [torch.randn((1, heads, tokens, SIZE), generator=generator).to(device) for heads in counts]


def by_blocks(heads: list[torch.Tensor], lengths: list[int], prefix: int, window: int | None) -> torch.Tensor:
    """(T, H, D) in float64 on the CPU, which tests/model/test_attention.py holds against the definition."""
    query, key, value = (x.cpu().double() for x in heads)
    return Packing(lengths, prefix).attend(0, query, key, value, SCALE, window)[0]


pytestmark = pytest.mark.filterwarnings("ignore:flex_attention called without torch.compile")
some_lengths = st.lists(st.integers(1, 90), min_size=1, max_size=4)


@settings(max_examples=25, deadline=None)
@given(lengths=some_lengths, prefix=st.integers(0, 150), window=st.none() | st.integers(1, 200))
def test_what_a_query_sees(lengths: list[int], prefix: int, window: int | None) -> None:
    heads = random_heads(prefix + sum(lengths))
    got = FlexLayout(lengths, prefix, prefix, window, "cpu").attend(*heads, None, SCALE)
    torch.testing.assert_close(got.double(), by_blocks(heads, lengths, prefix, window), rtol=0, atol=1e-5)


@settings(max_examples=25, deadline=None)
@given(lengths=some_lengths, prefix=st.integers(1, 150), window=st.none() | st.integers(1, 200))
def test_what_a_query_sees_of_a_known_prefix(lengths: list[int], prefix: int, window: int | None) -> None:
    heads = random_heads(prefix + sum(lengths))
    known = (heads[1][0, :, :prefix], heads[2][0, :, :prefix])
    own = [x[:, :, prefix:] for x in heads]
    got = FlexLayout(lengths, prefix, 0, window, "cpu").attend(*own, known, SCALE)
    torch.testing.assert_close(got.double(), by_blocks(heads, lengths, prefix, window)[prefix:], rtol=0, atol=1e-5)


@needs_gpu
@pytest.mark.parametrize("window", [None, 40])
@pytest.mark.parametrize(("lengths", "prefix"), [([70, 20, 5], 33), ([300], 0), ([1] * 9, 130), ([128, 128], 0)])
def test_gradients_on_a_gpu(lengths: list[int], prefix: int, window: int | None) -> None:
    tokens = prefix + sum(lengths)
    ours = [x.requires_grad_() for x in random_heads(tokens, "cuda")]
    theirs = [x.detach().cpu().double().requires_grad_() for x in ours]
    above = torch.randn(tokens, HEADS, SIZE, dtype=torch.float64)
    got = Packing(lengths, prefix, device="cuda").attend(0, *ours, SCALE, window)[0]
    expected = Packing(lengths, prefix).attend(0, *theirs, SCALE, window)[0]
    torch.testing.assert_close(got.cpu().double(), expected, rtol=0, atol=1e-4)
    got.backward(above.to("cuda", got.dtype))
    expected.backward(above)
    for mine, defined in zip(ours, theirs, strict=True):
        torch.testing.assert_close(mine.grad.cpu().double(), defined.grad, rtol=0, atol=1e-4)


@needs_gpu
def test_gradients_on_a_gpu_are_the_same_again() -> None:
    found = []
    for _ in range(2):
        heads = [x.requires_grad_() for x in random_heads(700, "cuda")]
        Packing([200, 300, 100], 100, device="cuda").attend(0, *heads, SCALE, None).square().sum().backward()
        found.append([x.grad.clone() for x in heads])
    assert all(torch.equal(first, second) for first, second in zip(*found, strict=True))
