"""AdamW and the learning-rate schedules."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import torch


@dataclass(frozen=True)
class OptimSettings:
    """Hugging Face's names and meanings."""

    optim: str
    learning_rate: float
    weight_decay: float
    adam_beta1: float
    adam_beta2: float
    adam_epsilon: float
    lr_scheduler_type: str
    warmup_ratio: float
    max_grad_norm: float
    loraplus_lr_ratio: float = 1.0
    """Times the learning rate at which every B is trained (LoRA+ paper, equation 6)."""


def make_optimizer(parameters: Mapping[str, torch.nn.Parameter], settings: OptimSettings) -> torch.optim.AdamW:
    """AdamW over `parameters`, by name; with LoRA+ every B stands in a group of its own."""
    ratio = settings.loraplus_lr_ratio
    b = [p for name, p in parameters.items() if ratio != 1 and ".lora_B." in name]
    others = [p for name, p in parameters.items() if ratio == 1 or ".lora_B." not in name]
    groups = [{"params": others, "lr_ratio": 1.0}, *([{"params": b, "lr_ratio": ratio}] if b else [])]
    optimizer = torch.optim.AdamW(
        groups,
        lr=settings.learning_rate,
        betas=(settings.adam_beta1, settings.adam_beta2),
        eps=settings.adam_epsilon,
        weight_decay=settings.weight_decay,
        fused=settings.optim == "adamw_torch_fused",
    )
    set_learning_rate(optimizer, settings.learning_rate)
    return optimizer


def set_learning_rate(optimizer: torch.optim.Optimizer, rate: float) -> None:
    """`rate` for A, and that times `loraplus_lr_ratio` for B."""
    for group in optimizer.param_groups:
        group["lr"] = rate * group["lr_ratio"]


def warmup_steps(settings: OptimSettings, num_steps: int) -> int:
    return math.ceil(settings.warmup_ratio * num_steps)


def learning_rate_at(step: int, num_steps: int, settings: OptimSettings) -> float:
    """The rate of optimizer step `step`, counted from 0: a warm-up that wastes no step on zero, then the schedule."""
    warmup = warmup_steps(settings, num_steps)
    if settings.lr_scheduler_type == "constant":
        return settings.learning_rate
    if step < warmup:
        return settings.learning_rate * (step + 1) / warmup
    progress = (step - warmup) / max(1, num_steps - warmup)
    if settings.lr_scheduler_type == "constant_with_warmup":
        factor = 1.0
    elif settings.lr_scheduler_type == "linear":
        factor = 1.0 - progress
    else:
        factor = 0.5 * (1.0 + math.cos(math.pi * progress))
    return settings.learning_rate * factor
