"""An adapter opens on its own base, and on no other."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from rankwise.errors import AdapterError
from rankwise.model.attach import LoraSettings, attach_new
from rankwise.model.load import load_base
from rankwise.model.open import open_adapter
from rankwise.model.packing import Packing

BaseOf = Callable[[str], Path]


def logits(model: torch.nn.Module) -> torch.Tensor:
    packing = Packing([9])
    with torch.no_grad():
        return model(input_ids=torch.arange(9)[None], position_ids=packing.positions(), packing=packing).logits


@pytest.fixture
def adapter(base_of: BaseOf, tmp_path: Path) -> Path:
    """Random matrices and changed biases on the Qwen2 base."""
    settings = LoraSettings(4, 8.0, 0.0, ["q_proj", "down_proj"], "all", False, True)
    model = attach_new(load_base(base_of("qwen2"), "float32", "cpu"), "tiny", settings, 0)
    with torch.no_grad():
        for p in model.parameters():
            if p.requires_grad:
                p.normal_()
    model.save_pretrained(str(tmp_path / "adapter"), save_embedding_layers=False)
    return tmp_path / "adapter"


def test_with_and_without_the_adapter(adapter: Path, base_of: BaseOf) -> None:
    opened = open_adapter(adapter, base_of("qwen2"), "float32", "cpu")
    assert opened.max_length == 512 and not opened.model.training
    adapted, base = logits(opened.model), logits(load_base(base_of("qwen2"), "float32", "cpu"))
    assert float((adapted - base).abs().max()) > 0.1
    with opened.base_alone():  # its biases, too, are the base's own again
        assert torch.equal(logits(opened.model), base)
    assert torch.equal(logits(opened.model), adapted)
    assert opened.renderer.decode(opened.renderer.encode("rent")) == "rent"


def test_another_base_is_refused_with_every_misfit(adapter: Path, base_of: BaseOf) -> None:
    with pytest.raises(AdapterError, match="do not fit"):
        open_adapter(adapter, base_of("qwen3"), "float32", "cpu")


def test_values_that_are_not_finite_are_refused(adapter: Path, base_of: BaseOf) -> None:
    file = adapter / "adapter_model.safetensors"
    weights = load_file(file)
    next(iter(weights.values())).view(-1)[0] = float("nan")
    save_file(weights, file, metadata={"format": "pt"})
    with pytest.raises(AdapterError, match="NaN"):
        open_adapter(adapter, base_of("qwen2"), "float32", "cpu")


def test_a_torn_file_is_refused(adapter: Path, base_of: BaseOf) -> None:
    file = adapter / "adapter_model.safetensors"
    file.write_bytes(file.read_bytes()[:-10])
    with pytest.raises(AdapterError):
        open_adapter(adapter, base_of("qwen2"), "float32", "cpu")
    shutil.rmtree(adapter)
    with pytest.raises(AdapterError):
        open_adapter(adapter, base_of("qwen2"), "float32", "cpu")
