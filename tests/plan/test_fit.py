"""A plan that does not fit is changed in the order of what a change costs, and no further than needed."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from rankwise.facts import Anatomy
from rankwise.plan import Plan
from rankwise.plan.fit import LEAST_RANK, Fitted, fit

PlanOf = Callable[..., Plan]
WIDE = "training: {per_device_train_batch_size: 12, bf16: true}\nlora: {r: 64}"


@pytest.fixture
def fitted(plan_of: PlanOf, tiny_anatomy: Anatomy) -> Callable[..., Fitted]:
    def run(room: int, text: str = WIDE) -> Fitted:
        return fit(plan_of(text), tiny_anatomy, room, lambda overrides: plan_of(text, *overrides))

    return run


def test_a_plan_that_fits_is_left_alone(plan_of: PlanOf, fitted: Callable[..., Fitted]) -> None:
    plan = plan_of(WIDE)
    assert fitted(plan.memory_bytes) == Fitted(plan, (), True, plan.memory_bytes)


def test_a_base_in_bfloat16_comes_before_all_else(plan_of: PlanOf, fitted: Callable[..., Fitted]) -> None:
    wide = WIDE.replace("true", "false")
    made = fitted(plan_of(wide).memory_bytes - 1, wide)
    assert made.fits and made.overrides == ("training.bf16=true",)


def test_smaller_micro_batches_come_first_and_change_no_step(plan_of: PlanOf, fitted: Callable[..., Fitted]) -> None:
    plan = plan_of(WIDE)
    made = fitted(plan.memory_bytes - 1)
    assert made.fits
    assert made.overrides == (
        "training.per_device_train_batch_size=6",
        "training.gradient_accumulation_steps=2",
    )
    assert made.plan["training.max_steps"] == plan["training.max_steps"]
    assert plan_of(WIDE, *made.overrides).memory_bytes == made.plan.memory_bytes


def test_then_fewer_layers_then_less_rank_and_what_is_not_built_is_named(
    plan_of: PlanOf, fitted: Callable[..., Fitted]
) -> None:
    single = ("training.per_device_train_batch_size=1", "training.gradient_accumulation_steps=12")
    mlp = "lora.target_modules=[gate_proj, up_proj, down_proj]"
    made = fitted(plan_of(WIDE, *single, mlp, "lora.r=16").memory_bytes)
    assert made.fits
    taken = [change.overrides for change in made.changes if change.overrides]
    assert taken[-3:] == [(mlp,), ("lora.r=32",), ("lora.r=16",)]
    assert single == taken[-4]
    assert [change.what for change in made.changes if not change.overrides and "qlora" in change.what]
    sizes = [change.memory_bytes for change in made.changes if change.memory_bytes is not None]
    assert sizes == sorted(sizes, reverse=True)


def test_what_cannot_fit_says_so_with_all_that_was_tried(fitted: Callable[..., Fitted]) -> None:
    made = fitted(1)
    assert not made.fits
    problem = made.problem
    assert problem is not None and (problem.severity, problem.code) == ("error", "cannot-fit")
    assert all(change.what in problem.message for change in made.changes)
    assert made.plan["lora.r"] == LEAST_RANK
    assert "shorter rows" in made.changes[-1].what
