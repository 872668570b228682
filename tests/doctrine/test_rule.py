"""What rules may ask of a situation: names by role, fused ones, what is settled, how long the run is."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rankwise.doctrine.examples import LLAMA_ROLES, REFERENCE
from rankwise.doctrine.rule import ATTENTION, FUSED, MLP, NOT_ADAPTED, Advice, Doctrine, Situation, Value
from rankwise.facts.modules import ROLES

LLAMA = REFERENCE["Llama-3.1-8B"]
MIXTURE = REFERENCE["Qwen3-30B-A3B"]
GPT2 = replace(
    LLAMA,
    linear_layers=("c_attn", "c_proj", "c_fc"),
    roles={
        "query_key_value": ("c_attn",),
        "attention_output": ("attn.c_proj",),
        "up": ("c_fc",),
        "down": ("mlp.c_proj",),
    },
)
BERT = replace(
    LLAMA,
    linear_layers=("query", "key", "value", "dense"),
    roles={
        "query": ("query",),
        "key": ("key",),
        "value": ("value",),
        "attention_output": ("attention.output.dense",),
        "up": ("intermediate.dense",),
        "down": ("output.dense",),
        "pooler": ("pooler.dense",),
    },
)


def with_targets(situation: Situation, *names: str) -> Situation:
    return replace(situation, settled={"lora.target_modules": list(names)})


def test_the_roles_are_those_of_the_anatomy() -> None:
    known = {*ROLES, "expert"}
    assert {*ATTENTION, *MLP, *NOT_ADAPTED, *FUSED, *FUSED.values()} <= known
    assert known == {*ATTENTION, *MLP, *NOT_ADAPTED}  # no role is left out of account


def test_names_come_in_the_order_asked_for_and_once() -> None:
    assert LLAMA.named("value", "query") == ["v_proj", "q_proj"]
    assert replace(LLAMA, roles={"up": ("w", "x"), "gate": ("w",)}).named("gate", "up") == ["w", "x"]
    assert LLAMA.named("router") == []


def test_a_fused_projection_stands_for_its_parts() -> None:
    assert GPT2.translated("query", "value") == ["c_attn"]
    assert GPT2.translated("query", "attention_output") == ["attn.c_proj", "c_attn"]
    assert replace(LLAMA, roles={"gate_up": ("gate_up_proj",)}).translated("up") == ["gate_up_proj"]
    assert LLAMA.translated("query", "value") == ["q_proj", "v_proj"]


def test_where_a_base_has_none_of_the_roles_all_projections_stand_in() -> None:
    unlike = replace(LLAMA, linear_layers=("in_proj", "out"), roles={"other": ("in_proj", "out")})
    assert unlike.translated("query") == ["in_proj", "out"]
    assert replace(unlike, roles={}).translated("query") == ["in_proj", "out"]


def test_all_projections_are_without_router_pooler_and_head() -> None:
    assert LLAMA.projections == [name for names in LLAMA_ROLES.values() for name in names]
    assert "gate" in MIXTURE.linear_layers and "gate" not in MIXTURE.projections
    assert {"gate_proj", "up_proj", "down_proj"} <= set(MIXTURE.projections)
    assert BERT.projections[-1] == "output.dense" and "pooler.dense" not in BERT.projections


@pytest.mark.parametrize(
    ("situation", "targets", "attention", "mlp"),
    [
        (LLAMA, ["q_proj", "v_proj"], True, False),
        (LLAMA, ["up_proj"], False, True),
        (LLAMA, ["layers.3.mlp.up_proj", "model.layers.0.self_attn.q_proj"], True, True),
        (LLAMA, ["lm_head"], False, False),
        (GPT2, ["attn.c_proj"], True, False),
        (GPT2, ["c_proj"], True, True),
        (BERT, ["attention.output.dense"], True, False),
        (BERT, ["dense"], True, True),
        (MIXTURE, ["gate"], False, False),
        (MIXTURE, ["gate_proj"], False, True),
    ],
)
def test_what_the_targets_adapt(situation: Situation, targets: list[str], attention: bool, mlp: bool) -> None:
    chosen = with_targets(situation, *targets)
    assert (chosen.adapts(*ATTENTION), chosen.adapts(*MLP)) == (attention, mlp)


def test_all_linear_adapts_what_there_is_and_nothing_settled_adapts_nothing() -> None:
    every = replace(GPT2, settled={"lora.target_modules": "all-linear"})
    assert every.adapts("query_key_value") and every.adapts("down") and not every.adapts("gate")
    assert not GPT2.adapts(*ATTENTION, *MLP)


def test_a_number_is_known_only_if_it_is_one() -> None:
    settled: dict[str, Value] = {"a": 2, "b": "auto", "c": True, "d": None, "e": 0.5}
    situation = replace(LLAMA, settled=settled)
    assert [situation.known(key) for key in "abcdef"] == [2, None, None, None, 0.5, None]


@given(st.integers(1, 5000), st.integers(1, 64), st.integers(1, 8), st.floats(0.1, 10))
def test_steps_cover_the_epochs(rows: int, size: int, accumulation: int, epochs: float) -> None:
    settled: dict[str, Value] = {
        "training.per_device_train_batch_size": size,
        "training.gradient_accumulation_steps": accumulation,
        "training.num_train_epochs": epochs,
    }
    situation = replace(LLAMA, rows=rows, settled=settled)
    assert situation.step_rows == size * accumulation and situation.steps is not None
    assert situation.steps * situation.step_rows >= epochs * rows * (1 - 1e-6)
    assert situation.steps == 1 or (situation.steps - 1) * situation.step_rows < epochs * rows
    assert replace(situation, settled={**settled, "steps": 7}).steps == 7


def test_steps_are_unknown_until_batch_and_epochs_are_settled() -> None:
    assert LLAMA.steps is None and LLAMA.step_rows is None
    assert replace(LLAMA, settled={"training.num_train_epochs": 1.0}).steps is None
    alone = replace(LLAMA, settled={"training.per_device_train_batch_size": 4})
    assert (alone.step_rows, alone.steps) == (4, None)


def test_of_several_rules_the_first_that_speaks_counts_and_is_cited() -> None:
    doctrine = Doctrine("one", "One", "Book")

    @doctrine.rule("lora.r", "Part 1", "measured")
    def of_few_rows(situation: Situation) -> Advice | None:
        return Advice(1, "few") if situation.rows < 10 else None

    @doctrine.rule("lora.r", "Part 2", document="Other")
    def otherwise(situation: Situation) -> Advice:
        return Advice(2, "more")

    @doctrine.objection("lora.r", "")
    def against(situation: Situation) -> str | None:
        return "no" if situation.known("lora.r") == 3 else None

    doctrine.lesson("lora.r", "Part 3", "Learn.")
    assert doctrine.advise("lora.r", replace(LLAMA, rows=9)) == Advice(1, "few", "Book, Part 1", "measured")
    assert doctrine.advise("lora.r", replace(LLAMA, rows=10)) == Advice(2, "more", "Other, Part 2", "stated")
    assert doctrine.advise("lora.bias", LLAMA) is None
    assert doctrine.decides == ["lora.r"]
    [objection], [lesson] = doctrine.objections, doctrine.lessons
    assert (objection.source, lesson.source) == ("Book", "Book, Part 3")
    assert objection.object(replace(LLAMA, settled={"lora.r": 3})) == "no"
