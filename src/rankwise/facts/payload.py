"""Which files an adapter folder holds its adapter in. PEFT's two, or for what PEFT has no format the method's own."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple


class Payload(NamedTuple):
    config: str | None
    """JSON that says what the adapter is; None: its weights alone do."""
    weights: str | None
    """A safetensors file; None: the method has no weights."""


CONFIG = "adapter_config.json"
WEIGHTS = "adapter_model.safetensors"
DELTA = "delta.safetensors"
PEFT = Payload(CONFIG, WEIGHTS)
FULL = Payload(None, DELTA)
PROMPT = Payload("prompt.json", None)
CLASSIFIER = Payload("classifier.json", "classifier.safetensors")


def payload_in(folder: Path) -> Payload | None:
    """None: `folder` is no adapter folder."""
    return next((known for known in (PEFT, FULL, PROMPT, CLASSIFIER) if (folder / _mark(known)).is_file()), None)


def _mark(payload: Payload) -> str:
    """The file by which a folder is known to hold it."""
    mark = payload.config or payload.weights
    assert mark is not None
    return mark
