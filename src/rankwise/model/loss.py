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
from rankwise.model.prefix import learnt_prefix


def nothing() -> None:
    """The pause of who does not want to be asked between batches."""


STRIDE = {"cpu": 32, "cuda": 128}
"""Batches are filled up to a multiple of so many tokens, about 1% more: oneDNN makes code and room of its own for each
shape of product, and a batch of a length not seen before has a hundred of them; a GPU's attention takes whole blocks.
"""


def target_losses(model: nn.Module, batch: Batch) -> torch.Tensor:
    """-ln p of every supervised token of the batch, float32, in the order of `batch.targets`. ValueError for a batch
    whose rows share a beginning behind a learnt prefix."""
    device = next(model.parameters()).device
    at, targets = torch.tensor(batch.at, device=device), torch.tensor(batch.targets, device=device)
    base: Any = model.get_base_model() if isinstance(model, PeftModel) else model
    plain, learnt = has_plain_head(base), learnt_prefix(model)
    if learnt is not None and batch.prefix:
        raise ValueError(f"rows share {batch.prefix} tokens behind a learnt prefix; pack them without sharing")
    fill = -len(batch.ids) % STRIDE[device.type]
    lengths = [*batch.lengths, fill] if fill else batch.lengths  # a row that no one looks at
    packing = Packing(lengths, learnt or batch.prefix, device=device, wanted=at if plain else None)
    ids = torch.tensor(batch.ids + [0] * fill, device=device)
    if plain:
        return head_losses(base.get_output_embeddings(), last_hidden(base, ids, packing), targets)
    logits = base(
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

    `share`: what the rows of a batch begin with is computed once, unless a learnt prefix stands before it. `between` is
    called before each batch, and may raise to leave early.
    """
    share = share and learnt_prefix(model) is None
    ordered = sorted(rows, key=lambda row: -len(row.ids))
    total, tokens = 0.0, 0
    for start in range(0, len(ordered), batch_rows):
        between()
        losses = target_losses(model, pack(ordered[start : start + batch_rows], share))
        total += float(losses.sum())
        tokens += losses.numel()
    return total / tokens


@torch.no_grad()
def row_losses(model: nn.Module, rows: Sequence[Rendered], batch_rows: int, share: bool) -> list[tuple[float, int]]:
    """-ln p of each row's supervised tokens, summed in nats, and their number, in the order of `rows`; `share` as in
    `mean_loss`."""
    share = share and learnt_prefix(model) is None
    order = sorted(range(len(rows)), key=lambda i: -len(rows[i].ids))
    found = [(0.0, 0)] * len(rows)
    for start in range(0, len(order), batch_rows):
        chosen = order[start : start + batch_rows]
        batch = pack([rows[i] for i in chosen], share)
        losses = target_losses(model, batch).double().cpu()
        sums = torch.zeros(len(chosen), dtype=torch.float64).index_add_(0, torch.tensor(batch.row_of), losses)
        for place, i in enumerate(chosen):
            found[i] = (float(sums[place]), rows[i].num_supervised)
    return found
