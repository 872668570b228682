"""Fused norms and gates against the modules of transformers that they stand in for."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import nn
from transformers.activations import ACT2FN
from transformers.models.gemma3.modeling_gemma3 import Gemma3RMSNorm
from transformers.models.llama.configuration_llama import LlamaConfig
from transformers.models.llama.modeling_llama import LlamaMLP, LlamaRMSNorm
from transformers.models.qwen3.modeling_qwen3 import Qwen3RMSNorm

from rankwise.model.elementwise import _gated_forward, _norm_forward, fuse_elementwise

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
