"""Bases as a recipe's writing sees them, from their config.json alone."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest

from rankwise.facts import Anatomy, read_anatomy
from rankwise.facts.naming import known_base
from rankwise.recipe.draft import KnownBase

_SHAPE = {
    **{"hidden_size": 64, "intermediate_size": 96, "num_hidden_layers": 2, "num_attention_heads": 4},
    **{"num_key_value_heads": 2, "vocab_size": 100, "max_position_embeddings": 512},
}
CONFIGS: dict[str, dict[str, object]] = {
    "llama": {"architectures": ["LlamaForCausalLM"], "model_type": "llama", "tie_word_embeddings": True, **_SHAPE},
    "untied": {"architectures": ["LlamaForCausalLM"], "model_type": "llama", "tie_word_embeddings": False, **_SHAPE},
    "qwen2": {"architectures": ["Qwen2ForCausalLM"], "model_type": "qwen2", "tie_word_embeddings": True, **_SHAPE},
    "mixtral": {
        **{"architectures": ["MixtralForCausalLM"], "model_type": "mixtral", "tie_word_embeddings": False},
        **{**_SHAPE, "num_local_experts": 4, "num_experts_per_tok": 2},
    },
    "gpt2": {
        **{"architectures": ["GPT2LMHeadModel"], "model_type": "gpt2", "n_embd": 64, "n_layer": 2, "n_head": 4},
        **{"vocab_size": 100, "n_positions": 512},
    },
    "distilbert": {
        **{"architectures": ["DistilBertForMaskedLM"], "model_type": "distilbert", "dim": 64, "hidden_dim": 96},
        **{"n_layers": 2, "n_heads": 4, "vocab_size": 100, "max_position_embeddings": 512},
    },
    "bert": {"architectures": ["BertModel"], "model_type": "bert", **_SHAPE},
}


@pytest.fixture(scope="session")
def anatomy_of(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Anatomy]:
    def read(kind: str) -> Anatomy:
        folder = tmp_path_factory.mktemp("configs")
        (folder / "config.json").write_text(json.dumps(CONFIGS[kind]))
        return read_anatomy(folder, kind)

    return read


@pytest.fixture(scope="session")
def base_of(anatomy_of: Callable[[str], Anatomy]) -> Callable[[str], KnownBase]:
    return lambda kind: known_base(anatomy_of(kind))
