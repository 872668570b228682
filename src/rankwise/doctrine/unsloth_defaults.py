"""`unsloth-defaults`: what Unsloth Studio does for a model that has no file of its own (`model_defaults/default.yaml`).

`FastLanguageModel.get_peft_model` has the same rank, alpha, dropout and targets.
"""

from __future__ import annotations

from rankwise.doctrine.rule import Advice, Doctrine, Situation

STEPS = 30
BATCH = 2
ACCUMULATION = 4

UNSLOTH_DEFAULTS = Doctrine("unsloth-defaults", "Unsloth Studio's defaults", "Unsloth Studio")
_LORA = "default.yaml, lora"
_TRAINING = "default.yaml, training"


@UNSLOTH_DEFAULTS.rule("lora.r", _LORA, "conventional")
def r(situation: Situation) -> Advice:
    return Advice(16, "its default rank")


@UNSLOTH_DEFAULTS.rule("lora.lora_alpha", _LORA, "conventional")
def lora_alpha(situation: Situation) -> Advice:
    return Advice(16, "its default, whatever the rank")


@UNSLOTH_DEFAULTS.rule("lora.lora_dropout", "get_peft_model", "conventional", document="Unsloth")
def lora_dropout(situation: Situation) -> Advice:
    return Advice(0.0, "the only value for which its kernels are fast")


@UNSLOTH_DEFAULTS.rule("lora.target_modules", _LORA, "conventional")
def target_modules(situation: Situation) -> Advice:
    return Advice(situation.projections, "all projections of attention and MLP")


@UNSLOTH_DEFAULTS.rule("lora.bias", "get_peft_model", "conventional", document="Unsloth")
def bias(situation: Situation) -> Advice:
    return Advice("none", "the only value for which its kernels are fast")


@UNSLOTH_DEFAULTS.rule("lora.use_rslora", _LORA, "conventional")
def use_rslora(situation: Situation) -> Advice:
    return Advice(False, "off unless asked for")


@UNSLOTH_DEFAULTS.rule("training.learning_rate", _TRAINING, "conventional")
def learning_rate(situation: Situation) -> Advice | None:
    if situation.trains_every_weight:
        return None  # it is a rate of adapters
    return Advice(2e-4, "its default")


@UNSLOTH_DEFAULTS.rule("training.per_device_train_batch_size", _TRAINING, "conventional")
def per_device_train_batch_size(situation: Situation) -> Advice:
    return Advice(BATCH, "small, for the memory of one consumer GPU")


@UNSLOTH_DEFAULTS.rule("training.gradient_accumulation_steps", _TRAINING, "conventional")
def gradient_accumulation_steps(situation: Situation) -> Advice:
    return Advice(ACCUMULATION, "8 rows a step")


@UNSLOTH_DEFAULTS.rule("training.num_train_epochs", _TRAINING, "conventional")
def num_train_epochs(situation: Situation) -> Advice:
    """Steps are what it fixes; the passes that they make depend on the rows."""
    step_rows = situation.step_rows or BATCH * ACCUMULATION
    return Advice(STEPS * step_rows / situation.rows, f"it stops after {STEPS} steps, however many rows there are")


@UNSLOTH_DEFAULTS.rule("training.warmup_ratio", _TRAINING, "conventional")
def warmup_ratio(situation: Situation) -> Advice:
    return Advice(0.1, "its default")


@UNSLOTH_DEFAULTS.rule("training.lr_scheduler_type", _TRAINING, "conventional")
def lr_scheduler_type(situation: Situation) -> Advice:
    return Advice("linear", "its default")


@UNSLOTH_DEFAULTS.rule("training.weight_decay", _TRAINING, "conventional")
def weight_decay(situation: Situation) -> Advice:
    return Advice(0.001, "its default")


@UNSLOTH_DEFAULTS.rule("training.optim", _TRAINING, "conventional")
def optim(situation: Situation) -> Advice:
    return Advice("adamw_torch", "its AdamW keeps moments in 8 bits, which this build has not; here in 32")
