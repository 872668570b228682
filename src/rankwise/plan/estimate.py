"""What a decided run will take: memory at its peak, time, and whether it fits this machine."""

from __future__ import annotations

from math import ceil

from rankwise.data.corpus import Corpus
from rankwise.data.split import spread
from rankwise.facts import Anatomy, Machine, Measurement
from rankwise.plan.ledger import Ledger
from rankwise.plan.memory import training_bytes
from rankwise.plan.timing import tokens_a_row, training_seconds

EVALUATION_ROWS = 256
"""Most held-out rows that are looked at during training, spread over all; all are scored by `rankwise evaluate`."""


def estimate_memory(ledger: Ledger, anatomy: Anatomy, corpus: Corpus, machine: Machine, trainable: int) -> int:
    """Bytes at the peak of training; a warning where this machine has less."""
    batch = int(ledger.number("training.per_device_train_batch_size"))
    lengths = sorted(corpus.train_lengths)
    targets = sorted(row.num_supervised for row in corpus.train_rendered)
    memory = training_bytes(anatomy, trainable, _dtype(ledger), sum(lengths[-batch:]), sum(targets[-batch:]))
    room = machine.training_bytes
    if memory > room:
        message = (
            f"about {_gigabytes(memory)} at the peak, of {_gigabytes(room)} here; "
            "lower training.per_device_train_batch_size and raise gradient_accumulation_steps by as much, "
            "or let `rankwise plan --fit` find what to change"
        )
        ledger.report("warning", "does-not-fit", "", message)
    return memory


def estimate_seconds(ledger: Ledger, corpus: Corpus, measured: Measurement | None, steps: int) -> float | None:
    """Training and held-out evaluations, from the measured speed of this machine; None: not measured."""
    dtype = _dtype(ledger)
    if measured is None or dtype not in measured.train_tokens_per_second:
        return None
    batch = int(ledger.number("training.per_device_train_batch_size"))
    step_rows = batch * int(ledger.number("training.gradient_accumulation_steps"))
    share = bool(ledger.settled["shared_prefix"])
    looked_at = spread(corpus.held_out_rendered, EVALUATION_ROWS)
    train_tokens = tokens_a_row(corpus.train_rendered, batch, share) * step_rows * steps
    held_out = tokens_a_row(looked_at, batch, share) * len(looked_at)
    evaluations = ceil(steps / ledger.number("training.eval_steps"))
    return training_seconds(measured, dtype, train_tokens, held_out, evaluations)


def _dtype(ledger: Ledger) -> str:
    return "bfloat16" if ledger.settled["training.bf16"] else "float32"


def _gigabytes(count: int) -> str:
    return f"{count / 1e9:.1f} GB"
