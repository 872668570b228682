"""What a step minimises. One objective so far: supervised fine-tuning."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from rankwise.data.batch import pack
from rankwise.data.render import Rendered
from rankwise.model.loss import target_losses


def backward_sft(model: torch.nn.Module, micro_batches: Sequence[Sequence[Rendered]], share: bool) -> torch.Tensor:
    """Add the gradient of the step's mean -ln p per supervised token; returns that mean, detached.

    The mean is over all supervised tokens of the step, not a mean of micro-batch means, so how the step is cut
    into micro-batches changes neither loss nor gradient.
    """
    tokens = sum(row.num_supervised for rows in micro_batches for row in rows)
    total = torch.zeros(())
    for rows in micro_batches:
        loss = target_losses(model, pack(rows, share)).sum() / tokens
        loss.backward()  # type: ignore[no-untyped-call]
        total = total + loss.detach().cpu()
    return total


@torch.no_grad()
def held_out_loss(model: torch.nn.Module, rows: Sequence[Rendered], batch_rows: int, share: bool) -> float:
    """Mean -ln p per supervised token over `rows`, in nats; the longest rows are done first."""
    ordered = sorted(rows, key=lambda row: -len(row.ids))
    total, tokens = 0.0, 0
    for start in range(0, len(ordered), batch_rows):
        losses = target_losses(model, pack(ordered[start : start + batch_rows], share))
        total += float(losses.sum())
        tokens += losses.numel()
    return total / tokens
