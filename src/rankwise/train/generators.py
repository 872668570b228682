"""The state of every random generator that TRL may draw from, as tensors: torch's, numpy's and Python's."""

from __future__ import annotations

import random
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch

from rankwise.train.state import Random, random_state, set_random_state

_MT19937 = 624
"""Words of the Mersenne Twister's state, which Python and numpy both keep; the place within it follows them."""


def read_generators() -> dict[str, torch.Tensor]:
    """`...gauss`: the second of a pair of normal numbers that was drawn and not yet given, or nothing."""
    own = random_state()
    _, words, spare = random.getstate()
    numpys: dict[str, Any] = np.random.get_state(legacy=False)
    found = {
        "torch.cpu": own.cpu,
        "python": torch.tensor(words, dtype=torch.int64),
        "python.gauss": torch.tensor([] if spare is None else [spare], dtype=torch.float64),
        "numpy": torch.tensor([*numpys["state"]["key"].tolist(), numpys["state"]["pos"]], dtype=torch.int64),
        "numpy.gauss": torch.tensor([numpys["gauss"]] if numpys["has_gauss"] else [], dtype=torch.float64),
    }
    return found if own.cuda is None else found | {"torch.cuda": own.cuda}


def set_generators(kept: Mapping[str, torch.Tensor]) -> None:
    set_random_state(Random(kept["torch.cpu"], kept.get("torch.cuda")))
    spare = kept["python.gauss"].tolist()
    random.setstate((3, tuple(kept["python"].tolist()), spare[0] if spare else None))
    words, gauss = kept["numpy"].tolist(), kept["numpy.gauss"].tolist()
    keys = np.array(words[:_MT19937], dtype=np.uint32)
    np.random.set_state(("MT19937", keys, words[_MT19937], len(gauss), gauss[0] if gauss else 0.0))
