"""Fused norms and gates against the modules of transformers that they stand in for."""

from __future__ import annotations

import copy
import importlib
import importlib.util
import sys
import types
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import nn
from transformers.activations import ACT2FN
from transformers.models.gemma3.modeling_gemma3 import Gemma3RMSNorm
from transformers.models.llama.configuration_llama import LlamaConfig
from transformers.models.llama.modeling_llama import LlamaMLP, LlamaRMSNorm
from transformers.models.qwen3.modeling_qwen3 import Qwen3RMSNorm

from rankwise.model import elementwise
from rankwise.model.elementwise import _gated_forward, _norm_forward, fuse_elementwise
from rankwise.model.load import load_base

EXACT = {torch.float64: 1e-6, torch.float32: 1e-5, torch.bfloat16: 2e-2}
"""Transformers' norms compute in float32 whatever they are given."""


def drawn(module: nn.Module, dtype: torch.dtype) -> nn.Module:
    torch.manual_seed(0)
    for p in module.parameters():
        nn.init.normal_(p)
    return module.to(dtype).requires_grad_(False)


def mlp(activation: str = "silu") -> LlamaMLP:
    module = LlamaMLP(LlamaConfig(hidden_size=12, intermediate_size=20, num_attention_heads=2))
    module.act_fn = ACT2FN[activation]
    return module


def is_fused(module: nn.Module) -> bool:
    return getattr(module.forward, "__func__", None) in (_norm_forward, _gated_forward)


@pytest.mark.parametrize("dtype", list(EXACT))
@pytest.mark.parametrize("make", [lambda: LlamaRMSNorm(12), lambda: Qwen3RMSNorm(12, eps=1e-3), mlp])
def test_output_and_gradient_are_the_modules_own(make: object, dtype: torch.dtype) -> None:
    theirs = drawn(make(), dtype)  # type: ignore[operator]
    ours = copy.deepcopy(theirs)
    assert fuse_elementwise(ours) == 1
    x = torch.randn(2, 7, 12, dtype=dtype, requires_grad=True)
    x2 = x.detach().clone().requires_grad_()
    y, y2 = ours(x), theirs(x2)
    above = torch.randn_like(y)
    y.backward(above)
    y2.backward(above)
    for mine, other in ((y, y2), (x.grad, x2.grad)):
        assert float((mine - other).norm() / other.norm()) < EXACT[dtype]
    with torch.no_grad():
        assert float((ours(x) - y2).norm() / y2.norm()) < EXACT[dtype]
    assert torch.equal(x, x2)  # nothing is written into what it was given


def test_a_module_that_computes_something_else_keeps_its_forward() -> None:
    for other in (Gemma3RMSNorm(12), mlp("gelu")):
        module = drawn(other, torch.float32)
        assert fuse_elementwise(module) == 0
        assert not is_fused(module)


def test_a_norm_whose_weight_is_trained_gets_its_gradient() -> None:
    norm = drawn(LlamaRMSNorm(12), torch.float32)
    assert fuse_elementwise(norm) == 1
    norm.weight.requires_grad_(True)
    norm(torch.randn(3, 12)).sum().backward()
    assert norm.weight.grad is not None


@pytest.mark.parametrize("architecture", ["llama", "qwen2", "qwen3", "gemma3", "mistral"])
def test_rotary_positions_are_transformers_own(architecture: str, base_of: Callable[[str], Path]) -> None:
    """The file is read anew, for in this process its function is replaced."""
    model = load_base(base_of(architecture), "float32", "cpu")
    home = importlib.import_module(type(model).__module__)
    assert home.apply_rotary_pos_emb is elementwise._rotate
    fresh = importlib.util.find_spec(home.__name__)
    own = importlib.util.module_from_spec(fresh)
    fresh.loader.exec_module(own)
    q, k = torch.randn(1, 4, 7, 16, requires_grad=True), torch.randn(1, 2, 7, 16, requires_grad=True)
    angles = torch.randn(1, 7, 8).repeat(1, 1, 2)
    gradients = []
    for rotate in (own.apply_rotary_pos_emb, elementwise._rotate):
        q.grad = k.grad = None
        turned = rotate(q, k, angles.cos(), angles.sin())
        (turned[0].square() * torch.arange(16.0)).sum().backward(retain_graph=True)
        (turned[1] * torch.arange(16.0)).sum().backward()
        gradients.append((*(x.detach() for x in turned), q.grad, k.grad))
    for theirs, ours in zip(*gradients, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-5, atol=1e-5)


def test_another_rotation_is_left_alone() -> None:
    """Positions that turn neighbours, not halves."""

    class Odd(torch.nn.Module):
        pass

    home = types.ModuleType("odd_home")
    home.apply_rotary_pos_emb = lambda q, k, cos, sin: (q * cos[:, None] + q.flip(-1) * sin[:, None], k)
    sys.modules["odd_home"], Odd.__module__ = home, "odd_home"
    before = home.apply_rotary_pos_emb
    assert not elementwise.fuse_rotary(Odd()) and home.apply_rotary_pos_emb is before
    del sys.modules["odd_home"]
