"""Fresh adapters: what the seed decides, what is trainable, and that they begin as nothing."""

from __future__ import annotations

import hashlib
import warnings
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from rankwise.errors import AdapterError, PlanError
from rankwise.facts import read_anatomy
from rankwise.model.attach import (
    LoraSettings,
    attach_existing,
    attach_new,
    detach,
    own_biases,
    require_trainable,
)
from rankwise.model.load import load_base
from rankwise.model.packing import Packing

SETTINGS = LoraSettings(4, 8.0, 0.0, ["q_proj", "down_proj"], "none", False, True)
BaseOf = Callable[[str], Path]


def logits(model: torch.nn.Module) -> torch.Tensor:
    packing = Packing([9])
    with torch.no_grad():
        return model(input_ids=torch.arange(9)[None], position_ids=packing.positions(), packing=packing).logits


def saved(folder: Path, base: Path, seed: int, settings: LoraSettings = SETTINGS) -> str:
    attach_new(load_base(base, "float32", "cpu"), "tiny", settings, seed).save_pretrained(
        str(folder), save_embedding_layers=False
    )
    return hashlib.sha256((folder / "adapter_model.safetensors").read_bytes()).hexdigest()


@pytest.mark.parametrize("start", [True, "gaussian"])
def test_the_seed_decides_the_file(start: bool | str, base_of: BaseOf, tmp_path: Path) -> None:
    base, settings = base_of("llama"), replace(SETTINGS, init_lora_weights=start)
    first = saved(tmp_path / "a", base, 0, settings)
    torch.rand(7)  # what was drawn before does not matter
    assert saved(tmp_path / "b", base, 0, settings) == first
    assert saved(tmp_path / "c", base, 1, settings) != first


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
@pytest.mark.parametrize("bias", ["none", "lora_only", "all"])
def test_parameters_are_those_the_anatomy_counts(dtype: str, bias: str, base_of: BaseOf) -> None:
    base = base_of("qwen2")  # has biases on q, k, v
    model = attach_new(load_base(base, dtype, "cpu"), "tiny", replace(SETTINGS, bias=bias), 0)
    pairs = 3 * (4 * (32 + 32) + 4 * (48 + 32))
    expected = pairs + {"none": 0, "lora_only": 3 * 32, "all": 3 * (32 + 16 + 16)}[bias]
    assert read_anatomy(base).trainable_parameters(SETTINGS.target_modules, 4, bias) == expected
    require_trainable(model, expected)
    for off in (-1, 1):
        with pytest.raises(PlanError, match="nothing was trained"):
            require_trainable(model, expected + off)
    assert {p.dtype for name, p in model.named_parameters() if "lora_" in name} == {torch.float32}


def test_a_fresh_adapter_changes_nothing(base_of: BaseOf) -> None:
    base = load_base(base_of("gemma3"), "float32", "cpu")
    before = logits(base)
    assert torch.equal(logits(attach_new(base, "tiny", SETTINGS, 0)), before)


@pytest.mark.parametrize(("rslora", "scale"), [(False, 2.0), (True, 4.0)])
def test_the_scale_is_alpha_over_r_or_its_root(rslora: bool, scale: float, base_of: BaseOf) -> None:
    model = attach_new(load_base(base_of("llama"), "float32", "cpu"), "x", replace(SETTINGS, use_rslora=rslora), 0)
    layer = model.base_model.model.model.layers[0].self_attn.q_proj
    assert layer.scaling["default"] == pytest.approx(scale)


def test_what_was_saved_comes_back(base_of: BaseOf, tmp_path: Path) -> None:
    model = attach_new(load_base(base_of("llama"), "float32", "cpu"), "tiny", SETTINGS, 0)
    with torch.no_grad():
        for name, p in model.named_parameters():
            if "lora_B" in name:
                p.normal_(generator=torch.Generator().manual_seed(len(name)))
    model.save_pretrained(str(tmp_path), save_embedding_layers=False)
    for trainable in (False, True):
        again = attach_existing(load_base(base_of("llama"), "float32", "cpu"), tmp_path, trainable)
        assert torch.equal(logits(again), logits(model)) and not again.training
        assert any(p.requires_grad for p in again.parameters()) is trainable
    with pytest.raises(AdapterError, match="PEFT cannot load it on this base"):
        attach_existing(load_base(base_of("qwen3"), "float32", "cpu"), tmp_path, False)


def test_a_head_that_is_the_embeddings_is_adapted_without_a_word_of_pefts(tiny_base: Path, tmp_path: Path) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        settings = replace(SETTINGS, target_modules=["lm_head"])
        attach_new(load_base(tiny_base, "float32", "cpu"), "tiny", settings, 0).save_pretrained(
            str(tmp_path), save_embedding_layers=False
        )
        attach_existing(load_base(tiny_base, "float32", "cpu"), tmp_path, False)


@pytest.mark.parametrize(
    ("architecture", "names", "said"),
    [
        ("mixtral", ["q_proj", "w1", "w2", "w3"], r"w1, w2, w3: PEFT leaves these layers frozen"),
        ("mixtral", ["q_proj", "w1"], r"PEFT cannot adapt q_proj, w1: .*fused"),
        ("qwen3_moe", ["q_proj", "gate_proj", "up_proj"], r"gate_proj, up_proj: PEFT leaves these layers frozen"),
    ],
)
def test_names_that_peft_rewrites_are_not_trained_with(
    architecture: str, names: list[str], said: str, base_of: BaseOf
) -> None:
    with pytest.raises(PlanError, match=said):
        attach_new(
            load_base(base_of(architecture), "float32", "cpu"), "tiny", replace(SETTINGS, target_modules=names), 0
        )


def test_experts_that_stay_frozen_are_named(base_of: BaseOf) -> None:
    for name in ("mlp.experts.w1", "experts.gate_up"):
        settings = replace(SETTINGS, target_modules=["q_proj"], target_parameters=[name, "experts.down_proj"])
        with pytest.raises(PlanError, match=f"{name}: PEFT leaves these experts frozen"):
            attach_new(load_base(base_of("mixtral"), "float32", "cpu"), "tiny", settings, 0)


def test_a_count_that_is_not_the_planned_says_what_is_trainable(base_of: BaseOf) -> None:
    parameters = ["experts.down_proj", "experts.gate_up_proj"]
    settings = replace(SETTINGS, target_modules=["q_proj"], target_parameters=parameters, rank_per_expert=1)
    model = attach_new(load_base(base_of("mixtral"), "float32", "cpu"), "tiny", settings, 0)
    q, experts = 3 * 4 * (32 + 32), 3 * 4 * ((32 + 96) + (48 + 32))
    require_trainable(model, q + experts)
    with pytest.raises(PlanError, match=rf"\(mlp.experts {experts:,}, self_attn.q_proj {q:,}\); nothing was trained"):
        require_trainable(model, q)


@pytest.mark.parametrize("bias", ["none", "lora_only"])
def test_an_adapter_taken_off_leaves_the_base_as_it_was(bias: str, base_of: BaseOf) -> None:
    """To the bit; and the next adapter from one seed is the one that a fresh base would get."""
    base, settings = load_base(base_of("qwen2"), "float32", "cpu"), replace(SETTINGS, target_modules=["q_proj"])
    settings = replace(settings, bias=bias)
    biases, before = own_biases(base), {name: p.clone() for name, p in base.named_parameters()}
    assert biases
    expected = logits(base)
    adapted = attach_new(base, "base", settings, 7)
    first = {name: p.detach().clone() for name, p in adapted.named_parameters() if p.requires_grad}
    with torch.no_grad():
        for p in adapted.parameters():
            if p.requires_grad:
                p.add_(0.1)
    base = detach(adapted, biases)
    assert [name for name, _ in base.named_parameters()] == list(before)
    assert all(torch.equal(p, before[name]) and not p.requires_grad for name, p in base.named_parameters())
    assert torch.equal(logits(base), expected)
    again = {name: p for name, p in attach_new(base, "base", settings, 7).named_parameters() if p.requires_grad}
    assert again.keys() == first.keys() and all(torch.equal(again[name], p) for name, p in first.items())
