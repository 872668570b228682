"""Norms, gated activations and rotary positions as single autograd functions, on a base that computes the same.

The modules of transformers leave a dozen tensors for the backward pass and as many passes over memory; these leave the
inputs. On a GPU each is one kernel, made by torch.compile. A module is recognised by what it has and then by what it
computes: one of each class is run beside its replacement, and a class that gives something else keeps its own forward.
"""

from __future__ import annotations

import sys
from types import MethodType
from typing import Any

import torch
from torch import nn
from torch.nn import functional as F

from rankwise.model.compiled import on_gpu_compiled

PROBED_TOKENS = 4


class _RmsNorm(torch.autograd.Function):
    """x (..., n), weight (n), frozen: weight * (x / rms(x)), rounded to x's dtype at the end."""

    @staticmethod
    def forward(ctx: Any, x: torch.Tensor, weight: torch.Tensor, eps: float) -> torch.Tensor:
        normed, inverse = _norm(x, weight, eps)
        if ctx.needs_input_grad[0]:
            ctx.save_for_backward(x, weight, inverse)
        return normed

    @staticmethod
    def backward(ctx: Any, grad: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        return _norm_slope(grad, *ctx.saved_tensors), None, None


@on_gpu_compiled
def _norm(x: torch.Tensor, weight: torch.Tensor, eps: float) -> tuple[torch.Tensor, torch.Tensor]:
    """The norm of x, and 1 / rms(x), (..., 1)."""
    exact = torch.promote_types(x.dtype, torch.float32)
    wide = x.to(exact, copy=True)
    inverse = torch.linalg.vector_norm(wide, dim=-1, keepdim=True)
    inverse = inverse.square_().div_(x.shape[-1]).add_(eps).rsqrt_()
    return wide.mul_(inverse).mul_(weight.to(exact)).to(x.dtype), inverse


@on_gpu_compiled
def _norm_slope(grad: torch.Tensor, x: torch.Tensor, weight: torch.Tensor, inverse: torch.Tensor) -> torch.Tensor:
    normed = x.to(inverse.dtype, copy=True).mul_(inverse)
    above = grad.to(inverse.dtype, copy=True).mul_(weight.to(inverse.dtype))
    mean = torch.linalg.vecdot(above, normed).div_(x.shape[-1]).unsqueeze(-1)
    return above.addcmul_(normed, mean, value=-1).mul_(inverse).to(x.dtype)


class _Gated(torch.autograd.Function):
    """silu(gate) * up; kept for the backward pass: gate, up, and silu(gate) where that is not cheap to do again."""

    @staticmethod
    def forward(ctx: Any, gate: torch.Tensor, up: torch.Tensor) -> torch.Tensor:
        if gate.is_cuda:
            ctx.save_for_backward(gate, up, None)
            return _gated(gate, up)
        opened = F.silu(gate)
        ctx.save_for_backward(gate, up, opened)
        return opened * up

    @staticmethod
    def backward(ctx: Any, grad: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        return _gated_slopes(grad, *ctx.saved_tensors)


@on_gpu_compiled
def _gated(gate: torch.Tensor, up: torch.Tensor) -> torch.Tensor:
    return F.silu(gate) * up


@on_gpu_compiled
def _gated_slopes(
    grad: torch.Tensor, gate: torch.Tensor, up: torch.Tensor, opened: torch.Tensor | None
) -> tuple[torch.Tensor, torch.Tensor]:
    """Toward gate and up."""
    opened = F.silu(gate) if opened is None else opened
    return torch.ops.aten.silu_backward(grad * up, gate), grad * opened


class _Rotary(torch.autograd.Function):
    """x (..., T, D) turned by cos and sin (1, T, D), whose halves are alike: two passes over x instead of five."""

    @staticmethod
    def forward(ctx: Any, x: torch.Tensor, cos: torch.Tensor, sin: torch.Tensor) -> torch.Tensor:
        ctx.save_for_backward(cos, sin)
        return _turned(x, cos, sin)

    @staticmethod
    def backward(ctx: Any, grad: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        cos, sin = ctx.saved_tensors
        return _turned(grad, cos, -sin), None, None


@on_gpu_compiled
def _turned(x: torch.Tensor, cos: torch.Tensor, sin: torch.Tensor) -> torch.Tensor:
    half = x.shape[-1] // 2
    out = torch.mul(x, cos)
    out[..., :half].addcmul_(x[..., half:], sin[..., :half], value=-1)
    out[..., half:].addcmul_(x[..., :half], sin[..., half:])
    return out


def _rotate(
    q: torch.Tensor, k: torch.Tensor, cos: torch.Tensor, sin: torch.Tensor, unsqueeze_dim: int = 1
) -> tuple[torch.Tensor, torch.Tensor]:
    """As transformers' function of that name: q and k (1, heads, T, D), cos and sin (1, T, D)."""
    cos, sin = cos.unsqueeze(unsqueeze_dim), sin.unsqueeze(unsqueeze_dim)
    return _Rotary.apply(q, cos, sin), _Rotary.apply(k, cos, sin)


def _norm_forward(self: Any, x: torch.Tensor) -> torch.Tensor:
    if self.weight.requires_grad:
        return type(self).forward(self, x)  # type: ignore[no-any-return]
    return _RmsNorm.apply(x, self.weight, _epsilon(self))  # type: ignore[no-any-return]


def _gated_forward(self: Any, x: torch.Tensor) -> torch.Tensor:
    gate, up = self.gate_proj(x), self.up_proj(x)
    if not torch.is_grad_enabled():
        return self.down_proj(F.silu(gate, inplace=True).mul_(up))  # type: ignore[no-any-return]
    return self.down_proj(_Gated.apply(gate, up))  # type: ignore[no-any-return]


def _epsilon(module: nn.Module) -> float | None:
    for name in ("variance_epsilon", "eps"):
        if isinstance(getattr(module, name, None), float):
            return float(getattr(module, name))
    return None


def _is_norm(module: nn.Module) -> bool:
    weight = getattr(module, "weight", None)
    own = list(module.named_parameters())
    return (
        type(module).__name__.endswith("RMSNorm")
        and isinstance(weight, nn.Parameter)
        and len(own) == 1
        and weight.dim() == 1
        and _epsilon(module) is not None
    )


def _is_gated(module: nn.Module) -> bool:
    parts = {name for name, _ in module.named_children()}
    return {"gate_proj", "up_proj", "down_proj"} <= parts <= {"gate_proj", "up_proj", "down_proj", "act_fn"}


KINDS = ((_is_norm, _norm_forward), (_is_gated, _gated_forward))


def fuse_elementwise(model: nn.Module) -> int:
    """Give every module of `model` that computes the same the fused forward; returns how many that are."""
    same: dict[type, bool] = {}
    like = next(p for p in model.parameters() if p.is_floating_point())
    fused = 0
    for module in model.modules():
        for recognised, forward in KINDS:
            if not recognised(module):
                continue
            if type(module) not in same:
                same[type(module)] = _computes_the_same(module, forward, like)
            if same[type(module)]:
                module.forward = MethodType(forward, module)
                fused += 1
    return fused


ROTARY = "apply_rotary_pos_emb"


@torch.no_grad()
def fuse_rotary(model: nn.Module) -> bool:
    """Let the file of transformers that `model`'s class is in turn queries and keys by `_rotate`, if it is the same.

    As kernel libraries do, this changes the function for all models of that file in this process.
    """
    home = sys.modules[type(model).__module__]
    own = getattr(home, ROTARY, None)
    if own is None or own is _rotate:
        return own is _rotate
    generator = torch.Generator().manual_seed(0)
    q, k = (torch.randn(1, heads, PROBED_TOKENS, 8, generator=generator) for heads in (2, 1))
    angles = torch.randn(1, PROBED_TOKENS, 4, generator=generator).repeat(1, 1, 2)
    cos, sin = angles.cos(), angles.sin()
    try:
        pairs = zip(own(q, k, cos, sin), _rotate(q, k, cos, sin), strict=True)
        same = all(torch.allclose(*pair, atol=1e-6) for pair in pairs)
    except (TypeError, ValueError, RuntimeError):  # it takes or gives something else
        return False
    try:  # one that turns a part of each head alone does more than ours
        own(q.repeat(1, 1, 1, 2), k.repeat(1, 1, 1, 2), cos, sin)
        return False
    except RuntimeError:
        pass
    if same:
        setattr(home, ROTARY, _rotate)
    return same


@torch.no_grad()
def _computes_the_same(module: Any, forward: Any, like: torch.Tensor) -> bool:
    like = next((p for p in module.parameters() if p.is_floating_point()), like)  # a quantised module has none
    width = module.weight.shape[0] if hasattr(module, "weight") else module.gate_proj.in_features
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(1, PROBED_TOKENS, width, generator=generator).to(like.device, like.dtype)
    expected, got = type(module).forward(module, x), forward(module, x)
    tolerance = 4 * max(torch.finfo(dtype).eps for dtype in (x.dtype, torch.float32))  # norms compute in float32
    return bool((got - expected).norm() <= tolerance * expected.norm())
