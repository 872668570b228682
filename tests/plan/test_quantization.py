"""Method and quantization follow each other, and what contradicts is an error."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from rankwise.errors import RecipeError
from rankwise.facts import Anatomy
from rankwise.plan import Plan
from rankwise.plan.memory import INT8_BYTES, NF4_BYTES, frozen_bytes

PlanOf = Callable[..., Plan]


@pytest.mark.parametrize(
    ("text", "method", "kept"),
    [
        ("", "lora", "none"),
        ("method: qlora", "qlora", "nf4"),
        ("quantization: nf4", "qlora", "nf4"),
        ("quantization: int8", "qlora", "int8"),
        ("method: qlora\nquantization: int8", "qlora", "int8"),
        ("method: dora", "dora", "none"),
        ("method: dora\nquantization: nf4", "dora", "nf4"),
        ("quantization: none", "lora", "none"),
    ],
)
def test_one_follows_the_other(text: str, method: str, kept: str, plan_of: PlanOf) -> None:
    made = plan_of(text)
    assert (made["method"], made["quantization"]) == (method, kept)


@pytest.mark.parametrize(
    ("text", "code", "where"),
    [
        ("method: lora\nquantization: nf4", "lora-on-quantized-base", "recipe.yaml:2"),
        ("method: qlora\nquantization: none", "qlora-without-quantization", "recipe.yaml:2"),
        ("method: qlora\nlora: {init_lora_weights: pissa}", "start-on-quantized-base", "recipe.yaml:2"),
        ("method: dora\nlora: {init_lora_weights: olora}", "start-with-dora", "recipe.yaml:2"),
    ],
)
def test_what_contradicts_is_an_error(text: str, code: str, where: str, plan_of: PlanOf) -> None:
    with pytest.raises(RecipeError) as caught:
        plan_of(text)
    assert [(p.code, p.where) for p in caught.value.problems if p.severity == "error"] == [(code, where)]


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("method: adalora\ntraining: {max_steps: 9}", "adalora-too-short"),
        ("method: adalora\nquantization: nf4\ntraining: {max_steps: 20}", "not-with-adalora"),
        ("method: adalora\nlora: {use_rslora: true}\ntraining: {max_steps: 20}", "not-with-adalora"),
        ("method: adalora\nlora: {bias: all}\ntraining: {max_steps: 20}", "not-with-adalora"),
        ("method: adalora\nlora: {init_lora_weights: pissa}\ntraining: {max_steps: 20}", "not-with-adalora"),
    ],
)
def test_what_adalora_cannot_do_is_an_error(text: str, code: str, plan_of: PlanOf) -> None:
    with pytest.raises(RecipeError) as caught:
        plan_of(text)
    assert code in [p.code for p in caught.value.problems if p.severity == "error"]


def test_adalora_begins_half_as_high_again(plan_of: PlanOf, tiny_anatomy: Anatomy) -> None:
    made = plan_of("method: adalora\nlora: {r: 6, target_modules: [q_proj]}\ntraining: {max_steps: 40}")
    assert made["adalora.init_r"] == 9 and made["lora.r"] == 6
    assert "from step 4 to step 28" in made.decisions["adalora.init_r"].reason
    assert made.trainable_parameters == 2 * (9 * (32 + 32) + 9)


def test_a_magnitude_for_each_output_is_counted(plan_of: PlanOf) -> None:
    lora, dora = (
        plan_of(f"method: {name}\nlora: {{target_modules: [q_proj, down_proj]}}") for name in ("lora", "dora")
    )
    assert dora.trainable_parameters - lora.trainable_parameters == 2 * (32 + 32)


def test_a_quantised_base_takes_less(plan_of: PlanOf, tiny_anatomy: Anatomy) -> None:
    kept = {name: plan_of(f"quantization: {name}").memory for name in ("none", "int8", "nf4")}
    sizes = [kept[name].training.base for name in ("none", "int8", "nf4")]  # type: ignore[union-attr]
    assert sizes == sorted(sizes, reverse=True) and len(set(sizes)) == 3
    linear = [p for p in tiny_anatomy.projections if p.role != "head"]
    layers = sum(p.in_features * p.out_features * p.count for p in linear)
    largest = max(p.in_features * p.out_features for p in linear)
    others = tiny_anatomy.total_parameters - layers + largest
    assert frozen_bytes(tiny_anatomy, "qlora", "bfloat16") == round(layers * NF4_BYTES + 2 * others)
    assert frozen_bytes(tiny_anatomy, "dora", "bfloat16", "int8") == round(layers * INT8_BYTES + 2 * others)


def test_a_start_that_changes_the_base_leaves_twice_as_much_on_disk(plan_of: PlanOf) -> None:
    plain, doubled = (plan_of(f"lora: {{init_lora_weights: {start}}}") for start in ("gaussian", "pissa"))
    assert doubled.trainable_parameters == plain.trainable_parameters
    assert doubled.on_disk().checkpoint == plain.on_disk().checkpoint
    assert doubled.on_disk().catalogue == plain.on_disk().catalogue + 4 * plain.trainable_parameters
