"""The doctrines of peers: tinker-cookbook, PEFT and transformers, TRL, Unsloth."""

from __future__ import annotations

import dataclasses

import pytest

from rankwise.doctrine import DEFAULTS, DOCTRINES, Situation, Value
from rankwise.doctrine.defaults import PEFT_TARGETS
from rankwise.doctrine.tinker import TINKER
from rankwise.doctrine.trl_defaults import TRL_DEFAULTS
from rankwise.doctrine.unsloth_defaults import UNSLOTH_DEFAULTS

ROLES = {
    "query": ("q_proj",),
    "key": ("k_proj",),
    "value": ("v_proj",),
    "attention_output": ("o_proj",),
    "gate": ("gate_proj",),
    "up": ("up_proj",),
    "down": ("down_proj",),
}
SEVEN = [name for names in ROLES.values() for name in names]


def situation(model_type: str = "llama", hidden: int = 2048, head: str | None = None, **settled: Value) -> Situation:
    return Situation(
        base_parameters=10**9,
        hidden_size=hidden,
        linear_layers=tuple(SEVEN),
        rows=1000,
        supervised_tokens=50_000,
        longest_row=512,
        settled={key.replace("__", "."): value for key, value in settled.items()},
        roles=ROLES,
        model_type=model_type,
        head=head,
    )


def value(key: str, found: Situation, doctrine: str = "tinker") -> Value:
    advice = DOCTRINES[doctrine].advise(key, found)
    assert advice is not None
    return advice.value


# -- tinker


@pytest.mark.parametrize(
    ("model_type", "hidden", "rate"),
    [
        ("llama", 2048, 4.91e-4),
        ("llama", 3072, 3.58e-4),
        ("llama", 4096, 2.86e-4),
        ("llama", 8192, 1.66e-4),
        ("qwen3", 2560, 4.91e-4),
        ("qwen2", 4096, 4.73e-4),
        ("qwen3_moe", 5120, 4.65e-4),
    ],
)
def test_tinkers_rate_is_get_lrs(model_type: str, hidden: int, rate: float) -> None:
    """The values that get_lr itself returns for these sizes."""
    assert value("training.learning_rate", situation(model_type, hidden)) == rate


@pytest.mark.parametrize("model_type", ["mistral", "gemma3_text", "gpt2", "deepseek_v3", "mixtral", ""])
def test_tinker_has_no_rate_for_other_families(model_type: str) -> None:
    assert TINKER.advise("training.learning_rate", situation(model_type)) is None


def test_tinkers_rate_looks_at_neither_rank_nor_steps() -> None:
    settled = {"lora__r": 1, "training__num_train_epochs": 9.0}
    assert value("training.learning_rate", situation(**settled)) == value("training.learning_rate", situation())


def test_tinker_adapts_the_head_where_it_is_a_matrix_of_its_own() -> None:
    assert value("lora.target_modules", situation(head="lm_head")) == [*SEVEN, "lm_head"]
    assert value("lora.target_modules", situation(head=None)) == SEVEN


def test_tinkers_step_has_128_rows() -> None:
    found = situation(
        training__per_device_train_batch_size=value("training.per_device_train_batch_size", situation()),
        training__gradient_accumulation_steps=value("training.gradient_accumulation_steps", situation()),
    )
    assert found.step_rows == 128


# -- peft-defaults


def test_default_targets_are_pefts_own() -> None:
    from peft.utils.constants import TRANSFORMERS_MODELS_TO_LORA_TARGET_MODULES_MAPPING as THEIRS

    assert {name: list(targets) for name, targets in PEFT_TARGETS.items()} == {
        name: THEIRS[name] for name in PEFT_TARGETS
    }


def test_default_targets_of_a_model_that_peft_does_not_know() -> None:
    unknown = situation("qwen3_moe")
    advice = DEFAULTS.advise("lora.target_modules", unknown)
    assert advice is not None and advice.value == ["q_proj", "v_proj"]
    assert "PEFT asks for names" in advice.reason and advice.source == "rankwise"
    fused = dataclasses.replace(unknown, roles={"query_key_value": ("qkv_proj",), "up": ("up_proj",)})
    assert value("lora.target_modules", fused, "peft-defaults") == ["qkv_proj"]
    neither = dataclasses.replace(unknown, roles={"up": ("w1",), "down": ("w2",)})
    assert value("lora.target_modules", neither, "peft-defaults") == ["w1", "w2"]


def test_default_optimizer_is_transformers_own() -> None:
    from transformers import TrainingArguments

    [optim] = [field.default for field in dataclasses.fields(TrainingArguments) if field.name == "optim"]
    assert value("training.optim", situation(), "peft-defaults") == optim


# -- trl-defaults, unsloth-defaults


def test_trl_speaks_only_where_it_overrides() -> None:
    values = {key: value(key, situation(), "trl-defaults") for key in TRL_DEFAULTS.decides}
    assert values == {
        "lora.r": 16,
        "lora.lora_alpha": 32,
        "lora.lora_dropout": 0.05,
        "training.learning_rate": 2e-5,
        "training.logging_steps": 10,
    }


def test_unsloth_stops_after_thirty_steps_whatever_the_rows_and_the_batch() -> None:
    key = "training.num_train_epochs"
    for rows, batch, accumulation in ((7, 2, 4), (1000, 2, 4), (123_457, 3, 5), (40, 64, 1)):
        found = dataclasses.replace(
            situation(
                training__per_device_train_batch_size=batch,
                training__gradient_accumulation_steps=accumulation,
                training__num_train_epochs=0.0,
            ),
            rows=rows,
        )
        epochs = value(key, found, "unsloth-defaults")
        assert dataclasses.replace(found, settled={**found.settled, key: epochs}).steps == 30


def test_unsloths_alpha_is_its_rank() -> None:
    assert value("lora.r", situation(), "unsloth-defaults") == value("lora.lora_alpha", situation(), "unsloth-defaults")
    assert value("lora.target_modules", situation(), "unsloth-defaults") == SEVEN


@pytest.mark.parametrize("doctrine", [TINKER, TRL_DEFAULTS, UNSLOTH_DEFAULTS, DEFAULTS], ids=lambda one: one.name)
def test_peers_are_registered_and_cited(doctrine) -> None:
    assert DOCTRINES[doctrine.name] is doctrine
    assert all(rule.source for rule in doctrine.rules)
    assert all(lesson.source and lesson.text.endswith(".") for lesson in doctrine.lessons)
