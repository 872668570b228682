"""Every weight trained, in float32, and what is kept of that: the delta against the untouched base.

`delta.safetensors` holds one float32 tensor for each weight of the base, by the weight's own name: trained minus
untouched. Adding it to the base's weights in float32 gives the trained ones, to the last bit where a weight did not
leave half to twice what it was (Sterbenz: the difference of such numbers is exact), else to its last place. A tied head
is one weight with the embeddings, in the model and in the file.
"""

from __future__ import annotations

from pathlib import Path

import torch
from safetensors import safe_open
from safetensors.torch import save_file
from transformers import PreTrainedModel

from rankwise.errors import AdapterError
from rankwise.facts.payload import DELTA


def train_every_weight(model: PreTrainedModel) -> PreTrainedModel:
    return model.requires_grad_(True)


@torch.no_grad()
def save_delta(trained: torch.nn.Module, untouched: PreTrainedModel, folder: Path) -> None:
    """Write what was trained into `folder`."""
    before = dict(untouched.named_parameters())
    delta = {name: p.cpu() - before[name].cpu() for name, p in trained.named_parameters()}
    save_file(delta, folder / DELTA, metadata={"format": "pt"})


@torch.no_grad()
def add_delta(model: PreTrainedModel, folder: Path) -> PreTrainedModel:
    """The base as it was trained, in place; the caller has verified both. AdapterError if the delta is of other weights
    than the model's."""
    weights = dict(model.named_parameters())
    with safe_open(folder / DELTA, framework="pt") as file:
        names = set(file.keys())
        if names != weights.keys():
            odd = sorted(names ^ weights.keys())
            raise AdapterError(f"{folder}: {DELTA} is of other weights than this base's: {', '.join(odd[:3])}")
        for name, weight in weights.items():
            weight.add_(file.get_tensor(name).to(weight.device))
    return model
