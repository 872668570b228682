"""The model a run trains: its base, and the adapter on it."""

from __future__ import annotations

from pathlib import Path

import torch
from peft import PeftModel
from transformers import AutoModelForCausalLM, PreTrainedModel

from rankwise.model.adalora import attach_adalora
from rankwise.model.attach import attach_existing, attach_new, require_trainable
from rankwise.model.classifier import load_classifier
from rankwise.model.elementwise import fuse_rotary
from rankwise.model.load import load_base, put_on, read_model, require_weights
from rankwise.plan import Plan
from rankwise.train.settings import BaseFolder, Settings


def open_model(settings: Settings, plan: Plan, base: BaseFolder) -> PeftModel:
    """The base with the adapter that will be trained: a fresh one, or the one it continues from."""
    return attach_adapter(load_model(settings, base), settings, plan, base.name)


def load_model(settings: Settings, base: BaseFolder) -> PreTrainedModel:
    """The base as the plan keeps it, set up to be trained on, without an adapter."""
    torch.set_num_threads(settings.threads)
    model = load_planned(base, settings)
    if settings.gradient_checkpointing:
        model.gradient_checkpointing_enable({"use_reentrant": False})
    return model


def attach_adapter(model: PreTrainedModel, settings: Settings, plan: Plan, base_name: str) -> PeftModel:
    """The adapter that will be trained on a base that has none. PlanError unless what is trainable is as planned."""
    if settings.schedule is not None:
        lora = settings.lora
        targets = list(lora.target_modules)
        adapted = attach_adalora(
            model, targets, lora.lora_alpha, lora.lora_dropout, settings.schedule, settings.loop.seed
        )
    elif settings.adapter is None:
        adapted = attach_new(model, base_name, settings.lora, settings.loop.seed, settings.task)
    else:
        torch.manual_seed(settings.loop.seed)
        adapted = attach_existing(model, Path(settings.adapter), trainable=True)
    require_trainable(adapted, plan.trainable_parameters)
    return adapted


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
    return load_classifier(base.path, settings.labels, settings.dtype, device, settings.loop.seed, kept)
