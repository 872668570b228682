"""`working-notes`: "Low-Rank Adaptation (LoRA)", notes on when to use which method and what each parameter does."""

from __future__ import annotations

from rankwise.doctrine.rule import MLP, Advice, Doctrine, Situation

LARGE_BASE = 12_500_000_000
"""From here a base is one of "13B+": the smallest called 13B has 12.85 billion parameters (OPT)."""
MOST_GPUS = 8
"""The notes use LoRA on 1 to 8 GPUs, full fine-tuning on more."""
BIG_ROWS = 100_000
SMALL_ROWS = 1_000
FEW_LABELS = 10
LONG_ANSWER = 100
LONG_CHAIN = 500
"""What we take big and small data, simple tasks, difficult ones and long chains of reasoning to be, in rows, labels and
tokens of an average answer; the notes name no numbers."""
BYTES_IN_16_BITS = 2

WORKING_NOTES = Doctrine("working-notes", "Low-Rank Adaptation (LoRA), notes", "Low-Rank Adaptation (LoRA)")


def _answer(situation: Situation) -> float:
    """Tokens of an average answer."""
    return situation.supervised_tokens / max(1, situation.rows)


WORKING_NOTES.lesson(
    "domains",
    "Features",
    "Adapters are saved apart from the base, so skills (maths, code, law) are swapped as modules.",
)


# -- Use Case


@WORKING_NOTES.rule(
    "method",
    "Use Case",
    when=f"over {MOST_GPUS} GPUs, {BIG_ROWS:,} rows or more, and an ability that is new to the base",
)
def full(situation: Situation) -> Advice | None:
    if situation.gpus <= MOST_GPUS or situation.rows < BIG_ROWS or situation.goal != "new_ability":
        return None
    return Advice("full", "a cluster, a big broad set and a new ability: re-shape the whole model")


@WORKING_NOTES.rule("method", "Use Case", when="13B or more whose 16-bit weights exceed the GPU's memory")
def qlora(situation: Situation) -> Advice | None:
    return Advice("qlora", "a large base on limited GPU memory") if _needs_four_bits(situation) else None


@WORKING_NOTES.rule("method", "Use Case", when="otherwise")
def lora(situation: Situation) -> Advice:
    here = f"{situation.gpus} of the 1 to {MOST_GPUS} GPUs it is for" if situation.gpus else "no cluster of GPUs here"
    if situation.gpus > MOST_GPUS:
        here = (
            f"{situation.gpus} GPUs would do for full fine-tuning, but not with {situation.rows:,} rows for this goal"
        )
    return Advice("lora", f"{here}; LoRA is for a small set and a base that is able but does not do it well")


@WORKING_NOTES.rule("quantization", "Use Case", when="QLoRA")
def quantization(situation: Situation) -> Advice | None:
    if situation.settled.get("method") != "qlora" and not _needs_four_bits(situation):
        return None
    return Advice("nf4", "QLoRA usually keeps the base in 4 bits")


def _needs_four_bits(situation: Situation) -> bool:
    large = situation.base_parameters >= LARGE_BASE
    return large and 0 < situation.gpu_bytes < BYTES_IN_16_BITS * situation.base_parameters


WORKING_NOTES.lesson(
    "method",
    "Use Case",
    "Full fine-tuning re-shapes deep reasoning or gives a new ability, such as the use of tools. LoRA is for a base "
    "that has the ability and executes it badly. QLoRA is LoRA for 13B to 32B and more on limited memory.",
)


@WORKING_NOTES.objection("quantization", "Use Case")
def long_chains_in_four_bits(situation: Situation) -> str | None:
    if situation.settled.get("quantization") != "nf4" or _needs_four_bits(situation):
        return None
    if _answer(situation) < LONG_CHAIN:
        return None
    return f"4 bits hurt long chains of reasoning, and answers here average {_answer(situation):,.0f} tokens"


@WORKING_NOTES.objection("method", "Use Case")
def adapter_for_a_new_ability(situation: Situation) -> str | None:
    if situation.settled.get("method") in ("full", None) or full(situation) is None:
        return None
    return "an adapter suits a base that is already able; for a new ability there are rows and GPUs to train it whole"


@WORKING_NOTES.objection("method", "Use Case")
def full_on_little(situation: Situation) -> str | None:
    if situation.settled.get("method") != "full" or (situation.gpus > MOST_GPUS and situation.rows >= BIG_ROWS):
        return None
    return "full fine-tuning wants a cluster of GPUs and a big, broad, good set; with less use LoRA"


# -- Configuration: r


@WORKING_NOTES.rule("lora.r", "Configuration: r", when=f"simple task: at most {FEW_LABELS} labels")
def r_of_a_simple_task(situation: Situation) -> Advice | None:
    if not 0 < situation.labels <= FEW_LABELS:
        return None
    return Advice(4, f"a simple task: one of {situation.labels} labels")


@WORKING_NOTES.rule("lora.r", "Configuration: r", when=f"difficult task: answers of {LONG_ANSWER} tokens or more")
def r_of_a_difficult_task(situation: Situation) -> Advice | None:
    if situation.labels or _answer(situation) < LONG_ANSWER:
        return None
    return Advice(16, f"a difficult task: answers of {_answer(situation):,.0f} tokens on average; 32 if 16 falls short")


@WORKING_NOTES.rule("lora.r", "Configuration: r", when="otherwise")
def r(situation: Situation) -> Advice:
    return Advice(8, "balanced")


# -- Configuration: lora_alpha


@WORKING_NOTES.rule("lora.lora_alpha", "Configuration: lora_alpha")
def lora_alpha(situation: Situation) -> Advice:
    return Advice(4 * situation.number("lora.r"), "the standard is alpha / r = 4")


@WORKING_NOTES.objection("lora.lora_alpha", "Configuration: lora_alpha")
def scale_off_the_standard(situation: Situation) -> str | None:
    alpha, rank = situation.known("lora.lora_alpha"), situation.known("lora.r")
    if alpha is None or rank is None or 1 <= alpha / rank <= 4:
        return None
    if alpha > 4 * rank:
        return f"scale alpha / r = {alpha / rank:.3g} is above the standard 4: faster, but may be unstable"
    return f"scale alpha / r = {alpha / rank:.3g} is far below the standard 4: safe, but slow to learn"


# -- Configuration: lora_dropout


@WORKING_NOTES.rule("lora.lora_dropout", "Configuration: lora_dropout", when=f"fewer than {SMALL_ROWS:,} rows")
def dropout_of_few_rows(situation: Situation) -> Advice | None:
    if situation.rows >= SMALL_ROWS:
        return None
    return Advice(0.1, f"{situation.rows:,} rows are few, and dropout regularises; the higher of the usual two")


@WORKING_NOTES.rule("lora.lora_dropout", "Configuration: lora_dropout", when="otherwise")
def lora_dropout(situation: Situation) -> Advice:
    return Advice(0.05, "against over-fitting; the lower of the usual two")


@WORKING_NOTES.objection("lora.lora_dropout", "Configuration: lora_dropout")
def no_dropout_on_few_rows(situation: Situation) -> str | None:
    if situation.known("lora.lora_dropout") != 0 or situation.rows >= SMALL_ROWS:
        return None
    return f"{situation.rows:,} rows without dropout: on small or noisy sets it keeps from over-fitting (0.05 or 0.1)"


# -- Configuration: target_modules


@WORKING_NOTES.rule("lora.target_modules", "Configuration: target_modules", when="13B or more")
def targets_of_a_large_base(situation: Situation) -> Advice | None:
    if situation.base_parameters < LARGE_BASE:
        return None
    return Advice(situation.translated("query", "value"), "on 13B and more, query and value do")


@WORKING_NOTES.rule("lora.target_modules", "Configuration: target_modules", when="under 13B")
def target_modules(situation: Situation) -> Advice:
    return Advice(situation.projections, "a small or medium base wants the MLP adapted too")


@WORKING_NOTES.objection("lora.target_modules", "Configuration: target_modules")
def no_mlp_on_a_small_base(situation: Situation) -> str | None:
    if situation.base_parameters >= LARGE_BASE or not situation.named(*MLP) or situation.adapts(*MLP):
        return None
    if "lora.target_modules" not in situation.settled:
        return None
    return "a base under 13B wants its MLP projections adapted too"


@WORKING_NOTES.objection("lora.target_modules", "Configuration: target_modules")
def query_and_key(situation: Situation) -> str | None:
    large = situation.base_parameters >= LARGE_BASE
    if not large or not situation.adapts("query") or not situation.adapts("key"):
        return None
    return "query and key are tied in the attention score, so on a large base one of them is enough"


for _roles, _text in (
    ("query and value", "the most popular choice, a good balance of cost and result"),
    ("key and output", "added for more capacity to adapt"),
    ("down, up and gate", "added at times for instruction tuning and several languages"),
    ("query", "where to look; following instructions"),
    ("value", "what is passed on; style of the content, flow of information"),
    ("key", "retrieval and factual consistency; query and key are tied, adapting one is enough"),
    ("output", "weighs and mixes what the heads found into the hidden state; useful, not always needed"),
):
    WORKING_NOTES.lesson("lora.target_modules", "Configuration: target_modules", f"{_roles}: {_text}.")

WORKING_NOTES.lesson(
    "lora.r", "Configuration: r", "The rank is the adapter's capacity: 4 simple, 8 balanced, 16-32 hard."
)
WORKING_NOTES.lesson(
    "lora.lora_alpha",
    "Configuration: lora_alpha",
    "The update counts alpha / r: a high scale learns faster and may be unstable, a low one is safer and slower.",
)


# -- Performance


WORKING_NOTES.lesson("method", "Performance", "By result: full fine-tuning, then LoRA, then QLoRA.")
WORKING_NOTES.lesson(
    "evaluation", "Performance", "LoRA alone typically adds 20 to 40 points of accuracy to the base's."
)
WORKING_NOTES.lesson(
    "experiments",
    "Performance",
    "For more than that: a rank of 64 or above, full fine-tuning, or a large and varied set of rewards.",
)
