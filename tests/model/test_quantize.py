"""Quantised bases: every layer is the product with its dequantised weight, for all who ask."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from peft import PeftModel
from torch.nn import functional as F
from transformers import AutoModelForCausalLM, BitsAndBytesConfig, PreTrainedModel

from rankwise.errors import BaseError
from rankwise.model.attach import LoraSettings, attach_new
from rankwise.model.load import load_base
from rankwise.model.packing import Packing
from rankwise.model.quantize import dense_weight, is_quantized

SETTINGS = LoraSettings(4, 8.0, 0.0, ["q_proj", "gate_proj", "down_proj"], "none", False, False)
BaseOf = Callable[[str], Path]
KINDS = ("nf4", "int8")


@pytest.fixture(params=KINDS)
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def quantized_layers(model: torch.nn.Module) -> dict[str, torch.nn.Module]:
    return {name: module for name, module in model.named_modules() if is_quantized(module)}


def logits(model: torch.nn.Module, ids: list[int]) -> torch.Tensor:
    packing = Packing([len(ids)])
    return model(input_ids=torch.tensor([ids]), position_ids=packing.positions(), packing=packing).logits[0]


def test_all_layers_but_the_head_are_quantised_and_stay_near(kind: str, base_of: BaseOf) -> None:
    plain, packed = load_base(base_of("qwen2"), "float32", "cpu"), load_base(base_of("qwen2"), "float32", "cpu", kind)
    layers = quantized_layers(packed)
    linear = [n for n, m in plain.named_modules() if type(m) is torch.nn.Linear and n != "lm_head"]
    assert sorted(layers) == sorted(linear)
    for name, layer in layers.items():
        own = plain.get_submodule(name).weight
        made = dense_weight(layer, torch.float32)
        assert made.shape == own.shape and made.dtype == torch.float32
        error = float((made - own).norm() / own.norm())
        assert 0 < error < {"nf4": 0.12, "int8": 0.01}[kind], (name, error)


@pytest.mark.parametrize("architecture", ["llama", "qwen2"])
def test_a_layer_is_the_product_with_its_dequantised_weight(architecture: str, kind: str, base_of: BaseOf) -> None:
    model = load_base(base_of(architecture), "float32", "cpu", kind)
    for layer in quantized_layers(model).values():
        weight = dense_weight(layer, torch.float32)
        x = torch.randn(2, 3, weight.shape[1], requires_grad=True)
        y = x.detach().clone().requires_grad_()
        got, expected = layer(x), F.linear(y, weight, layer.bias)
        torch.testing.assert_close(got, expected)
        got.square().sum().backward()
        expected.square().sum().backward()
        torch.testing.assert_close(x.grad, y.grad)


def test_a_row_has_the_same_logits_whatever_stands_beside_it(kind: str, base_of: BaseOf) -> None:
    model = load_base(base_of("llama"), "float32", "cpu", kind)
    row, other = list(range(40, 60)), list(range(90, 120))
    packing = Packing([len(other), len(row)])
    with torch.no_grad():
        together = model(input_ids=torch.tensor([other + row]), position_ids=packing.positions(), packing=packing)
        torch.testing.assert_close(together.logits[0, len(other) :], logits(model, row), rtol=1e-4, atol=1e-4)


def test_gradients_are_those_of_the_dequantised_base_before_and_after_an_evaluation(
    kind: str, base_of: BaseOf, tmp_path: Path
) -> None:
    """A base whose files hold the dequantised weights is trained alike; evaluating in between changes nothing."""
    ours = attach_new(load_base(base_of("llama"), "float32", "cpu", kind), "tiny", SETTINGS, 0)
    dense = load_base(base_of("llama"), "float32", "cpu")
    with torch.no_grad():
        for name, layer in quantized_layers(load_base(base_of("llama"), "float32", "cpu", kind)).items():
            dense.get_submodule(name).weight.copy_(dense_weight(layer, torch.float32))
    theirs = attach_new(dense, "tiny", SETTINGS, 0)
    for _ in range(2):
        for model in (ours, theirs):
            model.zero_grad()
            model.train()
            logits(model, list(range(30))).square().mean().backward()
            model.eval()
            with torch.no_grad():
                logits(model, list(range(9)))
        for (name, p), q in zip(
            [(n, p) for n, p in ours.named_parameters() if p.requires_grad],
            [q for q in theirs.parameters() if q.requires_grad],
            strict=True,
        ):
            assert p.grad is not None and p.grad.abs().sum() > 0, name
            torch.testing.assert_close(p.grad, q.grad, rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize("dora", [False, True])
def test_plain_peft_gives_the_same_logits_on_a_4_bit_base(dora: bool, base_of: BaseOf, tmp_path: Path) -> None:
    base = base_of("llama-64")
    ours = attach_new(load_base(base, "float32", "cpu", "nf4"), "tiny", replace(SETTINGS, use_dora=dora), 0)
    ours.save_pretrained(str(tmp_path), save_embedding_layers=False)
    config = BitsAndBytesConfig(
        load_in_4bit=True,
        bnb_4bit_quant_type="nf4",
        bnb_4bit_use_double_quant=True,
        bnb_4bit_compute_dtype=torch.float32,
    )
    plain: PreTrainedModel = AutoModelForCausalLM.from_pretrained(base, dtype=torch.float32, quantization_config=config)
    theirs = PeftModel.from_pretrained(plain, str(tmp_path)).train()  # in evaluation bitsandbytes repacks on some CPUs
    ids = list(range(5, 40))
    with torch.no_grad():
        torch.testing.assert_close(
            logits(ours, ids), theirs(input_ids=torch.tensor([ids])).logits[0], rtol=1e-3, atol=1e-3
        )


def test_dora_unpacks_a_weight_once_a_pass(kind: str, base_of: BaseOf, monkeypatch: pytest.MonkeyPatch) -> None:
    """For the product and the norms together; and once more for the backward pass."""
    model = attach_new(
        load_base(base_of("llama-64"), "float32", "cpu", kind), "tiny", replace(SETTINGS, use_dora=True), 0
    )
    unpacked: list[torch.nn.Module] = []

    def counted(layer: torch.nn.Module, dtype: torch.dtype) -> torch.Tensor:
        unpacked.append(layer)
        return dense_weight(layer, dtype)

    monkeypatch.setattr("rankwise.model.lora.dense_weight", counted)
    adapted = sum(name.endswith("base_layer") for name in quantized_layers(model))
    loss = logits(model, list(range(5, 40))).sum()
    assert len(unpacked) == adapted > 0
    loss.backward()
    assert adapted < len(unpacked) <= 2 * adapted  # of the first layers, what they read has no gradient


def test_without_bitsandbytes_it_says_so(base_of: BaseOf, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "bitsandbytes", None)
    with pytest.raises(BaseError, match="pip install bitsandbytes"):
        load_base(base_of("llama"), "float32", "cpu", "nf4")
