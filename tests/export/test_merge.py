"""A merged model says what PEFT says with the adapter on the base, whatever the adapter and however the base lies."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from peft import LoraConfig, PeftModel, get_peft_model
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM, GPT2Config, GPT2LMHeadModel

from rankwise.errors import AdapterError
from rankwise.export.merge import write_merged
from rankwise.facts import read_adapter, read_anatomy, verify_adapter

TOLERANCE = 1e-5
"""Largest difference of a logit in float32, relative to the largest; the logits are about 1."""
IDS = torch.arange(5, 45)[None]


def load(folder: Path, dtype: torch.dtype = torch.float32):
    return AutoModelForCausalLM.from_pretrained(folder, dtype=dtype).eval()


@torch.no_grad()
def logits(model) -> torch.Tensor:
    return model(input_ids=IDS).logits[0].float()


def adapt(base: Path, folder: Path, **fields) -> Path:
    """An adapter of PEFT's own that changes a lot: all that is trainable is random."""
    torch.manual_seed(0)
    adapted = get_peft_model(load(base), LoraConfig(task_type="CAUSAL_LM", r=4, lora_alpha=8, **fields))
    for name, parameter in adapted.named_parameters():
        if parameter.requires_grad and "magnitude" not in name:
            parameter.data.normal_(std=0.2)
        elif parameter.requires_grad:
            parameter.data.mul_(1.5)
    adapted.save_pretrained(folder, save_embedding_layers=False)
    return folder


def merged(base: Path, adapter: Path, folder: Path):
    folder.mkdir()
    anatomy = read_anatomy(base)
    assert not [problem for problem in verify_adapter(adapter, anatomy=anatomy) if problem.severity == "error"]
    return write_merged(read_adapter(adapter), base, anatomy, folder)


def difference(base: Path, adapter: Path, folder: Path) -> float:
    plain = logits(PeftModel.from_pretrained(load(base), str(adapter)).eval())
    assert float((plain - logits(load(base))).abs().max() / plain.abs().max()) > 0.05, "an adapter that does something"
    return float((logits(load(folder)) - plain).abs().max() / plain.abs().max())


@pytest.mark.parametrize(
    "fields",
    [
        {"target_modules": ["q_proj", "v_proj"]},
        {"target_modules": "all-linear", "use_rslora": True},
        {"target_modules": ["q_proj", "up_proj"], "rank_pattern": {"up_proj": 2}, "alpha_pattern": {"up_proj": 32}},
        {"target_modules": ["q_proj", "down_proj"], "use_dora": True},
    ],
    ids=["lora", "rslora", "patterns", "dora"],
)
def test_it_is_what_peft_says(fields, tiny_base, tmp_path):
    adapter = adapt(tiny_base, tmp_path / "adapter", **fields)
    written = merged(tiny_base, adapter, tmp_path / "merged")
    assert difference(tiny_base, adapter, tmp_path / "merged") <= TOLERANCE
    assert written.changed == len(read_adapter(adapter).pairs) and not written.head_untied
    kept = {file.name for file in tiny_base.iterdir()}
    assert {file.name for file in (tmp_path / "merged").iterdir()} == kept
    assert (tmp_path / "merged" / "tokenizer.json").read_bytes() == (tiny_base / "tokenizer.json").read_bytes()


def test_what_the_adapter_does_not_move_is_the_bases_to_the_bit(tiny_base, tmp_path):
    adapter = adapt(tiny_base, tmp_path / "adapter", target_modules=["q_proj"])
    merged(tiny_base, adapter, tmp_path / "merged")
    before, after = (load_file(f / "model.safetensors") for f in (tiny_base, tmp_path / "merged"))
    changed = {name for name in before if not torch.equal(before[name], after[name])}
    assert before.keys() == after.keys()
    assert changed == {f"model.layers.{i}.self_attn.q_proj.weight" for i in range(2)}


def test_a_tied_head_that_the_adapter_moves_is_untied(tiny_base, tmp_path):
    adapter = adapt(tiny_base, tmp_path / "adapter", target_modules=["q_proj", "lm_head"])
    written = merged(tiny_base, adapter, tmp_path / "merged")
    assert written.head_untied
    assert difference(tiny_base, adapter, tmp_path / "merged") <= TOLERANCE
    made = load(tmp_path / "merged")
    assert torch.equal(made.get_input_embeddings().weight, load(tiny_base).get_input_embeddings().weight)
    assert not torch.equal(made.get_output_embeddings().weight, made.get_input_embeddings().weight)
    assert not read_anatomy(tmp_path / "merged").tied_head


def test_shards_stay_shards(tiny_base, tmp_path):
    base = tmp_path / "base"
    load(tiny_base).save_pretrained(base, max_shard_size="40kB")
    shards = sorted(file.name for file in base.glob("*.safetensors"))
    assert len(shards) > 2
    for name, fields in (("plain", ["o_proj", "down_proj"]), ("head", ["lm_head"])):
        adapter = adapt(base, tmp_path / f"adapter-{name}", target_modules=fields)
        merged(base, adapter, tmp_path / name)
        assert difference(base, adapter, tmp_path / name) <= TOLERANCE
    assert sorted(file.name for file in (tmp_path / "plain").glob("*.safetensors")) == shards


def test_weights_that_lie_transposed_and_trained_biases(tmp_path):
    """GPT-2 keeps (in, out), also where both are equal; its biases are trained in place."""
    torch.manual_seed(1)
    config = GPT2Config(vocab_size=60, n_positions=64, n_embd=32, n_layer=2, n_head=4)
    GPT2LMHeadModel(config).save_pretrained(tmp_path / "base")
    base = tmp_path / "base"
    adapter = adapt(base, tmp_path / "adapter", target_modules=["c_attn", "c_proj"], bias="lora_only")
    merged(base, adapter, tmp_path / "merged")
    assert difference(base, adapter, tmp_path / "merged") <= TOLERANCE


def test_bfloat16_is_rounded_once(tiny_base, tmp_path):
    base = tmp_path / "base"
    load(tiny_base, torch.bfloat16).save_pretrained(base)
    adapter = adapt(base, tmp_path / "adapter", target_modules=["v_proj"])
    merged(base, adapter, tmp_path / "merged")
    tensors, config = (
        load_file(adapter / "adapter_model.safetensors"),
        json.loads((adapter / "adapter_config.json").read_text()),
    )
    name = "model.layers.1.self_attn.v_proj"
    a, b = (tensors[f"base_model.model.{name}.lora_{side}.weight"] for side in "AB")
    before, after = (load_file(f / "model.safetensors")[f"{name}.weight"] for f in (base, tmp_path / "merged"))
    exact = before.float() + b.float() @ a.float() * (config["lora_alpha"] / config["r"])
    assert after.dtype == torch.bfloat16 and torch.equal(after, exact.bfloat16())


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        (
            {"target_modules": ["q_proj"], "modules_to_save": ["norm"]},
            "it holds more than pairs of matrices and biases",
        ),
        ({"target_modules": ["q_proj"], "bias": "lora_only"}, None),
    ],
)
def test_what_no_weight_can_hold_is_refused(fields, said, tiny_base, tmp_path):
    adapter = adapt(tiny_base, tmp_path / "adapter", **fields)
    if said is None:  # this base has no biases: nothing was trained, nothing is lost
        merged(tiny_base, adapter, tmp_path / "merged")
        return
    with pytest.raises(AdapterError, match=said) as caught:
        merged(tiny_base, adapter, tmp_path / "merged")
    assert caught.value.problems[0].code == "adapter-not-mergeable"
    assert list((tmp_path / "merged").iterdir()) == []


def test_a_delta_of_every_weight_is_added(tiny_base, tmp_path):
    from safetensors.torch import save_file

    from rankwise.model.full import add_delta
    from rankwise.model.load import load_base

    generator = torch.Generator().manual_seed(0)
    (tmp_path / "delta").mkdir()
    delta = {n: torch.randn(p.shape, generator=generator) * 0.05 for n, p in load(tiny_base).named_parameters()}
    save_file(delta, tmp_path / "delta" / "delta.safetensors")
    (tmp_path / "merged").mkdir()
    written = write_merged(read_adapter(tmp_path / "delta"), tiny_base, read_anatomy(tiny_base), tmp_path / "merged")
    assert written.changed == len(delta)
    expected = dict(add_delta(load_base(tiny_base, "float32", "cpu"), tmp_path / "delta").named_parameters())
    assert all(torch.equal(p, expected[name]) for name, p in load(tmp_path / "merged").named_parameters())
