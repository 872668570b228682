"""Schedules against their formulas, and one AdamW step by hand."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from rankwise.train.optim import OptimSettings, learning_rate_at, make_optimizer, set_learning_rate, warmup_steps

SETTINGS = OptimSettings("adamw_torch", 0.1, 0.0, 0.9, 0.999, 1e-8, "linear", 0.0, 1.0)


def rates(kind: str, num_steps: int, warmup_ratio: float) -> list[float]:
    settings = replace(SETTINGS, lr_scheduler_type=kind, warmup_ratio=warmup_ratio)
    return [learning_rate_at(step, num_steps, settings) for step in range(num_steps)]


def test_closed_forms() -> None:
    assert rates("constant", 4, 0.5) == [0.1] * 4
    assert rates("linear", 4, 0.0) == pytest.approx([0.1, 0.075, 0.05, 0.025])
    assert rates("linear", 6, 0.3) == pytest.approx([0.05, 0.1, 0.1, 0.075, 0.05, 0.025])
    assert rates("constant_with_warmup", 5, 0.4) == pytest.approx([0.05, 0.1, 0.1, 0.1, 0.1])
    half = math.sqrt(0.5)
    assert rates("cosine", 4, 0.0) == pytest.approx([0.1, 0.05 * (1 + half), 0.05, 0.05 * (1 - half)])
    assert rates("cosine", 5, 0.2) == pytest.approx([0.1, *rates("cosine", 4, 0.0)])


@pytest.mark.parametrize("kind", ["linear", "cosine", "constant_with_warmup"])
def test_after_the_warm_up_transformers_agrees(kind: str) -> None:
    from transformers import get_scheduler

    parameter = torch.nn.Parameter(torch.zeros(1))
    settings = replace(SETTINGS, lr_scheduler_type=kind, warmup_ratio=0.25)
    optimizer = make_optimizer({"p": parameter}, settings)
    warmup = warmup_steps(settings, 20)
    scheduler = get_scheduler(kind, optimizer, num_warmup_steps=warmup, num_training_steps=20)
    for step in range(20):
        if step >= warmup:  # theirs takes its first step with a rate of zero
            assert learning_rate_at(step, 20, settings) == pytest.approx(scheduler.get_last_lr()[0])
        optimizer.step()
        scheduler.step()


@given(
    st.sampled_from(["constant", "constant_with_warmup", "linear", "cosine"]),
    st.integers(1, 300),
    st.floats(0, 1),
)
def test_every_step_has_a_rate_above_zero_and_at_most_the_peak(kind: str, num_steps: int, ratio: float) -> None:
    course = rates(kind, num_steps, ratio)
    assert all(0 < rate <= 0.1 * (1 + 1e-12) for rate in course)
    assert max(course) == pytest.approx(0.1)
    peak = course.index(max(course))
    assert course[: peak + 1] == sorted(course[: peak + 1])
    assert course[peak:] == sorted(course[peak:], reverse=True)


@pytest.mark.parametrize("kind", ["adamw_torch", "adamw_torch_fused"])
def test_one_step_of_adamw_by_hand(kind: str) -> None:
    settings = replace(SETTINGS, optim=kind, weight_decay=0.5, adam_beta1=0.8, adam_beta2=0.9, adam_epsilon=1e-3)
    parameter = torch.nn.Parameter(torch.tensor([2.0]))
    optimizer = make_optimizer({"p": parameter}, settings)
    assert optimizer.defaults["fused"] is (kind == "adamw_torch_fused")
    parameter.grad = torch.tensor([3.0])
    optimizer.step()
    # decayed 2 (1 - 0.1 * 0.5) = 1.9; both moments, bias-corrected, are those of the gradient itself
    assert parameter.item() == pytest.approx(1.9 - 0.1 * 3 / (3 + 1e-3), abs=1e-6)


def test_lora_plus_moves_b_by_its_ratio() -> None:
    """AdamW's first step without decay moves every weight by its rate, whatever the gradient's size."""
    names = ("q.lora_A.default.weight", "q.lora_B.default.weight", "q.bias")
    parameters = {name: torch.nn.Parameter(torch.zeros(3)) for name in names}
    optimizer = make_optimizer(parameters, replace(SETTINGS, loraplus_lr_ratio=16.0))
    set_learning_rate(optimizer, 0.01)
    for p in parameters.values():
        p.grad = torch.tensor([1.0, -2.0, 3.0])
    optimizer.step()
    moved = {name: p.detach().abs() for name, p in parameters.items()}
    for name in names:
        torch.testing.assert_close(moved[name], torch.full((3,), 0.16 if "lora_B" in name else 0.01))


def test_without_it_all_weights_stand_in_one_group() -> None:
    parameters = {name: torch.nn.Parameter(torch.zeros(3)) for name in ("q.lora_A.w", "q.lora_B.w")}
    [group] = make_optimizer(parameters, SETTINGS).param_groups
    assert len(group["params"]) == 2
