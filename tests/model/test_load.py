"""A base that cannot be loaded whole, put where it is wanted, or run on packed rows is refused."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import LlamaForCausalLM

from rankwise.errors import BaseError
from rankwise.model.load import load_base

BaseOf = Callable[[str], Path]
Weights = dict[str, torch.Tensor]


def changed(base: Path, folder: Path, change: Callable[[Weights], None]) -> Path:
    """A copy of `base` in `folder` with other weights."""
    shutil.copytree(base, folder)
    weights = load_file(folder / "model.safetensors")
    change(weights)
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    return folder


def drop(name: str) -> Callable[[Weights], None]:
    def change(weights: Weights) -> None:
        del weights[name]

    return change


def test_a_missing_weight_is_named(base_of: BaseOf, tmp_path: Path) -> None:
    name = "model.layers.1.mlp.up_proj.weight"
    folder = changed(base_of("qwen2"), tmp_path / "base", drop(name))
    with pytest.raises(BaseError, match=rf"lack 1 of its weights \({name}\)"):
        load_base(folder, "float32", "cpu")


def test_of_many_missing_weights_a_few_are_named(base_of: BaseOf, tmp_path: Path) -> None:
    def change(weights: Weights) -> None:
        for name in [name for name in weights if ".layers.2." in name]:
            del weights[name]

    folder = changed(base_of("llama"), tmp_path / "base", change)
    with pytest.raises(BaseError, match=r"lack 9 of its weights \(.*layernorm\.weight, .* and 6 more\)"):
        load_base(folder, "float32", "cpu")


def test_a_tied_head_is_not_missing_and_an_untied_one_is(base_of: BaseOf, tmp_path: Path) -> None:
    assert "lm_head.weight" not in load_file(base_of("llama") / "model.safetensors")
    load_base(base_of("llama"), "float32", "cpu")
    folder = changed(base_of("qwen2"), tmp_path / "base", drop("lm_head.weight"))
    with pytest.raises(BaseError, match=r"lack 1 of its weights \(lm_head\.weight\)"):
        load_base(folder, "float32", "cpu")


def test_a_weight_of_another_shape_is_refused(base_of: BaseOf, tmp_path: Path) -> None:
    def change(weights: Weights) -> None:
        weights["model.norm.weight"] = torch.ones(5)

    with pytest.raises(BaseError, match="cannot be loaded"):
        load_base(changed(base_of("llama"), tmp_path / "base", change), "float32", "cpu")


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU here")
def test_a_device_that_is_not_there_is_refused_with_advice(base_of: BaseOf) -> None:
    with pytest.raises(BaseError, match=r"cannot be put on cuda: .*CUDA_VISIBLE_DEVICES=-1"):
        load_base(base_of("llama"), "float32", "cuda")


def test_a_model_that_gives_all_logits_is_refused(base_of: BaseOf, monkeypatch: pytest.MonkeyPatch) -> None:
    forward = LlamaForCausalLM.forward

    def deaf(model: LlamaForCausalLM, logits_to_keep: object = None, **rest: object) -> object:
        return forward(model, **rest)

    monkeypatch.setattr(LlamaForCausalLM, "forward", deaf)
    with pytest.raises(BaseError, match="gives 19 logits where 12 were asked for"):
        load_base(base_of("llama"), "float32", "cpu")
