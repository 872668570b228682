"""What training optimises beside the answers themselves: preferences (dpo) and rewards (grpo), by TRL.

The values are TRL's own, under its own names. What TRL, or this build with it, cannot do is an error here, before
anything is loaded.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from importlib.util import find_spec

from rankwise.data.corpus import Corpus
from rankwise.data.table import Row
from rankwise.errors import Problem, RecipeError
from rankwise.facts import Anatomy
from rankwise.plan.adapted import TARGETS, target_names
from rankwise.plan.ledger import Ledger
from rankwise.plan.prefix import METHOD as PREFIX
from rankwise.plan.quantization import CHANGE_BASE
from rankwise.recipe.keys import LEAVES

METHODS = ("lora", "dora")
"""Methods that are trained on preferences and rewards."""
BETA = {"dpo": 0.1, "grpo": 0.0}
GENERATIONS = 8
LEAST_COMPLETION = 16
"""Tokens that an answer may have in any case."""
ROWS_NAMED = 20
"""Most rows without a verifiable reward that are named one by one."""

_DPO, _GRPO = "TRL, DPOConfig", "TRL, GRPOConfig"


def require_trl(objective: str, where: str) -> None:
    """RecipeError where the objective needs TRL and it is not installed."""
    if objective != "sft" and find_spec("trl") is None:
        message = f"{objective} is trained by TRL, which is not installed; pip install 'rankwise[rl]'"
        raise RecipeError(problems=[Problem("error", "extra-missing", where, message)])


def require_tracker(tracker: str | None, where: str) -> None:
    """RecipeError where the tracker is not installed."""
    if tracker is not None and find_spec(tracker) is None:
        message = f"{tracker} is not installed; pip install 'rankwise[{tracker}]', or write tracking: null"
        raise RecipeError(problems=[Problem("error", "extra-missing", where, message)])


def decide_objective(ledger: Ledger, anatomy: Anatomy, corpus: Corpus) -> None:
    """The objective's own values; every reason why this plan cannot be trained for it is an error."""
    objective = ledger.asked.recipe.objective
    for key in LEAVES:
        section = key.partition(".")[0]
        if section in BETA and section != objective and ledger.asked_value(key) != LEAVES[key].default:
            message = f"it is of objective {section}, and objective is {objective}, which does not use it; leave it out"
            ledger.report("error", "key-of-another-objective", ledger.asked.where(key), message)
    _require_rows(ledger, corpus)
    if objective == "sft":
        return
    _require_trainable(ledger, anatomy)
    if objective == "dpo":
        _decide_dpo(ledger)
    else:
        _decide_grpo(ledger, anatomy, corpus)


def _require_rows(ledger: Ledger, corpus: Corpus) -> None:
    """Preferences are learnt from preference rows, and nothing else is."""
    objective, pairs = ledger.asked.recipe.objective, corpus.shape == "preferences"
    if pairs == (objective == "dpo"):
        return
    if pairs:
        message = (
            f'the rows have "chosen" and "rejected" answers, from which objective: dpo learns, and it is {objective}'
        )
    else:
        message = (
            f'dpo learns from rows with a "prompt" (or "instruction" and "input"), a "chosen" and a "rejected" answer, '
            f"and these are {corpus.shape} rows"
        )
    ledger.report("error", "rows-of-another-objective", corpus.request.train, message)


def _require_trainable(ledger: Ledger, anatomy: Anatomy) -> None:
    objective = ledger.asked.recipe.objective
    for key, why in _obstacles(ledger, anatomy):
        ledger.report("error", f"not-with-{objective}", ledger.asked.where(key), f"objective {objective}: {why}")


def _obstacles(ledger: Ledger, anatomy: Anatomy) -> Iterator[tuple[str, str]]:
    """(key of the recipe, why its value cannot be trained for preferences or rewards)."""
    settled, recipe = ledger.settled, ledger.asked.recipe
    method, start, head = settled["method"], settled["lora.init_lora_weights"], _adapted_head(ledger, anatomy)
    if anatomy.task != "causal_lm":
        why = "only a base that writes its answers has any to prefer or reward; take a causal base"
        yield "task", f"{anatomy.architecture} is trained for {anatomy.task}: {why}"
    if method not in METHODS:
        why = "TRL would keep the adapter of a quantised base in bfloat16, and knows no rank schedule"
        why = "it is trained in packed batches, and TRL pads rows" if method == PREFIX else why
        why = "the reference is the base without its adapter, and there is none" if method == "full" else why
        yield "method", f"method {method} is for answers alone ({why}); take {' or '.join(METHODS)}"
    if start in CHANGE_BASE:
        yield "lora.init_lora_weights", f"{start} writes into the base, which is the reference here; leave it out"
    bias, held = settled["lora.bias"], recipe.objective == "dpo" or recipe.grpo.beta not in ("auto", 0)
    if bias != "none" and held:
        why = "the reference is a second adapter on the base, and PEFT trains biases beside one adapter only"
        yield "lora.bias", f"{why}; leave {bias} out"
    if head is not None:
        why = f"TRL computes log-probabilities from {head}'s own weight, past its adapter"
        yield TARGETS, f"{why}; leave {head} out"
    if recipe.training.on_nonfinite == "rollback":
        yield "training.on_nonfinite", "only objective sft can leave out the rows of a step; leave it out"
    if isinstance(recipe.training.early_stopping_patience, int):
        yield "training.early_stopping_patience", "the last weights are kept, not those of the best look; leave it out"
    if recipe.objective == "grpo" and ledger.is_given("training.eval_steps"):
        yield "training.eval_steps", "each step logs its rewards; rankwise evaluate scores held-out rows; leave it out"


def decide_looks(ledger: Ledger, steps: int) -> None:
    """What is looked at on the way to a reward or a preference; supervised runs are as they were decided."""
    objective = ledger.asked.recipe.objective
    if objective == "sft":
        return
    reason = "no look stops the run: it is kept as its last step leaves it"
    ledger.settle("training.early_stopping_patience", None, reason, "rankwise")
    if objective == "grpo":
        reason = "every step logs its rewards, and rankwise evaluate scores the held-out rows after the last"
        ledger.settle("training.eval_steps", steps, reason, "rankwise")


def _adapted_head(ledger: Ledger, anatomy: Anatomy) -> str | None:
    heads = [layer.leaf for layer in anatomy.targeted(target_names(ledger.settled[TARGETS])) if layer.role == "head"]
    return heads[0] if heads else None


def _decide_dpo(ledger: Ledger) -> None:
    asked = ledger.asked.recipe.dpo
    _decide(ledger, "dpo.beta", asked.beta, BETA["dpo"], "its default", _DPO)
    ledger.given("dpo.loss_type", asked.loss_type, "DPO's own loss, and TRL's default")


def _decide_grpo(ledger: Ledger, anatomy: Anatomy, corpus: Corpus) -> None:
    asked = ledger.asked.recipe.grpo
    step_rows = int(ledger.number("training.per_device_train_batch_size"))
    step_rows *= int(ledger.number("training.gradient_accumulation_steps"))
    fitting = [count for count in range(GENERATIONS, 1, -1) if step_rows % count == 0]
    generations = fitting[0] if fitting else GENERATIONS
    reason = f"of its default, {GENERATIONS}, as many as divide the {step_rows} answers of a step evenly"
    _decide(ledger, "grpo.num_generations", asked.num_generations, generations, reason, _GRPO)
    _decide(ledger, "grpo.beta", asked.beta, BETA["grpo"], "its default: no reference is held", _GRPO)
    longest = max(row.num_supervised for row in corpus.train_rendered)
    prompt = max(row.prompt for row in (*corpus.train_rendered, *corpus.held_out_rendered))
    room = anatomy.max_length - prompt
    completion = max(1, min(max(2 * longest, LEAST_COMPLETION), room))
    reason = f"twice the longest answer of the rows ({longest} tokens), within what the base takes"
    _decide(ledger, "grpo.max_completion_length", asked.max_completion_length, completion, reason, "rankwise")
    ledger.given("grpo.reward", *_reward(ledger, corpus))
    _require_groups(ledger, corpus, step_rows)
    if ledger.number("grpo.max_completion_length") > room:
        message = (
            f"with the longest prompt ({prompt} tokens) it is over the {anatomy.max_length} the base takes; lower it"
        )
        ledger.report("error", "completion-too-long", ledger.asked.where("grpo.max_completion_length"), message)
    ledger.problems += _unrewarded(str(ledger.settled["grpo.reward"]), corpus)


def _decide(ledger: Ledger, key: str, asked: object, otherwise: float, reason: str, source: str) -> None:
    if isinstance(asked, int | float):
        ledger.settle_yours(key, asked)
    else:
        ledger.settle(key, otherwise, reason, source)


def _require_groups(ledger: Ledger, corpus: Corpus, step_rows: int) -> None:
    """A step is made of whole groups of answers to one prompt, and one pass over the rows of at least one step."""
    generations, where = int(ledger.number("grpo.num_generations")), ledger.asked.where("grpo.num_generations")
    if step_rows % generations:
        message = (
            f"a step has {step_rows} answers (per_device_train_batch_size x gradient_accumulation_steps), which are no "
            f"whole groups of {generations}; make one a multiple of the other"
        )
        ledger.report("error", "groups-not-whole", where, message)
    elif len(corpus.train) < step_rows // generations:
        message = (
            f"a step takes {step_rows // generations} prompts, and there are {len(corpus.train)} rows; lower "
            "training.gradient_accumulation_steps"
        )
        ledger.report("error", "fewer-rows-than-a-step", where, message)


def _reward(ledger: Ledger, corpus: Corpus) -> tuple[str, str]:
    asked = ledger.asked.recipe.grpo.reward
    if asked != "auto":
        return asked, ""
    if corpus.labels:
        return "allowed_label", "the answer is one of the labels: 1 for the right one, else 0"
    return "exact_fields", "the answers are JSON objects: F1 of the fields that are exactly right"


def _unrewarded(reward: str, corpus: Corpus) -> Iterator[Problem]:
    """Rows whose answer cannot be verified by this reward, each by its place."""
    if (reward == "allowed_label") != bool(corpus.labels):
        wanted, kind = ("open answers", "text/label") if corpus.labels else ("text/label rows", "other")
        message = f"reward {reward} is for {wanted}, and these are {kind} rows"
        yield Problem("error", "reward-of-other-rows", corpus.request.train, message)
        return
    if corpus.labels:
        return
    bad = [row for row in (*corpus.train, *corpus.held_out) if not _has_fields(row)]
    for row in bad[:ROWS_NAMED]:
        message = (
            "its answer is no JSON object with fields, so nothing can verify what is written; mend or drop the row"
        )
        yield Problem("error", "no-verifiable-answer", row.where, message)
    if len(bad) > ROWS_NAMED:
        message = f"{len(bad) - ROWS_NAMED} more rows like these"
        yield Problem("error", "no-verifiable-answer", corpus.request.train, message)


def _has_fields(row: Row) -> bool:
    try:
        value = json.loads(row.answer)
    except (ValueError, RecursionError):
        return False
    return isinstance(value, dict) and bool(value)


def answers_a_row(ledger: Ledger) -> int:
    """Rows of a step that one row of the data makes: its group of answers where rewards are learnt from."""
    return int(ledger.number("grpo.num_generations")) if ledger.asked.recipe.objective == "grpo" else 1


def to_learn(ledger: Ledger, corpus: Corpus, steps: int) -> int:
    """Tokens, a bit each, that the adapter has to hold; of rewards an answer tells about one bit, however long it is
    (LoRA Without Regret, on policy gradients); of a preference, which of two is better."""
    objective = ledger.asked.recipe.objective
    if objective == "sft":
        return corpus.supervised_tokens
    if objective == "dpo":
        return len(corpus.train)
    step_rows = ledger.number("training.per_device_train_batch_size")
    return int(steps * step_rows * ledger.number("training.gradient_accumulation_steps"))
