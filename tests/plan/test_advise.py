"""From recipe and facts to decisions: who decides what, and what is said about it."""

from __future__ import annotations

import dataclasses
import json
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from rankwise.doctrine import DOCTRINES
from rankwise.errors import Problem, RecipeError
from rankwise.facts import Anatomy, Machine, Measurement
from rankwise.facts.machine import Gpu
from rankwise.plan import Plan
from rankwise.plan.objections import Broken, cited_together

PlanOf = Callable[..., Plan]
SEVEN = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]
TEMPLATE = """\
lora:
  r: 16
  lora_alpha: 32              # 2*rank
  lora_dropout: 0.05
  target_modules:             # ALL MLP + Attention
    - q_proj
    - k_proj
    - v_proj
    - o_proj
    - gate_proj
    - up_proj
    - down_proj
    - mlp
    - mlp_proj

training:
  learning_rate: 2e-4         # 10x higher LR
  weight_decay: 1e-5          # Low weight decay
  optimizer: "adamw_torch"
  lr_scheduler_type: "cosine"
"""
"""The configuration template of a guide, as it stands."""


def codes(problems: Sequence[Problem]) -> list[str]:
    return [problem.code for problem in problems if problem.severity != "note"]


def refused(plan_of: PlanOf, *recipe: str) -> tuple[Problem, ...]:
    with pytest.raises(RecipeError) as caught:
        plan_of(*recipe)
    return caught.value.problems


# -- who decides


def test_the_users_value_comes_before_doctrine_and_defaults(plan_of: PlanOf) -> None:
    made = plan_of("doctrine: best-practices\nlora:\n  r: 5")
    assert made["lora.r"] == 5
    yours = made.decisions["lora.r"]
    assert (yours.source, yours.kind) == ("recipe.yaml:3", "yours")
    assert yours.reason.startswith("you set it; best-practices would say 16: every domain")
    assert made.decisions["lora.lora_dropout"].kind == "conventional"
    assert made["lora.lora_dropout"] == 0.05  # the doctrine's
    assert made.decisions["lora.lora_dropout"].source.startswith("LoRA Best Practices")
    assert made["lora.bias"] == "none"  # no word on it there, so PEFT's default
    assert made.decisions["lora.bias"].source.startswith("PEFT")


def test_an_override_comes_before_the_file_and_alpha_follows_it(plan_of: PlanOf) -> None:
    made = plan_of("lora: {r: 5}", "lora.r=32")
    assert (made["lora.r"], made.decisions["lora.r"].source) == (32, "--set lora.r=32")
    assert made["lora.lora_alpha"] == 64
    assert plan_of("lora: {r: 5, lora_alpha: 7}", "lora.r=32")["lora.lora_alpha"] == 7


def test_the_learning_rate_follows_an_overridden_rank(plan_of: PlanOf) -> None:
    low, high = plan_of("", "lora.r=4")["training.learning_rate"], plan_of("", "lora.r=16")["training.learning_rate"]
    assert low == pytest.approx(2 * high, rel=0.05)  # type: ignore[operator]


def test_auto_is_no_value_of_the_users(plan_of: PlanOf) -> None:
    assert plan_of("lora: {r: auto}") == plan_of("")


def test_alternatives_name_the_doctrines_that_say_otherwise(plan_of: PlanOf) -> None:
    decision = plan_of("").decisions["training.learning_rate"]
    said = {"best-practices": 2e-4, "peft-defaults": 5e-5, "trl-defaults": 2e-5, "unsloth-defaults": 2e-4}
    assert said.items() <= decision.alternatives.items()
    assert "rankwise" not in decision.alternatives  # it decided
    assert not {"configuration-guide", "working-notes"} & decision.alternatives.keys()  # silent
    others = plan_of("lora: {r: 8}").decisions["lora.r"].alternatives
    assert {"rankwise": 16, "best-practices": 16, "tinker": 32}.items() <= others.items()
    assert "peft-defaults" not in others  # says 8, too


def test_every_decision_has_a_reason_and_a_source(plan_of: PlanOf) -> None:
    for doctrine in DOCTRINES:
        for key, decision in plan_of(f"doctrine: {doctrine}").decisions.items():
            assert decision.reason and decision.source, key


def test_an_unknown_doctrine_is_refused_with_its_line(plan_of: PlanOf) -> None:
    [problem] = refused(plan_of, "doctrine: rankwize")
    assert (problem.code, problem.where) == ("unknown-doctrine", "recipe.yaml:1")
    assert 'did you mean "rankwise"?' in problem.message


def test_a_constant_rate_has_no_warm_up(plan_of: PlanOf) -> None:
    made = plan_of("training: {lr_scheduler_type: constant}")
    decision = made.decisions["training.warmup_ratio"]
    assert decision.value == 0 and "no warm-up" in decision.reason
    assert "warmup-not-used" not in codes(made.problems)
    asked = plan_of("training:\n  lr_scheduler_type: constant\n  warmup_ratio: 0.1")
    assert asked["training.warmup_ratio"] == 0
    [problem] = [problem for problem in asked.problems if problem.code == "warmup-not-used"]
    assert (problem.severity, problem.where) == ("warning", "recipe.yaml:3")
    none = plan_of("training: {lr_scheduler_type: constant, warmup_ratio: 0}")
    assert none.decisions["training.warmup_ratio"].kind == "yours"
    assert "warmup-not-used" not in codes(none.problems)
    for kind in ("constant_with_warmup", "linear"):
        kept = plan_of(f"training: {{lr_scheduler_type: {kind}, warmup_ratio: 0.1}}")
        assert kept["training.warmup_ratio"] == 0.1 and "warmup-not-used" not in codes(kept.problems)


def test_a_shared_prefix_can_be_asked_for_and_refused(plan_of: PlanOf) -> None:
    for text, value in (("true", True), ("false", False)):
        decision = plan_of(f"shared_prefix: {text}").decisions["shared_prefix"]
        assert (decision.value, decision.reason) == (value, "you set it")
    assert plan_of("")["shared_prefix"] is True


def test_kinds_say_what_a_decision_rests_on(plan_of: PlanOf) -> None:
    decisions = plan_of("lora: {lora_dropout: 0}").decisions
    assert decisions["lora.lora_dropout"].kind == "yours"
    assert decisions["lora.target_modules"].kind == "measured"
    assert decisions["training.max_grad_norm"].kind == "conventional"
    assert decisions["training.max_steps"].kind == decisions["data.max_length"].kind == "computed"


def test_a_value_of_yours_that_the_doctrine_shares_is_said_so(plan_of: PlanOf) -> None:
    made = plan_of("lora: {target_modules: [v_proj, q_proj, k_proj, o_proj, mlp]}", "lora.r=16")
    for key in ("lora.target_modules", "lora.r"):
        left_out = plan_of("").decisions[key]
        told = f"you set it, as rankwise would: {left_out.reason.rstrip('.')} ({left_out.source})"
        assert made.decisions[key].reason.startswith(told)
    assert "rankwise" not in made.decisions["lora.target_modules"].alternatives


def test_a_value_that_is_the_default_anyway_is_said_so(plan_of: PlanOf) -> None:
    made = plan_of("doctrine: rankwise\ntraining: {seed: 0}")
    for key in ("doctrine", "training.seed"):
        assert made.decisions[key].reason == "you set it, as it would be if left out"
    assert plan_of("training: {seed: 1}").decisions["training.seed"].reason == "you set it"


@pytest.mark.parametrize("start", ["pissa", "olora"])
def test_a_start_from_the_bases_own_weights_has_a_tenth_of_the_rate(plan_of: PlanOf, start: str) -> None:
    plain, decomposed = plan_of(""), plan_of(f"lora: {{init_lora_weights: {start}}}")
    rate = decomposed.decisions["training.learning_rate"]
    assert rate.value == pytest.approx(plain["training.learning_rate"] / 10, rel=0.05)
    assert f"{start} trains parts of the base's own weights" in rate.reason


def test_the_learning_rate_goes_against_the_scale_of_the_update(plan_of: PlanOf) -> None:
    """5e-4 x (2000 / 32)^0.781 x sqrt(32 / 16) x 2 / (alpha / r), to two digits."""
    fit = 5e-4 * (2000 / 32) ** 0.781 * 2**0.5
    for text, scale in (
        ("r: 16", 2.0),
        ("r: 16, lora_alpha: 16", 1.0),
        ("r: 16, lora_alpha: 64", 4.0),
        ("r: 16, lora_alpha: 16, use_rslora: true", 4.0),
    ):
        made = plan_of(f"lora: {{{text}}}")
        assert made["training.learning_rate"] == pytest.approx(fit * 2 / scale, rel=0.05), text
        assert ("the last factor" in made.decisions["training.learning_rate"].reason) is (scale != 2)
        assert "against-advice" not in [p.code for p in made.problems if "so far away" in p.message]
    far = plan_of("lora: {r: 16, lora_alpha: 512}")
    assert [p for p in far.problems if p.code == "against-advice" and "so far away" in p.message]


# -- values of the user's against advice


def against(made: Plan) -> dict[str, Problem]:
    return {problem.where: problem for problem in made.problems if problem.code == "against-advice"}


def test_what_the_plan_chose_is_not_warned_about(plan_of: PlanOf) -> None:
    for doctrine in DOCTRINES:
        assert against(plan_of(f"doctrine: {doctrine}")) == {}, doctrine


@pytest.mark.parametrize(
    ("override", "sources"),
    [
        ("lora.target_modules=[q_proj, v_proj]", ["LoRA/QLoRA Doctrine, Common Pitfalls 1", "LoRA Best Practices"]),
        ("training.learning_rate=2e-5", ["LoRA/QLoRA Doctrine, Common Pitfalls 2", "LoRA Best Practices"]),
        ("lora.lora_alpha=4", ["LoRA Best Practices, Core Principles 1"]),
        ("training.per_device_train_batch_size=128", ["LoRA/QLoRA Doctrine, Batch Size Effects"]),
        ("training.gradient_accumulation_steps=8", ["LoRA/QLoRA Doctrine, Batch Size Effects"]),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_value_that_breaks_rules_is_warned_about_once_with_all_sources(
    plan_of: PlanOf, override: str, sources: list[str]
) -> None:
    made = plan_of("", override)
    [problem] = against(made).values()
    assert (problem.severity, problem.where) == ("warning", f"--set {override}")
    assert all(source in problem.message for source in sources), problem.message
    key = override.partition("=")[0]
    assert problem.message.startswith(f"{key}: ")
    assert made.decisions[key].kind == "yours"  # warned about, and kept


def test_a_warning_stands_at_the_line_of_the_value(plan_of: PlanOf) -> None:
    made = plan_of("lora:\n  r: 16\n  lora_alpha: 4\n")
    assert against(made).keys() == {"recipe.yaml:3"}


def test_what_the_plans_own_doctrine_would_set_is_but_noted(plan_of: PlanOf) -> None:
    made = plan_of("doctrine: peft-defaults", "lora.target_modules=[q_proj, v_proj]")
    [problem] = against(made).values()
    assert problem.severity == "note" and "peft-defaults would set it so" in problem.message
    [problem] = against(plan_of("doctrine: without-regret", "lora.target_modules=[q_proj, v_proj]")).values()
    assert problem.severity == "warning"


def test_sources_of_one_sentence_are_cited_together() -> None:
    said = [("too low", "A, 1"), ("too low", "B, 2"), ("odd", "A, 3"), ("too low", "A, 1")]
    broken = [Broken("lora.r", sentence, "", source, "stated") for sentence, source in said]
    assert cited_together(broken) == "too low (A, 1 and B, 2); odd (A, 3)"


# -- method


def test_the_method_is_chosen_by_the_documents_that_speak_of_it(plan_of: PlanOf) -> None:
    decision = plan_of("").decisions["method"]
    assert decision.value == "lora"
    assert "Low-Rank Adaptation (LoRA)" in decision.source and "The Correct Choice" in decision.source
    assert "training all would take" in decision.reason
    assert plan_of("doctrine: without-regret").decisions["method"].source.startswith("LoRA/QLoRA Doctrine")


def test_where_the_base_needs_four_bits_it_is_kept_so(plan_of: PlanOf, machine: Machine) -> None:
    tight = dataclasses.replace(machine, gpus=(Gpu("a GPU", 1 << 20),), versions={"torch": "2.13.0"})
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("rankwise.doctrine.working_notes.LARGE_BASE", 1)
        patch.setattr("rankwise.doctrine.working_notes.BYTES_IN_16_BITS", 1 << 10)
        made = plan_of("", machine=tight)
        own = plan_of("method: lora", machine=tight)
    assert "Low-Rank Adaptation (LoRA)" in made.decisions["method"].source
    assert (made["method"], made["quantization"]) == ("qlora", "nf4")
    assert (own["method"], own["quantization"]) == ("lora", "none")


def test_a_method_that_is_not_built_is_named_and_not_taken(plan_of: PlanOf, machine: Machine) -> None:
    many = dataclasses.replace(machine, gpus=(Gpu("a GPU", 80 << 30),) * 9, versions={"torch": "2.13.0"})
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("rankwise.doctrine.working_notes.BIG_ROWS", 30)
        patch.setattr(sys.modules["rankwise.plan.advise"], "METHODS_BUILT", ("lora",))
        made = plan_of("goal: new_ability", machine=many)
    assert made["method"] == "lora" and made.decisions["method"].alternatives["working-notes"] == "full"
    [problem] = [problem for problem in made.problems if problem.code == "method-not-built"]
    assert problem.severity == "note" and "would take method full" in problem.message


def test_the_goal_weighs_on_the_method(plan_of: PlanOf, machine: Machine) -> None:
    many = dataclasses.replace(machine, gpus=(Gpu("a GPU", 80 << 30),) * 9, versions={"torch": "2.13.0"})
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("rankwise.doctrine.working_notes.BIG_ROWS", 30)
        adapt = plan_of("", machine=many)
        able = plan_of("goal: new_ability", machine=many)
    assert adapt["method"] == "lora"
    assert able["method"] == "full" and "re-shape the whole model" in able.decisions["method"].reason


# -- targets


def test_the_guides_template_plans_as_it_stands(plan_of: PlanOf, tiny_anatomy: Anatomy) -> None:
    made = plan_of(TEMPLATE)
    assert made["lora.target_modules"] == SEVEN
    decision = made.decisions["lora.target_modules"]
    assert decision.source == "recipe.yaml:5" or decision.source == "recipe.yaml:6"
    assert "mlp = gate_proj, up_proj, down_proj" in decision.reason
    [absent] = [problem for problem in made.problems if problem.code == "absent-target"]
    assert absent.severity == "warning" and absent.where == decision.source
    assert absent.message.startswith("mlp_proj: no linear layer of this base, left out") and "q_proj" in absent.message
    values = [made[f"training.{key}"] for key in ("learning_rate", "weight_decay", "optim", "lr_scheduler_type")]
    assert values == [2e-4, 1e-5, "adamw_torch", "cosine"]
    assert made.trainable_parameters == 16 * 2 * (4 * 32 + 2 * (32 + 16) + 3 * (32 + 64))


@pytest.mark.parametrize("targets", ["[mlp_proj, c_attn]", "[nowhere]"])
def test_a_list_that_matches_nothing_is_an_error(plan_of: PlanOf, targets: str) -> None:
    problems = refused(plan_of, f"lora:\n  target_modules: {targets}")
    [problem] = [problem for problem in problems if problem.severity == "error"]
    assert (problem.code, problem.where) == ("no-target-matches", "recipe.yaml:2")
    assert "q_proj" in problem.message


def test_all_linear_is_every_projection_but_the_head(plan_of: PlanOf) -> None:
    assert plan_of("lora: {target_modules: all-linear}")["lora.target_modules"] == SEVEN


def test_bias_on_a_base_without_biases_is_warned_of(plan_of: PlanOf) -> None:
    made = plan_of("lora:\n  bias: lora_only")
    [problem] = [problem for problem in made.problems if problem.code == "bias-without-biases"]
    assert (problem.severity, problem.where) == ("warning", "recipe.yaml:2")
    assert made.trainable_parameters == plan_of("").trainable_parameters


def test_bias_where_there_are_biases_is_counted(plan_of: PlanOf, biased_base: Path) -> None:
    made = plan_of("lora: {bias: lora_only, target_modules: [q_proj, k_proj]}", base=biased_base)
    assert "bias-without-biases" not in codes(made.problems)
    plain = plan_of("lora: {target_modules: [q_proj, k_proj]}", base=biased_base)
    assert made.trainable_parameters - plain.trainable_parameters == 2 * (32 + 16)
    for mlp in ("lora_only", "all"):
        found = codes(plan_of(f"lora: {{bias: {mlp}, target_modules: [mlp]}}", base=biased_base).problems)
        assert ("bias-without-biases" in found) == (mlp == "lora_only")


# -- data and steps


def test_steps_are_epochs_over_rows_and_max_steps_overrides_them(plan_of: PlanOf) -> None:
    batch = "training: {per_device_train_batch_size: 3, gradient_accumulation_steps: 2, num_train_epochs: %s}"
    assert plan_of(batch % 1)["training.max_steps"] == 6  # 36 rows, 6 a step
    assert plan_of(batch % 1.1)["training.max_steps"] == 7
    assert plan_of(batch % 0.01)["training.max_steps"] == 1
    made = plan_of("", "training.max_steps=10", "training.per_device_train_batch_size=9")
    assert (made["training.max_steps"], made["training.num_train_epochs"]) == (10, 2.5)
    assert "epochs-overridden" not in codes(made.problems)
    both = plan_of("training: {max_steps: 10, num_train_epochs: 4}")
    assert "epochs-overridden" in codes(both.problems)


def test_evaluations_and_checkpoints_follow_the_steps(plan_of: PlanOf) -> None:
    made = plan_of("training: {max_steps: 50}")
    assert (made["training.eval_steps"], made["training.save_steps"]) == (10, 10)
    assert plan_of("training: {max_steps: 50, eval_steps: 7}")["training.save_steps"] == 7


def test_a_prompt_that_rows_cannot_use_is_said(plan_of: PlanOf, tmp_path: Path) -> None:
    rows = [{"instruction": "Sum up.", "input": f"clause {i}", "output": f"note {i}"} for i in range(8)]
    (tmp_path / "open.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    made = plan_of("data:\n  train: open.jsonl\n  instruction: Classify.")
    [problem] = [problem for problem in made.problems if problem.code == "instruction-not-used"]
    assert (problem.severity, problem.where) == ("warning", "recipe.yaml:3")
    assert made.decisions["data.instruction"].reason != "you set it"


def test_a_prompt_for_label_rows_is_used(plan_of: PlanOf) -> None:
    made = plan_of("data: {train: rows.jsonl, instruction: Sort it.}")
    assert (made["data.instruction"], made.decisions["data.instruction"].reason) == ("Sort it.", "you set it")
    assert plan_of("")["data.instruction"] == "Classify the text. Answer with one of: bad, good."


def test_an_open_domain_gives_way_to_label_rows(plan_of: PlanOf) -> None:
    from rankwise.recipe.domains import DOMAINS

    name = next(name for name, domain in DOMAINS.items() if domain.kind == "open")
    decision = plan_of(f"domain: {name}").decisions["data.instruction"]
    assert decision.value == "Classify the text. Answer with one of: bad, good."
    assert "your rows have labels" in decision.reason


# -- precision, memory, time


def measured(bfloat16: float) -> Measurement:
    return Measurement(
        machine="",
        base="",
        torch="",
        threads=1,
        train_tokens_per_second={"float32": 100.0, "bfloat16": bfloat16},
        forward_tokens_per_second={"float32": 300.0, "bfloat16": 300.0},
        load_seconds=1.0,
        measured_at="2026-01-01T00:00:00+00:00",
    )


@pytest.mark.parametrize(("speed", "chosen"), [(60.0, False), (105.0, False), (150.0, True)])
def test_bfloat16_only_where_it_was_measured_faster(plan_of: PlanOf, speed: float, chosen: bool) -> None:
    made = plan_of("", measured=measured(speed))
    assert made["training.bf16"] is chosen and made["threads"] == 2
    assert made.seconds is not None and made.seconds > 1
    assert plan_of("", "training.bf16=true", measured=measured(speed))["training.bf16"] is True


@pytest.mark.parametrize(("only", "chosen"), [("bfloat16", True), ("float32", False)])
def test_a_dtype_measured_alone_is_chosen(plan_of: PlanOf, only: str, chosen: bool) -> None:
    alone = dataclasses.replace(
        measured(105.0), train_tokens_per_second={only: 100.0}, forward_tokens_per_second={only: 300.0}
    )
    made = plan_of("", measured=alone)
    assert made["training.bf16"] is chosen and made.seconds is not None
    assert only in made.decisions["training.bf16"].reason
    other = plan_of("", f"training.bf16={'false' if chosen else 'true'}", measured=alone)
    assert other["training.bf16"] is not chosen and other.seconds is None


def test_without_a_measurement_no_time_is_claimed(plan_of: PlanOf) -> None:
    made = plan_of("")
    assert made.seconds is None and made["training.bf16"] is False


def test_memory_grows_with_the_batch_and_what_does_not_fit_is_a_warning(plan_of: PlanOf, machine: Machine) -> None:
    sizes = [plan_of("", f"training.per_device_train_batch_size={size}").memory_bytes for size in (1, 4, 16)]
    assert sizes == sorted(set(sizes))
    split = ("training.per_device_train_batch_size=4", "training.gradient_accumulation_steps=4")
    assert plan_of("", *split).memory_bytes == sizes[1]
    small = dataclasses.replace(machine, memory_bytes=sizes[0] - 1)
    assert "does-not-fit" in codes(plan_of("", machine=small).problems)
    assert "does-not-fit" not in codes(plan_of("").problems)


def test_a_gpu_counts_where_torch_can_use_it(plan_of: PlanOf, machine: Machine) -> None:
    small = Gpu("a GPU", 1 << 28)
    seen = dataclasses.replace(machine, gpus=(small,))
    usable = dataclasses.replace(seen, versions={"torch": "2.13.0"})
    assert plan_of("", machine=seen)["device"] == "cpu"
    on_gpu = plan_of("", machine=usable)
    assert on_gpu["device"] == "cuda" and "does-not-fit" in codes(on_gpu.problems)


def test_activations_are_computed_again_only_where_they_do_not_fit(plan_of: PlanOf, machine: Machine) -> None:
    key = "training.gradient_checkpointing"
    kept = plan_of("")
    assert kept[key] is False and "of 8.6 GB here" not in kept.decisions[key].reason.partition(",")[0]
    small = dataclasses.replace(machine, memory_bytes=1 << 20)
    again = plan_of("", machine=small)
    assert again[key] is True and "a third more time" in again.decisions[key].reason
    assert again.memory_bytes < kept.memory_bytes
    yours = plan_of("training: {gradient_checkpointing: false}", machine=small)
    assert yours[key] is False and yours.decisions[key].kind == "yours"


def test_a_goal_beside_a_method_is_said_to_change_nothing(plan_of: PlanOf) -> None:
    def codes(text: str) -> set[str]:
        return {problem.code for problem in plan_of(text).problems}

    assert "goal-unused" not in codes("goal: new_ability")
    assert "goal-unused" not in codes("method: lora")
    assert "goal-unused" in codes("goal: new_ability\nmethod: lora")
