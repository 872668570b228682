"""Prefix tuning: learnt keys and values that every row of every layer attends to, before its own tokens.

PEFT makes and keeps them. In its forward they are a filled cache, so rows begin at position `num_virtual_tokens`, and
the keys are taken as they are, unturned by the rotary embedding. In ours they are the known prefix of a packed batch,
to which the gradient flows.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from peft import PeftModel, PrefixTuningConfig, get_peft_model
from safetensors.torch import load_file
from transformers import PreTrainedModel

from rankwise.errors import BaseError
from rankwise.facts.payload import WEIGHTS
from rankwise.facts.prefix import TENSOR
from rankwise.model.attention import IMPLEMENTATION
from rankwise.model.load import TOLERANCE
from rankwise.model.packing import Packing, Prefix

NAME = "default"


@dataclass(frozen=True)
class PrefixSettings:
    """PEFT's own names and meanings."""

    num_virtual_tokens: int
    prefix_projection: bool
    encoder_hidden_size: int | None
    """Of the projection; None: there is none."""
    init_weights: str | None = None
    """`zero`, or None: drawn at random."""


def attach_prefix(model: PreTrainedModel, base_name: str, settings: PrefixSettings, seed: int) -> PeftModel:
    """A fresh prefix in float32; the seed is set before PEFT draws it, so one seed gives one adapter.

    BaseError if PEFT's own forward makes something else of it than packed attention does.
    """
    torch.manual_seed(seed)
    again = model.is_activation_checkpointing  # PEFT refuses it, for its own forward needs the cache that ours does not
    if again:
        model.gradient_checkpointing_disable()
    config = PrefixTuningConfig(
        task_type="CAUSAL_LM",
        num_virtual_tokens=settings.num_virtual_tokens,
        prefix_projection=settings.prefix_projection,
        encoder_hidden_size=settings.encoder_hidden_size,  # type: ignore[arg-type]
        init_weights=settings.init_weights,  # type: ignore[arg-type]
    )
    adapted: PeftModel = get_peft_model(model, config)  # type: ignore[assignment]
    config.base_model_name_or_path = base_name
    require_peft_agrees(adapted)
    if again:
        model.gradient_checkpointing_enable({"use_reentrant": False})
    return adapted


def continue_prefix(
    model: PreTrainedModel, base_name: str, settings: PrefixSettings, seed: int, adapter: Path
) -> PeftModel:
    """The prefix of a folder, to be trained on; the caller has verified both. PEFT itself loads one only to be used."""
    adapted = attach_prefix(model, base_name, settings, seed)
    encoder: Any = adapted.prompt_encoder[NAME]
    encoder.load_prompt_embeddings(load_file(adapter / WEIGHTS)[TENSOR])
    return adapted


def learnt_prefix(model: torch.nn.Module) -> Prefix | None:
    """What every row attends to first; None: `model` has no such adapter, or it is switched off."""
    if not isinstance(model, PeftModel) or not isinstance(model.active_peft_config, PrefixTuningConfig):
        return None
    if not model.has_active_enabled_adapter:
        return None
    config: Any = model.active_peft_config
    encoder: Any = model.prompt_encoder[model.active_adapter]
    # Of a loaded one PEFT has the keys and values alone, even if a projection made them.
    made = encoder.embedding.weight if config.inference_mode else encoder(_numbers(encoder))
    # (P, layers x 2 x K x D) -> (layers, 2, K, P, D), in the base's dtype as PEFT casts it
    size = config.token_dim // config.num_attention_heads
    split = made.view(config.num_virtual_tokens, config.num_layers, 2, config.num_attention_heads, size)
    split = split.permute(1, 2, 3, 0, 4).to(model.get_base_model().dtype)
    prefix = Prefix(config.num_virtual_tokens)
    for layer, (key, value) in enumerate(split):
        prefix.fill(layer, key[None], value[None])
    return prefix


def _numbers(encoder: Any) -> torch.Tensor:
    weight = encoder.embedding.weight
    return torch.arange(len(weight), device=weight.device)


@torch.no_grad()
def require_peft_agrees(model: PeftModel) -> None:
    """BaseError unless a row meets the prefix as in PEFT's own forward: it shapes the keys and values of some
    architectures otherwise, and what is trained here must be what it loads."""
    base: Any = model.get_base_model()
    row = list(range(3, 15))
    training = base.training
    base.eval()
    got = _attended(base, lambda: prefixed_logits(model, [row]))
    base.set_attn_implementation("eager")
    try:
        expected = _attended(base, lambda: model(input_ids=torch.tensor([row], device=base.device)))
    except (AttributeError, TypeError, ValueError, RuntimeError, IndexError) as fault:
        raise BaseError(f"PEFT cannot run {type(base).__name__} behind a prefix: {fault}; take method lora") from None
    finally:
        base.set_attn_implementation(IMPLEMENTATION)
        base.train(training)
    difference = float((got - expected).norm() / expected.norm())
    if not difference <= TOLERANCE[str(base.dtype).removeprefix("torch.")]:
        raise BaseError(
            f"{type(base).__name__}: PEFT makes something else of a prefix on this base than this build does "
            f"(attention differs by {difference:.1%}); take method lora"
        )


def _attended(base: torch.nn.Module, forward: Callable[[], object]) -> torch.Tensor:
    """What the first two layers' attention gives in `forward`, (2, tokens, hidden). In bfloat16 a prefix of random
    numbers makes the logits of a deep base noise, and no more can be seen in them."""
    found: list[torch.Tensor] = []
    hooks = [
        module.register_forward_hook(lambda _module, _input, output: found.append(output[0][0].float()))
        for module in base.modules()
        if type(module).__name__.endswith("Attention") and getattr(module, "layer_idx", None) in (0, 1)
    ]
    if not hooks:
        raise BaseError(f"{type(base).__name__}: its attention cannot be looked at behind a prefix; take method lora")
    try:
        forward()
    finally:
        for hook in hooks:
            hook.remove()
    return torch.stack(found)


def prefixed_logits(model: PeftModel, rows: Sequence[Sequence[int]]) -> list[torch.Tensor]:
    """Of each row its logits behind the prefix, (tokens, vocabulary), all from one packed pass."""
    base: Any = model.get_base_model()
    packing = Packing([len(row) for row in rows], learnt_prefix(model) or 0, device=base.device)
    ids = torch.tensor([[token for row in rows for token in row]], device=base.device)
    out = base(input_ids=ids, position_ids=packing.positions(), packing=packing, use_cache=False)
    return list(out.logits[0].split([len(row) for row in rows]))
