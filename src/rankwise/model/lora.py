"""The fused path for plain LoRA: y = x W^T + b + s (x A^T) B^T as one autograd function; and for DoRA, on top of it.

PEFT keeps its modules, names and file format; only the forward of an eligible layer is replaced. Kept for the
backward pass: x and x A^T. PEFT's own forward casts x to float32 and lets autograd keep every product; here the
adapter's products run in the base's dtype and its gradients are handed over in its own, float32. A quantised base's
weight is dequantised for each pass and not kept. Layers PEFT builds otherwise (several active adapters, merged, other
variants) keep PEFT's forward.
"""

from __future__ import annotations

from types import MethodType
from typing import Any

import torch
from peft.tuners.lora.layer import Linear as LoraLinear
from peft.tuners.lora.layer import LoraLayer
from peft.tuners.lora.variants import DoraLinearVariant
from torch import nn
from torch.nn import functional as F

from rankwise.model.quantize import dense_weight, is_dense


class LowRank(torch.autograd.Function):
    """Inputs: x (..., in), layer, its weight (out, in) in x's dtype, bias (out) or None, A (r, in), B (out, r), scale,
    keep (..., in) or None.

    `keep` is the dropout mask of the adapter's input, already divided by its keep rate. The weight is not kept for the
    backward pass, which takes it from the layer again.
    """

    @staticmethod
    def forward(
        ctx: Any,
        x: torch.Tensor,
        layer: nn.Module,
        weight: torch.Tensor,
        bias: torch.Tensor | None,
        a: torch.Tensor,
        b: torch.Tensor,
        scale: float,
        keep: torch.Tensor | None,
    ) -> torch.Tensor:
        flat = x.reshape(-1, x.shape[-1])
        low_a, low_b = a.to(x.dtype), b.to(x.dtype)
        seen = flat if keep is None else flat * keep.reshape(flat.shape)
        inner = seen @ low_a.t()
        out = F.linear(flat, weight, bias).addmm_(inner, low_b.t(), alpha=scale)
        ctx.save_for_backward(flat, inner, low_a, low_b, keep)
        ctx.layer, ctx.scale, ctx.shape = layer, scale, x.shape
        ctx.adapter_dtype, ctx.bias_dtype = a.dtype, None if bias is None else bias.dtype
        return out.view(*x.shape[:-1], out.shape[-1])

    @staticmethod
    def backward(ctx: Any, grad: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        flat, inner, low_a, low_b, keep = ctx.saved_tensors
        grad = grad.reshape(-1, grad.shape[-1])
        grad_inner = (grad @ low_b) * ctx.scale
        seen = flat if keep is None else flat * keep.reshape(flat.shape)
        grad_a = (grad_inner.t() @ seen).to(ctx.adapter_dtype)
        # The narrow operand first: grad^T inner takes half as long again.
        grad_b = (inner.t() @ grad).t().to(ctx.adapter_dtype).mul_(ctx.scale)
        grad_bias = grad.sum(0).to(ctx.bias_dtype) if ctx.needs_input_grad[3] else None
        grad_x = None
        if ctx.needs_input_grad[0]:
            through = grad_inner @ low_a
            if keep is not None:
                through = through * keep.reshape(flat.shape)
            grad_x = through.addmm_(grad, dense_weight(ctx.layer, grad.dtype)).view(ctx.shape)
        return grad_x, None, None, grad_bias, grad_a, grad_b, None, None


class _Gain(torch.autograd.Function):
    """x (..., out) times gain (out), whose gradient is summed in its own dtype."""

    @staticmethod
    def forward(ctx: Any, x: torch.Tensor, gain: torch.Tensor) -> torch.Tensor:
        ctx.save_for_backward(x, gain)
        return x * gain.to(x.dtype)

    @staticmethod
    def backward(ctx: Any, grad: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        x, gain = ctx.saved_tensors
        return grad * gain.to(grad.dtype), (grad * x).flatten(0, -2).sum(0, dtype=gain.dtype)


def _fused_forward(self: Any, x: torch.Tensor, *args: Any, **kwargs: Any) -> torch.Tensor:
    active = self.active_adapters
    if self.disable_adapters or self.merged or len(active) != 1 or kwargs or args:
        return type(self).forward(self, x, *args, **kwargs)  # type: ignore[no-any-return]
    name = active[0]
    if name not in self.lora_A:
        return self.base_layer(x)  # type: ignore[no-any-return]
    dropout = self.lora_dropout[name]
    dropping = self.training and isinstance(dropout, nn.Dropout) and dropout.p > 0
    base, scale = self.base_layer, self.scaling[name]
    a, b = self.lora_A[name].weight, self.lora_B[name].weight
    if name in self.lora_variant:
        if dropping:  # PEFT then drops from the base's input too
            return type(self).forward(self, x)  # type: ignore[no-any-return]
        weight = dense_weight(base, x.dtype)
        direction = LowRank.apply(x, base, weight, None, a, b, scale, None)
        out = _Gain.apply(direction, self.lora_magnitude_vector[name].weight / _column_norms(weight, a, b, scale))
        return out if base.bias is None else out + base.bias  # type: ignore[no-any-return]
    keep = torch.empty_like(x).bernoulli_(1 - dropout.p).div_(1 - dropout.p) if dropping else None
    return LowRank.apply(x, base, dense_weight(base, x.dtype), base.bias, a, b, scale, keep)  # type: ignore[no-any-return]


@torch.no_grad()
def _column_norms(weight: torch.Tensor, a: torch.Tensor, b: torch.Tensor, scale: float) -> torch.Tensor:
    """Norm of each output's weights, (out), a constant to the gradient: DoRA paper, section 4.3."""
    return torch.linalg.vector_norm(torch.addmm(weight.to(a.dtype), b, a, alpha=scale), dim=1)


def fuse(model: nn.Module) -> int:
    """Give every eligible LoRA layer of `model` the fused forward; returns how many layers that are."""
    fused = 0
    for module in model.modules():
        kind: type = type(module)
        eligible = (
            isinstance(module, LoraLayer)
            and (kind is LoraLinear or kind.__module__ == "peft.tuners.lora.bnb")
            and is_dense(module.get_base_layer())
            and all(isinstance(variant, DoraLinearVariant) for variant in module.lora_variant.values())
            and not any(module.lora_bias.values())
            and not getattr(module, "fan_in_fan_out", False)
        )
        if eligible:
            module.forward = MethodType(_fused_forward, module)
            fused += 1
    return fused
