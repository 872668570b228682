"""The model a run trains: its base, and the adapter on it."""

from __future__ import annotations

from pathlib import Path

import torch
from peft import PeftModel
from transformers import AutoModelForCausalLM, PreTrainedModel

from rankwise.errors import PlanError
from rankwise.model.adalora import Allocator, attach_adalora
from rankwise.model.attach import attach_existing, attach_new, require_trainable
from rankwise.model.classifier import load_classifier
from rankwise.model.elementwise import fuse_rotary
from rankwise.model.encoder_decoder import load_encoder_decoder
from rankwise.model.full import add_delta, train_every_weight
from rankwise.model.load import load_base, put_on, read_model, require_weights
from rankwise.model.prefix import PrefixSettings, attach_prefix, continue_prefix
from rankwise.plan import Plan
from rankwise.train.settings import BaseFolder, Settings

Trainable = PeftModel | PreTrainedModel
"""A base with an adapter on it; or, where every weight is trained, the base itself."""


def open_model(settings: Settings, plan: Plan, base: BaseFolder) -> Trainable:
    """The base with the adapter that will be trained: a fresh one, or the one it continues from."""
    return attach_adapter(load_model(settings, base), settings, plan, base.name)


def load_model(settings: Settings, base: BaseFolder) -> PreTrainedModel:
    """The base as the plan keeps it, set up to be trained on, without an adapter."""
    torch.set_num_threads(settings.threads)
    model = load_planned(base, settings)
    if settings.gradient_checkpointing:
        model.gradient_checkpointing_enable({"use_reentrant": False})
    return model


def attach_adapter(model: PreTrainedModel, settings: Settings, plan: Plan, base_name: str) -> Trainable:
    """The adapter that will be trained on a base that has none. PlanError unless what is trainable is as planned."""
    lora, seed = settings.lora, settings.loop.seed
    adapted: Trainable
    if settings.every_weight:
        moved = model if settings.adapter is None else add_delta(model, Path(settings.adapter))
        adapted = train_every_weight(moved)
    elif settings.prefix is not None:
        adapted = _attach_prefix(model, settings.prefix, settings, base_name)
    elif lora is None:
        raise PlanError("the plan has neither lora, prefix nor full; make it anew with `rankwise plan`")
    elif settings.schedule is not None:
        targets = list(lora.target_modules)
        adapted = attach_adalora(model, targets, lora.lora_alpha, lora.lora_dropout, settings.schedule, seed)
    elif settings.adapter is None:
        adapted = attach_new(model, base_name, lora, seed, settings.task)
    else:
        torch.manual_seed(seed)
        adapted = attach_existing(model, Path(settings.adapter), trainable=True)
    require_trainable(adapted, plan.trainable_parameters)
    return adapted


def make_allocator(model: Trainable, settings: Settings) -> Allocator | None:
    """Of AdaLoRA; None for other methods."""
    if settings.schedule is None or not isinstance(model, PeftModel):
        return None
    return Allocator(model, settings.schedule)


def _attach_prefix(model: PreTrainedModel, prefix: PrefixSettings, settings: Settings, base_name: str) -> PeftModel:
    if settings.adapter is None:
        return attach_prefix(model, base_name, prefix, settings.loop.seed)
    return continue_prefix(model, base_name, prefix, settings.loop.seed, Path(settings.adapter))


def load_planned(base: BaseFolder, settings: Settings) -> PreTrainedModel:
    """The base as the plan keeps it; where TRL trains on it, in transformers' own forward and attention, for TRL pads
    rows where our engine packs them."""
    device, kept = settings.device, settings.quantization
    if settings.trained_by_trl:
        own = {"attn_implementation": "sdpa"}
        model, missing = read_model(AutoModelForCausalLM, base.path, settings.dtype, device, kept, own)
        require_weights(missing, base.path)
        model.config.use_cache = False
        put_on(device, model, base.path)
        fuse_rotary(model)  # of all models of its kind in this process, so that one loaded before changes nothing here
        return model
    if settings.task == "causal_lm":
        return load_base(base.path, settings.dtype, device, kept)
    if settings.task == "seq_2_seq_lm":
        return load_encoder_decoder(base.path, settings.dtype, device)
    seed, labels = settings.loop.seed, settings.labels
    return load_classifier(base.path, labels, settings.dtype, device, seed, kept, settings.problem_type)
