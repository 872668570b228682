"""A linear classifier of a base's own last hidden states: the base is only read, and a head says the label."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import torch
from safetensors.torch import load_file
from torch import nn
from transformers import AutoModel, PreTrainedModel

from rankwise.errors import BaseError
from rankwise.facts.adapter import AdapterFacts
from rankwise.facts.payload import CLASSIFIER
from rankwise.facts.unattached import Features, LinearSettings, read_content
from rankwise.model.classifier import batches, padded
from rankwise.model.hidden import last_hidden
from rankwise.model.load import load_base, put_on, read_model, require_weights
from rankwise.model.packing import Packing

Tokens = Sequence[int]


class Head(NamedTuple):
    """`weight` (n, d) and `bias` (n), float64; n is the number of labels, or 1 for two of them, and then for the
    second."""

    features: Features
    skipped: int
    """Tokens that every row begins with, which are not looked at."""
    weight: torch.Tensor
    bias: torch.Tensor


class LinearClassifier(nn.Module):
    """A base under a head. `base`: causal, loaded for packed rows, or an encoder."""

    def __init__(self, base: PreTrainedModel, packs: bool, head: Head) -> None:
        super().__init__()
        self.base, self.packs, self.head = base, packs, head

    @torch.no_grad()
    def class_logits(self, rows: Sequence[Tokens]) -> torch.Tensor:
        """Float32 (rows, labels)."""
        found = read_states(self.base, self.packs, rows, [self.head.features], self.head.skipped)[self.head.features]
        logits = found.double() @ self.head.weight.T + self.head.bias
        if len(self.head.bias) == 1:  # of two labels, the second's against nothing
            logits = torch.cat([torch.zeros_like(logits), logits], 1)
        return logits.float()


def load_reader(folder: Path, packs: bool, dtype: str, device: str) -> PreTrainedModel:
    """The base to read rows with. BaseError if it cannot be read, has no room, or lacks weights."""
    if packs:
        return load_base(folder, dtype, device)
    model, missing = read_model(AutoModel, folder, dtype, device, "none", {})
    require_weights({name for name in missing if not name.startswith("pooler.")}, folder)  # a pooler is not looked at
    if model.config.pad_token_id is None:
        raise BaseError(f"{folder}: its config.json names no pad_token_id, which rows are padded with; add it there")
    put_on(device, model, folder)
    return model


def load_head(facts: AdapterFacts) -> Head:
    said = read_content(facts, LinearSettings)
    held = load_file(facts.path / str(CLASSIFIER.weights))
    return Head(said.features, said.skipped, held["weight"], held["bias"])


@torch.no_grad()
def read_states(
    base: PreTrainedModel,
    packs: bool,
    rows: Sequence[Tokens],
    kinds: Sequence[Features],
    skipped: int,
    done: Callable[[int], None] = lambda rows: None,
) -> dict[Features, torch.Tensor]:
    """What stands for each row, float32 (rows, d), by kind. `done` is told how many rows were read since."""
    found: dict[Features, torch.Tensor] = {
        kind: torch.empty(len(rows), base.config.get_text_config().hidden_size) for kind in kinds
    }
    for chosen in batches(rows):
        states = _packed(base, [rows[i] for i in chosen]) if packs else _padded(base, [rows[i] for i in chosen])
        for i, row in zip(chosen, states, strict=True):
            own = row[min(skipped, len(row) - 1) :].float()
            for kind in kinds:
                found[kind][i] = {"mean": own.mean(0), "first": row[0].float(), "last": row[-1].float()}[kind].cpu()
        done(len(chosen))
    return found


def _packed(base: PreTrainedModel, rows: Sequence[Tokens]) -> Sequence[torch.Tensor]:
    packing = Packing([len(row) for row in rows], device=base.device)
    ids = torch.tensor([token for row in rows for token in row], device=base.device)
    return last_hidden(base, ids, packing).split([len(row) for row in rows])


def _padded(base: PreTrainedModel, rows: Sequence[Tokens]) -> Sequence[torch.Tensor]:
    ids, mask = padded(rows, base.config.pad_token_id, base.device)
    out: Any = base(input_ids=ids, attention_mask=mask)
    return [states[: len(row)] for states, row in zip(out.last_hidden_state, rows, strict=True)]
