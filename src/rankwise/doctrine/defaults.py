"""`peft-defaults`: what PEFT's LoraConfig and transformers' TrainingArguments do when nothing is said.

Also the last resort of every other doctrine. Where those defaults would not suit a run that keeps its best held-out
evaluation (they never evaluate), the value is ours and says so.
"""

from __future__ import annotations

from rankwise.doctrine.rule import Advice, Doctrine, Situation, Value

DEFAULTS = Doctrine("peft-defaults", "PEFT's and transformers' defaults", "")
_PEFT = "PEFT 0.21"
_TRANSFORMERS = "transformers 5"

PEFT_TARGETS = {
    name: tuple(targets.split())
    for targets, names in {
        "q_proj v_proj": "bart opt gptj gpt_neo llama llama4 mistral mixtral stablelm gemma gemma2 gemma3_text qwen2 "
        "qwen3",
        "query value": "bert roberta xlm-roberta electra layoutlm",
        "q v": "t5 mt5",
        "query_key_value": "bloom gpt_neox falcon",
        "c_attn": "gpt2 gpt_bigcode",
        "q_proj v_proj fc1 fc2": "phi",
        "q_proj k_proj v_proj o_proj": "nemotron_h",
    }.items()
    for name in names.split()
}
"""Model type -> what PEFT adapts if no names are given (`TRANSFORMERS_MODELS_TO_LORA_TARGET_MODULES_MAPPING`), for
the architectures that are met; for any other it asks for names."""

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
            "method": ("lora", "PEFT has no default; LoRA is the best known of its methods"),
            "quantization": ("none", "weights stay in the floating-point type they are kept in"),
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


@DEFAULTS.rule("lora.target_modules", "LoraConfig", "conventional", document=_PEFT, when="model types PEFT knows")
def target_modules(situation: Situation) -> Advice | None:
    names = PEFT_TARGETS.get(situation.model_type)
    if names is None or not set(names) <= set(situation.linear_layers):
        return None
    return Advice(list(names), f"PEFT's choice for {situation.model_type}")


@DEFAULTS.rule("lora.target_modules", "", "conventional", document="rankwise")
def target_modules_of_a_stranger(situation: Situation) -> Advice:
    names = situation.named("query", "value") or situation.named("query_key_value")
    if names:
        return Advice(names, "PEFT asks for names here; queries and values, as it takes of the models it knows")
    return Advice(situation.projections, "PEFT asks for names here, and no queries and values were found: all of them")


@DEFAULTS.rule("lora.rank_per_expert", "", "conventional", document="rankwise", when="mixture of experts")
def rank_per_expert(situation: Situation) -> Advice | None:
    if not situation.experts or not situation.active_experts:
        return None
    r, active = int(situation.number("lora.r")), situation.active_experts
    reason = f"{r} / {active}: the active experts have a dense layer's rank between them; PEFT would give r to each"
    return Advice(max(1, r // active), reason)


@DEFAULTS.rule("training.eval_steps", "", "conventional", document="rankwise")
def eval_steps(situation: Situation) -> Advice:
    return Advice(max(1, int(situation.number("steps") // 5)), "about five looks at the held-out rows in a run")


@DEFAULTS.rule("training.save_steps", "", "conventional", document="rankwise")
def save_steps(situation: Situation) -> Advice:
    return Advice(int(situation.number("training.eval_steps")), "a checkpoint beside every held-out evaluation")
