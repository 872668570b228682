"""A plan of prefix tuning: its own values in LoRA's place, counted in closed form, and what it cannot do."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from rankwise.errors import RecipeError
from rankwise.facts import Anatomy
from rankwise.plan import Plan
from rankwise.plan.capacity import judge_capacity
from rankwise.plan.fit import fit
from rankwise.plan.prefix import LEARNING_RATE, PROJECTED_RATE, VIRTUAL_TOKENS

PlanOf = Callable[..., Plan]
LAYERS, KEYS = 2, 16
"""Of the tiny base: two key heads of 8."""


def errors(plan_of: PlanOf, text: str, *overrides: str) -> list[tuple[str, str]]:
    with pytest.raises(RecipeError) as caught:
        plan_of(text, *overrides)
    return [(p.code, p.where) for p in caught.value.problems if p.severity == "error"]


def test_its_own_values_stand_in_place_of_loras(plan_of: PlanOf) -> None:
    made = plan_of("method: prefix")
    assert not [key for key in made.decisions if key.startswith("lora.")]
    assert made["prefix.num_virtual_tokens"] == VIRTUAL_TOKENS
    assert (made["prefix.prefix_projection"], made["prefix.encoder_hidden_size"]) == (False, None)
    assert made["prefix.init_weights"] is None and made["quantization"] == "none"
    assert made["training.learning_rate"] == LEARNING_RATE
    assert made["shared_prefix"] is False and "behind it" in made.decisions["shared_prefix"].reason
    assert all(decision.reason and decision.source for decision in made.decisions.values())
    assert [(p.code, p.where) for p in made.problems if p.severity != "note"] == [("against-advice", "recipe.yaml:1")]


def test_parameters_are_counted_in_closed_form(plan_of: PlanOf) -> None:
    plain = plan_of("method: prefix\nprefix: {num_virtual_tokens: 7}")
    assert plain.trainable_parameters == 7 * 2 * LAYERS * KEYS
    projected = plan_of("method: prefix\nprefix: {num_virtual_tokens: 7, prefix_projection: true}")
    assert projected["prefix.encoder_hidden_size"] == KEYS
    network = (KEYS + 1) * KEYS + (KEYS + 1) * 2 * LAYERS * KEYS
    assert projected.trainable_parameters == 7 * KEYS + network
    wide = plan_of("method: prefix\nprefix: {num_virtual_tokens: 7, prefix_projection: true, encoder_hidden_size: 5}")
    assert wide.trainable_parameters == 7 * KEYS + (KEYS + 1) * 5 + (5 + 1) * 2 * LAYERS * KEYS
    assert wide["training.learning_rate"] == PROJECTED_RATE


def test_capacity_is_what_the_keys_and_values_hold(plan_of: PlanOf) -> None:
    for more in ("", ", prefix_projection: true"):  # a network only makes them
        made = plan_of(f"method: prefix\nprefix: {{num_virtual_tokens: 1{more}}}")
        assert made.capacity.capacity_bits == 2 * 1 * 2 * LAYERS * KEYS
    short = judge_capacity(3, lambda tokens: tokens * 64, 1000, key="prefix.num_virtual_tokens")
    assert (short.status, short.smallest_rank) == ("UNDERCAPACITY", 8)
    assert "raise prefix.num_virtual_tokens to at least 8, or take lora" in short.message


def test_your_own_rate_is_taken_without_loras_advice(plan_of: PlanOf) -> None:
    made = plan_of("method: prefix\ntraining: {learning_rate: 0.03}")
    assert made["training.learning_rate"] == 0.03
    assert not [problem for problem in made.problems if "learning_rate" in problem.message]


@pytest.mark.parametrize("doctrine", ["rankwise", "best-practices", "without-regret", "peft-defaults"])
def test_every_doctrine_can_plan_one(doctrine: str, plan_of: PlanOf) -> None:
    made = plan_of(f"method: prefix\ndoctrine: {doctrine}")
    assert made["training.learning_rate"] == LEARNING_RATE
    assert not [problem for problem in made.problems if "lora." in problem.where]


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("method: prefix\nshared_prefix: true", "not-with-prefix"),
        ("method: prefix\nquantization: nf4", "not-with-prefix"),
        ("method: prefix\nquantization: int8", "not-with-prefix"),
        ("method: prefix\nlora: {r: 8}", "not-with-prefix"),
        ("method: prefix\nlora: {use_rslora: true}", "not-with-prefix"),
        ("method: prefix\ntraining: {loraplus_lr_ratio: 4}", "not-with-prefix"),
        ("method: prefix\nprefix: {encoder_hidden_size: 8}", "width-without-projection"),
        ("method: prefix\nprefix: {num_virtual_tokens: 2040}", "prefix-too-long"),
        ("method: lora\nprefix: {num_virtual_tokens: 8}", "key-of-another-method"),
        ("method: dora\nprefix: {init_weights: zero}", "key-of-another-method"),
    ],
)
def test_what_cannot_work_is_an_error(text: str, code: str, plan_of: PlanOf) -> None:
    assert errors(plan_of, text) == [(code, "recipe.yaml:2")]


def test_rewards_are_not_learnt_by_a_prefix(plan_of: PlanOf) -> None:
    assert errors(plan_of, "method: prefix\nobjective: grpo") == [("not-with-grpo", "recipe.yaml:1")]


def test_no_engine_is_named_that_could_not_load_it(plan_of: PlanOf) -> None:
    """No serving target is built yet; vLLM has no prefix tuning."""
    assert errors(plan_of, "method: prefix\nserving: {target: vllm}") == [("wrong-type", "recipe.yaml:2")]


def test_all_faults_are_told_at_once(plan_of: PlanOf) -> None:
    text = "method: prefix\nshared_prefix: true\nquantization: nf4\nlora: {r: 8, lora_alpha: 4}"
    assert errors(plan_of, text) == [("not-with-prefix", f"recipe.yaml:{line}") for line in (4, 4, 3, 2)]


def test_memory_has_what_is_trained_and_nothing_to_merge(plan_of: PlanOf, tiny_anatomy: Anatomy) -> None:
    made = plan_of("method: prefix\nprefix: {num_virtual_tokens: 7}")
    assert made.memory is not None
    assert made.memory.training.adapter == 4 * made.trainable_parameters
    assert made.memory.training.optimizer == 8 * made.trainable_parameters
    assert made.memory.merging == 0


def test_it_is_explained_and_fitted_without_a_rank(plan_of: PlanOf, tiny_anatomy: Anatomy) -> None:
    made = plan_of("method: prefix")
    fitted = fit(made, tiny_anatomy, 1, lambda overrides: plan_of("method: prefix", *overrides))
    assert not fitted.fits and fitted.overrides
    assert not [override for override in fitted.overrides if override.startswith("lora.")]
