"""Putting an adapter on a base, through PEFT, and proving that what was asked for became trainable."""

from __future__ import annotations

import warnings
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

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
    layers_to_transform: Sequence[int] | None = None
    rank_pattern: Mapping[str, int] = field(default_factory=dict)
    alpha_pattern: Mapping[str, float] = field(default_factory=dict)
    target_parameters: Sequence[str] = ()
    rank_per_expert: int | None = None
    """Of each in `target_parameters`; None: `r`, or what a pattern says."""


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
        lora_alpha=whole(settings.lora_alpha),  # type: ignore[arg-type]  # PEFT computes with floats as well
        lora_dropout=settings.lora_dropout,
        target_modules=list(settings.target_modules),
        bias=settings.bias,  # type: ignore[arg-type]
        use_rslora=settings.use_rslora,
        init_lora_weights=settings.init_lora_weights,  # type: ignore[arg-type]
        use_dora=settings.use_dora,
        layers_to_transform=None if settings.layers_to_transform is None else list(settings.layers_to_transform),
        rank_pattern=_ranks(settings),
        alpha_pattern={pattern: whole(alpha) for pattern, alpha in settings.alpha_pattern.items()},
        target_parameters=list(settings.target_parameters) or None,
    )
    with without_moot_warnings():
        try:
            adapted = get_peft_model(model, config)
        except ValueError as fault:
            names = ", ".join([*settings.target_modules, *settings.target_parameters])
            raise PlanError(f"PEFT cannot adapt {names}: {fault}; nothing was trained") from None
    _require_reached(adapted, settings)
    config.base_model_name_or_path = base_name
    fuse(adapted)
    return adapted  # type: ignore[return-value]


@contextmanager
def without_moot_warnings() -> Iterator[None]:
    """PEFT holds patterns against modules alone; those for parameters do their work all the same. It warns of an
    adapter on a head that is one with the embeddings; here the embeddings stay the base's, and merging parts the two.
    """
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "The following (rank|alpha)_pattern keys did not match", RuntimeWarning)
        warnings.filterwarnings("ignore", "Model has `tie_word_embeddings=True` and a tied layer", UserWarning)
        yield


def _ranks(settings: LoraSettings) -> dict[str, int]:
    """PEFT's patterns, of which the first that matches counts; those for experts come last."""
    rank, ranks = settings.rank_per_expert, dict(settings.rank_pattern)
    if rank is not None:
        for name in settings.target_parameters:
            ranks.setdefault(name, rank)
    return ranks


def _require_reached(model: PeftModel, settings: LoraSettings) -> None:
    """PlanError unless PEFT put an adapter on all that was asked for and on nothing else: it rewrites the names of some
    mixtures of experts, and what then matches nothing it leaves frozen without a word."""
    tuner: Any = model.base_model
    for what, asked, reached in (
        ("layers", settings.target_modules, tuner.targeted_module_names),
        ("experts", settings.target_parameters, tuner.targeted_parameter_names),
    ):
        frozen = [name for name in asked if not any(_names(name, path) for path in reached)]
        if frozen:
            raise PlanError(f"{', '.join(frozen)}: PEFT leaves these {what} frozen; nothing was trained")
        more = [path for path in reached if not any(_names(name, path) for name in asked)]
        if more:
            raise PlanError(f"{', '.join(more[:3])}: PEFT adapts these, and nobody asked for them; nothing was trained")


def _names(name: str, path: str) -> bool:
    return path == name or path.endswith(f".{name}")


def whole(number: float) -> float:
    """32.0 as 32: some servers read lora_alpha as an integer."""
    return int(number) if number == int(number) else number


def attach_existing(model: PreTrainedModel, adapter: Path, trainable: bool) -> PeftModel:
    """The adapter of a folder on the base it belongs to; the caller has verified both."""
    try:
        with without_moot_warnings():
            adapted = PeftModel.from_pretrained(model, str(adapter), is_trainable=trainable)
    except (ValueError, KeyError, RuntimeError) as fault:
        raise AdapterError(f"{adapter}: PEFT cannot load it on this base: {fault}") from None
    fuse(adapted)
    return adapted.eval()


def require_trainable(model: torch.nn.Module, planned: int) -> None:
    """PlanError unless exactly the planned number of parameters is trainable; it says what they are on."""
    counts: Counter[str] = Counter()
    for name, parameter in model.named_parameters():
        if parameter.requires_grad:
            counts[_layer_of(name)] += parameter.numel()
    actual = counts.total()
    if actual != planned:
        found = ", ".join(f"{layer} {count:,}" for layer, count in sorted(counts.items())) or "none"
        raise PlanError(
            f"the plan counts {planned:,} trainable parameters, the model has {actual:,} ({found}); nothing was trained"
        )


def _layer_of(parameter: str) -> str:
    """`self_attn.q_proj` of one of its matrices, or of its bias; wrappers around the same experts are one."""
    path = parameter.partition(".lora_")[0].replace(".base_layer", "").removesuffix(".bias")
    return ".".join(path.split(".")[-2:])


Biases = Mapping[str, torch.Tensor]
"""A base's own biases, by name."""


def own_biases(model: PreTrainedModel) -> Biases:
    """A copy of the biases that an adapter may train in place; so one that has been trained can be taken off again."""
    return {name: p.detach().clone() for name, p in model.named_parameters() if name.endswith("bias")}


@torch.no_grad()
def detach(adapted: PeftModel, biases: Biases) -> PreTrainedModel:
    """The base as it was before the adapter: its layers without matrices, and its own biases again.

    Only for adapters that leave the base's weights alone: no start such as pissa, no head of its own.
    """
    tuner: Any = adapted.base_model
    base: PreTrainedModel = tuner.unload()
    for name, parameter in base.named_parameters():
        if name in biases:
            parameter.copy_(biases[name])
    return base.requires_grad_(False).eval()
