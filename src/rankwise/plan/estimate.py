"""What a decided run will take: memory at its peak, time, and whether it fits this machine."""

from __future__ import annotations

from math import ceil

from rankwise.data.corpus import Corpus
from rankwise.data.split import spread
from rankwise.facts import Anatomy, Machine, Measurement
from rankwise.plan.adapted import EXPERTS, expert_names
from rankwise.plan.encoder_decoder import largest_sides
from rankwise.plan.ledger import Ledger
from rankwise.plan.memory import Memory, largest_micro_batch, plan_memory
from rankwise.plan.prefix import tokens_before
from rankwise.plan.rollouts import padded_batch, report_cost, step_tokens, with_reference
from rankwise.plan.timing import tokens_a_row, training_seconds

CHECKPOINTING = "training.gradient_checkpointing"
EVALUATION_ROWS = 256
"""Most held-out rows that are looked at during training, spread over all; all are scored by `rankwise evaluate`."""


TIMES = {"prefix": 1.3, "full": 2.1}
"""As long as plain LoRA on the base as it is, which is what was measured. DoRA, AdaLoRA and quantised bases take within
a tenth of it (docs/evidence/method_times.md)."""


def decide_checkpointing(ledger: Ledger, anatomy: Anatomy, corpus: Corpus, machine: Machine, trainable: int) -> None:
    """Activations are computed again only where keeping them takes more memory than there is."""
    ledger.settled[CHECKPOINTING] = False
    needed = _memory(ledger, anatomy, corpus, trainable, machine.device).training.total
    fits = needed <= machine.training_bytes
    asked = ledger.asked.recipe.training.gradient_checkpointing
    told = f"keeping all activations takes about {_gigabytes(needed)}, of {_gigabytes(machine.training_bytes)} here"
    if asked != "auto":
        ledger.settle_yours(CHECKPOINTING, asked)
    else:
        cost = "" if fits else "; computing them again takes about a third more time"
        ledger.settle(CHECKPOINTING, not fits, f"{told}{cost}", "rankwise")


def _memory(ledger: Ledger, anatomy: Anatomy, corpus: Corpus, trainable: int, device: str) -> Memory:
    rows = int(ledger.number("training.per_device_train_batch_size"))
    classes = len(corpus.labels) if anatomy.task == "seq_cls" else 0
    supervised = ledger.asked.recipe.objective == "sft"
    share = bool(ledger.settled["shared_prefix"])
    if anatomy.kind == "encoder-decoder":
        batch = largest_sides(corpus, rows)
    else:
        batch = largest_micro_batch(corpus, rows, share, classes > 0) if supervised else padded_batch(ledger, corpus)
    batch = batch._replace(keys=batch.keys + tokens_before(ledger.settled))
    again, method = bool(ledger.settled[CHECKPOINTING]), str(ledger.settled["method"])
    quantization = str(ledger.settled["quantization"])
    adapted = anatomy.targeted_experts(expert_names(ledger.settled)) if EXPERTS in ledger.decisions else ()
    experts = sum(p.experts * p.in_features * p.out_features for p in adapted)
    dtype = _dtype(ledger)
    memory = plan_memory(anatomy, method, trainable, dtype, batch, classes, again, quantization, experts, device)
    return memory if supervised else with_reference(ledger, anatomy, corpus, memory, trainable, dtype)


def estimate_memory(ledger: Ledger, anatomy: Anatomy, corpus: Corpus, machine: Machine, trainable: int) -> Memory:
    """Bytes at each peak; a warning for what this machine has not room for."""
    memory = _memory(ledger, anatomy, corpus, trainable, machine.device)
    room, training = machine.training_bytes, memory.training.total
    if training > room:
        message = (
            f"about {_gigabytes(training)} at the peak, of {_gigabytes(room)} here; "
            "lower training.per_device_train_batch_size and raise gradient_accumulation_steps by as much, "
            "or let `rankwise plan --fit` find what to change"
        )
        ledger.report("warning", "does-not-fit", "", message)
    elif memory.evaluation > room:
        message = (
            f"training fits, but evaluation takes about {_gigabytes(memory.evaluation)}, of {_gigabytes(room)} here"
        )
        ledger.report("warning", "evaluation-does-not-fit", "", message)
    return memory


def estimate_seconds(ledger: Ledger, corpus: Corpus, measured: Measurement | None, steps: int) -> float | None:
    """Training and held-out evaluations, from the measured speed of this machine; None: not measured."""
    objective = ledger.asked.recipe.objective
    if objective != "sft":
        report_cost(ledger, corpus, steps)
    dtype = _dtype(ledger)
    if measured is None or dtype not in measured.train_tokens_per_second:
        return None
    batch = int(ledger.number("training.per_device_train_batch_size"))
    step_rows = batch * int(ledger.number("training.gradient_accumulation_steps"))
    slower = TIMES.get(str(ledger.settled["method"]), 1.0)
    if objective != "sft":
        trained, read = (steps * tokens for tokens in step_tokens(ledger, corpus))
        return slower * training_seconds(measured, dtype, trained, read)
    share = bool(ledger.settled["shared_prefix"])
    looked_at = spread(corpus.held_out_rendered, EVALUATION_ROWS)
    train_tokens = tokens_a_row(corpus.train_rendered, batch, share) * step_rows * steps
    held_out = tokens_a_row(looked_at, batch, share) * len(looked_at)
    evaluations = ceil(steps / ledger.number("training.eval_steps"))
    again = train_tokens if ledger.settled[CHECKPOINTING] else 0
    return slower * training_seconds(measured, dtype, train_tokens, again + evaluations * held_out)


def _dtype(ledger: Ledger) -> str:
    return "bfloat16" if ledger.settled["training.bf16"] else "float32"


def _gigabytes(count: int) -> str:
    return f"{count / 1e9:.1f} GB"
