"""Putting an adapter on a base, through PEFT, and proving that what was asked for became trainable."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from peft import LoraConfig, PeftModel, get_peft_model
from transformers import PreTrainedModel

from rankwise.errors import AdapterError, PlanError
from rankwise.model.lora import fuse


@dataclass(frozen=True)
class LoraSettings:
    """PEFT's own names and meanings."""

    r: int
    lora_alpha: float
    lora_dropout: float
    target_modules: Sequence[str]
    bias: str
    use_rslora: bool
    init_lora_weights: bool | str
    use_dora: bool = False


def attach_new(
    model: PreTrainedModel, base_name: str, settings: LoraSettings, seed: int, task: str = "causal_lm"
) -> PeftModel:
    """A fresh adapter in float32; the seed is set before PEFT draws A, so one seed gives one adapter.

    Of a sequence classifier PEFT trains and saves the head too.
    """
    torch.manual_seed(seed)
    config = LoraConfig(
        task_type=task.upper(),
        r=settings.r,
        lora_alpha=_whole(settings.lora_alpha),  # type: ignore[arg-type]  # PEFT computes with floats as well
        lora_dropout=settings.lora_dropout,
        target_modules=list(settings.target_modules),
        bias=settings.bias,  # type: ignore[arg-type]
        use_rslora=settings.use_rslora,
        init_lora_weights=settings.init_lora_weights,  # type: ignore[arg-type]
        use_dora=settings.use_dora,
    )
    adapted = get_peft_model(model, config)
    config.base_model_name_or_path = base_name
    fuse(adapted)
    return adapted  # type: ignore[return-value]


def _whole(number: float) -> float:
    """32.0 as 32: some servers read lora_alpha as an integer."""
    return int(number) if number == int(number) else number


def attach_existing(model: PreTrainedModel, adapter: Path, trainable: bool) -> PeftModel:
    """The adapter of a folder on the base it belongs to; the caller has verified both."""
    try:
        adapted = PeftModel.from_pretrained(model, str(adapter), is_trainable=trainable)
    except (ValueError, KeyError, RuntimeError) as fault:
        raise AdapterError(f"{adapter}: PEFT cannot load it on this base: {fault}") from None
    fuse(adapted)
    return adapted.eval()


def require_trainable(model: PeftModel, planned: int) -> None:
    """PlanError unless exactly the planned number of parameters is trainable."""
    actual = sum(p.numel() for p in model.parameters() if p.requires_grad)
    if actual != planned:
        raise PlanError(
            f"the plan counts {planned:,} trainable parameters, the model has {actual:,}; nothing was trained"
        )
