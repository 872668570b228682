"""The last layer, for the tokens that are asked about alone: all others end in its keys and values."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from types import MethodType
from typing import Any

import torch
from torch import nn

from rankwise.model.hidden import last_hidden, near, probe_ids
from rankwise.model.packing import Packing

PARTS = {"self_attn", "mlp", "input_layernorm", "post_attention_layernorm"}
TOLERANCE = 16
"""Of the probe, in rounding steps of the base's dtype."""


def trim_last_layer(model: Any) -> bool:
    """Let the last layer of a base compute its output for `packing.wanted` alone, where it is built as Llama's are.

    It is run beside its own forward first; a layer that computes something else is left as it is.
    """
    layers = getattr(model.base_model, "layers", None)
    if not isinstance(layers, nn.ModuleList) or {name for name, _ in layers[-1].named_children()} != PARTS:
        return False
    last = layers[-1]
    if not isinstance(getattr(last.self_attn, "o_proj", None), nn.Module):
        return False
    expected = _probe(model)
    last.forward = MethodType(_trimmed_forward, last)
    got = _probe(model)
    if near(got, expected, TOLERANCE):
        return True
    del last.forward
    return False


def _trimmed_forward(
    self: Any,
    hidden_states: torch.Tensor,
    *args: Any,
    packing: Any = None,
    **kwargs: Any,  # what the model hands to every layer, and the layer to its attention
) -> Any:
    if not isinstance(packing, Packing) or packing.wanted is None:
        return type(self).forward(self, hidden_states, *args, packing=packing, **kwargs)
    with _only(self.self_attn.o_proj, packing.wanted):
        mixed, _ = self.self_attn(self.input_layernorm(hidden_states), *args, packing=packing, **kwargs)
    packing.selected = True
    kept = hidden_states.index_select(1, packing.wanted) + mixed
    return kept + self.mlp(self.post_attention_layernorm(kept))


@contextmanager
def _only(module: nn.Module, wanted: torch.Tensor) -> Iterator[None]:
    """`module` sees these tokens of its input (1, T, n) alone. A hook, for PEFT may have put another module there."""
    hook = module.register_forward_pre_hook(lambda _, inputs: (inputs[0].index_select(1, wanted), *inputs[1:]))
    try:
        yield
    finally:
        hook.remove()


@torch.no_grad()
def _probe(model: Any) -> torch.Tensor:
    """Last hidden states of two of the tokens of two packed rows."""
    packing = Packing([4, 6], device=model.device, wanted=torch.tensor([2, 8], device=model.device))
    return last_hidden(model, probe_ids(model, 10), packing)
