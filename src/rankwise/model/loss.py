"""Loss of packed batches: logits only where a token is supervised."""

from __future__ import annotations

import torch
from torch.nn import functional as F

from rankwise.data.batch import Batch
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
