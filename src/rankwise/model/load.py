"""Loading a base: safetensors only, no remote code, frozen, with packed attention."""

from __future__ import annotations

from pathlib import Path

import torch
from transformers import AutoModelForCausalLM, PreTrainedModel
from transformers.utils import logging as transformers_logging

from rankwise.errors import BaseError
from rankwise.model.attention import IMPLEMENTATION

DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16}


def load_base(folder: Path, dtype: str, device: str) -> PreTrainedModel:
    """The frozen causal language model in `folder`, in evaluation mode; BaseError if it cannot be read."""
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
    model.requires_grad_(False)
    model.config.use_cache = False
    model.to(device)  # type: ignore[arg-type]  # a decorator hides its signature
    model.eval()
    return model
