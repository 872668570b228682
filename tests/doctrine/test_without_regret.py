"""Document 001: ranks by size, the rate's formula, capacity, the head, experts, and the pitfalls as objections."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rankwise.doctrine.examples import ELSEWHERE, REFERENCE, with_rows
from rankwise.doctrine.rule import Situation, Value
from rankwise.doctrine.without_regret import (
    MOST_RANK,
    WITHOUT_REGRET,
    attention_only,
    full_rate,
    large_batch,
    missing_head,
    random_start,
    rate_of_full_fine_tuning,
    size_row,
    smallest_rank,
    too_little_capacity,
    wrong_alpha,
)

SMOL, LLAMA, MIXTURE = REFERENCE.values()


def value(key: str, situation: Situation, **settled: Value) -> Value:
    keys = {name.replace("__", "."): one for name, one in settled.items()}
    advice = WITHOUT_REGRET.advise(key, replace(situation, settled=keys))
    assert advice is not None
    return advice.value


@pytest.mark.parametrize(
    ("billions", "sft", "rl"),
    [
        (0.135, 32, 8),
        (1, 32, 8),
        (3.2, 32, 8),
        (4, 32, 8),  # nearer to 3 than to 7, counted in factors
        (5, 64, 16),
        (8.03, 64, 16),
        (13, 128, 32),
        (20, 128, 32),
        (34, 192, 48),
        (70.6, 256, 64),
        (405, 256, 64),
    ],
)
def test_rank_by_size(billions: float, sft: int, rl: int) -> None:
    base = replace(LLAMA, base_parameters=int(billions * 1e9))
    assert value("lora.r", base) == sft
    assert value("lora.r", replace(base, objective="grpo")) == rl


@given(st.integers(10**6, 10**13))
def test_every_size_has_a_row_and_larger_ones_no_smaller_rank(parameters: int) -> None:
    assert size_row(parameters).sft[1] <= size_row(2 * parameters).sft[1]


def test_the_formula_of_the_learning_rate() -> None:
    assert full_rate(4096) == pytest.approx(2000 / 4096 * 1e-4)
    assert value("training.learning_rate", LLAMA) == 4.88e-4  # "~5e-4"
    assert value("training.learning_rate", LLAMA, steps=100) == 4.88e-4
    assert value("training.learning_rate", LLAMA, steps=99) == 7.32e-4


def test_the_short_run_is_counted_from_epochs_and_batch() -> None:
    length: dict[str, Value] = {"training__num_train_epochs": 1.0, "training__per_device_train_batch_size": 10}
    assert value("training.learning_rate", with_rows(LLAMA, 990), **length) == 7.32e-4
    assert value("training.learning_rate", with_rows(LLAMA, 1000), **length) == 4.88e-4


@given(st.integers(1, 10**10), st.integers(64, 16384), st.integers(1, 128))
def test_the_quick_formula_holds_the_tokens_and_hardly_more(tokens: int, hidden: int, layers: int) -> None:
    r, bits_per_rank = smallest_rank(tokens, hidden, layers), 2 * hidden * 2 * 10 * layers
    assert r * bits_per_rank > tokens >= (r - 1) * bits_per_rank


def test_more_tokens_than_the_sizes_rank_holds_raise_it() -> None:
    many = with_rows(SMOL, 400_000, 200)
    assert value("lora.r", many) == smallest_rank(80_000_000, 576, 30) == 116
    assert value("lora.r", with_rows(SMOL, 10_000_000, 2000)) == MOST_RANK
    assert value("lora.r", replace(many, objective="grpo")) == 8  # rewards hold far less
    assert too_little_capacity(replace(many, settled={"lora.r": 115}))
    assert too_little_capacity(replace(many, settled={"lora.r": 116})) is None


def test_the_head_is_adapted_where_it_is_a_matrix_of_its_own_that_gives_tokens() -> None:
    assert value("lora.target_modules", LLAMA) == [*LLAMA.projections, "lm_head"]
    assert value("lora.target_modules", SMOL) == SMOL.projections
    classifier = replace(ELSEWHERE["DistilBERT, labels"], head="classifier")
    assert value("lora.target_modules", classifier) == classifier.projections
    only = {"lora.target_modules": LLAMA.projections}
    assert missing_head(replace(LLAMA, settled=only)) and missing_head(replace(LLAMA, settled={})) is None
    assert missing_head(replace(SMOL, settled=only)) is None
    assert missing_head(replace(classifier, settled=only)) is None
    assert missing_head(replace(LLAMA, settled={"lora.target_modules": [*LLAMA.projections, "lm_head"]})) is None


def test_experts_share_the_dense_rank() -> None:
    assert value("lora.r", MIXTURE) == 64
    assert value("lora.rank_per_expert", MIXTURE, lora__r=64) == 8
    assert value("lora.rank_per_expert", replace(MIXTURE, active_experts=2), lora__r=64) == 32  # the document's numbers
    assert value("lora.rank_per_expert", MIXTURE, lora__r=4) == 1
    assert WITHOUT_REGRET.advise("lora.rank_per_expert", LLAMA) is None


@pytest.mark.parametrize(("alpha", "r", "wrong"), [(32, 64, 0), (64, 64, 0), (128, 64, 1), (32, 16, 0), (16, 8, 1)])
def test_alpha_is_32_or_the_rank(alpha: int, r: int, wrong: int) -> None:
    assert value("lora.lora_alpha", LLAMA, lora__r=r) == 32
    said = wrong_alpha(replace(LLAMA, settled={"lora.r": r, "lora.lora_alpha": alpha}))
    assert (said is not None) == wrong


@pytest.mark.parametrize(
    ("size", "accumulation", "large"), [(64, 1, 0), (65, 1, 1), (16, 4, 0), (16, 5, 1), (1, 64, 0)]
)
def test_a_batch_over_64_rows_is_objected_to(size: int, accumulation: int, large: int) -> None:
    settled: dict[str, Value] = {
        "training.per_device_train_batch_size": size,
        "training.gradient_accumulation_steps": accumulation,
    }
    said = large_batch(replace(LLAMA, settled=settled))
    assert (said is not None) == large and (said is None or f"{size * accumulation} rows" in said)


@pytest.mark.parametrize(("times", "near"), [(1, 1), (3, 1), (3.3, 0), (10, 0), (100, 0)])
def test_a_rate_near_full_fine_tunings_is_objected_to(times: float, near: int) -> None:
    settled = {"training.learning_rate": times * full_rate(LLAMA.hidden_size)}
    assert (rate_of_full_fine_tuning(replace(LLAMA, settled=settled)) is not None) == near


def test_attention_alone_and_other_starts_are_objected_to() -> None:
    assert attention_only(replace(LLAMA, settled={"lora.target_modules": ["q_proj", "v_proj"]}))
    for fine in (["q_proj", "up_proj"], ["down_proj"], "all-linear"):
        assert attention_only(replace(LLAMA, settled={"lora.target_modules": fine})) is None
    said = [random_start(replace(LLAMA, settled={"lora.init_lora_weights": v})) for v in (True, False, "gaussian")]
    assert said[0] is None and "B does not start" in str(said[1]) and "A is not uniform" in str(said[2])


def test_uniform_a_and_zero_b_are_what_peft_does() -> None:
    import torch
    from peft import LoraConfig
    from peft.tuners.lora import Linear

    torch.manual_seed(0)
    r, width = 8, 4096
    layer = Linear(torch.nn.Linear(width, 4, bias=False), "default", LoraConfig(), r=r, lora_alpha=r)
    a, b = layer.lora_A["default"].weight.detach(), layer.lora_B["default"].weight.detach()
    assert b.abs().max() == 0
    scale = width**-0.5
    assert 0.999 * scale < a.abs().max() <= scale
    assert float(a.std()) == pytest.approx(scale / 3**0.5, rel=0.02)  # of a uniform law on (-scale, scale)
