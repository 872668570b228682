"""The plan on paper: its digest, its way to JSON and back, and the reader that leaves no key unread."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rankwise.errors import PlanError
from rankwise.files import read_json, write_json
from rankwise.plan import Capacity, Decision, Plan, PlanReader


def plan_with(**values: object) -> Plan:
    decisions = {key: Decision(value=value, reason="", source="") for key, value in values.items()}  # type: ignore[arg-type]
    capacity = Capacity(status="AMPLE", message="", capacity_bits=2, required_bits=1, suggested_rank=1)
    return Plan(
        decisions=decisions,
        trainable_parameters=1,
        total_parameters=2,
        capacity=capacity,
        memory_bytes=3,
        seconds=None,
        problems=(),
    )


def test_one_recipe_gives_one_plan(plan_of: Callable[..., Plan]) -> None:
    first, second = plan_of("lora: {r: 4}"), plan_of("lora: {r: 4}")
    assert first == second and first.digest() == second.digest()
    assert plan_of("lora: {r: 5}").digest() != first.digest()
    assert plan_of("lora: {r: 4}", "training.seed=1").digest() != first.digest()


def test_a_plan_survives_json(plan_of: Callable[..., Plan], tmp_path) -> None:
    made = plan_of("lora: {target_modules: [q_proj, nowhere], r: 3}\ntraining: {early_stopping_patience: null}")
    assert made.problems
    write_json(tmp_path / "plan.json", made.as_json())
    read = Plan.model_validate(read_json(tmp_path / "plan.json"))
    assert read == made and read.digest() == made.digest()
    for key, decision in made.decisions.items():
        assert type(read[key]) is type(decision.value), key


def test_the_digest_is_of_values_alone() -> None:
    first = plan_with(a=1)
    told = first.model_copy(update={"decisions": {"a": Decision(value=1, reason="because", source="me")}})
    assert told.digest() == first.digest()
    assert plan_with(a=2).digest() != first.digest() != plan_with(b=1).digest()


@given(st.one_of(st.integers(-5, 5), st.booleans(), st.text(max_size=3), st.floats(allow_nan=False), st.none()))
def test_take_gives_the_kind_asked_for_or_refuses(value: int | bool | str | float | None) -> None:
    reader = PlanReader(plan_with(key=value))
    for kind in (int, float, bool, str):
        fits = type(value) is kind or (kind is float and type(value) is int)
        if fits:
            taken = reader.take("key", kind)
            assert taken == value and type(taken) is kind
        else:
            with pytest.raises(PlanError, match="key: expected"):
                reader.take("key", kind)


def test_take_optional_lets_null_through_but_no_absent_key() -> None:
    reader = PlanReader(plan_with(key=None))
    assert reader.take_optional("key", str) is None
    reader.require_all_read()
    with pytest.raises(PlanError, match="the plan has no other"):
        reader.take_optional("other", str)


def test_a_key_nobody_read_is_named() -> None:
    reader = PlanReader(plan_with(read=1, left=2, forgotten=3))
    reader.take("read", int)
    with pytest.raises(PlanError, match="nothing in this build reads forgotten, left;"):
        reader.require_all_read()
