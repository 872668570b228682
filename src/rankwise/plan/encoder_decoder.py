"""What an encoder-decoder is not trained with, and the largest batch of one: its sides are padded apart."""

from __future__ import annotations

from rankwise.data.corpus import Corpus
from rankwise.facts import Anatomy
from rankwise.plan.ledger import Ledger
from rankwise.plan.memory import MicroBatch

METHODS = ("lora", "dora")


def check_encoder_decoder(ledger: Ledger, anatomy: Anatomy) -> None:
    """An error for each of the user's values that this build has not for an encoder-decoder."""
    if anatomy.kind != "encoder-decoder":
        return
    method, kept = ledger.settled["method"], ledger.settled["quantization"]
    obstacles = {}
    if method not in METHODS:
        obstacles["method"] = f"method {method} is built for causal bases and encoders; take {' or '.join(METHODS)}"
    elif kept != "none":
        obstacles["quantization"] = f"it is trained on the base as it is, and quantization is {kept}; leave it out"
    if ledger.asked.recipe.shared_prefix is True:
        why = "an encoder's tokens see what comes after them, so no beginning is the same in two rows"
        obstacles["shared_prefix"] = f"{why}; leave it out"
    for key, why in obstacles.items():
        message = f"{anatomy.architecture} is an encoder-decoder: {why}"
        ledger.report("error", "not-with-encoder-decoder", ledger.asked.where(key), message)


def largest_sides(corpus: Corpus, rows: int) -> MicroBatch:
    """Of the longest prompts and the longest answers, each filled up to the longest; every token passes one of the
    stacks. All logits are held at once."""
    prompts = sorted(row.prompt for row in corpus.train_rendered)[-rows:]
    answers = sorted(row.num_supervised for row in corpus.train_rendered)[-rows:]
    written = len(answers) * answers[-1]
    return MicroBatch(len(prompts) * prompts[-1] + written, written, max(prompts[-1], answers[-1]), at_once=True)
