"""`defaults`: what PEFT's LoraConfig and transformers' TrainingArguments do when nothing is said.

Also the last resort of every other doctrine. Where those defaults would not suit a run that keeps its best held-out
evaluation (they never evaluate), the value is ours and says so.
"""

from __future__ import annotations

from rankwise.doctrine.rule import Advice, Doctrine, Rule, Situation, Value

_PEFT = "PEFT 0.21, LoraConfig"
_TRANSFORMERS = "transformers 5, TrainingArguments"


def _constant(value: Value, reason: str, source: str) -> Rule:
    def rule(situation: Situation) -> Advice:
        return Advice(value, reason, source)

    return rule


def _target_modules(situation: Situation) -> Advice:
    names = [name for name in situation.linear_layers if name in ("q_proj", "v_proj")]
    return Advice(
        names or list(situation.linear_layers),
        "PEFT's choice for Llama-like models" if names else "PEFT has no choice for these names, so all of them",
        _PEFT,
    )


def _eval_steps(situation: Situation) -> Advice:
    steps = situation.number("steps")
    return Advice(max(1, int(steps // 5)), "about five looks at the held-out rows in a run", "rankwise")


def _save_steps(situation: Situation) -> Advice:
    return Advice(
        int(situation.number("training.eval_steps")), "a checkpoint beside every held-out evaluation", "rankwise"
    )


DEFAULTS = Doctrine(
    "defaults",
    "PEFT's and transformers' defaults",
    {
        "lora.r": _constant(8, "PEFT's default rank", _PEFT),
        "lora.lora_alpha": _constant(8, "PEFT's default, whatever the rank", _PEFT),
        "lora.lora_dropout": _constant(0.0, "no dropout unless asked for", _PEFT),
        "lora.target_modules": _target_modules,
        "lora.bias": _constant("none", "biases stay the base's, so the adapter can be taken off", _PEFT),
        "lora.use_rslora": _constant(False, "scale alpha / r, as in the LoRA paper", _PEFT),
        "lora.init_lora_weights": _constant(True, "A uniform with scale 1/sqrt(in), B zero: starts as the base", _PEFT),
        "training.learning_rate": _constant(5e-5, "the trainer's default, made for full fine-tuning", _TRANSFORMERS),
        "training.weight_decay": _constant(0.0, "none", _TRANSFORMERS),
        "training.optim": _constant("adamw_torch_fused", "AdamW in one fused pass", _TRANSFORMERS),
        "training.adam_beta1": _constant(0.9, "Adam's own", _TRANSFORMERS),
        "training.adam_beta2": _constant(0.999, "Adam's own", _TRANSFORMERS),
        "training.adam_epsilon": _constant(1e-8, "Adam's own", _TRANSFORMERS),
        "training.lr_scheduler_type": _constant("linear", "linear decay to zero", _TRANSFORMERS),
        "training.warmup_ratio": _constant(0.0, "no warm-up", _TRANSFORMERS),
        "training.max_grad_norm": _constant(1.0, "clips the rare burst", _TRANSFORMERS),
        "training.num_train_epochs": _constant(3.0, "three passes", _TRANSFORMERS),
        "training.per_device_train_batch_size": _constant(8, "eight rows", _TRANSFORMERS),
        "training.gradient_accumulation_steps": _constant(1, "no accumulation", _TRANSFORMERS),
        "training.eval_steps": _eval_steps,
        "training.early_stopping_patience": _constant(
            3, "stop after three evaluations without a better one; the best is kept either way", "rankwise"
        ),
        "training.save_steps": _save_steps,
        "training.logging_steps": _constant(1, "every step is logged; it costs nothing here", "rankwise"),
    },
)
