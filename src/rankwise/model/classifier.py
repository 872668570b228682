"""An encoder as a sequence classifier: a fresh head on it, rows in padded batches, and what it makes of them.

Its tokens see both sides, so rows are padded, their padding masked, and those of like length go together.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from peft import PeftModel
from torch import nn
from torch.nn import functional as F
from transformers import AutoModelForSequenceClassification, PreTrainedModel
from transformers.utils import logging as transformers_logging

from rankwise.data.render import Rendered
from rankwise.errors import BaseError
from rankwise.facts.classifier import MULTI, SINGLE, TRAINED
from rankwise.model.load import put_on, read_model, require_weights
from rankwise.model.loss import nothing
from rankwise.recipe.schema import ProblemType

BATCH_TOKENS = 6144
"""Most tokens of a forward pass without gradient, padding included."""

Tokens = Sequence[int]


def load_classifier(
    folder: Path,
    labels: Sequence[str],
    dtype: str,
    device: str,
    seed: int,
    quantization: str = "none",
    problem_type: ProblemType = SINGLE,
) -> PreTrainedModel:
    """The frozen encoder in `folder`, in evaluation mode, under a head over `labels` that `seed` draws.

    Whatever head its files have is for other labels, or in another order. BaseError if the encoder cannot be read, has
    no room on `device`, or lacks weights below its head: they would be random numbers that no adapter holds.
    """
    names = dict(enumerate(labels))
    own = {
        "num_labels": len(names),
        "id2label": names,
        "label2id": {label: number for number, label in names.items()},
        "problem_type": problem_type,
        "ignore_mismatched_sizes": True,
    }
    with _without_remarks():
        model, missing = read_model(
            AutoModelForSequenceClassification, folder, dtype, device, quantization, own, untouched=TRAINED
        )
    heads = {name: module for name, module in model.named_children() if name.endswith(TRAINED)}
    if not heads:
        raise BaseError(f"{folder}: {type(model).__name__} has no head that PEFT would train; choose another encoder")
    require_weights({name for name in missing if name.partition(".")[0] not in heads}, folder)
    if model.config.pad_token_id is None:
        raise BaseError(f"{folder}: its config.json names no pad_token_id, which rows are padded with; add it there")
    _draw(heads, model, seed)
    if quantization == "none":
        put_on(device, model, folder)
    return model


def class_logits(model: nn.Module, rows: Sequence[Tokens]) -> torch.Tensor:
    """What the head says of each row, float32 (rows, labels)."""
    linear: Callable[[Sequence[Tokens]], torch.Tensor] | None = getattr(model, "class_logits", None)
    if linear is not None:  # model/linear's, whose head is on a base that may pack its rows
        return linear(rows)
    base: Any = model.get_base_model() if isinstance(model, PeftModel) else model
    ids, mask = padded(rows, base.config.pad_token_id, next(model.parameters()).device)
    logits: torch.Tensor = model(input_ids=ids, attention_mask=mask).logits
    return logits.float()


def padded(rows: Sequence[Tokens], pad: int, device: torch.device) -> tuple[torch.Tensor, torch.Tensor]:
    """Ids and mask, each (rows, tokens of the longest)."""
    longest = max(map(len, rows))
    ids = torch.tensor([[*row, *[pad] * (longest - len(row))] for row in rows], device=device)
    mask = torch.tensor([[1] * len(row) + [0] * (longest - len(row)) for row in rows], device=device)
    return ids, mask


def class_losses(
    model: nn.Module, rows: Sequence[Rendered], classes: Mapping[str, int], problem_type: ProblemType = SINGLE
) -> torch.Tensor:
    """-ln p of every row's label, float32; of a head for any number of labels its mean over the labels, each there or
    not, so that the mean over rows is transformers' BCEWithLogitsLoss. `classes`: the head's number for each label."""
    logits = class_logits(model, [row.ids for row in rows])
    if problem_type == MULTI:
        there = torch.tensor([[label in (row.labels or ()) for label in classes] for row in rows], device=logits.device)
        return F.binary_cross_entropy_with_logits(logits, there.float(), reduction="none").mean(1)
    targets = torch.tensor([classes[str(row.label)] for row in rows], device=logits.device)
    return F.cross_entropy(logits, targets, reduction="none")


@torch.no_grad()
def mean_class_loss(
    model: nn.Module,
    rows: Sequence[Rendered],
    classes: Mapping[str, int],
    batch_rows: int,
    between: Callable[[], None] = nothing,
    problem_type: ProblemType = SINGLE,
) -> float:
    """Mean of `class_losses` over `rows`, in nats. `between` is called before each batch, and may raise to leave
    early."""
    ordered = sorted(rows, key=lambda row: -len(row.ids))
    total = 0.0
    for start in range(0, len(ordered), batch_rows):
        between()
        total += float(class_losses(model, ordered[start : start + batch_rows], classes, problem_type).sum())
    return total / len(ordered)


@torch.no_grad()
def all_logits(
    model: nn.Module, rows: Sequence[Tokens], labels: int, done: Callable[[int], None] = lambda rows: None
) -> torch.Tensor:
    """The head's logits for each row, float32 (rows, labels). `done` is told how many rows were answered since."""
    scores = torch.empty(len(rows), labels)
    for chosen in batches(rows):
        scores[chosen] = class_logits(model, [rows[i] for i in chosen]).cpu()
        done(len(chosen))
    return scores


def score_classes(
    model: nn.Module, rows: Sequence[Tokens], labels: int, done: Callable[[int], None] = lambda rows: None
) -> torch.Tensor:
    """ln p of every label for each row, float32 (rows, labels), where a row has one of them. `done` as above."""
    return all_logits(model, rows, labels, done).log_softmax(1)


def batches(rows: Sequence[Tokens]) -> Iterator[list[int]]:
    """Row numbers in batches of like length, the longest first."""
    order = sorted(range(len(rows)), key=lambda i: -len(rows[i]))
    start = 0
    while start < len(order):
        count = max(1, BATCH_TOKENS // len(rows[order[start]]))
        yield order[start : start + count]
        start += count


@contextmanager
def _without_remarks() -> Iterator[None]:
    """transformers remarks that the head is new, which is meant."""
    before = transformers_logging.get_verbosity()
    transformers_logging.set_verbosity_error()
    try:
        yield
    finally:
        transformers_logging.set_verbosity(before)


@torch.no_grad()
def _draw(heads: Mapping[str, nn.Module], model: PreTrainedModel, seed: int) -> None:
    """The heads as transformers draws a new one, but in float32 and by a generator of their own: one seed gives one
    head whatever was drawn before, on every device."""
    generator = torch.Generator().manual_seed(seed)
    spread = getattr(model.config, "initializer_range", 0.02)
    for head in heads.values():
        head.float()
        for module in head.modules():
            if isinstance(module, nn.Linear):
                module.weight.copy_(torch.randn(module.weight.shape, generator=generator) * spread)
                if module.bias is not None:
                    module.bias.zero_()
        head.register_forward_pre_hook(_in_float32)


def _in_float32(_: nn.Module, inputs: tuple[torch.Tensor, ...]) -> tuple[torch.Tensor, ...]:
    """A head is trained, so it is in float32 as the adapter's matrices are, whatever the encoder's dtype."""
    return tuple(x.float() for x in inputs)
