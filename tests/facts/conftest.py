"""Tiny random models of many architectures, saved by transformers itself."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

SHAPE = {"vocab_size": 64, "hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2, "num_attention_heads": 4}
GROUPED = {**SHAPE, "num_key_value_heads": 2}


def build(kind: str):
    """A tiny random model; two layers, 32 wide."""
    import torch
    import transformers as tf

    torch.manual_seed(0)
    makers = {
        "llama": lambda: tf.LlamaForCausalLM(tf.LlamaConfig(**GROUPED)),
        "llama-tied": lambda: tf.LlamaForCausalLM(tf.LlamaConfig(**GROUPED, tie_word_embeddings=True)),
        "qwen2": lambda: tf.Qwen2ForCausalLM(tf.Qwen2Config(**GROUPED)),
        "qwen3": lambda: tf.Qwen3ForCausalLM(tf.Qwen3Config(**GROUPED, head_dim=8)),
        "gemma3": lambda: tf.Gemma3ForCausalLM(tf.Gemma3TextConfig(**GROUPED, head_dim=8)),
        "mistral": lambda: tf.MistralForCausalLM(tf.MistralConfig(**GROUPED, head_dim=8)),
        "mixtral": lambda: tf.MixtralForCausalLM(tf.MixtralConfig(**GROUPED, num_local_experts=3)),
        "gpt2": lambda: tf.GPT2LMHeadModel(tf.GPT2Config(vocab_size=64, n_embd=32, n_layer=2, n_head=4)),
        "bert": lambda: tf.BertModel(tf.BertConfig(**SHAPE)),
        "distilbert": lambda: tf.DistilBertModel(
            tf.DistilBertConfig(vocab_size=64, dim=32, hidden_dim=48, n_layers=2, n_heads=4)
        ),
        "t5": lambda: tf.T5ForConditionalGeneration(
            tf.T5Config(vocab_size=64, d_model=32, d_ff=48, d_kv=8, num_layers=2, num_heads=4)
        ),
    }
    return makers[kind]()


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """Folder of a saved tiny model by kind; each is made once."""
    made: dict[str, Path] = {}

    def folder(kind: str) -> Path:
        if kind not in made:
            made[kind] = tmp_path_factory.mktemp("models") / kind
            build(kind).save_pretrained(made[kind])
        return made[kind]

    return folder


@pytest.fixture
def tiny_model() -> Callable[[str], object]:
    return build


@pytest.fixture(autouse=True)
def own_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    home = tmp_path / "home"
    monkeypatch.setenv("RANKWISE_HOME", str(home))
    return home
