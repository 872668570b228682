"""`honest-choice`: "LoRA/PEFT: The Correct Choice (Honest Analysis)".

It asks whether LoRA is the right method at all, keeps the values of "LoRA Best Practices", and replaces their reasons.
"""

from __future__ import annotations

from rankwise.doctrine.rule import Advice, Doctrine, Situation

NOT_VERY_LARGE = 10_000_000_000
"""The document calls 8B no very large model; where those begin it does not say."""

HONEST_CHOICE = Doctrine(
    "honest-choice", "LoRA/PEFT: The Correct Choice (Honest Analysis)", "LoRA/PEFT: The Correct Choice"
)
_REASONS = "Why LoRA/PEFT is Correct (Real Reasons)"
_FOR_SFT = "The Real Best Practices (For SFT)"
_OTHERS = "LoRA vs AdaLoRA vs Prefix Tuning"


# -- the method


HONEST_CHOICE.lesson(
    "method",
    "Clarification: LoRA IS a PEFT Method",
    "PEFT is the family of methods that train few parameters; LoRA is one of them, so the two are no alternatives.",
)
HONEST_CHOICE.lesson(
    "domains",
    "What You're Actually Doing",
    "Rows of instruction, input and output are supervised fine-tuning: reports to insights, contracts to risk classes, "
    "symptoms to diagnoses, production data to reports, listings to valuations.",
)


@HONEST_CHOICE.rule("method", f"{_REASONS} 1", when="supervised rows")
def method(situation: Situation) -> Advice | None:
    if situation.objective != "sft":
        return None
    return Advice("lora", "labelled rows give gradients of their own: supervised fine-tuning, for which LoRA suffices")


HONEST_CHOICE.lesson(
    "method",
    "The Honest Answer: YES, PEFT (LoRA) is Correct",
    "LoRA is right for labelled domain data, though not for the reasons first given.",
)
HONEST_CHOICE.lesson(
    "method",
    f"{_REASONS} 2",
    "LoRA trains about 0.12% of the parameters, in a small part of the time, for the same result.",
)
HONEST_CHOICE.lesson(
    "domains",
    f"{_REASONS} 3",
    "Twelve domains need twelve adaptations; one adapter each on one base keeps them apart and swaps them.",
)


@HONEST_CHOICE.objection("method", f"{_REASONS} 4")
def prompt_though_there_are_labels(situation: Situation) -> str | None:
    if situation.settled.get("method") != "prompt" or situation.objective != "sft":
        return None
    return "optimising a prompt is for tasks without labels; with labelled rows an adapter is the more effective"


HONEST_CHOICE.lesson(
    "objective",
    'The Misapplication: "LoRA for RL"',
    "What was said of reinforcement learning (rewards from rollouts, no labels) is no reason for supervised rows; the "
    "values stay: alpha = 2 x rank as general practice, the tenfold rate for faster convergence, all layers for the "
    "most adaptation.",
)


@HONEST_CHOICE.objection("method", "Should You Use Full Fine-Tuning Instead?")
def full_fine_tuning(situation: Situation) -> str | None:
    if situation.settled.get("method") != "full" or situation.objective != "sft":
        return None
    return (
        f"updates all {situation.base_parameters:,} parameters: more memory and time, more forgetting, and one whole "
        "model per domain instead of an adapter to swap"
    )


HONEST_CHOICE.lesson(
    "method",
    "Full Fine-Tuning",
    "Full fine-tuning updates every parameter, takes longer and more memory, forgets more and leaves one model per "
    "domain.",
)
HONEST_CHOICE.lesson(
    "method",
    "LoRA (PEFT)",
    "LoRA keeps the base frozen: little memory, less forgetting, twelve swappable adapters; for supervised tasks it is "
    "held to be better than full fine-tuning.",
)


@HONEST_CHOICE.objection("method", _OTHERS)
def adalora_on_a_common_base(situation: Situation) -> str | None:
    if situation.settled.get("method") != "adalora" or situation.base_parameters > NOT_VERY_LARGE:
        return None
    return "AdaLoRA is more complex and pays on very large models; on one of this size LoRA does"


@HONEST_CHOICE.objection("method", _OTHERS)
def prefix_tuning(situation: Situation) -> str | None:
    if situation.settled.get("method") != "prefix":
        return None
    return "prefix tuning adapts the parameters less directly and is harder to swap and combine than LoRA"


HONEST_CHOICE.lesson(
    "method",
    _OTHERS,
    "LoRA for domain adaptation: simple, proven, well supported, good for its cost, easy to swap. AdaLoRA for very "
    "large models. Prefix tuning learns vectors instead of weights.",
)


# -- the values


@HONEST_CHOICE.rule("lora.lora_alpha", f"{_FOR_SFT} 1")
def lora_alpha(situation: Situation) -> Advice:
    return Advice(2 * situation.number("lora.r"), "alpha = 2 x rank is general practice, for supervised rows too")


@HONEST_CHOICE.rule("training.learning_rate", f"{_FOR_SFT} 2")
def learning_rate(situation: Situation) -> Advice | None:
    if situation.trains_every_weight:
        return None  # it is a rate of adapters
    return Advice(2e-4, "adapters are small and bear a higher rate, which converges faster")


@HONEST_CHOICE.rule("lora.target_modules", f"{_FOR_SFT} 3")
def target_modules(situation: Situation) -> Advice:
    return Advice(situation.projections, "all MLP and attention projections: the most adaptation to a domain")


@HONEST_CHOICE.rule("training.weight_decay", f"{_FOR_SFT} 4")
def weight_decay(situation: Situation) -> Advice:
    return Advice(1e-5, "a low weight decay is said to prevent over-fitting and to generalise better")


# -- what to say


HONEST_CHOICE.lesson(
    "method",
    "Honest Recommendation",
    "Keep LoRA for labels, domains, few parameters and modular adapters; justify it by supervised fine-tuning.",
)
HONEST_CHOICE.lesson(
    "objective",
    "Updated Justification",
    "Not because it works for reinforcement learning, but because the practices hold for supervised fine-tuning.",
)
HONEST_CHOICE.lesson(
    "method",
    "Bottom Line",
    "The practices are optimisations of LoRA itself, not of reinforcement learning; the tool fits the problem.",
)
