"""Loss of packed batches: logits only where a token is supervised."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch.nn import functional as F

from rankwise.data.batch import Batch, pack
from rankwise.data.render import Rendered
from rankwise.model.attention import Packing


def target_losses(model: torch.nn.Module, batch: Batch) -> torch.Tensor:
    """-ln p of every supervised token of the batch, float32, in the order of `batch.targets`."""
    device = next(model.parameters()).device
    packing = Packing(batch.lengths, batch.prefix, device=device)
    logits = model(
        input_ids=torch.tensor([batch.ids], device=device),
        position_ids=packing.positions(),
        packing=packing,
        logits_to_keep=torch.tensor(batch.at, device=device),
        use_cache=False,
    ).logits[0]
    return F.cross_entropy(logits.float(), torch.tensor(batch.targets, device=device), reduction="none")


def nothing() -> None:
    """What is done between batches if no one asks for more."""


@torch.no_grad()
def mean_loss(
    model: torch.nn.Module,
    rows: Sequence[Rendered],
    batch_rows: int,
    share: bool,
    between: Callable[[], None] = nothing,
) -> float:
    """Mean -ln p per supervised token over `rows`, in nats; rows of like length go together.

    `between` is called before each batch; what it raises ends the work.
    """
    ordered = sorted(rows, key=lambda row: -len(row.ids))
    total, tokens = 0.0, 0
    for start in range(0, len(ordered), batch_rows):
        between()
        losses = target_losses(model, pack(ordered[start : start + batch_rows], share))
        total += float(losses.sum())
        tokens += losses.numel()
    return total / tokens
