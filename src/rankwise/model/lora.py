"""The fused path for plain LoRA: y = x W^T + b + s (x A^T) B^T as one autograd function.

PEFT keeps its modules, names and file format; only the forward of an eligible layer is replaced. Kept for the
backward pass: x and x A^T. PEFT's own forward casts x to float32 and lets autograd keep every product; here the
adapter's products run in the base's dtype and its gradients are handed over in its own, float32. Layers PEFT builds
otherwise (DoRA, quantised bases, several active adapters, merged) keep PEFT's forward.
"""

from __future__ import annotations

from types import MethodType
from typing import Any

import torch
from peft.tuners.lora.layer import Linear as LoraLinear
from torch import nn
from torch.nn import functional as F


class _FusedLora(torch.autograd.Function):
    """Inputs: x (..., in), weight (out, in), bias (out) or None, A (r, in), B (out, r), scale, keep (..., in) or None.

    `keep` is the dropout mask of the adapter's input, already divided by its keep rate.
    """

    @staticmethod
    def forward(
        ctx: Any,
        x: torch.Tensor,
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
        ctx.save_for_backward(flat, inner, weight, low_a, low_b, keep)
        ctx.scale, ctx.shape, ctx.bias_dtype = scale, x.shape, None if bias is None else bias.dtype
        ctx.adapter_dtype = a.dtype
        return out.view(*x.shape[:-1], out.shape[-1])

    @staticmethod
    def backward(ctx: Any, grad: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        flat, inner, weight, low_a, low_b, keep = ctx.saved_tensors
        grad = grad.reshape(-1, grad.shape[-1])
        grad_inner = (grad @ low_b) * ctx.scale
        seen = flat if keep is None else flat * keep.reshape(flat.shape)
        grad_a = (grad_inner.t() @ seen).to(ctx.adapter_dtype)
        # The narrow operand first: grad^T inner takes half as long again.
        grad_b = (inner.t() @ grad).t().to(ctx.adapter_dtype).mul_(ctx.scale)
        grad_bias = grad.sum(0).to(ctx.bias_dtype) if ctx.needs_input_grad[2] else None
        grad_x = None
        if ctx.needs_input_grad[0]:
            through = grad_inner @ low_a
            if keep is not None:
                through = through * keep.reshape(flat.shape)
            grad_x = through.addmm_(grad, weight).view(ctx.shape)
        return grad_x, None, grad_bias, grad_a, grad_b, None, None


def _fused_forward(self: LoraLinear, x: torch.Tensor, *args: Any, **kwargs: Any) -> torch.Tensor:
    active = self.active_adapters
    if self.disable_adapters or self.merged or len(active) != 1 or kwargs or args or active[0] in self.lora_variant:
        return LoraLinear.forward(self, x, *args, **kwargs)
    name = active[0]
    if name not in self.lora_A:
        return self.base_layer(x)
    dropout = self.lora_dropout[name]
    keep = None
    if self.training and isinstance(dropout, nn.Dropout) and dropout.p > 0:
        keep = torch.empty_like(x).bernoulli_(1 - dropout.p).div_(1 - dropout.p)
    base = self.base_layer
    return _FusedLora.apply(  # type: ignore[no-any-return]
        x, base.weight, base.bias, self.lora_A[name].weight, self.lora_B[name].weight, self.scaling[name], keep
    )


def fuse(model: nn.Module) -> int:
    """Give every eligible LoRA layer of `model` the fused forward; returns how many layers that are."""
    fused = 0
    for module in model.modules():
        eligible = (
            type(module) is LoraLinear
            and type(module.base_layer) is nn.Linear
            and not module.lora_variant
            and not any(module.lora_bias.values())
            and not module.fan_in_fan_out
        )
        if eligible:
            module.forward = MethodType(_fused_forward, module)
            fused += 1
    return fused
