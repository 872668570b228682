"""What a step minimises: the supervised tokens that a causal base writes, or the labels that a head gives."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Literal, TypeVar

import torch

from rankwise.data.batch import pack, split_evenly
from rankwise.data.render import Rendered
from rankwise.facts.classifier import MULTI, SINGLE
from rankwise.model.classifier import class_losses, mean_class_loss
from rankwise.model.encoder_decoder import answer_losses, by_length, mean_answer_loss
from rankwise.model.loss import mean_loss, nothing, target_losses
from rankwise.recipe.schema import ProblemType

T = TypeVar("T")
Between = Callable[[], None]
"""Called before each forward pass; may raise to leave early."""
Backward = Callable[[torch.nn.Module, Sequence[Sequence[Rendered]], Between], torch.Tensor]
MeanLoss = Callable[[torch.nn.Module, Sequence[Rendered], int, Between], float]


@dataclass(frozen=True)
class Objective:
    """A loss in nats: the mean over all tokens or rows (or the labels of rows) of a step, not a mean of micro-batch
    means, so how the step is cut into micro-batches changes neither loss nor gradient."""

    per: Literal["token", "row", "label"]
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


def labelling(labels: Iterable[str], problem_type: ProblemType = SINGLE) -> Objective:
    """Sequence classification under a head over `labels`, in their order: one of them, or any number."""
    classes = {label: number for number, label in enumerate(labels)}

    def backward(model: torch.nn.Module, parts: Sequence[Sequence[Rendered]], between: Between) -> torch.Tensor:
        count = sum(map(len, parts))
        return _add_gradients(
            parts, lambda rows: class_losses(model, rows, classes, problem_type).sum() / count, between
        )

    return Objective(
        per="label" if problem_type == MULTI else "row",
        backward=backward,
        mean_loss=lambda model, rows, batch_rows, between: mean_class_loss(
            model, rows, classes, batch_rows, between, problem_type
        ),
        tokens=lambda rows: len(rows) * max(len(row.ids) for row in rows),
    )


def answering() -> Objective:
    """Supervised fine-tuning of an encoder-decoder: the tokens of the answers alone."""

    def backward(model: torch.nn.Module, parts: Sequence[Sequence[Rendered]], between: Between) -> torch.Tensor:
        count = sum(row.num_supervised for rows in parts for row in rows)
        return _add_gradients(_alike(parts), lambda rows: answer_losses(model, rows).sum() / count, between)

    return Objective(
        per="token",
        backward=backward,
        mean_loss=mean_answer_loss,
        tokens=lambda rows: sum(len(row.ids) for row in rows),  # padding depends on the other parts of the step
    )


def _alike(parts: Sequence[Sequence[Rendered]]) -> list[list[Rendered]]:
    """The rows of a step in as many parts, those of like length together, for they are padded."""
    rows = by_length([row for part in parts for row in part])
    return [[rows[i] for i in part] for part in split_evenly(range(len(rows)), len(parts))]


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
    losses: list[torch.Tensor] = []
    for part in parts:
        between()
        loss = loss_of(part)
        loss.backward()  # type: ignore[no-untyped-call]
        losses.append(loss.detach())
    return torch.stack(losses).sum().cpu()  # a GPU is waited for once a step, not once a part
