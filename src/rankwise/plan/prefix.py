"""Prefix tuning in a plan: how long the prefix is, what makes it, how fast it is trained, and what it cannot do.

What LoRA would be here stays settled, for the rules that look at it and for what other methods would cost; of the
plan's decisions it is none.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from rankwise.data.corpus import Corpus
from rankwise.doctrine import Value
from rankwise.facts import Anatomy
from rankwise.plan.ledger import Ledger
from rankwise.recipe.keys import LEAVES

METHOD = "prefix"
TOKENS = "prefix.num_virtual_tokens"
PROJECTION = "prefix.prefix_projection"
HIDDEN = "prefix.encoder_hidden_size"
INIT = "prefix.init_weights"
OWN = (TOKENS, PROJECTION, HIDDEN, INIT)
RATE = "training.learning_rate"

VIRTUAL_TOKENS = 20
LEARNING_RATE = 1e-2
"""Of keys and values trained as they are: PEFT's example; the scripts of P-tuning v2 take 7e-3 to 3e-2."""
PROJECTED_RATE = 5e-5
"""Of the network that makes them: Li and Liang's, who train no other way."""

_PEFT = "PEFT, prefix tuning for conditional generation"
_PAPER = "Prefix-Tuning (Li and Liang 2021)"


def tokens_before(settled: Mapping[str, Value]) -> int:
    """Virtual tokens before each row; 0 for other methods."""
    tokens = settled.get(TOKENS)
    return tokens if settled.get("method") == METHOD and isinstance(tokens, int) else 0


def refuse_keys_of_prefix(ledger: Ledger) -> None:
    """Where another method is planned."""
    for key in (key for key in OWN if ledger.asked_value(key) != LEAVES[key].default):
        message = f"it is of method prefix, and method is {ledger.settled['method']}; leave it out"
        ledger.report("error", "key-of-another-method", ledger.asked.where(key), message)


def decide_prefix(ledger: Ledger, anatomy: Anatomy, corpus: Corpus) -> None:
    """The prefix's own values, in place of LoRA's; where another method is trained, its keys are refused."""
    if ledger.settled["method"] != METHOD:
        refuse_keys_of_prefix(ledger)
        return
    for key in _keys("lora"):
        ledger.decisions.pop(key, None)
    if TOKENS not in ledger.decisions:  # an adapter that is continued from has settled them
        _decide_values(ledger, anatomy)
    if not ledger.is_given("quantization"):
        ledger.settle("quantization", "none", "a prefix is trained on the base as it is", "rankwise")
    reason = "the prefix itself is what rows share, and each row's own tokens are packed behind it"
    ledger.settle("shared_prefix", False, reason, "rankwise")
    for key, why in _obstacles(ledger):
        ledger.report("error", "not-with-prefix", ledger.asked.where(key), f"method prefix: {why}")
    tokens = tokens_before(ledger.settled)
    longest = max(*corpus.train_lengths, *(len(row.ids) for row in corpus.held_out_rendered), 0)
    if tokens + longest > anatomy.max_length:
        message = (
            f"{tokens} virtual tokens and the longest row's {longest} are more than the {anatomy.max_length} the base "
            "takes; lower it, or set data.max_length and data.too_long"
        )
        ledger.report("error", "prefix-too-long", ledger.asked.where(TOKENS), message)


def decide_rate(ledger: Ledger) -> bool:
    """Whether the learning rate is the prefix's own: what the doctrines say is of LoRA's matrices."""
    if ledger.settled["method"] != METHOD:
        return False
    if ledger.is_given(RATE):
        ledger.settle_yours(RATE, ledger.asked_value(RATE))
    elif ledger.settled[PROJECTION]:
        reason = "the paper's, of a prefix that a network makes; the doctrines' rates are LoRA's"
        ledger.settle(RATE, PROJECTED_RATE, reason, _PAPER, kind="stated")
    else:
        reason = (
            "keys and values themselves are trained, from numbers of about 1 that Adam moves by about the rate a step; "
            "the scripts of P-tuning v2 take 7e-3 to 3e-2, and the doctrines' rates are LoRA's"
        )
        ledger.settle(RATE, LEARNING_RATE, reason, _PEFT, kind="stated")
    return True


def _decide_values(ledger: Ledger, anatomy: Anatomy) -> None:
    asked = ledger.asked.recipe.prefix
    if asked.num_virtual_tokens != "auto":
        ledger.settle_yours(TOKENS, asked.num_virtual_tokens)
    else:
        reason = f"as in PEFT's example; the paper's best were 10 for short answers and 200 for summaries ({_PAPER})"
        ledger.settle(TOKENS, VIRTUAL_TOKENS, reason, _PEFT, kind="stated")
    if asked.prefix_projection != "auto":
        ledger.settle_yours(PROJECTION, asked.prefix_projection)
    else:
        reason = "keys and values are trained as they are: PEFT's default, and a run can go on with them"
        ledger.settle(PROJECTION, False, reason, "PEFT 0.21, PrefixTuningConfig", kind="conventional")
    if not ledger.settled[PROJECTION]:
        if asked.encoder_hidden_size != "auto":
            message = "it is the width of a projection, and prefix_projection is not true; leave one of the two out"
            ledger.report("error", "width-without-projection", ledger.asked.where(HIDDEN), message)
        ledger.settle(HIDDEN, None, "there is no projection", "rankwise")
    elif asked.encoder_hidden_size != "auto":
        ledger.settle_yours(HIDDEN, asked.encoder_hidden_size)
    else:
        reason = "as wide as a layer's keys"
        ledger.settle(HIDDEN, anatomy.key_width, reason, "PEFT 0.21, PrefixTuningConfig", kind="conventional")
    ledger.given(INIT, asked.init_weights, "drawn at random, PEFT's default")


def _obstacles(ledger: Ledger) -> Iterator[tuple[str, str]]:
    """(key of the recipe, why a prefix does not go together with its value)."""
    settled, asked = ledger.settled, ledger.asked.recipe
    for key in _keys("lora"):
        if ledger.is_given(key):
            yield key, f"{key} is of low-rank matrices, and a prefix has none; leave it out"
    if settled["task"] != "causal_lm":
        yield "task", f"this build has it for causal_lm alone, and the task is {settled['task']}; take lora"
    if settled["quantization"] != "none":
        yield "quantization", f"it is trained on the base as it is, not on one in {settled['quantization']}; write none"
    if asked.shared_prefix is True:
        yield "shared_prefix", "rows are packed behind the learnt prefix and share nothing else; leave it to auto"
    if asked.training.loraplus_lr_ratio != 1:
        yield "training.loraplus_lr_ratio", "it is of LoRA's B, which a prefix has not; leave it out"


def _keys(section: str) -> list[str]:
    return [key for key in LEAVES if key.startswith(f"{section}.")]
