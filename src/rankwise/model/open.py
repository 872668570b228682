"""Opening an adapter on its base: verified first, refused on a base it was not trained on."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from peft import PeftModel

from rankwise.data.render import Renderer
from rankwise.errors import AdapterError, raise_if_errors
from rankwise.facts import AdapterFacts, identify_base, read_adapter, read_anatomy, verify_adapter
from rankwise.model.attach import attach_existing
from rankwise.model.load import load_base


@dataclass(frozen=True)
class OpenAdapter:
    model: PeftModel
    renderer: Renderer
    facts: AdapterFacts
    max_length: int
    """Most tokens the base takes."""


def open_adapter(folder: Path, base: Path, dtype: str, device: str) -> OpenAdapter:
    """The adapter in `folder` on the base in `base`; AdapterError naming every fault of either."""
    anatomy = read_anatomy(base)
    raise_if_errors(AdapterError, verify_adapter(folder, identify_base(base), anatomy))
    model = attach_existing(load_base(base, dtype, device), folder, trainable=False)
    return OpenAdapter(model, Renderer(base), read_adapter(folder), anatomy.max_length)
