"""Situations in which the page of doctrines shows what each rule and each objection says."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from rankwise.doctrine.rule import Situation, Value

FEW, MANY = 1_000, 50_000
"""Rows of the reference situations."""
TOKENS_A_ROW = 50
"""Supervised ones."""

LLAMA_ROLES = {
    "query": ("q_proj",),
    "key": ("k_proj",),
    "value": ("v_proj",),
    "attention_output": ("o_proj",),
    "gate": ("gate_proj",),
    "up": ("up_proj",),
    "down": ("down_proj",),
}
_MOE_ROLES = {role: LLAMA_ROLES[role] for role in ("query", "key", "value", "attention_output")} | {
    "router": ("gate",),
    "expert": ("gate_proj", "up_proj", "down_proj"),
}
_DISTILBERT_ROLES = {
    "query": ("q_lin",),
    "key": ("k_lin",),
    "value": ("v_lin",),
    "attention_output": ("out_lin",),
    "up": ("lin1",),
    "down": ("lin2",),
}
_T5_ROLES = {
    "query": ("q",),
    "key": ("k",),
    "value": ("v",),
    "attention_output": ("o",),
    "up": ("wi",),
    "down": ("wo",),
}


def _base(
    parameters: int, hidden: int, layers: int, model_type: str, roles: Mapping[str, tuple[str, ...]]
) -> Situation:
    return Situation(
        base_parameters=parameters,
        hidden_size=hidden,
        linear_layers=tuple(name for names in roles.values() for name in names),
        rows=FEW,
        supervised_tokens=FEW * TOKENS_A_ROW,
        longest_row=256,
        settled={},
        roles=roles,
        num_layers=layers,
        model_type=model_type,
    )


_SMOLLM2 = _base(134_515_008, 576, 30, "llama", LLAMA_ROLES)
_LLAMA_8B = replace(_base(8_030_261_248, 4096, 32, "llama", LLAMA_ROLES), head="lm_head")
_LLAMA_13B = replace(_base(13_015_864_320, 5120, 40, "llama", LLAMA_ROLES), head="lm_head")
_QWEN_30B_A3B = replace(
    _base(30_532_122_624, 2048, 48, "qwen3_moe", _MOE_ROLES), head="lm_head", experts=128, active_experts=8
)
_DISTILBERT = _base(66_362_880, 768, 6, "distilbert", _DISTILBERT_ROLES)
_T5_SMALL = _base(60_506_624, 512, 6, "t5", _T5_ROLES)

SMOLLM2_PER_RANK = 30 * (2 * (576 + 576) + 2 * (576 + 192) + 3 * (576 + 1536))
"""In + out of all projections: parameters that each rank adds."""
REFERENCE = {"SmolLM2-135M": _SMOLLM2, "Llama-3.1-8B": _LLAMA_8B, "Qwen3-30B-A3B": _QWEN_30B_A3B}
"""Supervised rows with open answers, one machine without a GPU."""


def with_rows(situation: Situation, rows: int, tokens_a_row: int = TOKENS_A_ROW) -> Situation:
    return replace(situation, rows=rows, supervised_tokens=rows * tokens_a_row)


_CLUSTER = replace(with_rows(_LLAMA_8B, 200_000), gpus=16, gpu_bytes=80_000_000_000, goal="new_ability")

ELSEWHERE = {
    "300 rows": with_rows(_LLAMA_8B, 300),
    "5,000 label rows": replace(with_rows(_LLAMA_8B, 5_000), labels=4),
    "label rows": replace(_LLAMA_8B, labels=4),
    "answers of 300 tokens": with_rows(_LLAMA_8B, FEW, 300),
    "80 million tokens": replace(with_rows(_SMOLLM2, 400_000, 200), count_per_rank=lambda names: SMOLLM2_PER_RANK),
    "rewards": replace(_LLAMA_8B, objective="grpo"),
    "preferences": replace(_LLAMA_8B, objective="dpo"),
    "DistilBERT, labels": replace(_DISTILBERT, kind="encoder", task="seq_cls", labels=2),
    "T5-small": replace(_T5_SMALL, kind="encoder-decoder", task="seq_2_seq_lm"),
    "a GPU of 6 GB": replace(_LLAMA_8B, gpus=1, gpu_bytes=6_000_000_000),
    "Llama-2-13B on 24 GB": replace(_LLAMA_13B, gpus=1, gpu_bytes=24_000_000_000),
    "16 GPUs, 200,000 rows, a new ability": _CLUSTER,
}
"""Where rules speak that the reference situations do not call on."""

_QKVO: Value = ["q_proj", "k_proj", "v_proj", "o_proj"]
_SEVEN: Value = [name for names in LLAMA_ROLES.values() for name in names]

PROBES: tuple[tuple[Situation, Mapping[str, Value]], ...] = (
    (_LLAMA_8B, {"method": "full"}),
    (_LLAMA_8B, {"method": "adalora"}),
    (_LLAMA_8B, {"method": "prefix"}),
    (_LLAMA_8B, {"method": "prompt"}),
    (_CLUSTER, {"method": "lora"}),
    (_LLAMA_8B, {"quantization": "nf4"}),
    (with_rows(_LLAMA_8B, FEW, 1_000), {"quantization": "nf4"}),
    (_LLAMA_8B, {"lora.r": 4}),
    (_LLAMA_8B, {"lora.r": 64}),
    (with_rows(_SMOLLM2, 400_000, 200), {"lora.r": 16}),
    (_LLAMA_8B, {"lora.r": 16, "lora.lora_alpha": 8}),
    (_LLAMA_8B, {"lora.r": 16, "lora.lora_alpha": 16}),
    (_LLAMA_8B, {"lora.r": 16, "lora.lora_alpha": 64}),
    (_LLAMA_8B, {"lora.r": 16, "lora.lora_alpha": 128}),
    (_LLAMA_8B, {"lora.r": 64, "lora.lora_alpha": 128}),
    (_LLAMA_8B, {"lora.lora_dropout": 0.1}),
    (with_rows(_LLAMA_8B, 300), {"lora.lora_dropout": 0.0}),
    (_LLAMA_8B, {"lora.target_modules": ["q_proj"]}),
    (_LLAMA_8B, {"lora.target_modules": _QKVO}),
    (_LLAMA_13B, {"lora.target_modules": _SEVEN}),
    (_LLAMA_8B, {"lora.bias": "lora_only"}),
    (_LLAMA_8B, {"lora.init_lora_weights": False}),
    (_LLAMA_8B, {"training.learning_rate": 2e-5}),
    (_LLAMA_8B, {"training.learning_rate": 1e-2}),
    (_LLAMA_8B, {"lora.r": 16, "lora.lora_alpha": 512}),
    (_LLAMA_8B, {"lora.r": 16, "training.learning_rate": 1e-2}),
    (_LLAMA_8B, {"training.per_device_train_batch_size": 16, "training.gradient_accumulation_steps": 8}),
)
"""Values against which objections speak; a probe names them in the order in which the page shows them."""
