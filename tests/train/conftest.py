"""Rows and an adapter small enough to train in a second."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from rankwise.data.render import Rendered

MakeModel = Callable[..., "object"]


@pytest.fixture(scope="session")
def rows() -> list[Rendered]:
    """Eleven rows that begin alike; after the prompt comes its last token, seven times."""
    made = []
    for i in range(11):
        ids = (*range(20, 40), *range(50 + i, 53 + 2 * i), *[60 + i] * 7, 1)
        first = len(ids) - 7
        made.append(Rendered(ids, tuple(place >= first for place in range(len(ids))), first, True))
    return made


@pytest.fixture
def make_model(tiny_base: Path) -> MakeModel:
    """A fresh adapter on the tiny base; B is random, so that gradients reach everything."""
    import torch

    from rankwise.model.attach import LoraSettings, attach_new
    from rankwise.model.load import load_base

    def make(seed: int = 0, dropout: float = 0.0, filled: bool = False):
        targets = ["q_proj", "v_proj", "down_proj"]
        settings = LoraSettings(4, 8.0, dropout, targets, "none", False, True)
        base = load_base(tiny_base, "float32", "cpu")
        for p in base.parameters():
            if p.dim() == 2:
                p.data *= 8  # as random as before, but each layer matters, so that there is much to learn
        model = attach_new(base, "tiny", settings, seed)
        if filled:
            generator = torch.Generator().manual_seed(1)
            for name, p in model.named_parameters():
                if "lora_B" in name:
                    p.data = torch.randn(p.shape, generator=generator) * 0.1
        return model

    return make
