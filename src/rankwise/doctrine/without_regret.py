"""`without-regret`: "LoRA/QLoRA Doctrine", a digest of the post "LoRA Without Regret".

Where a reason rests on the post and not on the digest, the post is cited.
"""

from __future__ import annotations

from math import log
from typing import NamedTuple

from rankwise.doctrine.rule import ATTENTION, MLP, Advice, Doctrine, Situation, Value

LORA_RATIO = 10
"""LoRA's best rate over full fine-tuning's."""
SHORT_RATIO = 15
SHORT_STEPS = 100
"""Below about so many steps the ratio is rather SHORT_RATIO."""
SMALLEST_BATCH, LARGEST_BATCH = 16, 64
BATCH = 32
"""The middle of the range, counted in factors; at 32 the post found the gap to full fine-tuning small and closing."""
DENSE_RANK = 64
"""Rank of the default configuration, and the one from which the section on mixtures of experts divides."""
PROJECTIONS_A_LAYER = 10
"""The quick formula's count of adapted projections, each taken as hidden x hidden."""
BITS_PER_PARAMETER = 2
MOST_RANK = 1024
"""The recipe's limit."""


class SizeRow(NamedTuple):
    """A row of "Rank Selection by Model Size": sizes in billions, ranks from and to."""

    name: str
    smallest: float
    largest: float
    sft: tuple[int, int]
    rl: tuple[int, int]


SIZES = (
    SizeRow("1-3B", 1, 3, (16, 32), (4, 8)),
    SizeRow("7-8B", 7, 8, (32, 64), (8, 16)),
    SizeRow("13B", 13, 13, (64, 128), (16, 32)),
    SizeRow("34B", 34, 34, (128, 192), (32, 48)),
    SizeRow("70B", 70, 70, (128, 256), (32, 64)),
)

WITHOUT_REGRET = Doctrine("without-regret", "LoRA/QLoRA Doctrine", "LoRA/QLoRA Doctrine")
_POST = "LoRA Without Regret (Thinking Machines, 2025)"


def full_rate(hidden_size: int) -> float:
    """Full fine-tuning's learning rate: (2000 / hidden size) x 1e-4."""
    return 2000 / hidden_size * 1e-4


def size_row(parameters: int) -> SizeRow:
    """The row for a base of this size; between rows and outside the table the nearest, counted in factors."""
    size = parameters / 1e9
    return min(SIZES, key=lambda row: max(log(row.smallest / size), log(size / row.largest), 0.0))


def smallest_rank(tokens: int, hidden_size: int, num_layers: int) -> int:
    """The quick formula: least rank whose 2 bits a parameter hold 1 bit for each of `tokens`."""
    params_per_rank = hidden_size * 2 * PROJECTIONS_A_LAYER * num_layers
    return int(tokens / BITS_PER_PARAMETER / params_per_rank) + 1


# -- Executive Summary


@WITHOUT_REGRET.rule("method", "Executive Summary", "measured")
def method(situation: Situation) -> Advice:
    return Advice("lora", "done right, LoRA equals full fine-tuning at about two thirds of the compute")


# -- 1. Which Layers to Apply LoRA


@WITHOUT_REGRET.rule("lora.target_modules", "Which Layers to Apply LoRA", "measured")
def target_modules(situation: Situation) -> Advice:
    head = _adaptable_head(situation)
    if head:
        return Advice([*situation.projections, head], "MLP, attention and the unembedding: the best of its four rows")
    why = "the head is tied or a classifier, so it is left out" if situation.kind == "causal" else "no unembedding here"
    return Advice(situation.projections, f"MLP and attention, not attention alone; {why}")


def _adaptable_head(situation: Situation) -> str | None:
    """A classifier's head is trained whole, so only an unembedding counts."""
    return None if situation.task == "seq_cls" or situation.kind == "encoder" else situation.head


WITHOUT_REGRET.lesson(
    "lora.target_modules",
    "Which Layers to Apply LoRA",
    "Attention alone with rank 256 (0.25B parameters) did worse than MLP alone with rank 128 (0.24B); the first LoRA "
    "paper's advice to adapt attention only is out of date.",
    "measured",
)


# -- 2. Learning Rate


@WITHOUT_REGRET.rule(
    "training.learning_rate", "Learning rate, short runs", when=f"under {SHORT_STEPS} steps", document=_POST
)
def learning_rate_of_a_short_run(situation: Situation) -> Advice | None:
    if situation.trains_every_weight or situation.steps is None or situation.steps >= SHORT_STEPS:
        return None
    return _rate(situation, SHORT_RATIO, f"; a run under about {SHORT_STEPS} steps wants more than tenfold")


@WITHOUT_REGRET.rule("training.learning_rate", "Learning Rate", "measured")
def learning_rate(situation: Situation) -> Advice:
    if situation.trains_every_weight:
        return _rate(situation, 1, ", full fine-tuning's, of which LoRA takes ten times")
    return _rate(situation, LORA_RATIO, ", ten times full fine-tuning's at any size, rank and objective")


def _rate(situation: Situation, ratio: int, why: str) -> Advice:
    formula = ("" if ratio == 1 else f"{ratio} x ") + f"(2000 / {situation.hidden_size}) x 1e-4"
    return Advice(float(f"{ratio * full_rate(situation.hidden_size):.3g}"), formula + why)


@WITHOUT_REGRET.objection("training.learning_rate", "Common Pitfalls 2", "measured")
def rate_of_full_fine_tuning(situation: Situation) -> str | None:
    """Where the rate is nearer to full's than to LoRA's, counted in factors."""
    rate, full = situation.known("training.learning_rate"), full_rate(situation.hidden_size)
    if situation.trains_every_weight or rate is None or rate >= full * LORA_RATIO**0.5:
        return None
    return (
        f"{rate:.3g} is near full fine-tuning's rate for this size ({full:.3g}), so loss will hardly fall; LoRA takes "
        f"{LORA_RATIO} times that, {LORA_RATIO * full:.3g}"
    )


# -- 3. Capacity Requirements


WITHOUT_REGRET.lesson(
    "lora.r",
    "Capacity Requirements",
    "An adapter stores about 2 bits per parameter and a training set holds about 1 bit per token: 2 x parameters must "
    "reach tokens x loss. One million tokens need 500,000 parameters.",
    "measured",
)


@WITHOUT_REGRET.rule("lora.r", "Quick Formula", when="more tokens than the rank for this size can hold")
def r_by_capacity(situation: Situation) -> Advice | None:
    least = _least_rank(situation)
    if least <= size_row(situation.base_parameters).sft[1]:
        return None
    tokens = situation.supervised_tokens
    return Advice(min(least, MOST_RANK), f"least rank that holds {tokens:,} tokens, 1 bit each, at 2 bits a parameter")


def _least_rank(situation: Situation) -> int:
    """By the quick formula; 1 where it does not speak: rewards hold far less, and experts are not in it."""
    if situation.objective == "grpo" or situation.experts or not situation.num_layers:
        return 1
    return smallest_rank(situation.supervised_tokens, situation.hidden_size, situation.num_layers)


@WITHOUT_REGRET.objection("lora.r", "Quick Formula")
def too_little_capacity(situation: Situation) -> str | None:
    r, least = situation.known("lora.r"), _least_rank(situation)
    if r is None or r >= least:
        return None
    return (
        f"rank {r:g} cannot hold {situation.supervised_tokens:,} supervised tokens, 1 bit each, at 2 bits a "
        f"parameter; the least rank is {least}"
    )


WITHOUT_REGRET.lesson(
    "lora.r",
    "Capacity Validation",
    "Check the capacity before every run, and heed the rank it suggests where it says UNDERCAPACITY.",
)


# -- 4. Batch Size Effects


@WITHOUT_REGRET.rule("training.per_device_train_batch_size", "Batch Size Effects", "measured")
def per_device_train_batch_size(situation: Situation) -> Advice:
    if situation.trains_every_weight:
        return Advice(BATCH, "as for LoRA; full fine-tuning bears larger batches")
    return Advice(BATCH, f"LoRA loses to full fine-tuning at large batches, whatever the rank; {BATCH} of 16-64")


@WITHOUT_REGRET.objection("training.per_device_train_batch_size", "Batch Size Effects", "measured")
def large_batch(situation: Situation) -> str | None:
    rows = situation.step_rows
    if situation.trains_every_weight or rows is None or rows <= LARGEST_BATCH:
        return None
    return (
        f"{rows} rows a step: at large batches LoRA falls behind full fine-tuning and no rank makes up for it; keep to "
        f"{SMALLEST_BATCH}-{LARGEST_BATCH}"
    )


# -- Default Configuration


@WITHOUT_REGRET.rule("lora.lora_alpha", "Default Configuration")
def lora_alpha(situation: Situation) -> Advice:
    return Advice(32, "fixed at any rank")


@WITHOUT_REGRET.objection("lora.lora_alpha", "Common Pitfalls 5")
def wrong_alpha(situation: Situation) -> str | None:
    alpha, r = situation.known("lora.lora_alpha"), situation.known("lora.r")
    if alpha is None or r is None or alpha in (32, r):
        return None
    return f"alpha {alpha:g} is neither 32 nor the rank ({r:g}): a wrong alpha shows as unstable training"


@WITHOUT_REGRET.rule("lora.lora_dropout", "Default Configuration")
def lora_dropout(situation: Situation) -> Advice:
    return Advice(0.0, "usually not needed")


@WITHOUT_REGRET.objection("lora.lora_dropout", "Default Configuration")
def dropout(situation: Situation) -> str | None:
    value = situation.known("lora.lora_dropout")
    return f"dropout {value:g} is usually not needed" if value else None


@WITHOUT_REGRET.objection("lora.target_modules", "Common Pitfalls 4")
def missing_head(situation: Situation) -> str | None:
    head = _adaptable_head(situation)
    targets = situation.settled.get("lora.target_modules")
    if head is None or targets is None or (isinstance(targets, list) and head in targets):
        return None
    return f"{head} is not adapted: generation may be poor though the loss is low"


@WITHOUT_REGRET.rule("lora.init_lora_weights", "Default Configuration")
def init_lora_weights(situation: Situation) -> Advice:
    return Advice(True, "A uniform with scale 1/sqrt(d_in), B zero: training starts from the base itself")


@WITHOUT_REGRET.objection("lora.init_lora_weights", "Default Configuration")
def random_start(situation: Situation) -> str | None:
    value: Value = situation.settled.get("lora.init_lora_weights")
    if value is False:
        return "B does not start at zero, which a stable start needs: the first step begins away from the base"
    return "A is not uniform with scale 1/sqrt(d_in)" if isinstance(value, str) else None


# -- Rank Selection by Model Size, and MoE Model Handling


@WITHOUT_REGRET.rule("lora.r", "Rank Selection by Model Size", when="dense base, supervised rows or preferences")
def r_by_size(situation: Situation) -> Advice | None:
    if situation.objective == "grpo" or situation.experts:
        return None
    return _rank(situation, size_row(situation.base_parameters).sft)


@WITHOUT_REGRET.rule("lora.r", "Rank Selection by Model Size", when="reinforcement learning")
def r_by_size_for_rewards(situation: Situation) -> Advice | None:
    if situation.objective != "grpo":
        return None
    return _rank(situation, size_row(situation.base_parameters).rl)


def _rank(situation: Situation, ranks: tuple[int, int]) -> Advice:
    row = size_row(situation.base_parameters)
    within = row.smallest <= round(situation.base_parameters / 1e9) <= row.largest
    nearest = "" if within else f", the nearest to {situation.base_parameters / 1e9:.3g}B,"
    return Advice(ranks[1], f"its row for {row.name}{nearest} has {ranks[0]}-{ranks[1]}; its 8B default is a row's top")


@WITHOUT_REGRET.rule("lora.r", "MoE Model Handling", when="mixture of experts")
def r_beside_experts(situation: Situation) -> Advice | None:
    if not situation.experts:
        return None
    return Advice(DENSE_RANK, f"the dense rank from which experts get their share is {DENSE_RANK}")


@WITHOUT_REGRET.rule("lora.rank_per_expert", "MoE Model Handling", when="mixture of experts")
def rank_per_expert(situation: Situation) -> Advice | None:
    if not situation.experts or not situation.active_experts:
        return None
    r, active = int(situation.number("lora.r")), situation.active_experts
    return Advice(max(1, r // active), f"each expert its own adapter, of rank {r} / {active} active experts")


# -- Common Pitfalls


_PITFALLS = (
    (
        "lora.target_modules",
        "poor results in spite of a large rank",
        "attention alone is adapted",
        "add the MLP layers",
    ),
    ("training.learning_rate", "loss hardly falls", "the rate is full fine-tuning's", "use ten times that"),
    ("lora.r", "loss stops falling early, poor on new rows", "too little capacity", "raise the rank; check capacity"),
    ("lora.target_modules", "poor generation though loss is low", "the unembedding is frozen", "adapt lm_head too"),
    ("lora.lora_alpha", "training is unstable", "a wrong alpha", "alpha = 32 or alpha = rank"),
)
for _number, (_topic, _symptom, _cause, _cure) in enumerate(_PITFALLS, 1):
    WITHOUT_REGRET.lesson(_topic, f"Common Pitfalls {_number}", f"Symptom: {_symptom}. Cause: {_cause}. Cure: {_cure}.")


@WITHOUT_REGRET.objection("lora.target_modules", "Common Pitfalls 1", "measured")
def attention_only(situation: Situation) -> str | None:
    if not situation.named(*MLP) or situation.adapts(*MLP) or not situation.adapts(*ATTENTION):
        return None
    return "attention alone does worse than the MLP alone at equal parameters; add the MLP projections"


# -- Research Citations


WITHOUT_REGRET.lesson(
    "evaluation", "Research Citations 1", f"{_POST}: the main source; experiments on Llama 3 and Qwen3.", "measured"
)
WITHOUT_REGRET.lesson(
    "lora.target_modules",
    "Research Citations 2",
    "LoRA: Low-Rank Adaptation (Hu et al., 2021): the first paper; its advice to adapt attention only is outdated.",
)
WITHOUT_REGRET.lesson(
    "quantization",
    "Research Citations 3",
    "QLoRA (Dettmers et al., 2023): LoRA over a base kept in 4 bits, which saves memory.",
)
WITHOUT_REGRET.lesson(
    "method",
    "Research Citations 4",
    "DoRA (Liu et al., 2024): another decomposition of the weights; a slight gain in some cases.",
)
