"""A frozen base in 4 or 8 bits, by bitsandbytes: kept small, unpacked where a layer needs its weight.

bitsandbytes' own forwards are not used. Its LLM.int8 rounds activations by what else is in the batch, so that a row's
logits would depend on its neighbours; its 4-bit layer repacks its weight in evaluation on some CPUs, and would unpack
it wrongly in the backward pass after that. Here a layer is the product with its dequantised weight, forward and
backward, with an adapter and without.
"""

from __future__ import annotations

from collections.abc import Sequence
from copy import copy
from types import MethodType
from typing import Any

import torch
from torch import nn
from torch.nn import functional as F

from rankwise.errors import BaseError


def quantization_config(kind: str, dtype: torch.dtype, untouched: Sequence[str] = ()) -> Any:
    """What transformers loads a base by; None for `none`. `nf4`: with double quantisation, as in the QLoRA paper.

    `untouched`: ends of names of modules that are left as they are; by default transformers leaves a language model's
    head.
    """
    if kind == "none":
        return None
    try:
        import bitsandbytes  # noqa: F401
    except ImportError:
        message = f"quantization: {kind} needs bitsandbytes, which is not installed; pip install bitsandbytes"
        raise BaseError(message) from None
    from transformers import BitsAndBytesConfig

    if kind == "int8":
        return BitsAndBytesConfig(load_in_8bit=True, llm_int8_skip_modules=list(untouched) or None)
    return BitsAndBytesConfig(
        load_in_4bit=True,
        bnb_4bit_quant_type="nf4",
        bnb_4bit_use_double_quant=True,
        bnb_4bit_compute_dtype=dtype,
        llm_int8_skip_modules=list(untouched) or None,
    )


def is_quantized(layer: nn.Module) -> bool:
    return type(layer).__name__ in ("Linear4bit", "Linear8bitLt") and type(layer).__module__.startswith("bitsandbytes")


def is_dense(layer: nn.Module) -> bool:
    """A linear layer whose weight `dense_weight` gives."""
    return type(layer) is nn.Linear or is_quantized(layer)


@torch.no_grad()
def dense_weight(layer: Any, dtype: torch.dtype) -> torch.Tensor:
    """(out, in) in `dtype`; of a plain layer its own, of a quantised one made anew."""
    if type(layer) is nn.Linear:
        return layer.weight
    from bitsandbytes import functional

    weight = layer.weight
    if type(layer).__name__ == "Linear4bit":
        state = copy(weight.quant_state)
        # Its CPU kernel takes blocks row by row, and reads rows that end within a block wrongly.
        shape = state.shape
        state.shape = torch.Size([shape.numel() // state.blocksize, state.blocksize])
        return functional.dequantize_4bit(weight.data, state).view(shape).to(dtype)
    return functional.int8_vectorwise_dequant(weight.CB, weight.SCB).to(dtype)


def use_dense_products(model: nn.Module) -> int:
    """Give every quantised layer of `model` the product with its dequantised weight; returns how many there are."""
    found: dict[str, Any] = {name: module for name, module in model.named_modules() if is_quantized(module)}
    for name, module in found.items():
        state = getattr(module.weight, "quant_state", None)  # of 4 bits alone
        if state is not None and state.shape.numel() % state.blocksize:
            rows, columns = state.shape
            raise BaseError(
                f"{name}: {rows} x {columns} weights cannot be kept in 4 bits, which takes blocks of "
                f"{state.blocksize}; take quantization: int8 or none"
            )
        module.forward = MethodType(_dense_forward, module)
    return len(found)


class _DenseProduct(torch.autograd.Function):
    """x (..., in) -> x W^T + b; the weight is made anew for the backward pass, not kept."""

    @staticmethod
    def forward(ctx: Any, x: torch.Tensor, bias: torch.Tensor | None, layer: nn.Module) -> torch.Tensor:
        ctx.layer, ctx.bias_dtype = layer, None if bias is None else bias.dtype
        return F.linear(x, dense_weight(layer, x.dtype), None if bias is None else bias.to(x.dtype))

    @staticmethod
    def backward(ctx: Any, grad: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        grad_x = grad @ dense_weight(ctx.layer, grad.dtype) if ctx.needs_input_grad[0] else None
        grad_bias = grad.flatten(0, -2).sum(0).to(ctx.bias_dtype) if ctx.needs_input_grad[1] else None
        return grad_x, grad_bias, None


def _dense_forward(self: Any, x: torch.Tensor) -> torch.Tensor:
    return _DenseProduct.apply(x, self.bias, self)  # type: ignore[no-any-return]
