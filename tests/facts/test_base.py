"""Anatomy from headers against the same models in memory, as torch and PEFT see them."""

from __future__ import annotations

import json
import shutil
import warnings
from collections import Counter
from pathlib import Path

import pytest

from rankwise.errors import BaseError
from rankwise.facts.base import NO_LIMIT, read_anatomy

CAUSAL = (
    *("llama", "llama-tied", "qwen2", "qwen3", "gemma3", "mistral", "phi3", "gpt2", "gpt_neox"),
    *("mixtral", "qwen3_moe"),
)
ALL = (*CAUSAL, "bert", "roberta", "distilbert", "t5")


def linears(model) -> Counter:
    """(leaf, in, out, biased) of every linear layer that torch has, a head included."""
    import torch
    from transformers.pytorch_utils import Conv1D

    found: Counter = Counter()
    for name, module in model.named_modules():
        leaf = name.rpartition(".")[2]
        if isinstance(module, torch.nn.Linear):
            found[leaf, module.in_features, module.out_features, module.bias is not None] += 1
        elif isinstance(module, Conv1D):
            found[leaf, *module.weight.shape, True] += 1
    return found


def peft_count(model, **config) -> int:
    from peft import LoraConfig, get_peft_model

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        adapted = get_peft_model(model, LoraConfig(**config))
    return sum(p.numel() for p in adapted.parameters() if p.requires_grad)


@pytest.mark.parametrize("kind", ALL)
def test_the_header_tells_what_torch_builds(kind, tiny, tiny_model):
    anatomy, model = read_anatomy(tiny(kind)), tiny_model(kind)
    reachable = Counter()
    for p in anatomy.projections:
        if p.role not in ("expert", "router"):
            reachable[p.name, p.in_features, p.out_features, p.has_bias] += p.count
    assert reachable == linears(model)
    assert anatomy.total_parameters == sum(p.numel() for p in model.parameters())
    assert anatomy.num_layers == 2
    assert (anatomy.hidden_size, anatomy.vocab_size, anatomy.dtype) == (32, 64, "float32")
    assert not [p for p in anatomy.projections if p.role == "other"]
    assert anatomy.architecture == type(model).__name__


@pytest.mark.parametrize("kind", ALL)
@pytest.mark.parametrize("bias", ["none", "lora_only", "all"])
@pytest.mark.parametrize("r", [1, 4, 16])
def test_closed_form_is_what_peft_trains(kind, bias, r, tiny, tiny_model):
    anatomy = read_anatomy(tiny(kind))
    modules = anatomy.resolve_targets("all-linear").modules
    counted = peft_count(tiny_model(kind), r=r, target_modules=list(modules), bias=bias)
    assert anatomy.trainable_parameters(modules, r, bias) == counted


@pytest.mark.parametrize("kind", [k for k in CAUSAL if k not in ("mixtral", "qwen3_moe")])
def test_all_linear_is_pefts_all_linear(kind, tiny, tiny_model):
    anatomy = read_anatomy(tiny(kind))
    ours = anatomy.trainable_parameters(anatomy.resolve_targets("all-linear").modules, 4)
    assert ours == peft_count(tiny_model(kind), r=4, target_modules="all-linear", task_type="CAUSAL_LM")


@pytest.mark.parametrize(
    ("kind", "names", "modules"),
    [
        ("llama", ["mlp"], ("gate_proj", "up_proj", "down_proj")),
        ("llama", ["self_attn", "q_proj"], ("q_proj", "k_proj", "v_proj", "o_proj")),
        ("llama", ["layers.1.self_attn.q_proj"], ("layers.1.self_attn.q_proj",)),
        ("gpt2", ["mlp"], ("c_fc", "mlp.c_proj")),
        ("gpt2", ["attn"], ("c_attn", "attn.c_proj")),
        ("bert", ["attention"], ("query", "key", "value", "attention.output.dense")),
        ("bert", ["intermediate"], ("intermediate.dense",)),
        ("t5", ["EncDecAttention"], tuple(f"EncDecAttention.{leaf}" for leaf in "qkvo")),
    ],
)
def test_containers_become_projections_and_nothing_else(kind, names, modules, tiny, tiny_model):
    anatomy = read_anatomy(tiny(kind))
    targets = anatomy.resolve_targets(names)
    assert targets.modules == modules
    assert targets.absent == () and targets.unreachable == ()
    counted = peft_count(tiny_model(kind), r=2, target_modules=list(modules))
    assert anatomy.trainable_parameters(modules, 2) == counted
    if names[0] in anatomy.containers:
        assert anatomy.containers[names[0]] == targets.expanded[names[0]]


def test_an_absent_name_is_reported_beside_those_that_match(tiny):
    targets = read_anatomy(tiny("llama")).resolve_targets(["q_proj", "v_proj", "mlp", "mlp_proj", "c_attn"])
    assert targets.absent == ("mlp_proj", "c_attn")
    assert targets.modules == ("q_proj", "v_proj", "gate_proj", "up_proj", "down_proj")
    assert targets.expanded == {"mlp": ("gate_proj", "up_proj", "down_proj")}
    assert read_anatomy(tiny("llama")).resolve_targets(["nothing", "here"]).modules == ()


def test_fused_experts_and_routers_are_named_unreachable(tiny):
    anatomy = read_anatomy(tiny("mixtral"))
    assert {p.name: p.count for p in anatomy.projections if p.role == "expert"} == {"w1": 6, "w2": 6, "w3": 6}
    assert anatomy.resolve_targets(["q_proj", "w1", "gate", "experts"]).unreachable == ("w1", "gate", "experts")
    assert anatomy.resolve_targets("all-linear").modules == ("q_proj", "k_proj", "v_proj", "o_proj")


@pytest.mark.parametrize(
    ("kind", "tied", "what"),
    [
        ("llama", False, "causal"),
        ("llama-tied", True, "causal"),
        ("gemma3", True, "causal"),
        ("gpt2", True, "causal"),
        ("bert", False, "encoder"),
        ("t5", True, "encoder-decoder"),
    ],
)
def test_head_and_kind(kind, tied, what, tiny):
    anatomy = read_anatomy(tiny(kind))
    assert (anatomy.tied_head, anatomy.kind) == (tied, what)
    assert [p.name for p in anatomy.projections if p.role == "head"] == ([] if kind == "bert" else ["lm_head"])
    assert "lm_head" not in anatomy.resolve_targets("all-linear").modules


def test_roles_do_not_depend_on_the_spelling(tiny):
    for kind, query, down in (
        ("llama", "q_proj", "down_proj"),
        ("bert", "query", "dense"),
        ("distilbert", "q_lin", "lin2"),
    ):
        roles = {(p.role, p.name) for p in read_anatomy(tiny(kind)).projections}
        assert ("query", query) in roles and ("down", down) in roles


def test_shards_are_read_through_their_index(tiny, tiny_model, tmp_path):
    tiny_model("llama").save_pretrained(tmp_path / "sharded", max_shard_size="20KB")
    assert len(list((tmp_path / "sharded").glob("*.safetensors"))) > 1
    whole, sharded = read_anatomy(tiny("llama")), read_anatomy(tmp_path / "sharded")
    assert sharded.projections == whole.projections
    assert sharded.total_parameters == whole.total_parameters
    first = min((tmp_path / "sharded").glob("*.safetensors"))
    first.unlink()
    with pytest.raises(BaseError, match=f"weight files are missing, first {first.name}"):
        read_anatomy(tmp_path / "sharded")


def test_a_nested_text_config_is_used(tiny, tmp_path):
    folder = edited(
        tiny("gemma3"), tmp_path, lambda config: {"architectures": config["architectures"], "text_config": config}
    )
    anatomy = read_anatomy(folder)
    assert (anatomy.hidden_size, anatomy.num_layers, anatomy.tied_head) == (32, 2, True)


def test_limits_of_length(tiny, tmp_path):
    assert read_anatomy(tiny("llama")).max_length == 2048
    assert read_anatomy(tiny("gpt2")).max_length == 1024
    assert read_anatomy(tiny("bert")).max_length == 512
    assert read_anatomy(tiny("roberta")).max_length == 512 - 2  # counted from after the padding token's id, 1
    folder = edited(tiny("llama"), tmp_path, lambda c: {k: v for k, v in c.items() if k != "max_position_embeddings"})
    assert read_anatomy(folder).max_length == NO_LIMIT


def edited(source: Path, tmp_path: Path, change) -> Path:
    folder = tmp_path / "edited"
    shutil.copytree(source, folder)
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(change(config)))
    return folder


def break_pickle(folder: Path) -> None:
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")


def break_by_cutting(folder: Path) -> None:
    data = (folder / "model.safetensors").read_bytes()
    (folder / "model.safetensors").write_bytes(data[:-100])


@pytest.mark.parametrize(
    ("harm", "code", "message"),
    [
        (lambda f: (f / "config.json").unlink(), "base-no-config", "no config.json in it"),
        (lambda f: (f / "config.json").write_text("{"), "base-unreadable", "config.json cannot be read"),
        (lambda f: (f / "config.json").write_text("[]"), "base-unreadable", "not a JSON object"),
        (lambda f: (f / "config.json").write_text("{}"), "base-unreadable", "names no hidden_size and no vocab_size"),
        (lambda f: (f / "model.safetensors").rename(f / "one.safetensors"), "base-no-weights", "no model.safetensors"),
        (break_pickle, "base-pickle", "pickles can run code"),
        (break_by_cutting, "base-torn", "torn; fetch or copy the base again"),
        (lambda f: (f / "model.safetensors").write_bytes(b"PK\x03\x04abcdefgh"), "base-torn", "is a pickle"),
        (lambda f: (f / "model.safetensors").write_bytes(b"\xff" * 16), "base-torn", "claims a header of"),
        (lambda f: (f / "model.safetensors").write_bytes(b"abc"), "base-torn", "3 bytes, too few"),
    ],
)
def test_faults_of_a_folder(harm, code, message, tiny, tmp_path):
    folder = tmp_path / "broken"
    shutil.copytree(tiny("llama"), folder)
    harm(folder)
    with pytest.raises(BaseError, match=message) as caught:
        read_anatomy(folder)
    assert [p.code for p in caught.value.problems] == [code]


def test_a_quantised_base_is_refused(tiny, tmp_path):
    folder = edited(tiny("llama"), tmp_path, lambda c: {**c, "quantization_config": {"quant_method": "gptq"}})
    with pytest.raises(BaseError, match="already quantised"):
        read_anatomy(folder)


def test_what_old_files_hold_beside_the_weights_is_not_counted(tiny, tmp_path):
    """Causal masks, rotary tables, position ids and second copies of tied tables, as older savers left them."""
    import torch
    from safetensors.torch import load_file, save_file

    for kind, extra in (
        (
            "gpt2",
            {"transformer.h.0.attn.bias": torch.ones(1, 1, 8, 8), "transformer.h.0.attn.masked_bias": torch.ones(())},
        ),
        ("llama", {"model.layers.0.self_attn.rotary_emb.inv_freq": torch.ones(4)}),
        ("llama-tied", {"lm_head.weight": torch.ones(64, 32)}),
        ("bert", {"embeddings.position_ids": torch.arange(8.0)}),
        ("t5", {"encoder.embed_tokens.weight": torch.ones(64, 32), "decoder.embed_tokens.weight": torch.ones(64, 32)}),
    ):
        folder = tmp_path / kind
        shutil.copytree(tiny(kind), folder)
        save_file(load_file(folder / "model.safetensors") | extra, folder / "model.safetensors")
        clean, old = read_anatomy(tiny(kind)), read_anatomy(folder)
        assert (old.total_parameters, old.bias_parameters) == (clean.total_parameters, clean.bias_parameters)
        assert set(old.modules) == set(clean.modules)


def test_experts_and_the_width_of_keys(tiny):
    anatomy = read_anatomy(tiny("qwen3_moe"))
    assert (anatomy.experts, anatomy.active_experts, anatomy.key_width) == (3, 2, 16)
    [first, *_] = anatomy.targeted_experts(["layers.1.mlp.experts.gate_up_proj"])
    assert (first.experts, first.in_features, first.out_features) == (3, 32, 48)
    assert (read_anatomy(tiny("gpt2")).experts, read_anatomy(tiny("gpt2")).key_width) == (0, 32)
