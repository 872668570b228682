"""Loading a base: safetensors only, no remote code, frozen, with packed attention."""

from __future__ import annotations

import os
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import cast

import torch
from transformers import AutoModelForCausalLM, PreTrainedModel
from transformers.utils import logging as transformers_logging

from rankwise.errors import BaseError
from rankwise.model.attention import IMPLEMENTATION
from rankwise.model.elementwise import fuse_elementwise, fuse_rotary
from rankwise.model.head import has_plain_head
from rankwise.model.last_layer import trim_last_layer
from rankwise.model.packing import Packing
from rankwise.model.quantize import quantization_config, use_dense_products

os.environ.setdefault("ONEDNN_PRIMITIVE_CACHE_CAPACITY", "256")
"""oneDNN keeps about 0.7 MB for each shape of product it has met, 1,024 of them if not told otherwise; a step has about
a hundred. Read at its first product."""

DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16}
TOLERANCE = {"float32": 1e-4, "bfloat16": 0.1}
"""Largest relative difference between the logits of a packed row and of the row alone; far above rounding."""

SHOWN = 3
"""Most missing weights named one by one."""

ATTENTION_LAYERS = frozenset({"full_attention", "sliding_attention"})
"""Entries of a config's `layer_types` that are attention over all earlier tokens, or the last so many."""


def load_base(folder: Path, dtype: str, device: str, quantization: str = "none") -> PreTrainedModel:
    """The frozen causal language model in `folder`, in evaluation mode; `quantization`: none, nf4 or int8.

    BaseError if it cannot be read, lacks weights, has no room on `device`, or if its layers would let packed rows
    see each other.
    """
    own = {"attn_implementation": IMPLEMENTATION}
    model, missing = read_model(AutoModelForCausalLM, folder, dtype, device, quantization, own)
    require_weights(missing, folder)
    mixers = set(getattr(model.config.get_text_config(), "layer_types", None) or ()) - ATTENTION_LAYERS
    if mixers:
        raise BaseError(
            f"{folder}: {type(model).__name__} has {', '.join(sorted(mixers))} layers, in which packed rows would see "
            "each other; choose a base with attention alone"
        )
    model.config.use_cache = False
    if quantization == "none":
        put_on(device, model, folder)
    # A base in few bits has larger activations, and so larger differences by rounding.
    return make_ready(model, folder, (1 if quantization == "none" else 10) * TOLERANCE[dtype])


def make_ready(model: PreTrainedModel, folder: Path, tolerance: float) -> PreTrainedModel:
    """`model`, made with packed attention, proved and set up for packed batches. BaseError if it cannot take them."""
    _require_packing(model, folder, tolerance)
    fuse_elementwise(model)
    fuse_rotary(model)
    trim_last_layer(model)
    has_plain_head(model)  # looked at once, here, so that no step of training has to
    return model


def read_model(
    kind: type,
    folder: Path,
    dtype: str,
    device: str,
    quantization: str,
    settings: Mapping[str, object],
    untouched: Sequence[str] = (),
) -> tuple[PreTrainedModel, set[str]]:
    """What `kind`, a class of transformers' Auto classes, makes of `folder` under its `settings`: frozen, in evaluation
    mode; and the names of its weights that are not the files', but random numbers. BaseError if it cannot be read.

    A quantised one is on `device`, its modules whose names end in one of `untouched` as they were.
    """
    transformers_logging.disable_progress_bar()  # type: ignore[no-untyped-call]
    packed = quantization_config(quantization, DTYPES[dtype], untouched)
    try:
        read = kind.from_pretrained(  # type: ignore[attr-defined]
            folder,
            dtype=DTYPES[dtype],
            use_safetensors=True,
            local_files_only=True,
            trust_remote_code=False,
            output_loading_info=True,
            # Quantised weights are made where they will stay.
            **({} if packed is None else {"quantization_config": packed, "device_map": {"": device}}),
            **settings,
        )
    except (OSError, ValueError, KeyError, RuntimeError) as fault:
        raise BaseError(f"{folder}: the base cannot be loaded: {fault}") from None
    # What from_pretrained says it returns leaves the second part out.
    model, report = cast(tuple[PreTrainedModel, dict[str, set]], read)
    model.requires_grad_(False)
    use_dense_products(model)
    return model.eval(), report["missing_keys"] | {name for name, *_ in report["mismatched_keys"]}


def put_on(device: str, model: PreTrainedModel, folder: Path) -> None:
    """BaseError with what to do if it has no room there."""
    try:
        model.to(device)  # type: ignore[arg-type]  # a decorator hides its signature
    except (RuntimeError, AssertionError) as fault:  # no room, no such device, or a torch built without it
        reason = str(fault).partition("\n")[0]
        raise BaseError(
            f"{folder}: the base cannot be put on {device}: {reason}; free its memory, set training.bf16: true, choose "
            "a smaller base, or hide the GPU (CUDA_VISIBLE_DEVICES=-1) and plan anew"
        ) from None


def require_weights(missing: Collection[str], folder: Path) -> None:
    """BaseError naming the weights that no file holds, which would be random numbers; a tied head is not missing."""
    if missing:
        names = sorted(missing)
        named = ", ".join(names[:SHOWN]) + (f" and {len(names) - SHOWN} more" if len(names) > SHOWN else "")
        raise BaseError(f"{folder}: its files lack {len(names)} of its weights ({named}); fetch or save the base again")


@torch.no_grad()
def _require_packing(model: PreTrainedModel, folder: Path, tolerance: float) -> None:
    """BaseError unless a row packed behind another has the logits that the model's own attention gives it alone.

    Only that row's logits are asked for, as training asks for those of the targets alone.

    Layers that mix tokens outside attention (Mamba, convolutions) or bend its scores (ALiBi, caps, sinks) fail here.
    """
    first, row = list(range(2, 9)), list(range(3, 15))
    packing = Packing([len(first), len(row)], device=model.device)
    kept = torch.arange(len(first), len(first) + len(row), device=model.device)
    try:
        packed = model(
            input_ids=torch.tensor([first + row], device=model.device),
            position_ids=packing.positions(),
            packing=packing,
            logits_to_keep=kept,
            use_cache=False,
        ).logits[0]
        model.set_attn_implementation("eager")
        alone = model(input_ids=torch.tensor([row], device=model.device), use_cache=False).logits[0]
        model.set_attn_implementation(IMPLEMENTATION)
    except (AttributeError, TypeError, ValueError, RuntimeError, IndexError) as fault:
        raise BaseError(f"{folder}: {type(model).__name__} cannot run on packed rows: {fault}") from None
    if packed.shape != alone.shape:
        raise BaseError(
            f"{folder}: {type(model).__name__} gives {len(packed)} logits where {len(alone)} were asked for: it pays "
            "no heed to logits_to_keep, which training needs; choose another base"
        )
    difference = float((packed.float() - alone.float()).norm() / alone.float().norm())
    if not difference <= tolerance:
        raise BaseError(
            f"{folder}: {type(model).__name__} lets packed rows see each other, or bends attention in a way this build "
            f"does not compute (logits differ by {difference:.1%} from its own); choose a base with plain attention"
        )
