"""Document 002: the method for labelled rows, and what speaks against the others."""

from __future__ import annotations

from dataclasses import replace

import pytest

from rankwise.doctrine.examples import ELSEWHERE, REFERENCE
from rankwise.doctrine.honest_choice import HONEST_CHOICE, NOT_VERY_LARGE
from rankwise.doctrine.rule import Situation

LLAMA = REFERENCE["Llama-3.1-8B"]


def objections_to(situation: Situation, method: str) -> list[str]:
    settled = replace(situation, settled={"method": method})
    return [o.object.__name__ for o in HONEST_CHOICE.objections if o.object(settled) is not None]


def test_labelled_rows_take_lora_and_rewards_are_not_spoken_of() -> None:
    advice = HONEST_CHOICE.advise("method", LLAMA)
    assert advice is not None and advice.value == "lora"
    assert HONEST_CHOICE.advise("method", ELSEWHERE["rewards"]) is None


@pytest.mark.parametrize(
    ("method", "why"),
    [
        ("full", "full_fine_tuning"),
        ("prompt", "prompt_though_there_are_labels"),
        ("adalora", "adalora_on_a_common_base"),
        ("prefix", "prefix_tuning"),
    ],
)
def test_each_other_method_has_its_objection(method: str, why: str) -> None:
    assert objections_to(LLAMA, method) == [why]


def test_lora_and_its_variants_have_none() -> None:
    for method in ("lora", "qlora", "dora", "classifier"):
        assert objections_to(LLAMA, method) == []


def test_adalora_is_for_very_large_bases_and_prompts_for_rows_without_labels() -> None:
    assert objections_to(replace(LLAMA, base_parameters=NOT_VERY_LARGE + 1), "adalora") == []
    assert objections_to(ELSEWHERE["rewards"], "prompt") == objections_to(ELSEWHERE["rewards"], "full") == []


def test_the_values_are_those_of_the_document_it_corrects() -> None:
    settled = replace(LLAMA, settled={"lora.r": 16})
    values = {key: HONEST_CHOICE.advise(key, settled) for key in HONEST_CHOICE.decides}
    assert {key: advice.value for key, advice in values.items() if advice} == {
        "method": "lora",
        "lora.lora_alpha": 32,
        "training.learning_rate": 2e-4,
        "lora.target_modules": ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"],
        "training.weight_decay": 1e-5,
    }
