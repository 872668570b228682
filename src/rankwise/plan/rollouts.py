"""What preferences and rewards cost beside supervised steps: both answers of a pair, or answers that are written first.

TRL pads rows to the longest of a batch and shares nothing between them. A reference is the adapter as training began:
a frozen copy of it on the one base, so no second base is held.
"""

from __future__ import annotations

from dataclasses import replace

from rankwise.data.corpus import Corpus
from rankwise.facts import Anatomy
from rankwise.plan.ledger import Ledger
from rankwise.plan.memory import BYTES, WEIGHT_BYTES, Memory, MicroBatch

WRITING = 4.0
"""Times as long for a token that is written as for one that is read, in a batch; conventional, to be fitted."""


def padded_batch(ledger: Ledger, corpus: Corpus) -> MicroBatch:
    """The largest forward pass: of dpo two answers a row, of grpo a prompt with the longest answer that may come."""
    rows = int(ledger.number("training.per_device_train_batch_size"))
    if ledger.asked.recipe.objective == "dpo":
        longest = max(row.length for row in corpus.train_rendered)
        answers = max(max(row.num_supervised, len(row.rejected or ())) for row in corpus.train_rendered)
        return MicroBatch(2 * rows * longest, 2 * rows * answers, longest)
    completion = int(ledger.number("grpo.max_completion_length"))
    longest = max(row.prompt for row in corpus.train_rendered) + completion
    return MicroBatch(rows * longest, rows * completion, longest)


def with_reference(
    ledger: Ledger, anatomy: Anatomy, corpus: Corpus, memory: Memory, trainable: int, dtype: str
) -> Memory:
    """`memory` with the reference's copy of the adapter; and of grpo, where that is more than the activations of a
    training step, the keys and values of the answers that are written for it."""
    training = memory.training
    section = ledger.asked.recipe.objective
    if ledger.number(f"{section}.beta") > 0:
        training = replace(training, adapter=training.adapter + trainable * WEIGHT_BYTES)
    if section == "grpo":
        accumulation = int(ledger.number("training.gradient_accumulation_steps"))
        tokens = padded_batch(ledger, corpus).tokens * accumulation  # TRL writes for a whole step at once
        cache = tokens * 2 * anatomy.key_width * anatomy.num_layers * BYTES[dtype]
        training = replace(training, activations=max(training.activations, cache))
    return replace(memory, training=training)


def step_tokens(ledger: Ledger, corpus: Corpus) -> tuple[float, float]:
    """(tokens that are trained on, tokens that are only read, or written at `WRITING` times the price) of one step."""
    objective = ledger.asked.recipe.objective
    step_rows = ledger.number("training.per_device_train_batch_size")
    step_rows *= ledger.number("training.gradient_accumulation_steps")
    rows = corpus.train_rendered
    if objective == "dpo":
        pair = sum(len(row.ids) + row.prompt + len(row.rejected or ()) for row in rows) / len(rows)
        return step_rows * pair, step_rows * pair  # the reference reads what the policy is trained on
    written = ledger.number("grpo.max_completion_length")
    prompt = sum(row.prompt for row in rows) / len(rows)
    held_against = prompt + written if ledger.number("grpo.beta") > 0 else 0.0
    return step_rows * (prompt + written), step_rows * (prompt + WRITING * written + held_against)


def report_cost(ledger: Ledger, corpus: Corpus, steps: int) -> None:
    """A note on where memory and time go."""
    objective = ledger.asked.recipe.objective
    if objective == "dpo":
        message = (
            "each row is read twice, with either answer, and once more each by the reference, which is the adapter as "
            "training began, on the one base: no second base is held"
        )
    else:
        step_rows = int(ledger.number("training.per_device_train_batch_size"))
        step_rows *= int(ledger.number("training.gradient_accumulation_steps"))
        most = int(ledger.number("grpo.max_completion_length"))
        count = int(ledger.number("grpo.num_generations"))
        message = (
            f"writing answers takes most of the time: {steps} steps x {step_rows} answers x at most {most} tokens, "
            f"{steps * step_rows * most:,} in all, {count} to each prompt; a lower grpo.max_completion_length saves it"
        )
    ledger.report("note", f"{objective}-cost", ledger.asked.where("objective"), message)
