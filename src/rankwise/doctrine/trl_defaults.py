"""`trl-defaults`: what `trl sft --use_peft` does when nothing else is said.

TRL's `SFTConfig` and `ModelConfig` override a few of transformers' and PEFT's defaults; only those are rules here, the
rest (targets, batch, epochs, schedule, optimizer) it leaves to them.
"""

from __future__ import annotations

from rankwise.doctrine.rule import Advice, Doctrine, Situation

TRL_DEFAULTS = Doctrine("trl-defaults", "TRL's defaults", "TRL 1")
_MODEL = "ModelConfig"
_TRAINING = "SFTConfig"
_REGRET = "docs/source/lora_without_regret.md"


@TRL_DEFAULTS.rule("lora.r", _MODEL, "conventional")
def r(situation: Situation) -> Advice:
    return Advice(16, "TRL's default rank")


@TRL_DEFAULTS.rule("lora.lora_alpha", _MODEL, "conventional")
def lora_alpha(situation: Situation) -> Advice:
    return Advice(32, "TRL's default, whatever the rank")


@TRL_DEFAULTS.rule("lora.lora_dropout", _MODEL, "conventional")
def lora_dropout(situation: Situation) -> Advice:
    return Advice(0.05, "TRL's default")


@TRL_DEFAULTS.rule("training.learning_rate", _TRAINING, "conventional")
def learning_rate(situation: Situation) -> Advice:
    return Advice(2e-5, "TRL's default, with or without an adapter: a rate of full fine-tuning")


@TRL_DEFAULTS.rule("training.logging_steps", _TRAINING, "conventional")
def logging_steps(situation: Situation) -> Advice:
    return Advice(10, "every tenth step is logged")


TRL_DEFAULTS.lesson(
    "lora.r", _REGRET, "Its page on LoRA Without Regret advises r=256 for supervised rows, 1 to 32 for RL, alpha 16."
)
TRL_DEFAULTS.lesson(
    "training.learning_rate",
    _REGRET,
    "Its page on LoRA Without Regret trains the same SFT run at 2e-4 in Python and at 2e-5 on the command line, and "
    "shows no result for either.",
)
TRL_DEFAULTS.lesson(
    "training.per_device_train_batch_size", _REGRET, "Its page on LoRA Without Regret keeps the batch under 32."
)
TRL_DEFAULTS.lesson(
    "data.max_length", _TRAINING, "Rows of more than 1024 tokens lose their end, by default and without a word."
)
TRL_DEFAULTS.lesson(
    "lora.r",
    _REGRET,
    "Reinforcement learning reproduced: SmolLM3-3B with r=1 at 1e-5 follows full fine-tuning at 1e-6 over 500 steps.",
    "measured",
)
