"""Losses, gradients and logits of the same rows, by rankwise and by transformers and PEFT alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple, cast

import torch
from peft import PeftModel
from transformers import AutoModelForCausalLM, PreTrainedModel

from rankwise.data.render import Rendered
from rankwise.errors import BaseError
from rankwise.model.attach import LoraSettings, attach_new
from rankwise.model.load import DTYPES, load_base
from rankwise.model.packing import Packing
from rankwise.train.objectives import backward_sft

FILL = 0.02
"""Standard deviation of the random B: a fresh adapter's is zero, and then nothing would reach A."""
LEAST_SHARE = 1e-2
"""Of the mean norm of all tensors' gradients: below it a tensor's gradient is rounding more than anything else."""


class Step(NamedTuple):
    """Of one optimizer step: the mean loss, and the gradient of every trainable tensor by PEFT's name for it."""

    loss: float
    gradient: dict[str, torch.Tensor]


def adapted_base(base: Path, name: str, lora: LoraSettings, dtype: str, device: str, seed: int) -> PeftModel:
    """A base with an adapter that does something, as training would attach it, and without dropout."""
    adapted = attach_new(load_base(base, dtype, device), name, replace(lora, lora_dropout=0.0), seed)
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter_name, p in adapted.named_parameters():
            if "lora_B" in parameter_name:
                p.copy_(torch.randn(p.shape, generator=generator) * FILL)
    return adapted.eval()


def plain_peft(base: Path, adapter: Path, dtype: str, device: str) -> PeftModel:
    """The adapter as PEFT loads it on the base as transformers loads it; nothing of rankwise is in it."""
    try:
        read = AutoModelForCausalLM.from_pretrained(
            base, dtype=DTYPES[dtype], attn_implementation="eager", use_safetensors=True, local_files_only=True
        )
    except (OSError, ValueError, RuntimeError) as fault:
        raise BaseError(f"{base}: transformers alone cannot load it to compare with: {fault}") from None
    model = cast(PreTrainedModel, read)
    model.requires_grad_(False)
    model.to(device)  # type: ignore[arg-type]  # a decorator hides its signature
    return PeftModel.from_pretrained(model, str(adapter), is_trainable=True).eval()


def our_step(model: torch.nn.Module, parts: Sequence[Sequence[Rendered]], share: bool) -> Step:
    """One step of training, cut into these micro-batches."""
    model.zero_grad(set_to_none=True)
    loss = backward_sft(model, parts, share)
    return Step(float(loss), _gradient(model))


def plain_step(model: torch.nn.Module, parts: Sequence[Sequence[Rendered]]) -> Step:
    """The same step by a padded batch for each micro-batch, through the model's own attention."""
    model.zero_grad(set_to_none=True)
    device = next(model.parameters()).device
    tokens = sum(row.num_supervised for rows in parts for row in rows)
    total = 0.0
    for rows in parts:
        longest = max(len(row.ids) for row in rows)
        padded = [longest - len(row.ids) for row in rows]
        ids = torch.tensor([[*row.ids, *[0] * pad] for row, pad in zip(rows, padded, strict=True)], device=device)
        seen = torch.tensor(
            [[1] * len(row.ids) + [0] * pad for row, pad in zip(rows, padded, strict=True)], device=device
        )
        told = torch.tensor(
            [[*row.supervised, *[False] * pad] for row, pad in zip(rows, padded, strict=True)], device=device
        )
        logits = model(input_ids=ids, attention_mask=seen, use_cache=False).logits[:, :-1]
        asked = told[:, 1:]
        loss = torch.nn.functional.cross_entropy(logits[asked].float(), ids[:, 1:][asked], reduction="sum") / tokens
        loss.backward()  # type: ignore[no-untyped-call]
        total += float(loss.detach())
    return Step(total, _gradient(model))


def _gradient(model: torch.nn.Module) -> dict[str, torch.Tensor]:
    return {
        name: (torch.zeros_like(p) if p.grad is None else p.grad.detach().clone()).float().cpu()
        for name, p in model.named_parameters()
        if p.requires_grad
    }


def gradient_difference(ours: Mapping[str, torch.Tensor], theirs: Mapping[str, torch.Tensor]) -> tuple[float, str]:
    """Largest over all tensors of |ours - theirs| / |theirs|, and which tensor that is of."""
    if ours.keys() != theirs.keys() or not theirs:
        return float("nan"), f"{len(ours)} tensors against {len(theirs)}"
    norms = {name: float(gradient.norm()) for name, gradient in theirs.items()}
    least = LEAST_SHARE * sum(norms.values()) / len(norms)
    if not least > 0:
        return float("nan"), "no gradient at all"
    apart = {name: float((ours[name] - theirs[name]).norm()) / max(norms[name], least) for name in theirs}
    # A NaN compares as neither less nor more, so it must be looked for.
    worst = next((name for name, value in apart.items() if value != value), max(apart, key=apart.__getitem__))
    return apart[worst], worst


@torch.no_grad()
def our_logits(model: torch.nn.Module, rows: Sequence[Rendered]) -> torch.Tensor:
    """Logits of every token, row after row."""
    device = next(model.parameters()).device
    found = []
    for row in rows:
        packing = Packing([len(row.ids)], device=device)
        ids = torch.tensor([row.ids], device=device)
        made = model(input_ids=ids, position_ids=packing.positions(), packing=packing, use_cache=False)
        found.append(made.logits[0].float().cpu())
    return torch.cat(found)


@torch.no_grad()
def plain_logits(model: torch.nn.Module, rows: Sequence[Rendered]) -> torch.Tensor:
    device = next(model.parameters()).device
    found = [model(input_ids=torch.tensor([row.ids], device=device), use_cache=False).logits[0] for row in rows]
    return torch.cat([logits.float().cpu() for logits in found])


def logits_difference(ours: torch.Tensor, theirs: torch.Tensor) -> float:
    """Largest difference of a logit, relative to the largest logit."""
    return float((ours - theirs).abs().max() / theirs.abs().max())
