"""PiSSA and OLoRA: what is written is a plain adapter on the untouched base."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from math import sqrt
from pathlib import Path

import pytest
import torch

from rankwise.errors import RunError
from rankwise.facts import identify_base, read_adapter, read_anatomy, verify_adapter
from rankwise.model.attach import LoraSettings, attach_existing, attach_new
from rankwise.model.load import load_base
from rankwise.model.packing import Packing
from rankwise.model.start import keep_start, start_of, subtract_start

SETTINGS = LoraSettings(4, 8.0, 0.0, ["q_proj", "down_proj"], "none", False, True)
BaseOf = Callable[[str], Path]


def logits(model: torch.nn.Module) -> torch.Tensor:
    packing = Packing([9])
    with torch.no_grad():
        return model(input_ids=torch.arange(9)[None], position_ids=packing.positions(), packing=packing).logits


@pytest.mark.parametrize("start", ["pissa", "olora"])
@pytest.mark.parametrize("rslora", [False, True])
def test_the_saved_adapter_is_a_plain_one_on_the_untouched_base(
    start: str, rslora: bool, base_of: BaseOf, tmp_path: Path
) -> None:
    base = base_of("llama")
    untouched = load_base(base, "float32", "cpu")
    own = logits(untouched)
    settings = replace(SETTINGS, init_lora_weights=start, use_rslora=rslora)
    model = attach_new(load_base(base, "float32", "cpu"), "tiny", settings, 0)
    torch.testing.assert_close(logits(model), own, rtol=1e-4, atol=1e-4)  # it begins as the base
    weight = "model.layers.0.self_attn.q_proj"
    changed = model.get_base_model().get_submodule(weight).base_layer.weight
    assert float((changed - untouched.get_submodule(weight).weight).norm()) > 0.1  # which itself was changed
    begun = start_of(model)
    assert len(begun) == 2 * 2 * 3
    with torch.no_grad():
        for p in model.parameters():
            if p.requires_grad:
                p.add_(0.1 * torch.randn_like(p))
    trained = logits(model)
    assert float((trained - own).abs().max()) > 0.05
    model.save_pretrained(str(tmp_path), save_embedding_layers=False)
    subtract_start(tmp_path, begun)
    config = json.loads((tmp_path / "adapter_config.json").read_text())
    assert config["r"] == 8 and config["init_lora_weights"] is True
    assert config["lora_alpha"] == pytest.approx(8 * (sqrt(2) if rslora else 2))
    problems = verify_adapter(tmp_path, identify_base(base), read_anatomy(base))
    assert [p.code for p in problems] == ["adapter-base-unknown"] and read_adapter(tmp_path).r == 8
    torch.testing.assert_close(logits(attach_existing(untouched, tmp_path, False)), trained, rtol=1e-4, atol=1e-4)


def test_ranks_and_alphas_by_pattern_double_as_the_rest_does(base_of: BaseOf, tmp_path: Path) -> None:
    untouched = load_base(base_of("llama"), "float32", "cpu")
    ranks, alphas = {"q_proj": 2}, {r".*\.0\..*": 3.0}
    settings = replace(SETTINGS, init_lora_weights="pissa", rank_pattern=ranks, alpha_pattern=alphas, use_rslora=True)
    model = attach_new(load_base(base_of("llama"), "float32", "cpu"), "tiny", settings, 0)
    begun = start_of(model)
    with torch.no_grad():
        for p in model.parameters():
            if p.requires_grad:
                p.add_(0.1 * torch.randn_like(p))
    trained = logits(model)
    model.save_pretrained(str(tmp_path), save_embedding_layers=False)
    subtract_start(tmp_path, begun)
    assert sorted({pair.r for pair in read_adapter(tmp_path).pairs.values()}) == [4, 8]
    torch.testing.assert_close(logits(attach_existing(untouched, tmp_path, False)), trained, rtol=1e-4, atol=1e-4)


def test_a_run_goes_on_from_the_start_it_began_with_alone(base_of: BaseOf, tmp_path: Path) -> None:
    settings, file = replace(SETTINGS, init_lora_weights="pissa"), tmp_path / "start.safetensors"
    begun = start_of(attach_new(load_base(base_of("llama"), "float32", "cpu"), "tiny", settings, 0))
    keep_start(file, begun, resume=False)
    again = start_of(attach_new(load_base(base_of("llama"), "float32", "cpu"), "tiny", settings, 0))
    keep_start(file, again, resume=True)  # the seed decides it
    name = next(iter(again))
    again[name] = again[name] + 1e-6
    with pytest.raises(RunError, match="resume it where it began"):
        keep_start(file, again, resume=True)
