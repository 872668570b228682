"""Adapters written by PEFT itself, whole and with one fault each."""

from __future__ import annotations

import json
import pickle
import shutil
import warnings
from pathlib import Path

import pytest

from rankwise.errors import AdapterError
from rankwise.facts.adapter import (
    AdapterRecord,
    BaseRecord,
    DataRecord,
    TaskRecord,
    adapter_digest,
    read_adapter,
    write_record,
)
from rankwise.facts.base import read_anatomy
from rankwise.facts.identity import BaseIdentity, identify_base
from rankwise.facts.verify import verify_adapter

TARGETS = ["q_proj", "v_proj"]


def save_adapter(model, folder: Path, dtype: str = "float32", zero: bool = False, **config) -> Path:
    """A PEFT adapter with random B, saved by PEFT."""
    import torch
    from peft import LoraConfig, get_peft_model

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        adapted = get_peft_model(model, LoraConfig(**{"r": 4, "target_modules": TARGETS, **config}))
    for name, parameter in adapted.named_parameters():
        if "lora_" in name:
            if "lora_B" in name and not zero:
                torch.nn.init.normal_(parameter)
            parameter.data = parameter.data.to(getattr(torch, dtype))
    adapted.save_pretrained(folder)
    return folder


def record_for(identity: BaseIdentity) -> AdapterRecord:
    return AdapterRecord(
        name="reports",
        domain="financial",
        base=BaseRecord(name="tiny", identity=identity),
        task=TaskRecord(kind="labels", scorer="accuracy", labels=("a", "b"), shape="labels"),
        data=DataRecord(train="train.jsonl", train_sha256="00", rows=8, seed=0, fraction=0.1),
        plan={"lora.r": 4},
        plan_digest="11",
        versions={"torch": "2"},
        machine={"cpu": "any"},
        created="2026-01-01T00:00:00Z",
    )


@pytest.fixture
def adapter(tiny_model, tmp_path) -> Path:
    return save_adapter(tiny_model("llama"), tmp_path / "adapter")


def codes(problems) -> list[str]:
    return [p.code for p in problems]


def edit_tensors(folder: Path, change) -> None:
    from safetensors.torch import load_file, save_file

    tensors = load_file(folder / "adapter_model.safetensors")
    save_file(change(tensors), folder / "adapter_model.safetensors")


def edit_config(folder: Path, **changes) -> None:
    path = folder / "adapter_config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


@pytest.mark.parametrize("r", [1, 4, 16])
@pytest.mark.parametrize("kind", ["llama", "gpt2", "bert", "t5", "gemma3"])
@pytest.mark.filterwarnings("ignore")
def test_what_peft_saves_is_read_back_and_passes(kind, r, tiny, tiny_model, tmp_path):
    anatomy = read_anatomy(tiny(kind))
    modules = anatomy.resolve_targets("all-linear").modules
    folder = save_adapter(tiny_model(kind), tmp_path / "adapter", r=r, target_modules=list(modules))
    facts = read_adapter(folder)
    assert facts.r == r == facts.config["r"]
    assert {pair.r for pair in facts.pairs.values()} == {r}
    assert facts.parameters == anatomy.trainable_parameters(modules, r)
    assert len(facts.pairs) == len(anatomy.targeted(modules))
    assert verify_adapter(folder, anatomy=anatomy) == []


def test_a_rank_pattern_is_followed(tiny, tiny_model, tmp_path):
    pattern = {"layers.1.self_attn.q_proj": 8, "v_proj": 2}
    folder = save_adapter(tiny_model("llama"), tmp_path / "adapter", rank_pattern=pattern)
    assert sorted(p.r for p in read_adapter(folder).pairs.values()) == [2, 2, 4, 8]
    assert verify_adapter(folder, anatomy=read_anatomy(tiny("llama"))) == []
    edit_config(folder, rank_pattern={"v_proj": 2})
    assert codes(verify_adapter(folder)) == ["adapter-rank"]


def test_patterns_that_peft_cannot_read_are_named(tiny_model, tmp_path):
    folder = save_adapter(tiny_model("llama"), tmp_path / "adapter")
    edit_config(folder, rank_pattern={"q_proj(": 4}, alpha_pattern={"*": 1, "v_proj": 2})
    problems = verify_adapter(folder)
    assert codes(problems) == ["adapter-config", "adapter-config"]
    assert "'q_proj('" in problems[0].message and "alpha_pattern in its config: '*'" in problems[1].message


EXPERTS = ["mlp.experts.down_proj", "mlp.experts.gate_up_proj"]


@pytest.mark.parametrize("kind", ["mixtral", "qwen3_moe"])
@pytest.mark.parametrize("named", [EXPERTS, EXPERTS[:1], EXPERTS[1:], ["layers.1.mlp.experts.down_proj"]])
@pytest.mark.filterwarnings("ignore")
def test_nested_experts_are_paired_with_their_parameters(kind, named, tiny, tiny_model, tmp_path):
    anatomy, ranks = read_anatomy(tiny(kind)), dict.fromkeys(named, 2)
    config = {"target_modules": ["q_proj"], "target_parameters": named, "rank_pattern": ranks}
    folder = save_adapter(tiny_model(kind), tmp_path / "adapter", **config)
    facts = read_adapter(folder)
    assert verify_adapter(folder, anatomy=anatomy) == []
    adapted = {p.path: p for p in anatomy.targeted_experts(named)}
    assert {path for path in facts.pairs if "experts" in path} == adapted.keys()
    for path, p in adapted.items():
        pair = facts.pairs[path]
        assert (pair.r, pair.experts, pair.a.shape[1], pair.b.shape[0]) == (2, 3, p.in_features, p.out_features)
    assert facts.r == 4
    edit_config(folder, rank_pattern=dict.fromkeys(named, 3))
    assert [p.code for p in verify_adapter(folder, anatomy=anatomy)] == ["adapter-shape"]  # as if of two experts
    edit_config(folder, rank_pattern=dict.fromkeys(named, 4))
    assert "adapter-rank" in codes(verify_adapter(folder))


@pytest.mark.filterwarnings("ignore")
def test_experts_under_each_others_names_do_not_fit(tiny, tiny_model, tmp_path):
    config = {"target_modules": ["q_proj"], "target_parameters": EXPERTS, "rank_pattern": dict.fromkeys(EXPERTS, 2)}
    folder = save_adapter(tiny_model("mixtral"), tmp_path / "adapter", **config)

    def swap(tensors):
        wrapped, bare = ".experts.base_layer.lora_", ".experts.lora_"
        names = {
            name: name.replace(wrapped, bare) if wrapped in name else name.replace(bare, wrapped) for name in tensors
        }
        return {names[name]: tensor for name, tensor in tensors.items()}

    edit_tensors(folder, swap)
    assert "adapter-shape" in codes(verify_adapter(folder, anatomy=read_anatomy(tiny("mixtral"))))


@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "float16"])
def test_not_finite_is_found_in_every_dtype(dtype, tiny_model, tmp_path):
    folder = save_adapter(tiny_model("llama"), tmp_path / "adapter", dtype=dtype)
    assert verify_adapter(folder) == []

    def harm(tensors):
        first = min(tensors)
        tensors[first][0, 0] = float("nan")
        tensors[first][0, 1] = float("-inf")
        return tensors

    edit_tensors(folder, harm)
    (problem,) = verify_adapter(folder)
    assert problem.code == "adapter-not-finite"
    assert "q_proj.lora_A.weight (2 values)" in problem.message


def test_an_untrained_adapter_is_only_warned_about(tiny_model, tmp_path):
    for dtype in ("float32", "bfloat16"):
        folder = save_adapter(tiny_model("llama"), tmp_path / dtype, dtype=dtype, zero=True)
        (problem,) = verify_adapter(folder)
        assert (problem.severity, problem.code) == ("warning", "adapter-does-nothing")
        assert "all 4 B matrices are zero" in problem.message


def drop_one(tensors):
    tensors.pop(min(tensors))
    return tensors


def cut_a_rank(tensors):
    first = min(tensors)
    tensors[first] = tensors[first][:3].clone()
    return tensors


def as_integers(tensors):
    return {name: tensor.long() for name, tensor in tensors.items()}


def rename_away(tensors):
    return {name.replace("lora_", "other_"): tensor for name, tensor in tensors.items()}


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (drop_one, ["adapter-unpaired"]),
        (cut_a_rank, ["adapter-shape", "adapter-rank"]),
        (as_integers, ["adapter-dtype"]),
        (rename_away, ["adapter-empty"]),
    ],
)
def test_tampered_tensors(change, expected, adapter):
    edit_tensors(adapter, change)
    assert codes(verify_adapter(adapter)) == expected


def weights(folder: Path) -> Path:
    return folder / "adapter_model.safetensors"


def cut(folder: Path) -> None:
    weights(folder).write_bytes(weights(folder).read_bytes()[:-8])


def overlong_header(folder: Path) -> None:
    weights(folder).write_bytes((1 << 40).to_bytes(8, "little") + weights(folder).read_bytes()[8:])


def pickled_weights(folder: Path) -> None:
    weights(folder).write_bytes(pickle.dumps({"a": 1}))


def hidden_pickle(folder: Path) -> None:
    (folder / "notes.txt").write_bytes(pickle.dumps([1], protocol=4))


def link_out(folder: Path) -> None:
    secret = folder.parent / "secret.safetensors"
    weights(folder).rename(secret)
    weights(folder).symlink_to(secret)


@pytest.mark.parametrize(
    ("harm", "expected", "message"),
    [
        (cut, ["adapter-weights"], "torn"),
        (overlong_header, ["adapter-weights"], "claims a header of 1099511627776 bytes"),
        (pickled_weights, ["adapter-pickle", "adapter-weights"], "is a pickle, not a safetensors file"),
        (hidden_pickle, ["adapter-pickle"], "notes.txt holds a pickle"),
        (lambda f: (f / "optimizer.pt").write_bytes(b""), ["adapter-pickle"], "optimizer.pt is a pickle by its name"),
        (link_out, ["adapter-symlink"], "outside the folder; copy the files themselves"),
        (lambda f: weights(f).unlink(), ["adapter-weights"], "it is not there"),
        (lambda f: (f / "adapter_config.json").write_text("{"), ["adapter-config"], "cannot be read"),
        (lambda f: edit_config(f, r=8), ["adapter-rank"], "weights r=4, config r=8"),
        (lambda f: edit_config(f, peft_type="IA3"), ["adapter-method"], "'IA3', expected 'LORA'"),
        (lambda f: (f / "rankwise.json").write_text("[" * 99999), ["adapter-record"], "cannot be read"),
        (shutil.rmtree, ["adapter-missing"], "no such folder"),
    ],
)
def test_tampered_folders(harm, expected, message, adapter):
    harm(adapter)
    problems = verify_adapter(adapter)
    assert codes(problems) == expected
    assert message in problems[-1].message


def test_several_faults_are_reported_together(adapter):
    cut(adapter)
    hidden_pickle(adapter)
    (adapter / "adapter_config.json").unlink()
    (adapter / "rankwise.json").write_text('{"format_version": 2, "name": 3}')
    found = codes(verify_adapter(adapter))
    assert found[:3] == ["adapter-pickle", "adapter-config", "adapter-weights"]
    assert set(found[3:]) == {"adapter-record"} and len(found) > 5


def test_another_architecture_and_another_width_are_named(adapter, tiny, tiny_model, tmp_path):
    assert codes(verify_adapter(adapter, anatomy=read_anatomy(tiny("gpt2")))) == ["adapter-target"]
    all_mlp = save_adapter(tiny_model("llama"), tmp_path / "mlp", target_modules=["k_proj"])
    import transformers as tf

    wide = tf.LlamaConfig(
        vocab_size=64, hidden_size=64, intermediate_size=48, num_hidden_layers=2, num_attention_heads=4
    )
    tf.LlamaForCausalLM(wide).save_pretrained(tmp_path / "wide")
    (problem,) = verify_adapter(all_mlp, anatomy=read_anatomy(tmp_path / "wide"))
    assert problem.code == "adapter-shape"
    assert "k_proj (adapter (32, 16), base (64, 64))" in problem.message


def test_another_base_is_named(adapter, tiny):
    identity = identify_base(tiny("llama"))
    assert codes(verify_adapter(adapter, identity)) == ["adapter-base-unknown"]
    write_record(adapter, record_for(identity))
    assert verify_adapter(adapter, identity) == []
    (problem,) = verify_adapter(adapter, BaseIdentity("sha256:" + "0" * 64, *list(identity.as_json().values())[1:]))
    assert (problem.severity, problem.code) == ("error", "base-weights-differs")
    assert "is sha256:000000000000, the adapter was trained on " + identity.weights[:19] in problem.message


def test_a_record_survives_the_disk(adapter, tiny):
    record = record_for(identify_base(tiny("llama")))
    write_record(adapter, record)
    assert read_adapter(adapter).record == record


def test_the_digest_names_content_not_circumstance(adapter, tmp_path):
    before = adapter_digest(adapter)
    assert len(before) == 12
    edit_config(adapter, base_model_name_or_path="/elsewhere", target_modules=TARGETS[::-1], peft_version="9")
    assert adapter_digest(adapter) == before
    edit_config(adapter, lora_alpha=99)
    changed = adapter_digest(adapter)
    assert changed != before
    edit_tensors(adapter, lambda tensors: {name: tensor + 1 for name, tensor in tensors.items()})
    assert adapter_digest(adapter) not in (before, changed)


def test_reading_a_broken_adapter_raises_with_all_faults(adapter):
    cut(adapter)
    (adapter / "adapter_config.json").write_text("[]")
    with pytest.raises(AdapterError) as caught:
        read_adapter(adapter)
    assert codes(caught.value.problems) == ["adapter-config", "adapter-weights"]
