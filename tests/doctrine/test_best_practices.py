"""Document 000: the objections, where they begin and where they end."""

from __future__ import annotations

from dataclasses import replace

import pytest

from rankwise.doctrine.best_practices import (
    BEST_PRACTICES,
    alpha_equal_to_the_rank,
    alpha_far_over_the_rank,
    alpha_under_the_rank,
    half_of_the_layers,
    rate_of_full_fine_tuning,
)
from rankwise.doctrine.examples import REFERENCE
from rankwise.doctrine.rule import Situation, Value

LLAMA = REFERENCE["Llama-3.1-8B"]


def settled(**values: Value) -> Situation:
    return replace(LLAMA, settled={f"lora.{key}": value for key, value in values.items()})


@pytest.mark.parametrize(
    ("alpha", "under", "equal", "over"),
    [(8, 1, 0, 0), (15.9, 1, 0, 0), (16, 0, 1, 0), (17, 0, 0, 0), (32, 0, 0, 0), (63, 0, 0, 0), (64, 0, 0, 1)],
)
def test_alpha_is_held_against_the_rank(alpha: float, under: int, equal: int, over: int) -> None:
    situation = settled(r=16, lora_alpha=alpha)
    said = [alpha_under_the_rank(situation), alpha_equal_to_the_rank(situation), alpha_far_over_the_rank(situation)]
    assert [sentence is not None for sentence in said] == [under, equal, over]
    assert all("32" in sentence for sentence in said if sentence)  # the cure is named


def test_nothing_is_held_against_what_is_not_settled() -> None:
    assert not [objection for objection in BEST_PRACTICES.objections if objection.object(LLAMA) is not None]


@pytest.mark.parametrize(
    ("rate", "objected"), [(2e-5, True), (6e-5, True), (6.4e-5, False), (2e-4, False), (2e-3, False)]
)
def test_a_rate_nearer_full_fine_tunings_is_objected_to(rate: float, objected: bool) -> None:
    situation = replace(LLAMA, settled={"training.learning_rate": rate})
    assert (rate_of_full_fine_tuning(situation) is not None) is objected


@pytest.mark.parametrize(
    ("targets", "missing"),
    [
        (["q_proj", "k_proj", "v_proj", "o_proj"], "no MLP projection"),
        (["gate_proj", "up_proj", "down_proj"], "no attention projection"),
        (["q_proj", "down_proj"], None),
        ("all-linear", None),
    ],
)
def test_half_of_the_layers_is_objected_to(targets: Value, missing: str | None) -> None:
    sentence = half_of_the_layers(settled(target_modules=targets))
    assert sentence is None if missing is None else sentence is not None and sentence.startswith(missing)
    no_mlp = {role: names for role, names in LLAMA.roles.items() if role in ("query", "key", "value")}
    assert half_of_the_layers(replace(settled(target_modules=targets), roles=no_mlp)) is None
