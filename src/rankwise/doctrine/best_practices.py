"""`best-practices`: "LoRA Best Practices - For Supervised Fine-Tuning".

The document argues from reinforcement learning; "LoRA/PEFT: The Correct Choice" keeps its values and corrects the
reason, so the reasons here are the corrected ones.
"""

from __future__ import annotations

from rankwise.doctrine.rule import Advice, Doctrine, Situation

_DOCUMENT = "LoRA Best Practices"
_CORRECTED = "LoRA/PEFT: The Correct Choice, The Real Best Practices (For SFT)"


def _r(situation: Situation) -> Advice:
    return Advice(16, "every domain of the table uses rank 16", f"{_DOCUMENT}, Domain-Specific Applications")


def _lora_alpha(situation: Situation) -> Advice:
    r = situation.number("lora.r")
    return Advice(2 * r, "alpha = 2 x rank adapts strongly and stays stable", f"{_DOCUMENT}, Core Principles 1")


def _lora_dropout(situation: Situation) -> Advice:
    return Advice(0.05, "the template's value; no reason is given", f"{_DOCUMENT}, Complete Configuration Template")


def _target_modules(situation: Situation) -> Advice:
    return Advice(
        list(situation.linear_layers),
        "adapting all attention and MLP projections gives the most adaptation",
        f"{_CORRECTED} 3",
    )


def _learning_rate(situation: Situation) -> Advice:
    return Advice(2e-4, "adapters are small and take ten times full fine-tuning's 2e-5", f"{_CORRECTED} 2")


def _weight_decay(situation: Situation) -> Advice:
    return Advice(1e-5, "a low weight decay is said to prevent over-fitting", f"{_CORRECTED} 4")


def _optim(situation: Situation) -> Advice:
    return Advice("adamw_torch", "the template's optimizer", f"{_DOCUMENT}, Complete Configuration Template")


def _lr_scheduler_type(situation: Situation) -> Advice:
    return Advice("cosine", "the template's schedule", f"{_DOCUMENT}, Complete Configuration Template")


BEST_PRACTICES = Doctrine(
    "best-practices",
    _DOCUMENT,
    {
        "lora.r": _r,
        "lora.lora_alpha": _lora_alpha,
        "lora.lora_dropout": _lora_dropout,
        "lora.target_modules": _target_modules,
        "training.learning_rate": _learning_rate,
        "training.weight_decay": _weight_decay,
        "training.optim": _optim,
        "training.lr_scheduler_type": _lr_scheduler_type,
    },
)
