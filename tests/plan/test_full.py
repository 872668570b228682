"""A plan of full fine-tuning: counts and memory in closed form, a rate of its own, and what it cannot do."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path

import pytest

from rankwise.doctrine import DOCTRINES
from rankwise.errors import RecipeError
from rankwise.facts import Anatomy, Located, Machine, Measurement, read_anatomy
from rankwise.facts.machine import Gpu
from rankwise.plan import Plan, Prepared
from rankwise.plan.compare import compare_doctrines
from rankwise.plan.estimate import TIMES
from rankwise.plan.explain import explain_decision
from rankwise.plan.fit import fit
from rankwise.plan.memory import PROCESS
from rankwise.recipe import parse_recipe

PlanOf = Callable[..., Plan]
HIDDEN = 32
"""Of the tiny base."""


def errors(plan_of: PlanOf, text: str) -> list[tuple[str, str]]:
    with pytest.raises(RecipeError) as caught:
        plan_of(text)
    return [(p.code, p.where) for p in caught.value.problems if p.severity == "error"]


def test_nothing_of_lora_is_decided(plan_of: PlanOf) -> None:
    made = plan_of("method: full")
    assert not [key for key in made.decisions if key.startswith(("lora.", "prefix."))]
    assert (made["method"], made["quantization"], made["training.bf16"]) == ("full", "none", False)
    assert all(decision.reason and decision.source for decision in made.decisions.values())
    assert made.decisions["training.loraplus_lr_ratio"].reason.startswith("no A and B here")
    assert {p.code for p in made.problems} == {"format-detected", "against-advice"}  # which is for an adapter


def test_every_weight_is_counted(plan_of: PlanOf, tiny_anatomy: Anatomy) -> None:
    made, every = plan_of("method: full"), tiny_anatomy.total_parameters
    assert made.trainable_parameters == made.total_parameters == every
    held = made.memory.training  # type: ignore[union-attr]
    assert (held.adapter, held.gradients, held.optimizer) == (4 * every, 4 * every, 8 * every)
    assert held.base == 4 * every and held.process == PROCESS  # the best weights so far; nothing is frozen
    assert made.disk_bytes is not None and made.disk_bytes.adapter == 4 * every + (1 << 20)
    assert made.capacity.capacity_bits == 2 * every and "rank" not in made.capacity.message


def test_the_reason_holds_it_against_lora(plan_of: PlanOf, tiny_anatomy: Anatomy) -> None:
    reason = plan_of("method: full").decisions["method"].reason
    lora = plan_of("method: lora")
    assert f"here it trains all {tiny_anatomy.total_parameters:,} parameters" in reason
    share = lora.trainable_parameters / tiny_anatomy.total_parameters
    assert f"lora of rank 16 would train {share:.2%} of them in {lora.memory_bytes / 1e9:.1f} GB" in reason


def test_its_rate_is_a_tenth_of_loras(plan_of: PlanOf) -> None:
    made = plan_of("method: full").decisions["training.learning_rate"]
    assert made.value == pytest.approx(5e-5 * (2000 / HIDDEN) ** 0.781, rel=0.05)
    assert "LoRA Without Regret" in made.reason and "tinker-cookbook" in made.source
    assert made.alternatives["without-regret"] == pytest.approx(2000 / HIDDEN * 1e-4)
    assert made.alternatives["best-practices"] == 2e-5
    for name in ("unsloth-defaults", "honest-choice"):  # what they say is of adapters
        assert name not in made.alternatives
        assert plan_of(f"method: full\ndoctrine: {name}")["training.learning_rate"] == 5e-5


@pytest.mark.parametrize("doctrine", list(DOCTRINES))
def test_every_doctrine_can_plan_it(doctrine: str, plan_of: PlanOf) -> None:
    made = plan_of(f"method: full\ndoctrine: {doctrine}")
    assert made.trainable_parameters == made.total_parameters
    assert not [problem for problem in made.problems if "lora." in problem.where]


def test_a_rate_of_full_fine_tuning_is_not_held_against_it(plan_of: PlanOf) -> None:
    told = [p.message for p in plan_of("method: full\ntraining: {learning_rate: 2.0e-5}").problems]
    assert not [message for message in told if "learning_rate" in message]
    [told] = [
        p.message for p in plan_of("method: full\ntraining: {learning_rate: 0.1}").problems if "times" in p.message
    ]
    assert "the rate that fits this base, trained whole" in told


@pytest.mark.parametrize(
    ("more", "told"),
    [
        ("lora: {r: 8}", ["lora.r is of low-rank matrices"]),
        ("lora: {use_rslora: true, init_lora_weights: pissa}", ["lora.use_rslora is", "lora.init_lora_weights is"]),
        ("lora: {target_modules: [q_proj], bias: all}", ["lora.target_modules is", "lora.bias is"]),
        ("quantization: nf4", ["weights in nf4 cannot be trained"]),
        ("quantization: int8", ["weights in int8 cannot be trained"]),
        ("training: {bf16: true}", ["it keeps a frozen base in bfloat16"]),
        ("training: {loraplus_lr_ratio: 4}", ["it is of LoRA's B"]),
    ],
)
def test_what_is_of_adapters_is_refused_by_its_line(more: str, told: list[str], plan_of: PlanOf) -> None:
    with pytest.raises(RecipeError) as caught:
        plan_of(f"method: full\n{more}")
    found = [problem for problem in caught.value.problems if problem.severity == "error"]
    assert [(problem.code, problem.where) for problem in found] == [("not-with-full", "recipe.yaml:2")] * len(told)
    assert all(words in problem.message for words, problem in zip(told, found, strict=True))


def test_keys_of_a_prefix_are_refused_too(plan_of: PlanOf) -> None:
    assert errors(plan_of, "method: full\nprefix: {num_virtual_tokens: 8}") == [
        ("key-of-another-method", "recipe.yaml:2")
    ]


def test_rewards_are_not_learnt_by_it(plan_of: PlanOf) -> None:
    found = errors(plan_of, "method: full\nobjective: grpo")
    assert ("not-with-grpo", "recipe.yaml:1") in found


def test_its_time_is_three_products_a_weight_for_two(plan_of: PlanOf, machine: Machine, tiny_base: Path) -> None:
    speed = {"float32": 1000.0, "bfloat16": 9000.0}
    measured = Measurement(
        machine=machine.digest(),
        base="sha256:0",
        torch="2.13.0",
        threads=2,
        train_tokens_per_second=speed,
        forward_tokens_per_second=speed,
        load_seconds=0.0,
        measured_at="2026-11-26",
    )
    full, lora = (
        plan_of(f"method: {method}\ntraining: {{{more}max_steps: 5}}", measured=measured)
        for method, more in (("full", ""), ("lora", "bf16: false, "))
    )
    assert full["training.bf16"] is False and full.seconds is not None and lora.seconds is not None
    assert full.seconds == pytest.approx(TIMES["full"] * lora.seconds)


def test_a_doctrine_that_takes_it_is_followed_unless_lora_is_spoken_of(plan_of: PlanOf, machine: Machine) -> None:
    many = dataclasses.replace(machine, gpus=(Gpu("a GPU", 80 << 30),) * 9, versions={"torch": "2.13.0"})
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("rankwise.doctrine.working_notes.BIG_ROWS", 30)
        taken = plan_of("goal: new_ability", machine=many)
        spoken = plan_of("goal: new_ability\nlora: {r: 8}", machine=many)
        packed = plan_of("goal: new_ability\nquantization: nf4", machine=many)
    assert taken["method"] == "full" and "lora.r" not in taken.decisions
    assert (spoken["method"], spoken["lora.r"]) == ("lora", 8)
    assert "you set lora.r" in spoken.decisions["method"].reason
    assert (packed["method"], packed["quantization"]) == ("qlora", "nf4")


def test_doctrines_of_different_methods_stand_side_by_side(
    tiny_base: Path, tmp_path: Path, rows_file: Path, machine: Machine, corpus_of: Callable[..., object]
) -> None:
    from rankwise.data.render import Renderer

    asked = parse_recipe(f"goal: new_ability\ndata: {{train: {rows_file.name}}}\n", "recipe.yaml", tmp_path)
    located = Located("folder", "tiny", str(tiny_base), tiny_base, True)
    corpus = corpus_of(asked)
    prepared = Prepared(located, tiny_base, read_anatomy(tiny_base), Renderer(tiny_base), None, corpus, None)  # type: ignore[arg-type]
    many = dataclasses.replace(machine, gpus=(Gpu("a GPU", 80 << 30),) * 9, versions={"torch": "2.13.0"})
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("rankwise.doctrine.working_notes.BIG_ROWS", 30)
        found = compare_doctrines(asked, prepared, many, None)
    assert found.compare["method"]["working-notes"].value == "full" and not found.failed
    assert found.figures["working-notes"].trainable_parameters == read_anatomy(tiny_base).total_parameters


def test_what_does_not_fit_is_told_to_take_lora(plan_of: PlanOf, tiny_anatomy: Anatomy) -> None:
    made = plan_of("method: full")
    fitted = fit(made, tiny_anatomy, 1, lambda overrides: plan_of("method: full", *overrides))
    assert not fitted.fits and any("method: lora" in change.what for change in fitted.changes)
    assert not [key for key in fitted.overrides if key.startswith(("lora.", "training.bf16"))]


def test_its_keys_are_explained(
    tiny_base: Path, tmp_path: Path, rows_file: Path, machine: Machine, corpus_of: Callable[..., object]
) -> None:
    from rankwise.data.render import Renderer
    from rankwise.plan.advise import weigh

    asked = parse_recipe(f"method: full\ndata: {{train: {rows_file.name}}}\n", "recipe.yaml", tmp_path)
    located = Located("folder", "tiny", str(tiny_base), tiny_base, True)
    corpus = corpus_of(asked)
    prepared = Prepared(located, tiny_base, read_anatomy(tiny_base), Renderer(tiny_base), None, corpus, None)  # type: ignore[arg-type]
    advised = weigh(asked, prepared, machine, None)
    told = [explain_decision(advised, key) for key in advised.plan.decisions]
    rate = next(one for one in told if one.key == "training.learning_rate")
    assert rate.follows_from == ("method",)
    with pytest.raises(RecipeError, match="of another method than the plan's, full"):
        explain_decision(advised, "lora.r")
