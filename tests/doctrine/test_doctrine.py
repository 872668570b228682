"""Doctrines: every rule answers in the recipe's own terms, and says why and by whom."""

from __future__ import annotations

import dataclasses
from math import sqrt
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rankwise.doctrine import DEFAULTS, DOCTRINES, Situation, Value, find_doctrine
from rankwise.doctrine.examples import ELSEWHERE, LLAMA_ROLES, REFERENCE
from rankwise.doctrine.rankwise import (
    HEADROOM,
    HIDDEN_POWER,
    RANKS,
    RANKWISE,
    REFERENCE_HIDDEN,
    REFERENCE_RANK,
    REFERENCE_RATE,
    SMALL_BASE_RANK,
)
from rankwise.doctrine.rule import Doctrine
from rankwise.errors import RecipeError
from rankwise.recipe.schema import Recipe

LLAMA = ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj")
NOT_YET = {"method", "quantization"}
"""Keys for which a doctrine may give a value that the recipe does not accept yet."""


def situation(settled: dict[str, Value], rows: int = 500, hidden: int = 576, parameters: int = 10**8) -> Situation:
    return Situation(
        base_parameters=parameters,
        hidden_size=hidden,
        linear_layers=LLAMA,
        rows=rows,
        supervised_tokens=3 * rows,
        longest_row=64,
        settled=settled,
        roles=LLAMA_ROLES,
        num_layers=30,
    )


def advice(doctrine: str, key: str, **values: Any) -> Value:
    settled: dict[str, Value] = {"lora.r": 16, "steps": 100, "training.eval_steps": 20}
    found = DOCTRINES[doctrine].advise(key, situation(settled | values.pop("settled", {}), **values))
    assert found is not None
    return found.value


SITUATIONS = st.builds(
    lambda base, rows, tokens, hidden, parameters, gpus, gpu_bytes, goal, head: dataclasses.replace(
        base,
        rows=rows,
        supervised_tokens=rows * tokens,
        hidden_size=hidden,
        base_parameters=parameters,
        gpus=gpus,
        gpu_bytes=gpu_bytes if gpus else 0,
        goal=goal,
        head=head,
    ),
    st.sampled_from([*REFERENCE.values(), *ELSEWHERE.values()]),
    st.integers(1, 10**6),
    st.integers(1, 2000),
    st.integers(8, 16384),
    st.integers(10**6, 10**12),
    st.integers(0, 64),
    st.integers(10**9, 10**11),
    st.sampled_from(["adapt", "new_ability"]),
    st.sampled_from([None, "lm_head"]),
)
NUMBERS = st.fixed_dictionaries({"lora.r": st.integers(1, 1024), "steps": st.integers(1, 10**6)})


@given(st.sampled_from(sorted(DOCTRINES)), SITUATIONS, NUMBERS)
def test_every_rule_gives_a_value_the_recipe_accepts(name: str, met: Situation, numbers: dict[str, Value]) -> None:
    doctrine = DOCTRINES[name]
    met = dataclasses.replace(met, settled={**numbers, "training.eval_steps": 7})
    nested: dict[str, dict[str, Value]] = {}
    for key in doctrine.decides:
        found = doctrine.advise(key, met)
        if found is not None:
            assert found.reason and found.source
            if key not in NOT_YET:
                section, _, leaf = key.partition(".")
                nested.setdefault(section, {})[leaf] = found.value
    recipe = Recipe.model_validate(nested)
    for section, values in nested.items():
        for leaf, value in values.items():
            assert getattr(getattr(recipe, section), leaf) == value


@given(st.sampled_from(sorted(DOCTRINES)), SITUATIONS)
def test_no_doctrine_objects_to_its_own_values(name: str, met: Situation) -> None:
    doctrine = DOCTRINES[name]
    own = with_own_values(doctrine, met)
    for objection in doctrine.objections:
        if objection.to in own.settled and own.settled["lora.r"] != 1024:  # the most there is, be it too little
            assert objection.object(own) is None, objection.object(own)


def with_own_values(doctrine: Doctrine, met: Situation) -> Situation:
    """With the keys of the doctrine's rules settled by them, the rank first, on which others may rest."""
    settled: dict[str, Value] = {"lora.r": 8, "steps": 1000, "training.eval_steps": 200}
    met = dataclasses.replace(met, settled=settled)
    for key in sorted(doctrine.decides, key=lambda key: key != "lora.r"):
        advice = doctrine.advise(key, met)
        if advice is not None:
            settled[key] = advice.value
    return met


@given(st.integers(64, 16384), st.integers(1, 1024))
def test_learning_rate_is_the_fit_and_falls_with_rank_and_width(hidden: int, r: int) -> None:
    rate = advice("rankwise", "training.learning_rate", hidden=hidden, settled={"lora.r": r})
    exact = REFERENCE_RATE * (REFERENCE_HIDDEN / hidden) ** HIDDEN_POWER * sqrt(REFERENCE_RANK / r)
    assert rate == pytest.approx(exact, rel=0.05)
    doubled = advice("rankwise", "training.learning_rate", hidden=hidden, settled={"lora.r": 2 * r})
    wider = advice("rankwise", "training.learning_rate", hidden=2 * hidden, settled={"lora.r": r})
    assert isinstance(rate, float) and isinstance(doubled, float) and isinstance(wider, float)
    assert doubled < rate and wider < rate


def test_learning_rate_at_the_reference_is_the_reference() -> None:
    assert advice("rankwise", "training.learning_rate", hidden=2000, settled={"lora.r": 32}) == 5e-4


@pytest.mark.parametrize("name", ["rankwise", "best-practices", "honest-choice", "configuration-guide"])
def test_alpha_follows_the_rank(name: str) -> None:
    for r in (1, 4, 16, 32):
        assert advice(name, "lora.lora_alpha", settled={"lora.r": r}) == 2 * r


def test_best_practices_is_its_documents_template() -> None:
    expected = {
        "lora.r": 16,
        "lora.lora_alpha": 32,
        "lora.lora_dropout": 0.05,
        "lora.target_modules": list(LLAMA),
        "training.learning_rate": 2e-4,
        "training.weight_decay": 1e-5,
        "training.optim": "adamw_torch",
        "training.lr_scheduler_type": "cosine",
    }
    assert {key: advice("best-practices", key) for key in DOCTRINES["best-practices"].decides} == expected


def test_defaults_are_what_peft_and_transformers_do() -> None:
    from peft import LoraConfig
    from transformers import TrainingArguments

    lora = LoraConfig()
    for key in ("r", "lora_alpha", "lora_dropout", "bias", "use_rslora", "init_lora_weights"):
        assert advice("peft-defaults", f"lora.{key}") == getattr(lora, key), key
    trainer = {field.name: field.default for field in dataclasses.fields(TrainingArguments)}
    for key in (
        "learning_rate",
        "weight_decay",
        "adam_beta1",
        "adam_beta2",
        "adam_epsilon",
        "max_grad_norm",
        "num_train_epochs",
        "per_device_train_batch_size",
        "gradient_accumulation_steps",
    ):
        assert advice("peft-defaults", f"training.{key}") == trainer[key], key
    assert str(trainer["lr_scheduler_type"]).endswith(str(advice("peft-defaults", "training.lr_scheduler_type")))


def test_defaults_decide_everything_any_doctrine_decides() -> None:
    for doctrine in DOCTRINES.values():
        assert set(doctrine.decides) - NOT_YET <= set(DEFAULTS.decides), doctrine.name


def test_defaults_take_other_names_where_pefts_own_are_absent() -> None:
    found = DEFAULTS.advise(
        "lora.target_modules", dataclasses.replace(situation({}), linear_layers=("query", "dense"), roles={})
    )
    assert found is not None and found.value == ["query", "dense"]


def test_every_doctrine_is_found_by_its_name() -> None:
    assert all(find_doctrine(name).name == name for name in DOCTRINES)
    assert find_doctrine("rankwise") is RANKWISE


def test_an_unknown_doctrine_names_the_nearest_and_the_place() -> None:
    with pytest.raises(RecipeError) as caught:
        find_doctrine("best-practises", "recipe.yaml:3")
    [problem] = caught.value.problems
    assert (problem.severity, problem.code, problem.where) == ("error", "unknown-doctrine", "recipe.yaml:3")
    assert 'did you mean "best-practices"?' in problem.message
    assert all(name in problem.message for name in DOCTRINES)


@given(st.integers(1, 10**8), st.integers(10**3, 10**8))
def test_capacity_is_the_floor_of_the_rank_and_not_the_choice(tokens: int, per_rank: int) -> None:
    here = dataclasses.replace(
        situation({"lora.target_modules": ["q_proj"]}), supervised_tokens=tokens, count_per_rank=lambda names: per_rank
    )
    advised = RANKWISE.advise("lora.r", here)
    assert advised is not None and isinstance(advised.value, int)
    assert advised.value >= SMALL_BASE_RANK
    assert advised.value == RANKS[-1] or advised.value * per_rank * 2 >= HEADROOM * tokens
    if advised.value > SMALL_BASE_RANK:
        below = RANKS[RANKS.index(advised.value) - 1]
        assert below * per_rank * 2 < HEADROOM * tokens
        assert advised.source.endswith("Capacity Requirements")


def test_where_nobody_can_count_the_usual_rank_stands() -> None:
    for count in (None, lambda names: 0):
        here = dataclasses.replace(situation({}), supervised_tokens=10**9, count_per_rank=count)
        assert here.parameters_per_rank is None
        advised = RANKWISE.advise("lora.r", here)
        assert advised is not None and advised.value == SMALL_BASE_RANK
