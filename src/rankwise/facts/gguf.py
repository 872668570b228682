"""What a .gguf file holds, from its header alone, as the `config.json` its conversion would have.

The format: magic, version, counts, typed key-value pairs, then name, shape and type of each tensor; all little endian.
Names of keys and tensors are llama.cpp's.
"""

from __future__ import annotations

import math
import mmap
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rankwise.facts.folder import base_error
from rankwise.facts.shapes import weights_from_config

ARCHITECTURES = {
    "llama": ("llama", "LlamaForCausalLM"),
    "qwen2": ("qwen2", "Qwen2ForCausalLM"),
    "qwen3": ("qwen3", "Qwen3ForCausalLM"),
    "qwen3moe": ("qwen3_moe", "Qwen3MoeForCausalLM"),
    "gemma3": ("gemma3_text", "Gemma3ForCausalLM"),
    "phi3": ("phi3", "Phi3ForCausalLM"),
}
"""llama.cpp's name -> transformers' model type and class; a `llama` with experts is a Mixtral."""
KEYS = {
    "embedding_length": "hidden_size",
    "block_count": "num_hidden_layers",
    "feed_forward_length": "intermediate_size",
    "attention.head_count": "num_attention_heads",
    "attention.head_count_kv": "num_key_value_heads",
    "attention.key_length": "head_dim",
    "context_length": "max_position_embeddings",
    "expert_used_count": "num_experts_per_tok",
    "expert_feed_forward_length": "moe_intermediate_size",
}
CHAT_TEMPLATE = "tokenizer.chat_template"

_SCALARS = {0: "B", 1: "b", 2: "H", 3: "h", 4: "I", 5: "i", 6: "f", 7: "?", 10: "Q", 11: "q", 12: "d"}
_STRING, _ARRAY = 8, 9
_KEPT = 64
"""Longer arrays (vocabularies) are passed over."""


@dataclass(frozen=True)
class GgufHeader:
    values: Mapping[str, Any]
    shapes: Mapping[str, tuple[int, ...]]
    """Tensor -> its sizes, the innermost first."""


def read_gguf_header(path: Path) -> GgufHeader:
    """Raises BaseError for a file that is no GGUF or is cut off within its header."""
    try:
        with path.open("rb") as stream, mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ) as data:
            return _Reader(data).header()
    except (OSError, ValueError, struct.error, RecursionError) as error:
        raise base_error("base-torn", path, f"its header cannot be read ({error}); download it again") from None


class _Reader:
    def __init__(self, data: mmap.mmap) -> None:
        self.data, self.at = data, 0

    def header(self) -> GgufHeader:
        if self.data[:4] != b"GGUF":
            raise ValueError("it does not begin with GGUF")
        self.at = 4
        if (version := self._number("I")) not in (2, 3):
            raise ValueError(f"version {version}, expected 2 or 3")
        tensors, pairs = self._number("Q"), self._number("Q")
        values = {self._string(): self._value(self._number("I")) for _ in range(pairs)}
        shapes = {}
        for _ in range(tensors):
            name = self._string()
            shapes[name] = tuple(self._number("Q") for _ in range(self._number("I")))
            self._number("I"), self._number("Q")  # type and offset
        return GgufHeader(values, shapes)

    def _number(self, code: str) -> Any:
        [value] = struct.unpack_from(f"<{code}", self.data, self.at)
        self.at += struct.calcsize(f"<{code}")
        return value

    def _string(self) -> str:
        size = self._number("Q")
        if size > len(self.data) - self.at:
            raise ValueError("a text in it is longer than the file")
        self.at += size
        return self.data[self.at - size : self.at].decode(errors="replace")

    def _value(self, kind: int) -> Any:
        if kind == _STRING:
            return self._string()
        if kind == _ARRAY:
            return self._array(self._number("I"), self._number("Q"))
        if kind not in _SCALARS:
            raise ValueError(f"a value of unknown type {kind}")
        return self._number(_SCALARS[kind])

    def _array(self, kind: int, count: int) -> list[Any] | None:
        """None for a long one."""
        if count <= _KEPT:
            return [self._value(kind) for _ in range(count)]
        if kind in _SCALARS:
            self.at += count * struct.calcsize(f"<{_SCALARS[kind]}")
            return None
        for _ in range(count):  # runs into the end of the file if the count is wrong
            self._value(kind)
        return None


def config_of_gguf(header: GgufHeader) -> dict[str, Any] | None:
    """The `config.json` of what the file is converted to; None where only the conversion can tell.

    That is so for an architecture that is not in ARCHITECTURES, and where the config's shapes do not add up to the
    tensors that the file holds.
    """
    values = header.values
    name = str(values.get("general.architecture"))
    if name not in ARCHITECTURES or "token_embd.weight" not in header.shapes:
        return None
    model_type, architecture = ARCHITECTURES[name]
    config = {
        ours: values[f"{name}.{key}"] for key, ours in KEYS.items() if isinstance(values.get(f"{name}.{key}"), int)
    }
    if experts := values.get(f"{name}.expert_count"):
        config["num_local_experts"] = experts
        if name == "llama":
            model_type, architecture = "mixtral", "MixtralForCausalLM"
    config |= {
        "model_type": model_type,
        "architectures": [architecture],
        "vocab_size": header.shapes["token_embd.weight"][-1],
        "tie_word_embeddings": "output.weight" not in header.shapes,
        "attention_bias": "blk.0.attn_output.bias" in header.shapes,
        "dtype": "bfloat16",
    }
    try:
        described = weights_from_config(config, architecture)
    except ValueError:
        return None
    held = sum(math.prod(shape) for tensor, shape in header.shapes.items() if not tensor.startswith("rope_"))
    return config if described is not None and sum(w.size for w in described) == held else None
