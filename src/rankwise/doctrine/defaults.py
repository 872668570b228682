"""`peft-defaults`: what PEFT's LoraConfig and transformers' TrainingArguments do when nothing is said.

Also the last resort of every other doctrine. Where those defaults would not suit a run that keeps its best held-out
evaluation (they never evaluate), the value is ours and says so.
"""

from __future__ import annotations

from rankwise.doctrine.rule import Advice, Doctrine, Situation, Value

DEFAULTS = Doctrine("peft-defaults", "PEFT's and transformers' defaults", "")
_PEFT = "PEFT 0.21"
_TRANSFORMERS = "transformers 5"

_CONSTANTS: tuple[tuple[str, str, dict[str, tuple[Value, str]]], ...] = (
    (
        _PEFT,
        "LoraConfig",
        {
            "lora.r": (8, "PEFT's default rank"),
            "lora.lora_alpha": (8, "PEFT's default, whatever the rank"),
            "lora.lora_dropout": (0.0, "no dropout unless asked for"),
            "lora.bias": ("none", "biases stay the base's, so the adapter can be taken off"),
            "lora.use_rslora": (False, "scale alpha / r, as in the LoRA paper"),
            "lora.init_lora_weights": (True, "A uniform with scale 1/sqrt(in), B zero: starts as the base"),
        },
    ),
    (
        _TRANSFORMERS,
        "TrainingArguments",
        {
            "training.learning_rate": (5e-5, "the trainer's default, made for full fine-tuning"),
            "training.weight_decay": (0.0, "none"),
            "training.optim": ("adamw_torch_fused", "AdamW in one fused pass"),
            "training.adam_beta1": (0.9, "Adam's own"),
            "training.adam_beta2": (0.999, "Adam's own"),
            "training.adam_epsilon": (1e-8, "Adam's own"),
            "training.lr_scheduler_type": ("linear", "linear decay to zero"),
            "training.warmup_ratio": (0.0, "no warm-up"),
            "training.max_grad_norm": (1.0, "clips the rare burst"),
            "training.num_train_epochs": (3.0, "three passes"),
            "training.per_device_train_batch_size": (8, "eight rows"),
            "training.gradient_accumulation_steps": (1, "no accumulation"),
        },
    ),
    (
        "rankwise",
        "",
        {
            "training.early_stopping_patience": (
                3,
                "stop after three evaluations without a better one; the best is kept either way",
            ),
            "training.logging_steps": (1, "every step is logged; it costs nothing here"),
        },
    ),
)


def _always(document: str, section: str, key: str, value: Value, reason: str) -> None:
    @DEFAULTS.rule(key, section, "conventional", document=document)
    def constant(situation: Situation) -> Advice:
        return Advice(value, reason)


for _document, _section, _values in _CONSTANTS:
    for _key, (_value, _reason) in _values.items():
        _always(_document, _section, _key, _value, _reason)


@DEFAULTS.rule("lora.target_modules", "LoraConfig", "conventional", document=_PEFT)
def target_modules(situation: Situation) -> Advice:
    names = [name for name in situation.linear_layers if name in ("q_proj", "v_proj")]
    return Advice(
        names or list(situation.linear_layers),
        "PEFT's choice for Llama-like models" if names else "PEFT has no choice for these names, so all of them",
    )


@DEFAULTS.rule("training.eval_steps", "", "conventional", document="rankwise")
def eval_steps(situation: Situation) -> Advice:
    return Advice(max(1, int(situation.number("steps") // 5)), "about five looks at the held-out rows in a run")


@DEFAULTS.rule("training.save_steps", "", "conventional", document="rankwise")
def save_steps(situation: Situation) -> Advice:
    return Advice(int(situation.number("training.eval_steps")), "a checkpoint beside every held-out evaluation")
