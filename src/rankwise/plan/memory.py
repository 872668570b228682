"""How much memory training takes at its peak. A first estimate; it is not yet held against measurements."""

from __future__ import annotations

from typing import NamedTuple

from rankwise.facts import Anatomy

BYTES = {"float32": 4, "bfloat16": 2}
PROCESS = 700 << 20
"""Interpreter and libraries, resident before any model."""
SMALL_FILES = 1 << 20
"""Config, record, card, manifest."""
_HIDDEN_KEPT = 16
_INNER_KEPT = 4
"""Tensors of the hidden and of the widest size that a layer keeps for its backward pass, in the base's dtype."""


def training_bytes(anatomy: Anatomy, trainable: int, dtype: str, batch_tokens: int, batch_targets: int) -> int:
    """Base, adapter with gradient and two moments in float32, activations of one micro-batch, logits of its targets."""
    size = BYTES[dtype]
    widest = max((p.out_features for p in anatomy.projections if p.role != "head"), default=anatomy.hidden_size)
    activations = batch_tokens * anatomy.num_layers * (_HIDDEN_KEPT * anatomy.hidden_size + _INNER_KEPT * widest) * size
    logits = batch_targets * anatomy.vocab_size * (2 * size + 8)
    return PROCESS + anatomy.total_parameters * size + trainable * 16 + activations + logits


class Disk(NamedTuple):
    """Bytes that a run leaves or needs on the way."""

    run: int
    catalogue: int
    checkpoint: int
    """One, of those in `run`."""


def run_disk_bytes(trainable: int) -> Disk:
    """Three checkpoints (two kept while one is written) of weights, best weights and two moments, and the adapter.

    All in float32; the catalogue gets a copy of the adapter.
    """
    adapter = trainable * 4 + SMALL_FILES
    checkpoint = trainable * 16 + SMALL_FILES
    return Disk(run=3 * checkpoint + adapter, catalogue=adapter, checkpoint=checkpoint)
