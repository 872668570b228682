"""Import: a sound PEFT folder comes in with a record, a damaged one never does, and all its faults are told at once."""

from __future__ import annotations

import json
import math
import pickle
import shutil
import struct
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from safetensors.numpy import load_file, save_file

from rankwise.catalog.imported import import_adapter, named_base
from rankwise.catalog.store import list_entries
from rankwise.errors import AdapterError
from rankwise.facts import identify_base, locate_base, read_adapter, verify_adapter

LAYER = "base_model.model.model.layers.{}.self_attn.{}"
CONFIG = {
    "peft_type": "LORA",
    "task_type": "CAUSAL_LM",
    "base_model_name_or_path": "somewhere",
    "peft_version": "0.18.0",
    "r": 4,
    "lora_alpha": 8,
    "target_modules": ["q_proj", "v_proj"],
    "megatron_core": "megatron.core",
    "auto_mapping": None,
}


def write_peft(folder: Path) -> Path:
    """What PEFT leaves of a LoRA on the tiny base (hidden 32, two of four heads for keys and values)."""
    folder.mkdir(parents=True)
    rng = np.random.default_rng(0)
    tensors = {}
    for layer in range(2):
        for name, out in (("q_proj", 32), ("v_proj", 16)):
            tensors[f"{LAYER.format(layer, name)}.lora_A.weight"] = rng.standard_normal((4, 32), dtype=np.float32)
            tensors[f"{LAYER.format(layer, name)}.lora_B.weight"] = rng.standard_normal((out, 4), dtype=np.float32)
    save_file(tensors, folder / "adapter_model.safetensors", metadata={"format": "pt"})
    (folder / "adapter_config.json").write_text(json.dumps(CONFIG))
    (folder / "README.md").write_text("left behind")
    return folder


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write_peft(tmp_path / "peft-lora")


@pytest.fixture
def bring(tiny_base: Path) -> Callable[..., object]:
    located = locate_base(str(tiny_base), tiny_base)
    return lambda folder, domain=None: import_adapter(folder, located, tiny_base, domain)


def configure(folder: Path, **fields: object) -> None:
    (folder / "adapter_config.json").write_text(json.dumps({**CONFIG, **fields}))


def retype(folder: Path, change: Callable[[dict[str, np.ndarray]], object]) -> None:
    tensors = {name: value.copy() for name, value in load_file(folder / "adapter_model.safetensors").items()}
    change(tensors)
    save_file(tensors, folder / "adapter_model.safetensors")


def test_a_sound_folder_comes_in_with_a_record(bring, folder, tiny_base):
    entry = bring(folder, "legal")
    assert (entry.shelf, entry.name, entry.domain, entry.r) == ("legal", "peft-lora", "legal", 4)
    assert {file.name for file in entry.path.iterdir()} == {
        "adapter_config.json",
        "adapter_model.safetensors",
        "rankwise.json",
        "README.md",
    }
    card = (entry.path / "README.md").read_text()
    assert "by another tool, peft 0.18.0" in card and "left behind" not in card
    record = read_adapter(entry.path).record
    assert record.base.identity == identify_base(tiny_base) and record.base.source == str(tiny_base)
    assert verify_adapter(entry.path, identify_base(tiny_base)) == []
    assert bring(folder, "legal").id == entry.id and bring(entry.path).id == entry.id
    assert len(list_entries()) == 1


def test_the_base_is_what_the_config_names(folder, tmp_path):
    assert named_base(folder) == "somewhere"
    configure(folder, base_model_name_or_path=None)
    with pytest.raises(AdapterError, match="names no base; say which with --base"):
        named_base(folder)
    with pytest.raises(AdapterError, match=r"no adapter_config.json in it"):
        named_base(tmp_path)


SCALE = "r must be a whole number from 1 to 4096, lora_alpha a finite number over 0"
NAN = math.nan
HARM = {
    "r 0": (lambda f: configure(f, r=0), "adapter-scale", SCALE),
    "r true": (lambda f: configure(f, r=True), "adapter-scale", SCALE),
    "r huge": (lambda f: configure(f, r=10**9), "adapter-scale", SCALE),
    "alpha negative": (lambda f: configure(f, lora_alpha=-8), "adapter-scale", "lora_alpha=-8"),
    "alpha nan": (lambda f: configure(f, lora_alpha=NAN), "adapter-scale", "lora_alpha=nan"),
    "alpha text": (lambda f: configure(f, lora_alpha="8"), "adapter-scale", "lora_alpha='8'"),
    "alpha huge": (lambda f: configure(f, lora_alpha=1e9), "adapter-scale", "alpha / r over 1000"),
    "pattern": (lambda f: configure(f, alpha_pattern={"q_proj": 1e9}), "adapter-scale", "2.5e+08"),
    "rank of others": (lambda f: configure(f, r=8), "adapter-rank", "weights r=4, config r=8"),
    "not lora": (lambda f: configure(f, peft_type="IA3"), "adapter-method", "'IA3'"),
    "untargeted": (lambda f: configure(f, target_modules=["q_proj"]), "adapter-target", "layers.0.self_attn.v_proj"),
    "no targets": (lambda f: configure(f, target_modules=None), "adapter-config", "target_modules is None"),
    "code": (lambda f: configure(f, megatron_config={}, megatron_core="os"), "adapter-code", "megatron_core is 'os'"),
    "replicated": (lambda f: configure(f, layer_replication=[[0, 2], [1, 2]]), "adapter-config", "layer_replication"),
    "config": (lambda f: (f / "adapter_config.json").write_text("[]"), "adapter-config", "not a JSON object"),
    "deep": (lambda f: (f / "adapter_config.json").write_text("[" * 5000), "adapter-config", "cannot be read"),
    "pickle": (lambda f: (f / "optimizer.pt").write_bytes(b""), "adapter-pickle", "a pickle by its name"),
    "magic": (lambda f: (f / "notes.txt").write_bytes(pickle.dumps([1])), "adapter-pickle", "holds a pickle"),
    "zip": (lambda f: (f / "notes.txt").write_bytes(b"PK\x03\x04rest"), "adapter-pickle", "zip archive"),
    "weights pickled": (
        lambda f: (f / "adapter_model.safetensors").write_bytes(pickle.dumps({})),
        "adapter-weights",
        "is a pickle, not a safetensors file",
    ),
    "link": (lambda f: (f / "link.json").symlink_to("/etc/hostname"), "adapter-symlink", "outside the folder"),
    "torn": (
        lambda f: (f / "adapter_model.safetensors").write_bytes(
            (f / "adapter_model.safetensors").read_bytes()[:-4]
        ),
        "adapter-weights",
        "torn",
    ),
    "header bomb": (
        lambda f: (f / "adapter_model.safetensors").write_bytes(struct.pack("<Q", 1 << 60) + b"{"),
        "adapter-weights",
        "claims a header of",
    ),
    "surplus": (
        lambda f: (f / "adapter_model.safetensors").write_bytes(
            (f / "adapter_model.safetensors").read_bytes() + b"\x00" * 8
        ),
        "adapter-weights",
        "refused by safetensors",
    ),
    "not finite": (
        lambda f: retype(f, lambda t: t[f"{LAYER.format(1, 'v_proj')}.lora_B.weight"].fill(np.nan)),
        "adapter-not-finite",
        "v_proj.lora_B",
    ),
    "foreign tensor": (
        lambda f: retype(f, lambda t: t.update({"../../etc/passwd": np.zeros(1, np.float32)})),
        "adapter-tensor",
        "etc/passwd",
    ),
    "shape": (
        lambda f: retype(
            f, lambda t: t.update({f"{LAYER.format(0, 'q_proj')}.lora_B.weight": np.ones((48, 4), np.float32)})
        ),
        "adapter-shape",
        "(adapter (32, 48), base (32, 32))",
    ),
    "elsewhere": (
        lambda f: retype(
            f,
            lambda t: t.update(
                {f"{LAYER.format(9, 'q_proj')}.lora_{s}.weight": np.ones((4, 32)[:: 1 if s == "A" else -1], np.float32)
                 for s in "AB"}
            ),
        ),
        "adapter-target",
        "layers.9.self_attn.q_proj",
    ),
}  # fmt: skip


@pytest.mark.parametrize("harm", HARM)
def test_damage_is_named(harm, bring, folder):
    change, code, said = HARM[harm]
    change(folder)
    with pytest.raises(AdapterError) as caught:
        bring(folder)
    assert code in {problem.code for problem in caught.value.problems}
    assert said in str(caught.value)
    assert list_entries() == ()


def test_all_faults_at_once(bring, folder):
    configure(folder, lora_alpha=-1, target_modules=["q_proj"], megatron_core="antigravity")
    retype(folder, lambda t: t[f"{LAYER.format(1, 'v_proj')}.lora_B.weight"].fill(np.inf))
    (folder / "state.pkl").write_bytes(b"")
    with pytest.raises(AdapterError) as caught:
        bring(folder)
    assert {problem.code for problem in caught.value.problems} == {
        "adapter-scale",
        "adapter-target",
        "adapter-code",
        "adapter-not-finite",
        "adapter-pickle",
    }


def test_one_of_another_base_is_refused_by_its_record(bring, folder):
    entry = bring(folder)
    record = json.loads((entry.path / "rankwise.json").read_text())
    record["base"]["identity"]["weights"] = "sha256:" + "0" * 64
    other = folder.parent / "other"
    shutil.copytree(entry.path, other)
    (other / "rankwise.json").write_text(json.dumps(record))
    with pytest.raises(AdapterError, match="the base's weights is"):
        bring(other)


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)
KEYS = st.sampled_from([*CONFIG, "rank_pattern", "alpha_pattern", "modules_to_save", "target_parameters", "bias"])
DAMAGE = st.one_of(
    st.tuples(st.just("config"), KEYS, VALUES),
    st.tuples(st.just("byte"), st.integers(0, 20_000), st.integers(1, 255)),
    st.tuples(st.just("cut"), st.integers(0, 20_000), st.none()),
    st.tuples(st.just("length"), st.integers(0, 2**64 - 1), st.none()),
)


def damage(folder: Path, kind: str, at, value) -> None:
    weights = folder / "adapter_model.safetensors"
    content = bytearray(weights.read_bytes())
    if kind == "config":
        config = json.loads((folder / "adapter_config.json").read_text())
        (folder / "adapter_config.json").write_text(json.dumps({**config, at: value}))
    elif kind == "byte" and content:
        content[at % len(content)] ^= value
    elif kind == "cut":
        del content[at % (len(content) + 1) :]
    elif kind == "length":
        content[:8] = struct.pack("<Q", at)
    weights.write_bytes(content)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(done=st.lists(DAMAGE, min_size=1, max_size=3))
def test_whatever_the_damage_it_comes_in_sound_or_not_at_all(done, bring, tmp_path, own_home):
    shutil.rmtree(tmp_path / "damaged", ignore_errors=True)
    shutil.rmtree(own_home / "adapters", ignore_errors=True)
    folder = write_peft(tmp_path / "damaged")
    for step in done:
        damage(folder, *step)
    try:
        entry = bring(folder)
    except AdapterError as refused:
        assert refused.problems and all(p.code and p.message for p in refused.problems)
        assert not list((own_home / "adapters").glob("*/*"))
    else:
        assert not [p for p in verify_adapter(entry.path) if p.severity == "error"]
        assert all(np.isfinite(v).all() for v in load_file(entry.path / "adapter_model.safetensors").values())
    assert not list(own_home.glob(".import.*"))


def test_what_came_in_answers_on_its_base(bring, folder):
    import torch

    from rankwise.evaluate.opened import open_recorded, require_record
    from rankwise.events import ignore
    from rankwise.model.packing import Packing

    entry = bring(folder)
    opened = open_recorded(entry.path, require_record(entry.path), ignore)
    packing = Packing([7])
    row = {"input_ids": torch.arange(5, 12)[None], "position_ids": packing.positions(), "packing": packing}
    with torch.no_grad():
        adapted = opened.model(**row).logits
        with opened.base_alone():
            base = opened.model(**row).logits
    assert float((adapted - base).abs().max()) > 0.01
