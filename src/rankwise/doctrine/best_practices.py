"""`best-practices`: "LoRA Best Practices - For Supervised Fine-Tuning".

The document argues from reinforcement learning; "LoRA/PEFT: The Correct Choice" keeps its values and corrects the
reason, so the reasons here are the corrected ones.
"""

from __future__ import annotations

from rankwise.doctrine.rule import Advice, Doctrine, Situation

BEST_PRACTICES = Doctrine("best-practices", "LoRA Best Practices - For Supervised Fine-Tuning", "LoRA Best Practices")
_CORRECTED = "LoRA/PEFT: The Correct Choice"
_FOR_SFT = "The Real Best Practices (For SFT)"
_TEMPLATE = "Complete Configuration Template"


@BEST_PRACTICES.rule("lora.r", "Domain-Specific Applications", "conventional")
def r(situation: Situation) -> Advice:
    return Advice(16, "every domain of the table uses rank 16")


@BEST_PRACTICES.rule("lora.lora_alpha", "Core Principles 1")
def lora_alpha(situation: Situation) -> Advice:
    return Advice(2 * situation.number("lora.r"), "alpha = 2 x rank adapts strongly and stays stable")


@BEST_PRACTICES.rule("lora.lora_dropout", _TEMPLATE, "conventional")
def lora_dropout(situation: Situation) -> Advice:
    return Advice(0.05, "the template's value; no reason is given")


@BEST_PRACTICES.rule("lora.target_modules", f"{_FOR_SFT} 3", document=_CORRECTED)
def target_modules(situation: Situation) -> Advice:
    return Advice(list(situation.linear_layers), "adapting all attention and MLP projections gives the most adaptation")


@BEST_PRACTICES.rule("training.learning_rate", f"{_FOR_SFT} 2", document=_CORRECTED)
def learning_rate(situation: Situation) -> Advice:
    return Advice(2e-4, "adapters are small and take ten times full fine-tuning's 2e-5")


@BEST_PRACTICES.rule("training.weight_decay", f"{_FOR_SFT} 4", document=_CORRECTED)
def weight_decay(situation: Situation) -> Advice:
    return Advice(1e-5, "a low weight decay is said to prevent over-fitting")


@BEST_PRACTICES.rule("training.optim", _TEMPLATE, "conventional")
def optim(situation: Situation) -> Advice:
    return Advice("adamw_torch", "the template's optimizer")


@BEST_PRACTICES.rule("training.lr_scheduler_type", _TEMPLATE, "conventional")
def lr_scheduler_type(situation: Situation) -> Advice:
    return Advice("cosine", "the template's schedule")
