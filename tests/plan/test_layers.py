"""Layers chosen by number, ranks and alphas by pattern: what a plan makes of them, and what it refuses."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from rankwise.errors import Problem, RecipeError
from rankwise.plan import Plan

PlanOf = Callable[..., Plan]
Q, K, DOWN = 32 + 32, 32 + 16, 64 + 32
"""in + out of the tiny Llama's projections, of which it has two layers."""


def errors(plan_of: PlanOf, text: str, *overrides: str) -> list[Problem]:
    with pytest.raises(RecipeError) as caught:
        plan_of(text, *overrides)
    return [problem for problem in caught.value.problems if problem.severity == "error"]


def test_left_out_they_are_nothing_and_say_so(plan_of: PlanOf) -> None:
    made = plan_of("lora: {target_modules: [q_proj]}")
    for key, word in (
        ("layers_to_transform", "every layer"),
        ("rank_pattern", "r in"),
        ("alpha_pattern", "lora_alpha"),
    ):
        decision = made.decisions[f"lora.{key}"]
        assert decision.value is None and word in decision.reason and decision.source == "rankwise"


def test_what_was_asked_for_is_counted_as_peft_does(plan_of: PlanOf) -> None:
    ranks = r"{'layers\.0\..*q_proj': 2, q_proj: 16, down_proj: 1}"
    targets = "target_modules: [q_proj, k_proj, down_proj]"
    made = plan_of(f"lora: {{r: 4, {targets}, rank_pattern: {ranks}, alpha_pattern: {{q_proj: 5}}}}")
    assert made.trainable_parameters == (2 + 16) * Q + 2 * 4 * K + 2 * 1 * DOWN
    assert made["lora.rank_pattern"] == {r"layers\.0\..*q_proj": 2, "q_proj": 16, "down_proj": 1}
    assert (made["lora.r"], made["lora.alpha_pattern"]) == (4, {"q_proj": 5})
    assert made.decisions["lora.rank_pattern"].source == "recipe.yaml:1"
    assert made.capacity.capacity_bits == 2 * made.trainable_parameters
    assert made.memory is not None and made.memory.training.adapter == 4 * made.trainable_parameters
    second = plan_of(f"lora: {{r: 4, {targets}, layers_to_transform: [1, 1]}}")
    assert second["lora.layers_to_transform"] == [1]
    assert second.trainable_parameters == 4 * (Q + K + DOWN)
    both = plan_of(f"lora: {{r: 4, {targets}, layers_to_transform: [1], rank_pattern: {{q_proj: 3}}}}", "method=dora")
    assert both.trainable_parameters == 3 * Q + 4 * (K + DOWN) + (32 + 16 + 32)


def test_the_order_of_patterns_outlives_the_plans_file(plan_of: PlanOf) -> None:
    made = plan_of(r"lora: {target_modules: [q_proj], rank_pattern: {'layers\.1\..*': 8, '.*': 2}, r: 1}")
    again = Plan.model_validate_json(made.model_dump_json())
    assert again == made and list(again["lora.rank_pattern"]) == [r"layers\.1\..*", ".*"]  # type: ignore[arg-type]
    assert all(type(rank) is int for rank in again["lora.rank_pattern"].values())  # type: ignore[union-attr]


def test_a_pattern_that_matches_nothing_is_an_error_at_its_line_with_the_nearest_name(plan_of: PlanOf) -> None:
    recipe = (
        "lora:\n  target_modules: [q_proj, down_proj]\n  rank_pattern:\n    q_prj: 8\n    down_proj: 4\n"
        "    layers.0.self_attn.qproj: 2\n  alpha_pattern:\n    k_proj: 3\n    nothing_like_it: 4\n"
    )
    found = errors(plan_of, recipe)
    assert [(p.code, p.where) for p in found] == [
        ("pattern-matches-nothing", f"recipe.yaml:{line}") for line in (4, 6, 8, 9)
    ]
    assert "did you mean q_proj? They are q_proj, down_proj" in found[0].message
    assert "did you mean layers.0.self_attn.q_proj?" in found[1].message
    assert "k_proj matches model.layers.0.self_attn.k_proj" in found[2].message
    assert "which the adapter is not on" in found[2].message
    assert "did you mean" not in found[3].message


def test_patterns_are_held_against_the_layers_that_are_adapted(plan_of: PlanOf) -> None:
    recipe = (
        "lora: {target_modules: [q_proj], layers_to_transform: [0], rank_pattern: {'layers.1.self_attn.q_proj': 8}}"
    )
    [problem] = errors(plan_of, recipe)
    assert problem.code == "pattern-matches-nothing" and "layers.1.self_attn.q_proj" in problem.message


@pytest.mark.parametrize("where", ["recipe", "override"])
def test_a_layer_that_is_not_there_is_an_error_at_its_line(plan_of: PlanOf, where: str) -> None:
    if where == "recipe":
        [problem] = errors(plan_of, "lora:\n  layers_to_transform: [1, 2, 30]\n")
        assert problem.where == "recipe.yaml:2"
    else:
        [problem] = errors(plan_of, "", "lora.layers_to_transform=[2, 1, 30]")
        assert problem.where == "--set lora.layers_to_transform=[2, 1, 30]"
    assert problem.code == "no-such-layer"
    assert "2, 30: numbers of no adapted layer of this base, whose last is 1" in problem.message


def test_a_pattern_behind_one_that_takes_all_its_layers_is_warned_about(plan_of: PlanOf) -> None:
    made = plan_of("lora: {target_modules: [q_proj], rank_pattern: {q_proj: 8, 'layers.0.self_attn.q_proj': 2}}")
    [problem] = [p for p in made.problems if p.code == "pattern-without-effect"]
    assert problem.severity == "warning" and "q_proj, before it, matches all its layers" in problem.message
    assert made.trainable_parameters == 2 * 8 * Q


def test_fewer_layers_lower_the_count_that_a_rank_is_chosen_by(plan_of: PlanOf) -> None:
    every, one = plan_of(""), plan_of("lora: {layers_to_transform: [0]}")
    assert one.trainable_parameters * 2 == every.trainable_parameters
    assert one.capacity.capacity_bits * 2 == every.capacity.capacity_bits
