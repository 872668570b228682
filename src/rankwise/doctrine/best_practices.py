"""`best-practices`: "LoRA Best Practices - For Supervised Fine-Tuning".

The document argues from reinforcement learning; "LoRA/PEFT: The Correct Choice" keeps its values and corrects the
reason, so the reasons here are the corrected ones.
"""

from __future__ import annotations

from rankwise.doctrine.rule import ATTENTION, MLP, Advice, Doctrine, Situation

FULL_RATE = 2e-5
"""What the document takes full fine-tuning's learning rate to be."""
RATE = 2e-4
NEARER_FULL = (FULL_RATE * RATE) ** 0.5
"""Below this a rate is nearer full fine-tuning's than LoRA's, counted in factors."""

BEST_PRACTICES = Doctrine("best-practices", "LoRA Best Practices - For Supervised Fine-Tuning", "LoRA Best Practices")
_CORRECTED = "LoRA/PEFT: The Correct Choice"
_FOR_SFT = "The Real Best Practices (For SFT)"
_TEMPLATE = "Complete Configuration Template"


# -- Core Principles 1: alpha


@BEST_PRACTICES.rule("lora.lora_alpha", "Core Principles 1")
def lora_alpha(situation: Situation) -> Advice:
    return Advice(2 * situation.number("lora.r"), "alpha = 2 x rank adapts strongly and stays stable")


@BEST_PRACTICES.objection("lora.lora_alpha", "Core Principles 1")
def alpha_under_the_rank(situation: Situation) -> str | None:
    alpha, r = situation.known("lora.lora_alpha"), situation.known("lora.r")
    if alpha is None or r is None or alpha >= r:
        return None
    return f"alpha {alpha:g} is under the rank {r:g}, the least it may be; 2 x rank is {2 * r:g}"


@BEST_PRACTICES.objection("lora.lora_alpha", "Core Principles 1")
def alpha_equal_to_the_rank(situation: Situation) -> str | None:
    alpha, r = situation.known("lora.lora_alpha"), situation.known("lora.r")
    if alpha is None or alpha != r:
        return None
    return f"alpha equal to the rank may adapt too little; 2 x rank is {2 * alpha:g}"


@BEST_PRACTICES.objection("lora.lora_alpha", "Core Principles 1")
def alpha_far_over_the_rank(situation: Situation) -> str | None:
    alpha, r = situation.known("lora.lora_alpha"), situation.known("lora.r")
    if alpha is None or r is None or alpha < 4 * r:
        return None
    return f"alpha {alpha:g} is {alpha / r:.3g} x rank, and from 4 x rank on training may be unstable; 2 x is {2 * r:g}"


# -- Core Principles 2: learning rate


@BEST_PRACTICES.rule("training.learning_rate", f"{_FOR_SFT} 2", document=_CORRECTED)
def learning_rate(situation: Situation) -> Advice:
    if situation.trains_every_weight:
        return Advice(FULL_RATE, "full fine-tuning's, of which adapters take ten times")
    return Advice(RATE, "adapters are small and take ten times full fine-tuning's 2e-5")


@BEST_PRACTICES.objection("training.learning_rate", "Core Principles 2")
def rate_of_full_fine_tuning(situation: Situation) -> str | None:
    rate = situation.known("training.learning_rate")
    if situation.trains_every_weight or rate is None or rate >= NEARER_FULL:
        return None
    return f"{rate:.3g} is a rate for full fine-tuning ({FULL_RATE:g}); LoRA takes ten times that, {RATE:g} or more"


# -- Core Principles 3: target modules


@BEST_PRACTICES.rule("lora.target_modules", f"{_FOR_SFT} 3", document=_CORRECTED)
def target_modules(situation: Situation) -> Advice:
    return Advice(situation.projections, "adapting all attention and MLP projections gives the most adaptation")


@BEST_PRACTICES.objection("lora.target_modules", "Core Principles 3")
def half_of_the_layers(situation: Situation) -> str | None:
    if not situation.named(*ATTENTION) or not situation.named(*MLP):
        return None
    attention, mlp = situation.adapts(*ATTENTION), situation.adapts(*MLP)
    if attention == mlp:
        return None
    missing = "MLP" if attention else "attention"
    return f"no {missing} projection is adapted; all of attention and MLP together adapt the most"


BEST_PRACTICES.lesson(
    "lora.target_modules",
    "Core Principles 3",
    "Attention projections carry understanding and reasoning, MLP projections the transformation of what was "
    "understood; full cover needs both.",
)
BEST_PRACTICES.lesson(
    "lora.target_modules",
    "Core Principles 3",
    "One list may serve several architectures: `mlp` and `mlp_proj` stand in it for bases that have them. Here a "
    "container is resolved to the projections inside, and a name that is nowhere is reported.",
)


# -- Complete Configuration Template


@BEST_PRACTICES.rule("lora.lora_dropout", _TEMPLATE, "conventional")
def lora_dropout(situation: Situation) -> Advice:
    return Advice(0.05, "the template's value; no reason is given")


@BEST_PRACTICES.rule("training.weight_decay", f"{_FOR_SFT} 4", document=_CORRECTED)
def weight_decay(situation: Situation) -> Advice:
    return Advice(1e-5, "a low weight decay is said to prevent over-fitting")


@BEST_PRACTICES.rule("training.optim", _TEMPLATE, "conventional")
def optim(situation: Situation) -> Advice:
    return Advice("adamw_torch", "the template's optimizer")


@BEST_PRACTICES.rule("training.lr_scheduler_type", _TEMPLATE, "conventional")
def lr_scheduler_type(situation: Situation) -> Advice:
    return Advice("cosine", "the template's schedule")


# -- Research Reference and what follows


BEST_PRACTICES.lesson(
    "evaluation",
    "Research Reference",
    'Credited to "LoRA Without Regret": LoRA holds for reinforcement learning when configured right, a tenfold rate '
    "does not upset it, covering all layers adapts most, alpha = 2 x rank scales best.",
)


@BEST_PRACTICES.rule("lora.r", "Domain-Specific Applications", "conventional")
def r(situation: Situation) -> Advice:
    return Advice(16, "every domain of the table uses rank 16")


BEST_PRACTICES.lesson(
    "domains",
    "Domain-Specific Applications",
    "Financial, legal, healthcare, manufacturing, real estate, insurance, marketing and technology all share one "
    "configuration: r 16, alpha 32, 2e-4, all of MLP and attention.",
    "conventional",
)
BEST_PRACTICES.lesson(
    "domains",
    "Implementation Files",
    "A domain's parameters are kept in one place and looked up by its name, by configuration, trainer and screen.",
    "conventional",
)
BEST_PRACTICES.lesson(
    "evaluation",
    "Benefits of These Practices",
    "To be expected: faster convergence from the higher rate, better adaptation from full cover, stability from "
    "alpha = 2 x rank, values that also serve reinforcement learning, and 0.1-1% of the base's parameters trained.",
)
BEST_PRACTICES.lesson(
    "evaluation",
    "Validation",
    "The values are called validated by the research, by reinforcement learning in practice and by production use; no "
    "figure is given.",
)
