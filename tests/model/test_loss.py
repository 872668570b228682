"""Losses against closed forms."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from rankwise.data.batch import pack
from rankwise.data.render import Rendered
from rankwise.model.load import load_base
from rankwise.model.loss import mean_loss, target_losses


def row(*ids: int, supervised: int) -> Rendered:
    first = len(ids) - supervised
    return Rendered(ids, tuple(i >= first for i in range(len(ids))), first, True)


def test_a_head_of_zeros_gives_the_logarithm_of_the_vocabulary(base_of: Callable[[str], Path]) -> None:
    model = load_base(base_of("qwen2"), "float32", "cpu")
    model.get_output_embeddings().weight.data.zero_()
    rows = [row(1, 2, 3, 4, supervised=2), row(5, 6, 7, supervised=1)]
    losses = target_losses(model, pack(rows, share=False))
    assert losses.dtype == torch.float32
    assert losses.tolist() == pytest.approx([math.log(260)] * 3, abs=1e-6)
    assert mean_loss(model, rows, 1, True) == pytest.approx(math.log(260), abs=1e-6)


def test_a_certain_head_gives_nothing_or_its_margin(base_of: Callable[[str], Path]) -> None:
    """A head that adds 30 to token 9 alone: sure of 9, wrong about all else by 30."""
    model = load_base(base_of("qwen2"), "float32", "cpu")
    head = torch.nn.Linear(32, 260)
    head.weight.data.zero_()
    head.bias.data.zero_()[9] = 30
    model.set_output_embeddings(head)
    losses = target_losses(model, pack([row(1, 2, 9, 9, 3, supervised=3)], share=False)).tolist()
    assert losses == pytest.approx([0, 0, 30], abs=1e-4)


def test_the_mean_counts_tokens_not_rows(base_of: Callable[[str], Path]) -> None:
    model = load_base(base_of("llama"), "float32", "cpu")
    rows = [row(1, 2, 3, supervised=1), row(*range(5, 25), supervised=15)]
    with torch.no_grad():
        losses = [target_losses(model, pack([each], share=False)) for each in rows]
    assert mean_loss(model, rows, 2, False) == pytest.approx(float(torch.cat(losses).mean()), abs=1e-5)
