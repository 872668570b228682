"""What an adapter folder of prefix tuning holds: the keys and values of every layer, in one tensor."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from rankwise.errors import Problem
from rankwise.facts.adapter import AdapterFacts
from rankwise.facts.base import Anatomy

PEFT_TYPE = "PREFIX_TUNING"
TENSOR = "prompt_embeddings"
"""As PEFT names it: (num_virtual_tokens, num_layers x 2 x token_dim), `token_dim` being the width of a layer's keys. A
projection is not in it: PEFT keeps what it made."""
_SIZES = ("num_virtual_tokens", "num_layers", "token_dim", "num_attention_heads")


def is_prefix(config: Mapping[str, Any]) -> bool:
    """By its adapter_config.json."""
    return config.get("peft_type") == PEFT_TYPE


def virtual_tokens(config: Mapping[str, Any]) -> int:
    """Before every row; 0 of an adapter of another kind."""
    return int(config["num_virtual_tokens"]) if is_prefix(config) else 0


def check_prefix(facts: AdapterFacts, anatomy: Anatomy | None) -> Iterator[Problem]:
    """It is the one tensor that its config describes; with `anatomy`, for the layers and keys of that base."""
    config, where = facts.config, str(facts.path)
    sizes = [config.get(key) for key in _SIZES]
    wrong = [
        f"{key} {size!r}"
        for key, size in zip(_SIZES, sizes, strict=True)
        if not isinstance(size, int) or isinstance(size, bool) or size < 1
    ]
    if wrong:
        yield Problem("error", "adapter-config", where, f"{', '.join(wrong)} in its config: expected numbers from 1")
        return
    tokens, layers, width, heads = (size for size in sizes if isinstance(size, int))
    found = {name: tensor.shape for name, tensor in facts.tensors.items()}
    expected = {TENSOR: (tokens, layers * 2 * width)}
    if found != expected:
        told = ", ".join(f"{name} {shape}" for name, shape in found.items()) or "no tensor"
        yield Problem("error", "adapter-shape", where, f"it holds {told}; by its config {TENSOR} {expected[TENSOR]}")
    if anatomy is not None and (layers, width) != (anatomy.num_layers, anatomy.key_width):
        message = (
            f"its prefix is for {layers} layers with keys of {width}, and {anatomy.name} has {anatomy.num_layers} with "
            f"keys of {anatomy.key_width}: another architecture"
        )
        yield Problem("error", "adapter-target", where, message)
    if width % heads:
        yield Problem("error", "adapter-config", where, f"token_dim {width} is no multiple of its {heads} heads")
