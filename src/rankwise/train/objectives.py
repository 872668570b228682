"""What a step minimises: the supervised tokens that a causal base writes, or the labels that a head gives."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Literal, TypeVar

import torch

from rankwise.data.batch import pack
from rankwise.data.render import Rendered
from rankwise.model.classifier import class_losses, mean_class_loss
from rankwise.model.loss import mean_loss, nothing, target_losses

T = TypeVar("T")
Between = Callable[[], None]
"""Called before each forward pass; may raise to leave early."""
Backward = Callable[[torch.nn.Module, Sequence[Sequence[Rendered]], Between], torch.Tensor]
MeanLoss = Callable[[torch.nn.Module, Sequence[Rendered], int, Between], float]


@dataclass(frozen=True)
class Objective:
    """A loss in nats: the mean over all tokens or rows of a step, not a mean of micro-batch means, so how the step is
    cut into micro-batches changes neither loss nor gradient."""

    per: Literal["token", "row"]
    backward: Backward
    """Add the gradient of the loss of one step, cut into these micro-batches; returns the loss, detached."""
    mean_loss: MeanLoss
    """Of held-out rows, so many of them in a forward pass at most."""
    tokens: Callable[[Sequence[Rendered]], int]
    """That a forward pass over these rows computes."""


def writing(share: bool) -> Objective:
    """Supervised fine-tuning; `share`: what the rows of a batch begin with is computed once."""
    return Objective(
        per="token",
        backward=lambda model, parts, between: backward_sft(model, parts, share, between),
        mean_loss=lambda model, rows, batch_rows, between: mean_loss(model, rows, batch_rows, share, between),
        tokens=lambda rows: len(pack(rows, share).ids),
    )


def labelling(labels: Iterable[str]) -> Objective:
    """Sequence classification under a head over `labels`, in their order."""
    classes = {label: number for number, label in enumerate(labels)}

    def backward(model: torch.nn.Module, parts: Sequence[Sequence[Rendered]], between: Between) -> torch.Tensor:
        count = sum(map(len, parts))
        return _add_gradients(parts, lambda rows: class_losses(model, rows, classes).sum() / count, between)

    return Objective(
        per="row",
        backward=backward,
        mean_loss=lambda model, rows, batch_rows, between: mean_class_loss(model, rows, classes, batch_rows, between),
        tokens=lambda rows: len(rows) * max(len(row.ids) for row in rows),
    )


def backward_sft(
    model: torch.nn.Module,
    micro_batches: Sequence[Sequence[Rendered]],
    share: bool,
    between: Between = nothing,
) -> torch.Tensor:
    """Add the gradient of the step's mean -ln p per supervised token; returns that mean, detached."""
    batches = [pack(rows, share) for rows in micro_batches]
    tokens = sum(len(batch.targets) for batch in batches)
    return _add_gradients(batches, lambda batch: target_losses(model, batch).sum() / tokens, between)


def _add_gradients(parts: Iterable[T], loss_of: Callable[[T], torch.Tensor], between: Between) -> torch.Tensor:
    """One forward and backward pass for each part; returns the sum of their losses."""
    total = torch.zeros(())
    for part in parts:
        between()
        loss = loss_of(part)
        loss.backward()  # type: ignore[no-untyped-call]
        total = total + loss.detach().cpu()
    return total
