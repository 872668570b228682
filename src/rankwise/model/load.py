"""Loading a base: safetensors only, no remote code, frozen, with packed attention."""

from __future__ import annotations

from pathlib import Path

import torch
from transformers import AutoModelForCausalLM, PreTrainedModel
from transformers.utils import logging as transformers_logging

from rankwise.errors import BaseError
from rankwise.model.attention import IMPLEMENTATION, Packing

DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16}
TOLERANCE = {"float32": 1e-4, "bfloat16": 0.1}
"""Largest relative difference between the logits of a packed row and of the row alone; far above rounding."""

ATTENTION_LAYERS = frozenset({"full_attention", "sliding_attention"})
"""Entries of a config's `layer_types` that are attention over all earlier tokens, or the last so many."""


def load_base(folder: Path, dtype: str, device: str) -> PreTrainedModel:
    """The frozen causal language model in `folder`, in evaluation mode.

    BaseError if it cannot be read, or if its layers would let packed rows see each other.
    """
    transformers_logging.disable_progress_bar()  # type: ignore[no-untyped-call]
    try:
        model = AutoModelForCausalLM.from_pretrained(
            folder,
            dtype=DTYPES[dtype],
            attn_implementation=IMPLEMENTATION,
            use_safetensors=True,
            local_files_only=True,
            trust_remote_code=False,
        )
    except (OSError, ValueError, KeyError) as fault:
        raise BaseError(f"{folder}: the base cannot be loaded: {fault}") from None
    mixers = set(getattr(model.config.get_text_config(), "layer_types", None) or ()) - ATTENTION_LAYERS
    if mixers:
        raise BaseError(
            f"{folder}: {type(model).__name__} has {', '.join(sorted(mixers))} layers, in which packed rows would see "
            "each other; choose a base with attention alone"
        )
    model.requires_grad_(False)
    model.config.use_cache = False
    model.to(device)  # type: ignore[arg-type]  # a decorator hides its signature
    model.eval()
    _require_packing(model, folder, TOLERANCE[dtype])
    return model


@torch.no_grad()
def _require_packing(model: PreTrainedModel, folder: Path, tolerance: float) -> None:
    """BaseError unless a row packed behind another has the logits that the model's own attention gives it alone.

    Layers that mix tokens outside attention (Mamba, convolutions) or bend its scores (ALiBi, caps, sinks) fail here.
    """
    first, row = list(range(2, 9)), list(range(3, 15))
    packing = Packing([len(first), len(row)], device=model.device)
    try:
        packed = model(
            input_ids=torch.tensor([first + row], device=model.device),
            position_ids=packing.positions(),
            packing=packing,
            use_cache=False,
        ).logits[0, len(first) :]
        model.set_attn_implementation("eager")
        alone = model(input_ids=torch.tensor([row], device=model.device), use_cache=False).logits[0]
        model.set_attn_implementation(IMPLEMENTATION)
    except (AttributeError, TypeError, ValueError, RuntimeError, IndexError) as fault:
        raise BaseError(f"{folder}: {type(model).__name__} cannot run on packed rows: {fault}") from None
    difference = float((packed.float() - alone.float()).norm() / alone.float().norm())
    if not difference <= tolerance:
        raise BaseError(
            f"{folder}: {type(model).__name__} lets packed rows see each other, or bends attention in a way this build "
            f"does not compute (logits differ by {difference:.1%} from its own); choose a base with plain attention"
        )
