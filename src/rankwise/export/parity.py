"""What was lost on the way: a merged model held against adapter and base, on the same rows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from math import log
from typing import Any

import torch

from rankwise.data.render import Rendered
from rankwise.model.loss import mean_loss
from rankwise.model.packing import Packing

LOGIT_ROWS = 16
BATCH_ROWS = 16


@dataclass(frozen=True)
class Said:
    """What a model says to some rows."""

    bits_per_token: float
    """Of the supervised tokens of all rows."""
    logits: torch.Tensor
    """(tokens, vocabulary), float32, before every supervised token of the first rows."""


@dataclass(frozen=True)
class Parity:
    rows: int
    logit_rows: int
    logits_difference: float
    """The largest difference of a logit, as a part of the largest logit."""
    same_first: float
    """Part of the tokens for which both hold the same token the likeliest."""
    adapter_bits: float
    """Bits a token of the adapter on its base, as that was kept."""
    merged_bits: float

    def as_json(self) -> dict[str, Any]:
        return asdict(self)


@torch.no_grad()
def hear(model: torch.nn.Module, rows: Sequence[Rendered]) -> Said:
    device = next(model.parameters()).device
    logits = []
    for row in rows[:LOGIT_ROWS]:
        packing = Packing([len(row.ids)], device=device)
        ids = torch.tensor([row.ids], device=device)
        made = model(input_ids=ids, position_ids=packing.positions(), packing=packing, use_cache=False).logits[0]
        before = [place - 1 for place, on in enumerate(row.supervised) if on and place]
        logits.append(made[before].float().cpu())
    return Said(mean_loss(model, rows, BATCH_ROWS, share=True) / log(2), torch.cat(logits))


def compare(adapter: Said, merged: Said, rows: int) -> Parity:
    apart = (adapter.logits - merged.logits).abs().max() / adapter.logits.abs().max()
    same = (adapter.logits.argmax(1) == merged.logits.argmax(1)).float().mean()
    return Parity(rows, min(rows, LOGIT_ROWS), float(apart), float(same), adapter.bits_per_token, merged.bits_per_token)
