"""Preferences and rewards: their values, what they cost, and what cannot work."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from rankwise.errors import RecipeError
from rankwise.plan import Plan
from rankwise.plan import objective as objectives
from rankwise.plan.objective import require_trl

PlanOf = Callable[..., Plan]
DPO = "objective: dpo\ndata: {train: pairs.jsonl}\n"
GRPO = "objective: grpo\n"
EIGHT = "training.per_device_train_batch_size=8"
ONE = "training.gradient_accumulation_steps=1"


@pytest.fixture(autouse=True)
def files(tmp_path: Path) -> None:
    pairs = [{"prompt": f"question {i}", "chosen": "yes", "rejected": f"no, never {i}"} for i in range(40)]
    notes = [{"instruction": "Extract.", "input": f"note {i}", "output": json.dumps({"part": i})} for i in range(40)]
    for name, rows in (("pairs", pairs), ("notes", notes)):
        (tmp_path / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))


def codes(plan_of: PlanOf, text: str, *overrides: str) -> list[str]:
    with pytest.raises(RecipeError) as caught:
        plan_of(text, *overrides)
    return [p.code for p in caught.value.problems if p.severity == "error"]


def test_values_of_dpo_are_trls_with_their_source(plan_of: PlanOf) -> None:
    plan = plan_of(DPO)
    assert (plan["objective"], plan["dpo.beta"], plan["dpo.loss_type"]) == ("dpo", 0.1, "sigmoid")
    assert plan.decisions["dpo.beta"].source == "TRL, DPOConfig"
    assert plan["shared_prefix"] is False and plan["training.early_stopping_patience"] is None
    assert plan["data.assistant_turns"] == "last"
    assert not [key for key in plan.decisions if key.startswith("grpo.")]


def test_a_default_that_is_written_out_is_no_fault(plan_of: PlanOf) -> None:
    """`rankwise init` writes every key."""
    assert plan_of("dpo: {loss_type: sigmoid}\ngrpo: {reward: auto}\n")["objective"] == "sft"
    assert plan_of(DPO, "data.assistant_turns=all")["data.assistant_turns"] == "last"


def test_values_of_grpo(plan_of: PlanOf) -> None:
    plan = plan_of(GRPO, EIGHT, ONE, "training.num_train_epochs=2")
    assert plan["grpo.num_generations"] == 8
    assert plan["grpo.reward"] == "allowed_label"
    assert plan["grpo.beta"] == 0.0
    # 36 training rows, 8 answers to each, 8 answers a step, twice
    assert plan["training.max_steps"] == 36 * 8 * 2 // 8
    assert plan["training.eval_steps"] == plan["training.max_steps"]
    assert plan.capacity.required_bits == 36 * 8 * 2


@pytest.mark.parametrize(("batch", "generations"), [(8, 8), (6, 6), (12, 6), (10, 5), (4, 4)])
def test_generations_divide_a_step(plan_of: PlanOf, batch: int, generations: int) -> None:
    plan = plan_of(GRPO, f"training.per_device_train_batch_size={batch}", ONE)
    assert plan["grpo.num_generations"] == generations


def test_fields_are_rewarded_where_answers_are_objects(plan_of: PlanOf) -> None:
    assert plan_of("objective: grpo\ndata: {train: notes.jsonl}\n", EIGHT, ONE)["grpo.reward"] == "exact_fields"


def test_a_row_without_a_verifiable_answer_is_named(plan_of: PlanOf, tmp_path: Path) -> None:
    with (tmp_path / "notes.jsonl").open("a") as stream:
        stream.write(json.dumps({"instruction": "Extract.", "input": "odd", "output": "nothing here"}) + "\n")
    with pytest.raises(RecipeError) as caught:
        plan_of("objective: grpo\ndata: {train: notes.jsonl}\n", EIGHT, ONE)
    assert [(p.code, p.where) for p in caught.value.problems if p.severity == "error"] == [
        ("no-verifiable-answer", "notes.jsonl:41")
    ]


@pytest.mark.parametrize(
    ("text", "overrides", "code"),
    [
        ("", ("dpo.beta=0.2",), "key-of-another-objective"),
        (DPO, ("grpo.beta=0.1",), "key-of-another-objective"),
        ("objective: dpo\n", (), "rows-of-another-objective"),
        ("objective: sft\ndata: {train: pairs.jsonl}\n", (), "rows-of-another-objective"),
        ("objective: grpo\ndata: {train: pairs.jsonl}\n", (EIGHT, ONE), "rows-of-another-objective"),
        (DPO, ("method=adalora",), "not-with-dpo"),
        (DPO, ("method=qlora",), "not-with-dpo"),
        (DPO, ("lora.init_lora_weights=pissa",), "not-with-dpo"),
        (DPO, ("lora.bias=all",), "not-with-dpo"),
        (DPO, ("training.on_nonfinite=rollback",), "not-with-dpo"),
        (DPO, ("training.early_stopping_patience=2",), "not-with-dpo"),
        (GRPO, (EIGHT, ONE, "training.eval_steps=5"), "not-with-grpo"),
        (GRPO, (EIGHT, ONE, "grpo.num_generations=3"), "groups-not-whole"),
        (GRPO, (EIGHT, "training.gradient_accumulation_steps=64", "grpo.num_generations=2"), "fewer-rows-than-a-step"),
        (GRPO, (EIGHT, ONE, "grpo.reward=exact_fields"), "reward-of-other-rows"),
        (GRPO, (EIGHT, ONE, "grpo.max_completion_length=4000"), "completion-too-long"),
    ],
)
def test_what_cannot_work_is_an_error(plan_of: PlanOf, text: str, overrides: tuple[str, ...], code: str) -> None:
    assert code in codes(plan_of, text, *overrides)


def test_a_reference_is_another_adapter_and_no_second_base(plan_of: PlanOf) -> None:
    plan = plan_of(DPO)
    assert plan.memory is not None
    assert plan.memory.training.adapter == 2 * 4 * plan.trainable_parameters
    assert plan.memory.training.base == 4 * plan.total_parameters


def test_longer_answers_take_more_memory_and_are_said_to_cost_most(plan_of: PlanOf) -> None:
    short, long = (plan_of(GRPO, EIGHT, ONE, f"grpo.max_completion_length={count}") for count in (16, 512))
    assert long.memory_bytes > short.memory_bytes
    [note] = [p for p in long.problems if p.code == "grpo-cost"]
    assert f"{long['training.max_steps']} steps x 8 answers x at most 512 tokens" in note.message


def test_without_trl_one_error_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(objectives, "find_spec", lambda name: None)
    require_trl("sft", "r.yaml")
    with pytest.raises(RecipeError, match=r"pip install 'rankwise\[rl\]'"):
        require_trl("dpo", "r.yaml:1")
