"""What a .gguf header tells, against the tiny models it was written from."""

from __future__ import annotations

import struct
from pathlib import Path

import pytest

from rankwise.errors import BaseError
from rankwise.facts.base import read_anatomy
from rankwise.facts.embedded import fetch_facts, locate_base
from rankwise.facts.folder import read_config, read_weights
from rankwise.facts.gguf import KEYS, config_of_gguf, read_gguf_header

FILES = {"llama": "llama", "llama-tied": "llama", "qwen2": "qwen2", "qwen3": "qwen3", "gemma3": "gemma3"}
FILES |= {"mistral": "llama", "mixtral": "llama", "qwen3_moe": "qwen3moe", "phi3": "phi3"}
STORED = {
    "model.embed_tokens.weight": "token_embd.weight",
    "lm_head.weight": "output.weight",
    "model.layers.0.self_attn.o_proj.bias": "blk.0.attn_output.bias",
}
"""Those whose llama.cpp name matters; of the others only the sizes are looked at."""


def write_gguf(path: Path, folder: Path, architecture: str, **changes: int) -> None:
    """The tiny model in `folder` as llama.cpp would store it; values are left out of account."""
    import gguf
    import numpy as np

    config = read_config(folder)
    experts = config.get("num_local_experts")
    writer = gguf.GGUFWriter(str(path), architecture)
    for theirs, ours in KEYS.items():
        if isinstance(config.get(ours), int):
            writer.add_uint32(f"{architecture}.{theirs}", changes.get(ours, config[ours]))
    if experts:
        writer.add_uint32(f"{architecture}.expert_count", experts)
    writer.add_token_list([f"token {i}" for i in range(config["vocab_size"])])
    writer.add_token_scores([0.5] * 100)
    writer.add_chat_template("{{ messages }}")
    for tensor in read_weights(folder):
        writer.add_tensor(STORED.get(tensor.name, tensor.name), np.zeros(tensor.shape, np.float16))
    writer.add_tensor("rope_freqs.weight", np.zeros(4, np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


@pytest.mark.parametrize("kind", FILES)
def test_the_header_of_a_gguf_gives_the_anatomy_of_its_base(kind, tiny, tmp_path, own_home):
    write_gguf(tmp_path / "own.gguf", tiny(kind), FILES[kind])
    located = locate_base("own.gguf", tmp_path)
    folder = fetch_facts(located)
    assert folder.parent == own_home / "shapes" and not located.path.exists()
    assert (folder / "chat_template.jinja").read_text() == "{{ messages }}"
    told, whole = read_anatomy(folder), read_anatomy(tiny(kind))
    assert (told.source, told.dtype) == ("config", "bfloat16")
    assert told.total_parameters == whole.total_parameters
    assert set(told.projections) == set(whole.projections)
    same = ("kind", "tied_head", "hidden_size", "num_layers", "max_length", "experts", "active_experts", "key_width")
    assert [getattr(told, name) for name in same] == [getattr(whole, name) for name in same]


def test_a_header_that_does_not_add_up_is_not_believed(tiny, tmp_path):
    write_gguf(tmp_path / "odd.gguf", tiny("llama"), "llama", intermediate_size=47)
    assert config_of_gguf(read_gguf_header(tmp_path / "odd.gguf")) is None
    write_gguf(tmp_path / "other.gguf", tiny("llama"), "falcon")
    assert config_of_gguf(read_gguf_header(tmp_path / "other.gguf")) is None


def test_a_torn_header_is_named(tiny, tmp_path):
    write_gguf(tmp_path / "own.gguf", tiny("llama"), "llama")
    whole = (tmp_path / "own.gguf").read_bytes()
    for content in (
        b"",
        b"no gguf at all",
        whole[:200],
        whole[:1500],
        b"GGUF" + struct.pack("<IQQQ", 3, 1, 1, 1 << 60),
    ):
        (tmp_path / "torn.gguf").write_bytes(content)
        with pytest.raises(BaseError, match="its header cannot be read"):
            read_gguf_header(tmp_path / "torn.gguf")
