"""Every method on every kind of base, by every objective: it plans and is built as planned, or is refused with what to
do; nothing else is ever raised."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import product
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

pytest.importorskip("trl")

from rankwise import api
from rankwise.errors import RankwiseError
from rankwise.events import ignore
from rankwise.facts import identify_base, read_machine
from rankwise.plan import Plan, advise, prepare
from rankwise.plan.prepare import Prepared
from rankwise.recipe import parse_recipe
from rankwise.train.opened import open_model
from rankwise.train.settings import BaseFolder, read_plan
from tests.train.test_experts import EXPERTS, make_mixture

METHODS = ("lora", "qlora", "dora", "adalora", "prefix", "full", "prompt", "classifier")
BASES = ("causal", "encoder", "encoder of lists", "encoder-decoder", "experts")
OBJECTIVES = ("sft", "dpo", "grpo")
QUANTIZATIONS = ("auto", "none", "nf4", "int8")
STEPLESS = ("prompt", "classifier")
VARIED = (
    "lora: {use_rslora: true}",
    *(f"lora: {{init_lora_weights: {start}}}" for start in ("true", "gaussian", "pissa", "olora")),
    f"lora: {{target_parameters: [{', '.join(EXPERTS)}]}}",
    "lora: {lora_dropout: 0.1}",
    "lora: {bias: all}",
    "lora: {target_modules: [lm_head]}",
    "lora: {layers_to_transform: [0]}",
    "lora: {rank_pattern: {down_proj: 4}}",
    "prefix: {num_virtual_tokens: 4}",
    "prompt: {num_examples: 2}",
    "training: {loraplus_lr_ratio: 4}",
    "training: {bf16: true}",
    "training: {gradient_checkpointing: true}",
    "problem_type: multi_label_classification",
    "serving: {target: vllm}",
    "dpo: {beta: 0.2}",
    "grpo: {num_generations: 4}",
)
"""One at a time beside each method and base."""
BUILT = {
    "causal": set(METHODS),
    "experts": set(METHODS) - {"dora", "adalora"},  # PEFT has neither for fused experts, which are adapted by default
    "encoder": {"lora", "qlora", "dora", "classifier"},
    "encoder of lists": {"lora", "qlora", "dora"},
    "encoder-decoder": {"lora", "dora"},
}
"""Base -> methods that train on it by sft with the default plan; elsewhere they are refused."""


@dataclass(frozen=True)
class World:
    """Bases and rows of every kind, in one folder."""

    folder: Path
    bases: dict[str, Path]

    def recipe(self, base: str, method: str, objective: str, *more: str) -> str:
        rows = "preferences" if objective == "dpo" else "lists" if base == "encoder of lists" else "labels"
        lines = [f"model: {self.bases[base]}", f"method: {method}", f"objective: {objective}"]
        return "\n".join([*lines, f"data: {{train: {rows}.jsonl}}", *more, ""])

    def planned(self, text: str) -> tuple[Plan, Prepared] | None:
        """None: refused, by an error that is the user's to mend; any other is the test's failure."""
        try:
            asked = parse_recipe(text, "recipe.yaml", self.folder)
            prepared = prepare(asked, ignore, to_train=True)
            return advise(asked, prepared, read_machine(), None), prepared
        except RankwiseError as fault:
            assert fault.problems, text
            for problem in fault.problems:
                assert problem.code and len(problem.message) > 20, text
            return None


@pytest.fixture(scope="module")
def world(
    tiny_base: Path,
    encoder_of: Callable[[str], Path],
    encoder_decoder_of: Callable[[str], Path],
    tmp_path_factory: pytest.TempPathFactory,
) -> World:
    folder = tmp_path_factory.mktemp("combinations")
    kinds = ("good", "bad")
    rows: dict[str, list[dict[str, object]]] = {
        "labels": [{"text": f"revenue {kinds[i % 2]} in month {i}", "label": kinds[i % 2]} for i in range(24)],
        "lists": [{"text": f"revenue {i}", "label": list(kinds[: i % 3])} for i in range(24)],
        "preferences": [{"prompt": f"rent in month {i}", "chosen": "yes", "rejected": f"no {i}"} for i in range(24)],
    }
    for name, made in rows.items():
        (folder / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in made))
    encoder = encoder_of("bert")
    bases = {
        "causal": tiny_base,
        "encoder": encoder,
        "encoder of lists": encoder,
        "encoder-decoder": encoder_decoder_of("t5"),
        "experts": make_mixture("qwen3_moe", tiny_base, folder / "mixture", seed=0),
    }
    return World(folder, bases)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("base", BASES)
def test_it_plans_or_says_what_to_do(world: World, base: str, method: str) -> None:
    for objective, quantization, shared in product(OBJECTIVES, QUANTIZATIONS, ("auto", "true")):
        more = (f"quantization: {quantization}", f"shared_prefix: {shared}")
        made = world.planned(world.recipe(base, method, objective, *more))
        if made is not None and quantization != "auto":
            assert made[0].decisions["quantization"].value == quantization  # never accepted and then ignored
    for more in VARIED:
        for objective in OBJECTIVES:
            world.planned(world.recipe(base, method, objective, more))


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("base", BASES)
def test_what_trains_is_known(world: World, base: str, method: str) -> None:
    more = ("training: {max_steps: 20}",) if method == "adalora" else ()
    assert (world.planned(world.recipe(base, method, "sft", *more)) is not None) is (method in BUILT[base])


@pytest.mark.parametrize("method", ["dora", "adalora"])
def test_beside_experts_that_stay_frozen(world: World, method: str) -> None:
    more = ("lora: {target_modules: [q_proj, o_proj], target_parameters: null}", "training: {max_steps: 20}")
    assert world.planned(world.recipe("experts", method, "sft", *more)) is not None


def _representatives() -> Iterator[tuple[str, str, str]]:
    for base, method, objective in product(BASES, METHODS, OBJECTIVES):
        if method not in STEPLESS and not (objective != "sft" and base != "causal"):
            yield base, method, objective


@pytest.mark.parametrize(("base", "method", "objective"), list(_representatives()))
def test_what_is_planned_is_built(world: World, base: str, method: str, objective: str) -> None:
    """Opening a model compares what is trainable with the plan, and raises where they differ."""
    text = world.recipe(base, method, objective, "training: {max_steps: 20}")
    found = world.planned(text)
    if found is None:
        pytest.skip("refused")
    made, prepared = found
    folder = BaseFolder(prepared.located.name, prepared.path, identify_base(prepared.path))
    model = open_model(read_plan(made, prepared.corpus), made, folder)
    assert sum(p.numel() for p in model.parameters() if p.requires_grad) == made.trainable_parameters


LEAVES = st.fixed_dictionaries(
    {},
    optional={
        "method": st.sampled_from(METHODS),
        "objective": st.sampled_from(OBJECTIVES),
        "quantization": st.sampled_from(QUANTIZATIONS),
        "shared_prefix": st.sampled_from(("auto", "true", "false")),
        "goal": st.sampled_from(("adapt", "new_ability")),
        "lora": st.sampled_from(("{r: 4}", "{r: 400}", "{use_rslora: true, init_lora_weights: olora}", "{bias: all}")),
        "training": st.sampled_from(("{bf16: false}", "{max_steps: 3}", "{max_steps: 20, learning_rate: 1}")),
        "prefix": st.sampled_from(("{num_virtual_tokens: 3}", "{prefix_projection: true}")),
        "prompt": st.sampled_from(("{num_examples: 1}", "{num_examples: 99}")),
    },
)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(base=st.sampled_from(BASES), said=LEAVES)
def test_whatever_goes_together(world: World, base: str, said: dict[str, str]) -> None:
    given_ = [f"{key}: {value}" for key, value in said.items() if key not in ("method", "objective")]
    world.planned(world.recipe(base, said.get("method", "auto"), said.get("objective", "sft"), *given_))


def test_check_says_the_same_without_raising(world: World) -> None:
    for base, method in product(BASES, METHODS):
        text = world.recipe(base, method, "sft")
        found = api.check(parse_recipe(text, "recipe.yaml", world.folder))
        refused = any(problem.severity == "error" for problem in found.problems)
        assert refused is (world.planned(text) is None), (base, method)
