"""Continuing from an adapter: it settles what it is made of, and the recipe must agree."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable
from pathlib import Path

import pytest

from rankwise.errors import AdapterError, RecipeError
from rankwise.facts import Anatomy, BaseIdentity, identify_base
from rankwise.files import read_json, write_json
from rankwise.plan import Continued, Plan, read_continued

Read = Callable[[], Continued]


@pytest.fixture(scope="module")
def made_elsewhere(tiny_base: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An adapter of PEFT's own making: r=4, alpha 12, on queries and the gate."""
    import torch
    from peft import LoraConfig, get_peft_model
    from transformers import AutoModelForCausalLM

    folder = tmp_path_factory.mktemp("adapters") / "elsewhere"
    targets = ["q_proj", "gate_proj"]
    config = LoraConfig(r=4, lora_alpha=12, lora_dropout=0.1, target_modules=targets, use_rslora=True)
    model = get_peft_model(AutoModelForCausalLM.from_pretrained(tiny_base), config)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if "lora_B" in name:
                parameter.fill_(0.01)
    model.save_pretrained(str(folder))
    return folder


@pytest.fixture
def adapter(made_elsewhere: Path, tmp_path: Path) -> Path:
    """A copy of it to change."""
    folder = tmp_path / "adapter"
    folder.mkdir()
    for name in ("adapter_config.json", "adapter_model.safetensors"):
        (folder / name).write_bytes((made_elsewhere / name).read_bytes())
    return folder


@pytest.fixture
def identity(tiny_base: Path) -> BaseIdentity:
    return identify_base(tiny_base)


@pytest.fixture
def read(adapter: Path, identity: BaseIdentity, tiny_anatomy: Anatomy) -> Read:
    return lambda: read_continued(adapter, identity, tiny_anatomy)


def test_the_adapter_decides_and_the_rest_follows(read: Read, plan_of: Callable[..., Plan], adapter: Path) -> None:
    made = plan_of("doctrine: best-practices", continued=read())
    values = {"r": 4, "lora_alpha": 12, "lora_dropout": 0.1, "bias": "none", "use_rslora": True}
    for key, value in values.items():
        decision = made.decisions[f"lora.{key}"]
        assert (decision.value, decision.source) == (value, "the adapter it continues from"), key
    assert set(made["lora.target_modules"]) == {"q_proj", "gate_proj"}  # type: ignore[arg-type]
    assert made["adapter"] == str(adapter)
    assert made.trainable_parameters == 4 * 2 * ((32 + 32) + (32 + 64))
    assert [problem.code for problem in made.problems if problem.code.startswith("adapter")] == ["adapter-base-unknown"]


def test_a_value_of_the_recipe_that_agrees_is_fine(read: Read, plan_of: Callable[..., Plan]) -> None:
    made = plan_of("lora: {r: 4, lora_alpha: 12.0, target_modules: [gate_proj, q_proj]}", continued=read())
    assert made["lora.r"] == 4


def test_every_value_that_disagrees_is_named_with_its_line(read: Read, plan_of: Callable[..., Plan]) -> None:
    recipe = "lora:\n  r: 8\n  lora_alpha: 12\n  target_modules: [mlp]\n  bias: all\n"
    with pytest.raises(RecipeError) as caught:
        plan_of(recipe, "lora.use_rslora=false", continued=read())
    found = {(p.code, p.where) for p in caught.value.problems if p.severity == "error"}
    places = {"recipe.yaml:2", "recipe.yaml:4", "recipe.yaml:5", "--set lora.use_rslora=false"}
    assert found == {("adapter-disagrees", place) for place in places}
    message = next(p.message for p in caught.value.problems if p.where == "recipe.yaml:2")
    assert "lora.r is 8 here and 4 in the adapter" in message


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("layers_pattern", ["layers"]),
        ("target_modules", ".*q_proj"),
        ("init_lora_weights", "pissa"),
        ("modules_to_save", ["lm_head"]),
    ],
)
def test_what_a_recipe_cannot_express_is_refused(read: Read, adapter: Path, key: str, value: object) -> None:
    config = read_json(adapter / "adapter_config.json")
    write_json(adapter / "adapter_config.json", config | {key: value})
    with pytest.raises(AdapterError) as caught:
        read()
    [problem] = [problem for problem in caught.value.problems if problem.severity == "error"]
    assert problem.code == "adapter-beyond-recipe" and key in problem.message


def test_ranks_alphas_and_layers_of_its_own_are_gone_on_with(
    read: Read, plan_of: Callable[..., Plan], adapter: Path
) -> None:
    config = read_json(adapter / "adapter_config.json")
    own = {"rank_pattern": {r".*\.gate_proj": 4, "q_proj": 4}, "r": 2, "alpha_pattern": {"q_proj": 3}}
    write_json(adapter / "adapter_config.json", config | own | {"layers_to_transform": [0, 1]})
    made = plan_of("lora: {layers_to_transform: [1, 0], alpha_pattern: {q_proj: 3.0}}", continued=read())
    assert made["lora.rank_pattern"] == own["rank_pattern"] and made["lora.r"] == 2
    assert (made["lora.alpha_pattern"], made["lora.layers_to_transform"]) == ({"q_proj": 3}, [0, 1])
    assert made.trainable_parameters == 4 * 2 * ((32 + 32) + (32 + 64))
    write_json(adapter / "adapter_config.json", config | {"layers_to_transform": 0})
    assert read().values["lora.layers_to_transform"] == [0]
    with pytest.raises(RecipeError) as caught:
        plan_of("lora:\n  layers_to_transform: [1]\n  rank_pattern: {q_proj: 4}\n", continued=read())
    found = {(p.code, p.where) for p in caught.value.problems if p.severity == "error"}
    assert found == {("adapter-disagrees", "recipe.yaml:2"), ("adapter-disagrees", "recipe.yaml:3")}


def test_another_architecture_is_refused(adapter: Path, identity: BaseIdentity, tiny_anatomy: Anatomy) -> None:
    other = dataclasses.replace(tiny_anatomy, modules=tiny_anatomy.modules[:1])
    with pytest.raises(AdapterError) as caught:
        read_continued(adapter, identity, other)
    assert "adapter-target" in {problem.code for problem in caught.value.problems}


def test_a_folder_without_an_adapter_is_refused(tmp_path: Path, identity: BaseIdentity, tiny_anatomy: Anatomy) -> None:
    (tmp_path / "adapter_config.json").write_text(json.dumps({"r": 4}))
    with pytest.raises(AdapterError):
        read_continued(tmp_path, identity, tiny_anatomy)
