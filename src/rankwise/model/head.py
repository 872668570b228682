"""The language-model head: the loss of hidden states under it, with a few rows of logits at a time."""

from __future__ import annotations

from typing import Any
from weakref import WeakKeyDictionary

import torch
from torch import nn
from torch.nn import functional as F
from torch.utils.checkpoint import checkpoint

from rankwise.model.hidden import last_hidden, near, probe_ids
from rankwise.model.packing import Packing

LOGITS_HELD = {"cpu": 1 << 23, "cuda": 1 << 27}
"""Logits that are held at once, in float32 32 MB, in buffers made once a pass: half as many cost a fifth more time. A
GPU reads the head's weight anew for each part of them, so it holds 0.5 GB."""
TOLERANCE = 16
"""Of the probe of a head, in rounding steps of its dtype."""


def head_losses(head: nn.Module, hidden: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
    """-ln p of each target, float32 (n): hidden (n, d) under `head`, targets (n)."""
    if type(head) is nn.Linear and not any(p.requires_grad for p in head.parameters()):
        return _FrozenHead.apply(hidden, head.weight, head.bias, targets)  # type: ignore[no-any-return]
    some = max(1, LOGITS_HELD[hidden.device.type] // next(head.parameters()).shape[0])
    parts = zip(hidden.split(some), targets.split(some), strict=True)
    return torch.cat([checkpoint(_losses, head, *part, use_reentrant=False) for part in parts])  # type: ignore[no-untyped-call]


def _losses(head: nn.Module, hidden: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
    return F.cross_entropy(head(hidden).float(), targets, reduction="none")


class _FrozenHead(torch.autograd.Function):
    """hidden (n, d), weight (V, d), bias (V) or None, targets (n) -> -ln p of each target, float32 (n).

    A token's loss depends on its own hidden state alone, so the gradient is computed beside the loss, and what comes
    from above later scales its rows: no logits are kept.
    """

    @staticmethod
    def forward(
        ctx: Any, hidden: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor | None, targets: torch.Tensor
    ) -> torch.Tensor:
        exact = torch.promote_types(hidden.dtype, torch.float32)
        losses = hidden.new_empty(len(hidden), dtype=exact)
        slopes = torch.empty_like(hidden) if ctx.needs_input_grad[0] else None
        some = min(len(hidden), max(1, LOGITS_HELD[hidden.device.type] // len(weight)))
        held = hidden.new_empty(some, len(weight)), hidden.new_empty(some, len(weight), dtype=exact)
        for start in range(0, len(hidden), some):
            part = slice(start, start + some)
            wanted = targets[part, None]
            logits, chances = (buffer[: len(wanted)] for buffer in held)
            torch.mm(hidden[part], weight.t(), out=logits)
            if bias is not None:
                logits += bias
            chances.copy_(logits)
            asked = chances.gather(1, wanted)
            top = chances.amax(1, keepdim=True)
            torch.softmax(chances, 1, out=chances)
            # -ln p = (top - asked) - ln p(top): p itself may be too small for a number, that of the top is not.
            losses[part] = (top - asked - chances.amax(1, keepdim=True).log())[:, 0]
            if slopes is not None:
                chances.scatter_add_(1, wanted, chances.new_full((1, 1), -1.0).expand(wanted.shape))
                torch.mm(logits.copy_(chances), weight, out=slopes[part])
        if slopes is not None:
            ctx.save_for_backward(slopes)
        return losses

    @staticmethod
    def backward(ctx: Any, grad: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        (slopes,) = ctx.saved_tensors
        return (slopes * grad[:, None]).to(slopes.dtype), None, None, None


_plain_heads: WeakKeyDictionary[nn.Module, bool] = WeakKeyDictionary()


def has_plain_head(base: Any) -> bool:
    """Whether the logits are the head's output on the last hidden state, and nothing is done to them after it."""
    if base not in _plain_heads:
        _plain_heads[base] = _probe_head(base)
    return _plain_heads[base]


@torch.no_grad()
def _probe_head(base: Any) -> bool:
    head = base.get_output_embeddings()
    if head is None or base.base_model is base:
        return False
    ids, packing = probe_ids(base, 4), Packing([4], device=base.device)
    training = base.training
    base.eval()
    try:
        inputs = {"position_ids": packing.positions(), "packing": packing, "use_cache": False}
        expected = base(input_ids=ids[None], **inputs).logits[0]
        got = head(last_hidden(base, ids, packing))
    finally:
        base.train(training)
    return near(got, expected, TOLERANCE)
