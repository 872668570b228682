"""Plans of methods that only read the base: what they take in closed form, and nothing of an optimizer."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from rankwise.facts import Anatomy
from rankwise.plan import Plan
from rankwise.plan.memory import PROCESS

PlanOf = Callable[..., Plan]


@pytest.mark.parametrize("method", ["prompt", "classifier"])
def test_nothing_of_steps_is_decided(plan_of: PlanOf, method: str) -> None:
    made = plan_of(f"method: {method}")
    kept = {"training.bf16", "training.seed"}
    assert {key for key in made.decisions if key.startswith(("lora.", "training.", "quantization"))} == kept
    assert all(decision.reason and decision.source for decision in made.decisions.values())
    assert made.capacity.status == "NOT_APPLICABLE"


def test_a_prompt_has_no_weights(plan_of: PlanOf, tiny_anatomy: Anatomy) -> None:
    made = plan_of("method: prompt\nprompt: {num_examples: 4}")
    assert (made.trainable_parameters, made["prompt.num_examples"]) == (0, 4)
    assert made.memory is not None and made.memory.training.base == 4 * tiny_anatomy.total_parameters
    assert made.memory.training.process == PROCESS and made.memory.training.optimizer == 0


def test_a_classifier_is_a_head_and_the_states_it_is_fitted_on(plan_of: PlanOf, tiny_anatomy: Anatomy) -> None:
    made = plan_of("method: classifier")
    features = made["classifier.features"]
    assert features == ["mean", "last"] and made.trainable_parameters % (tiny_anatomy.hidden_size + 1) == 0
    assert made.disk_bytes is not None and made.disk_bytes.adapter == 8 * made.trainable_parameters + (1 << 20)
