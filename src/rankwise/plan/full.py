"""Full fine-tuning in a plan: what it settles, and what it does not go together with.

As of a prefix, what LoRA would be here stays settled, for the rules that look at it and for what it would cost; of the
plan's decisions it is none.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from rankwise.doctrine import Value
from rankwise.facts.delta import METHOD
from rankwise.plan.ledger import Ledger
from rankwise.recipe.keys import LEAVES

BF16 = "training.bf16"
RATIO = "training.loraplus_lr_ratio"


def trains_every_weight(values: Mapping[str, Value]) -> bool:
    """By the values of a plan, settled or in the making."""
    return values.get("method") == METHOD


def agree_on_full(ledger: Ledger) -> None:
    """Keys of LoRA, or a quantised base, ask for an adapter: a doctrine that would train the whole base then does not
    decide."""
    asked = [key for key in _keys_of_lora() if ledger.is_given(key)]
    asked += [] if ledger.asked_value("quantization") in ("auto", "none") else ["quantization"]
    if trains_every_weight(ledger.settled) and not ledger.is_given("method") and asked:
        decision = ledger.decisions["method"]
        reason = f"you set {', '.join(asked)}, which full fine-tuning has no use for; else full: {decision.reason}"
        ledger.settle("method", "lora", reason, "rankwise", decision.alternatives)


def decide_full(ledger: Ledger) -> None:
    """No key of LoRA is decided, and each of the user's that cannot be is an error; nothing for other methods."""
    if not trains_every_weight(ledger.settled):
        return
    for key in _keys_of_lora():
        ledger.decisions.pop(key, None)
    if not ledger.is_given("quantization"):
        ledger.settle("quantization", "none", "weights that are trained are numbers of their own", "rankwise")
    for key, why in _obstacles(ledger):
        ledger.report("error", "not-with-full", ledger.asked.where(key), f"method full: {why}")


def decide_precision(ledger: Ledger) -> bool:
    """Whether float32 is all there is: what is trained is kept in it, and nothing here is frozen."""
    if not trains_every_weight(ledger.settled):
        return False
    if ledger.is_given(BF16):
        ledger.settle_yours(BF16, ledger.asked_value(BF16))
    else:
        ledger.settle(BF16, False, "every weight is trained, and what is trained is in float32", "rankwise")
    return True


def _obstacles(ledger: Ledger) -> Iterator[tuple[str, str]]:
    """(key of the recipe, why the whole base is not trained under its value)."""
    settled, asked = ledger.settled, ledger.asked.recipe
    for key in _keys_of_lora():
        if ledger.is_given(key):
            yield key, f"{key} is of low-rank matrices, and there are none; leave it out, or take lora"
    if settled["task"] != "causal_lm":
        why = (
            f"what is kept is what was added to the base's own weights, and the head of task {settled['task']} is none "
            "of them; take lora, whose head is kept whole"
        )
        yield "method", why
    if settled["quantization"] != "none":
        yield "quantization", f"weights in {settled['quantization']} cannot be trained; write none, or take qlora"
    if asked.training.bf16 is True:
        yield BF16, "it keeps a frozen base in bfloat16, and every weight is trained, in float32; leave it out"
    if asked.training.loraplus_lr_ratio != 1:
        yield RATIO, "it is of LoRA's B, of which there is none; leave it out"


def _keys_of_lora() -> list[str]:
    return [key for key in LEAVES if key.startswith("lora.")]
