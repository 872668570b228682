"""Loss of packed batches: logits only where a token is supervised, and only a few rows of them at a time."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from peft import PeftModel
from torch import nn
from torch.nn import functional as F

from rankwise.data.batch import Batch, pack
from rankwise.data.render import Rendered
from rankwise.model.head import has_plain_head, head_losses
from rankwise.model.hidden import last_hidden
from rankwise.model.packing import Packing


def nothing() -> None:
    """The pause of who does not want to be asked between batches."""


STRIDE = 32
"""Batches are filled up to a multiple of so many tokens, about 1% more: oneDNN makes code and room of its own for each
shape of product, and a batch of a length not seen before has a hundred of them."""


def target_losses(model: nn.Module, batch: Batch) -> torch.Tensor:
    """-ln p of every supervised token of the batch, float32, in the order of `batch.targets`."""
    device = next(model.parameters()).device
    at, targets = torch.tensor(batch.at, device=device), torch.tensor(batch.targets, device=device)
    base: Any = model.get_base_model() if isinstance(model, PeftModel) else model
    plain = has_plain_head(base)
    fill = -len(batch.ids) % STRIDE
    lengths = [*batch.lengths, fill] if fill else batch.lengths  # a row that no one looks at
    packing = Packing(lengths, batch.prefix, device=device, wanted=at if plain else None)
    ids = torch.tensor(batch.ids + [0] * fill, device=device)
    if plain:
        return head_losses(base.get_output_embeddings(), last_hidden(base, ids, packing), targets)
    logits = model(
        input_ids=ids[None], position_ids=packing.positions(), packing=packing, logits_to_keep=at, use_cache=False
    ).logits[0]
    return F.cross_entropy(logits.float(), targets, reduction="none")


@torch.no_grad()
def mean_loss(
    model: nn.Module,
    rows: Sequence[Rendered],
    batch_rows: int,
    share: bool,
    between: Callable[[], None] = nothing,
) -> float:
    """Mean -ln p per supervised token over `rows`, in nats; rows of like length go together.

    `between` is called before each batch, and may raise to leave early.
    """
    ordered = sorted(rows, key=lambda row: -len(row.ids))
    total, tokens = 0.0, 0
    for start in range(0, len(ordered), batch_rows):
        between()
        losses = target_losses(model, pack(ordered[start : start + batch_rows], share))
        total += float(losses.sum())
        tokens += losses.numel()
    return total / tokens
