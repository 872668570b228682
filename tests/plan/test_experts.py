"""Fused experts in a plan: when they are adapted, with which rank, and what cannot go with that."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from rankwise.errors import Problem, RecipeError
from rankwise.facts import identify_base, read_anatomy
from rankwise.plan import Plan, read_continued

PlanOf = Callable[..., Plan]
EXPERTS = ["mlp.experts.gate_up_proj", "mlp.experts.down_proj"]
ATTENTION = 2 * (2 * (32 + 32) + 2 * (32 + 16))
A_RANK = 2 * 4 * ((32 + 2 * 24) + (24 + 32))
"""In + out of all experts: two layers of four, fused gate and up, and down."""


@pytest.fixture(scope="session")
def mixture(tiny_base: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The config of a tiny Qwen3-MoE of four experts, two of them active, with the tiny base's tokenizer."""
    folder = tmp_path_factory.mktemp("bases") / "mixture"
    shutil.copytree(tiny_base, folder, ignore=shutil.ignore_patterns("*.safetensors"))
    own = json.loads((folder / "config.json").read_text())
    config = {
        **{"architectures": ["Qwen3MoeForCausalLM"], "model_type": "qwen3_moe", "vocab_size": own["vocab_size"]},
        **{"hidden_size": 32, "intermediate_size": 48, "moe_intermediate_size": 24, "num_hidden_layers": 2},
        **{"num_attention_heads": 4, "num_key_value_heads": 2, "head_dim": 8, "num_experts": 4},
        **{"num_experts_per_tok": 2, "max_position_embeddings": 2048, "tie_word_embeddings": True},
    }
    (folder / "config.json").write_text(json.dumps(config))
    return folder


@pytest.fixture
def plan(plan_of: PlanOf, mixture: Path) -> PlanOf:
    return lambda text="", *overrides, **options: plan_of(text, *overrides, base=mixture, **options)


def errors(plan: PlanOf, text: str, *overrides: str) -> list[Problem]:
    with pytest.raises(RecipeError) as caught:
        plan(text, *overrides)
    return [problem for problem in caught.value.problems if problem.severity == "error"]


def test_where_all_layers_are_asked_for_the_experts_are_adapted_too(plan: PlanOf) -> None:
    made = plan("lora: {r: 6}")
    assert made["lora.target_modules"] == ["q_proj", "k_proj", "v_proj", "o_proj"]
    assert made["lora.target_parameters"] == EXPERTS
    assert made["lora.rank_per_expert"] == 3  # 6 / 2 active
    assert made.trainable_parameters == 6 * ATTENTION + 3 * A_RANK
    assert made.capacity.capacity_bits == 2 * made.trainable_parameters
    assert "unreachable-target" not in {problem.code for problem in made.problems}
    reason = made.decisions["lora.target_modules"].reason
    assert "gate_proj = mlp.experts.gate_up_proj" in reason and "down_proj = mlp.experts.down_proj" in reason
    assert plan("lora: {r: 1}")["lora.rank_per_expert"] == 1


@pytest.mark.parametrize("names", ["all-linear", "[mlp, q_proj]", "[q_proj, experts]", "[q_proj, up_proj, down_proj]"])
def test_names_of_a_container_or_a_part_mean_the_experts(names: str, plan: PlanOf) -> None:
    made = plan(f"lora: {{r: 2, target_modules: {names}}}")
    assert sorted(made["lora.target_parameters"]) == sorted(EXPERTS)  # type: ignore[arg-type,type-var]


def test_experts_alone_can_be_adapted(plan: PlanOf) -> None:
    made = plan("lora: {r: 2, target_modules: [mlp]}")
    assert made["lora.target_modules"] == [] and made.trainable_parameters == A_RANK


def test_where_attention_alone_is_asked_for_they_are_left_alone(plan: PlanOf) -> None:
    made = plan("lora: {r: 2, target_modules: [attention]}")
    assert (made["lora.target_parameters"], made["lora.rank_per_expert"]) == (None, None)
    assert made.trainable_parameters == 2 * ATTENTION
    assert "experts-frozen" not in {problem.code for problem in made.problems}


def test_the_users_own_word_counts(plan: PlanOf) -> None:
    made = plan("lora: {r: 4, target_parameters: [experts.down_proj], rank_per_expert: 5}")
    assert made["lora.target_parameters"] == ["experts.down_proj"]
    assert made.trainable_parameters == 4 * ATTENTION + 5 * 2 * 4 * (24 + 32)
    without = plan("lora: {r: 4, target_parameters: null, rank_per_expert: 2}")
    assert without["lora.target_parameters"] is None and without.trainable_parameters == 4 * ATTENTION
    found = {problem.code: problem.severity for problem in without.problems}
    assert (found["experts-frozen"], found["rank-not-used"]) == ("note", "warning")


def test_the_rank_per_expert_is_the_doctrines(plan: PlanOf) -> None:
    made = plan("doctrine: without-regret\nlora: {r: 8}")
    assert made["lora.rank_per_expert"] == 4
    assert "MoE Model Handling" in made.decisions["lora.rank_per_expert"].source
    assert "advice-not-built" not in {problem.code for problem in made.problems}


def test_a_pattern_may_give_experts_another_rank(plan: PlanOf) -> None:
    made = plan("lora: {r: 2, target_modules: [mlp], rank_pattern: {'experts.down_proj': 7}}")
    assert made.trainable_parameters == 2 * 4 * ((32 + 2 * 24) * 1 + (24 + 32) * 7)


def test_some_layers_are_named_in_full(plan: PlanOf) -> None:
    made = plan("lora: {r: 2, layers_to_transform: [1]}")
    assert made["lora.target_parameters"] == [
        "layers.1.mlp.experts.gate_up_proj",
        "layers.1.mlp.experts.down_proj",
    ]
    assert made.trainable_parameters == (2 * ATTENTION + A_RANK) // 2


def test_dropout_that_the_plan_chose_is_left_out_with_the_reason(plan: PlanOf) -> None:
    made = plan("doctrine: best-practices")
    decision = made.decisions["lora.lora_dropout"]
    assert decision.value == 0.0 and "PEFT has no dropout on fused experts; else 0.05" in decision.reason
    attention = plan("doctrine: best-practices\nlora: {target_modules: [attention]}")
    assert attention["lora.lora_dropout"] == 0.05


@pytest.mark.parametrize(
    ("text", "where"),
    [
        ("lora:\n  lora_dropout: 0.1\n", "recipe.yaml:2"),
        ("method: dora\n", "recipe.yaml:1"),
        ("lora:\n  r: 4\n  init_lora_weights: pissa\n", "recipe.yaml:3"),
        ("method: dora\nlora: {target_parameters: [experts.down_proj]}\n", "recipe.yaml:1"),
    ],
)
def test_what_peft_refuses_on_experts_is_an_error_where_it_was_asked_for(text: str, where: str, plan: PlanOf) -> None:
    [problem] = errors(plan, text)
    assert (problem.code, problem.where) == ("not-on-experts", where)
    assert "lora.target_parameters: null" in problem.message
    plan(text.replace("lora: {target_parameters: [experts.down_proj]}\n", ""), "lora.target_parameters=null")


def test_a_name_of_no_experts_is_an_error_with_the_nearest(plan: PlanOf, plan_of: PlanOf) -> None:
    [problem] = errors(plan, "lora:\n  target_parameters: [mlp.experts.down_proj, mlp.experts.gateup_proj]\n")
    assert (problem.code, problem.where) == ("no-such-experts", "recipe.yaml:2")
    assert "did you mean mlp.experts.gate_up_proj?" in problem.message
    [problem] = errors(plan_of, "lora: {target_parameters: [mlp.experts.down_proj]}")
    assert problem.code == "no-experts"


def test_weights_that_peft_makes_anew_are_in_the_memory(plan: PlanOf) -> None:
    kept, again = (plan("lora: {r: 2}", f"training.gradient_checkpointing={word}") for word in ("false", "true"))
    without = plan("lora: {r: 2, target_parameters: null}", "training.gradient_checkpointing=false")
    assert kept.memory is not None and again.memory is not None and without.memory is not None
    a_layer = 4 * (32 * 2 * 24 + 24 * 32) * 4
    assert kept.memory.training.activations - without.memory.training.activations == (2 + 1) * a_layer
    assert kept.memory.evaluation - without.memory.evaluation - kept.memory.training.adapter == (
        a_layer - without.memory.training.adapter
    )
    assert again.memory.training.activations < kept.memory.training.activations


def test_dense_layers_beside_experts_are_said_to_stay_frozen(plan_of: PlanOf, mixture: Path, tmp_path: Path) -> None:
    """PEFT takes their names for the experts', so that none of them reaches a dense layer."""
    folder = tmp_path / "mixed"
    shutil.copytree(mixture, folder)
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"mlp_only_layers": [0]}))
    assert [m.path for m in read_anatomy(folder).modules if m.taken][:1] == ["model.layers.0.mlp.gate_proj"]
    made = plan_of("lora: {r: 2}", base=folder)
    [problem] = [problem for problem in made.problems if problem.code == "taken-for-experts"]
    assert "gate_proj, up_proj, down_proj" in problem.message
    assert made.trainable_parameters == 2 * ATTENTION + A_RANK // 2


@pytest.mark.filterwarnings("ignore")
def test_an_adapter_of_experts_can_be_gone_on_with(
    plan: PlanOf, mixture: Path, tiny_base: Path, tmp_path: Path
) -> None:
    import torch
    from peft import LoraConfig, get_peft_model
    from transformers import AutoConfig, AutoModelForCausalLM

    ranks = {"down_proj": 3, **dict.fromkeys(EXPERTS, 2)}
    config = LoraConfig(r=4, target_modules=["q_proj"], target_parameters=EXPERTS, rank_pattern=ranks)
    model = get_peft_model(AutoModelForCausalLM.from_config(AutoConfig.from_pretrained(mixture)), config)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if "lora_B" in name:
                parameter.fill_(0.01)
    model.save_pretrained(str(tmp_path / "adapter"))
    continued = read_continued(tmp_path / "adapter", identify_base(tiny_base), read_anatomy(mixture))
    made = plan("lora: {target_parameters: [experts.gate_up_proj, experts.down_proj]}", continued=continued)
    assert made["lora.target_parameters"] == sorted(EXPERTS)
    assert (made["lora.rank_per_expert"], made["lora.rank_pattern"]) == (2, {"down_proj": 3})
    trainable = sum(p.numel() for p in model.parameters() if p.requires_grad)
    assert made.trainable_parameters == trainable == 2 * (4 * 64 + 4 * (2 * (32 + 48) + 3 * (24 + 32)))
    with pytest.raises(RecipeError) as caught:
        plan("lora: {target_parameters: [experts.down_proj]}", continued=continued)
    assert [p.code for p in caught.value.problems if p.severity == "error"] == ["adapter-disagrees"]
