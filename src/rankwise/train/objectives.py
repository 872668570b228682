"""What a step minimises. One objective so far: supervised fine-tuning."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch

from rankwise.data.batch import pack
from rankwise.data.render import Rendered
from rankwise.model.loss import nothing, target_losses


def backward_sft(
    model: torch.nn.Module,
    micro_batches: Sequence[Sequence[Rendered]],
    share: bool,
    between: Callable[[], None] = nothing,
) -> torch.Tensor:
    """Add the gradient of the step's mean -ln p per supervised token; returns that mean, detached.

    The mean is over all supervised tokens of the step, not a mean of micro-batch means, so how the step is cut
    into micro-batches changes neither loss nor gradient. `between` is called before each micro-batch.
    """
    batches = [pack(rows, share) for rows in micro_batches]
    tokens = sum(len(batch.targets) for batch in batches)
    total = torch.zeros(())
    for batch in batches:
        between()
        loss = target_losses(model, batch).sum() / tokens
        loss.backward()  # type: ignore[no-untyped-call]
        total = total + loss.detach().cpu()
    return total
