"""Document 004: method by GPUs, data and goal; rank by difficulty; alpha = 4r; targets by size."""

from __future__ import annotations

from dataclasses import replace

import pytest

from rankwise.doctrine.examples import ELSEWHERE, REFERENCE, with_rows
from rankwise.doctrine.rule import Situation, Value
from rankwise.doctrine.working_notes import (
    BIG_ROWS,
    LARGE_BASE,
    LONG_ANSWER,
    LONG_CHAIN,
    MOST_GPUS,
    SMALL_ROWS,
    WORKING_NOTES,
    adapter_for_a_new_ability,
    full_on_little,
    long_chains_in_four_bits,
    no_dropout_on_few_rows,
    no_mlp_on_a_small_base,
    query_and_key,
    scale_off_the_standard,
)

LLAMA = REFERENCE["Llama-3.1-8B"]
CLUSTER = ELSEWHERE["16 GPUs, 200,000 rows, a new ability"]
SQUEEZED = ELSEWHERE["Llama-2-13B on 24 GB"]


def value(key: str, situation: Situation) -> Value:
    advice = WORKING_NOTES.advise(key, situation)
    return None if advice is None else advice.value


def test_full_fine_tuning_takes_gpus_rows_and_a_new_ability_together() -> None:
    least = replace(with_rows(CLUSTER, BIG_ROWS), gpus=MOST_GPUS + 1)
    assert value("method", least) == "full"
    for less in (replace(least, gpus=MOST_GPUS), with_rows(least, BIG_ROWS - 1), replace(least, goal="adapt")):
        assert value("method", less) == "lora"


def test_qlora_for_a_large_base_whose_weights_exceed_the_gpu() -> None:
    assert (value("method", SQUEEZED), value("quantization", SQUEEZED)) == ("qlora", "nf4")
    weights = 2 * SQUEEZED.base_parameters
    assert value("method", replace(SQUEEZED, gpu_bytes=weights - 1)) == "qlora"
    for roomy in (replace(SQUEEZED, gpu_bytes=weights), replace(SQUEEZED, gpus=0, gpu_bytes=0)):
        assert (value("method", roomy), value("quantization", roomy)) == ("lora", None)
    assert value("method", replace(LLAMA, gpus=1, gpu_bytes=1_000_000_000)) == "lora"  # no large base
    assert value("quantization", replace(LLAMA, settled={"method": "qlora"})) == "nf4"


def test_method_is_objected_to_where_it_does_not_fit() -> None:
    def settled(situation: Situation, method: str) -> Situation:
        return replace(situation, settled={"method": method})

    assert adapter_for_a_new_ability(settled(CLUSTER, "lora")) and full_on_little(settled(LLAMA, "full"))
    assert adapter_for_a_new_ability(settled(CLUSTER, "full")) is None
    assert adapter_for_a_new_ability(settled(LLAMA, "lora")) is None
    assert full_on_little(settled(CLUSTER, "full")) is None and full_on_little(settled(LLAMA, "lora")) is None


def test_four_bits_hurt_long_answers_where_sixteen_would_fit() -> None:
    def in_four_bits(situation: Situation) -> Situation:
        return replace(situation, settled={"quantization": "nf4"})

    assert long_chains_in_four_bits(in_four_bits(with_rows(LLAMA, 10, LONG_CHAIN)))
    assert long_chains_in_four_bits(in_four_bits(with_rows(LLAMA, 10, LONG_CHAIN - 1))) is None
    assert long_chains_in_four_bits(in_four_bits(with_rows(SQUEEZED, 10, LONG_CHAIN))) is None


@pytest.mark.parametrize(
    ("labels", "tokens", "r"), [(2, 3, 4), (10, 3, 4), (11, 3, 8), (0, LONG_ANSWER - 1, 8), (0, LONG_ANSWER, 16)]
)
def test_rank_by_difficulty(labels: int, tokens: int, r: int) -> None:
    situation = replace(with_rows(LLAMA, 1000, tokens), labels=labels)
    assert value("lora.r", situation) == r
    assert value("lora.lora_alpha", replace(situation, settled={"lora.r": r})) == 4 * r


@pytest.mark.parametrize(("scale", "word"), [(0.5, "far below"), (1, None), (2, None), (4, None), (4.5, "above")])
def test_scale_is_held_against_four(scale: float, word: str | None) -> None:
    said = scale_off_the_standard(replace(LLAMA, settled={"lora.r": 16, "lora.lora_alpha": 16 * scale}))
    assert said is None if word is None else said is not None and word in said


def test_dropout_is_higher_on_few_rows_and_none_is_objected_to_there() -> None:
    few, enough = with_rows(LLAMA, SMALL_ROWS - 1), with_rows(LLAMA, SMALL_ROWS)
    assert (value("lora.lora_dropout", few), value("lora.lora_dropout", enough)) == (0.1, 0.05)
    none: dict[str, Value] = {"lora.lora_dropout": 0.0}
    assert no_dropout_on_few_rows(replace(few, settled=none))
    assert no_dropout_on_few_rows(replace(enough, settled=none)) is None
    assert no_dropout_on_few_rows(replace(few, settled={"lora.lora_dropout": 0.05})) is None


def test_targets_by_size() -> None:
    large, small = replace(LLAMA, base_parameters=LARGE_BASE), replace(LLAMA, base_parameters=LARGE_BASE - 1)
    assert value("lora.target_modules", large) == ["q_proj", "v_proj"]
    assert value("lora.target_modules", small) == LLAMA.projections
    fused = replace(large, roles={"query_key_value": ("query_key_value",), "down": ("dense",)})
    assert value("lora.target_modules", fused) == ["query_key_value"]


def test_targets_are_objected_to_by_size() -> None:
    attention: dict[str, Value] = {"lora.target_modules": ["q_proj", "k_proj"]}
    assert (
        no_mlp_on_a_small_base(replace(LLAMA, settled=attention))
        and query_and_key(replace(LLAMA, settled=attention)) is None
    )
    large = replace(LLAMA, base_parameters=LARGE_BASE, settled=attention)
    assert query_and_key(large) and no_mlp_on_a_small_base(large) is None
    assert no_mlp_on_a_small_base(LLAMA) is None
    assert query_and_key(replace(large, settled={"lora.target_modules": ["q_proj", "v_proj"]})) is None
