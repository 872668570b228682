"""Tiny random models of many architectures, saved by transformers itself, and configs of known bases."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

SHAPE = {"vocab_size": 64, "hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2, "num_attention_heads": 4}
GROUPED = {**SHAPE, "num_key_value_heads": 2}
ENDS = {"bos_token_id": 0, "eos_token_id": 0, "pad_token_id": 0}
DISTIL = {"vocab_size": 64, "dim": 32, "hidden_dim": 48, "n_layers": 2, "n_heads": 4}
T5 = {"vocab_size": 64, "d_model": 32, "d_ff": 48, "d_kv": 8, "num_layers": 2, "num_heads": 4}
GPT2 = {"vocab_size": 64, "n_embd": 32, "n_layer": 2, "n_head": 4, **ENDS}
EXPERTS = {"num_experts": 3, "num_experts_per_tok": 2, "moe_intermediate_size": 24, "head_dim": 8}

TINY: dict[str, tuple[str, str, dict[str, object]]] = {
    "llama": ("LlamaForCausalLM", "LlamaConfig", GROUPED),
    "llama-tied": ("LlamaForCausalLM", "LlamaConfig", {**GROUPED, "tie_word_embeddings": True}),
    "llama-biased": (
        "LlamaForCausalLM",
        "LlamaConfig",
        {**GROUPED, "attention_bias": True, "mlp_bias": True, "head_dim": 16},
    ),
    "llama-bare": ("LlamaModel", "LlamaConfig", GROUPED),
    "llama-classifier": ("LlamaForSequenceClassification", "LlamaConfig", {**GROUPED, "num_labels": 5}),
    "qwen2": ("Qwen2ForCausalLM", "Qwen2Config", GROUPED),
    "qwen3": ("Qwen3ForCausalLM", "Qwen3Config", {**GROUPED, "head_dim": 8}),
    "qwen3_moe": ("Qwen3MoeForCausalLM", "Qwen3MoeConfig", {**GROUPED, **EXPERTS}),
    "gemma3": ("Gemma3ForCausalLM", "Gemma3TextConfig", {**GROUPED, "head_dim": 8}),
    "mistral": ("MistralForCausalLM", "MistralConfig", {**GROUPED, "head_dim": 8}),
    "mixtral": ("MixtralForCausalLM", "MixtralConfig", {**GROUPED, "num_local_experts": 3}),
    "phi3": ("Phi3ForCausalLM", "Phi3Config", {**GROUPED, **ENDS}),
    "gpt2": ("GPT2LMHeadModel", "GPT2Config", GPT2),
    "gpt2-inner": ("GPT2LMHeadModel", "GPT2Config", {**GPT2, "n_inner": 40}),
    "gpt_neox": ("GPTNeoXForCausalLM", "GPTNeoXConfig", SHAPE),
    "gpt_neox-plain": ("GPTNeoXForCausalLM", "GPTNeoXConfig", {**SHAPE, "attention_bias": False}),
    "bert": ("BertModel", "BertConfig", SHAPE),
    "bert-masked": ("BertForMaskedLM", "BertConfig", SHAPE),
    "bert-classifier": ("BertForSequenceClassification", "BertConfig", {**SHAPE, "num_labels": 5}),
    "roberta": ("RobertaModel", "RobertaConfig", SHAPE),
    "roberta-masked": ("RobertaForMaskedLM", "RobertaConfig", SHAPE),
    "roberta-classifier": ("RobertaForSequenceClassification", "RobertaConfig", {**SHAPE, "num_labels": 5}),
    "distilbert": ("DistilBertModel", "DistilBertConfig", DISTIL),
    "distilbert-masked": ("DistilBertForMaskedLM", "DistilBertConfig", DISTIL),
    "distilbert-classifier": ("DistilBertForSequenceClassification", "DistilBertConfig", {**DISTIL, "num_labels": 5}),
    "t5": ("T5ForConditionalGeneration", "T5Config", T5),
    "t5-gated": (
        "T5ForConditionalGeneration",
        "T5Config",
        {**T5, "feed_forward_proj": "gated-gelu", "num_decoder_layers": 3},
    ),
    "gpt_oss": ("GptOssForCausalLM", "GptOssConfig", {**GROUPED, **ENDS, "num_local_experts": 3, "head_dim": 8}),
    "opt": (
        "OPTForCausalLM",
        "OPTConfig",
        {
            **{"vocab_size": 64, "hidden_size": 32, "ffn_dim": 48, "num_hidden_layers": 2, "num_attention_heads": 4},
            **{"word_embed_proj_dim": 32, **ENDS},
        },
    ),
}
"""Kind -> architecture, config class, settings; two layers, 32 wide."""


def build(kind: str):
    """A tiny random model, on torch's current default device."""
    import torch
    import transformers as tf

    torch.manual_seed(0)
    architecture, config, settings = TINY[kind]
    return getattr(tf, architecture)(getattr(tf, config)(**settings))


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


@pytest.fixture(scope="session")
def config_only(tiny: Callable[[str], Path], tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """Folder with the config.json of a tiny model and nothing else."""

    def folder(kind: str) -> Path:
        copy = tmp_path_factory.mktemp("configs")
        shutil.copy(tiny(kind) / "config.json", copy)
        return copy

    return folder


CONFIGS = Path(__file__).parent / "configs"


@pytest.fixture
def known(tmp_path: Path) -> Callable[..., Path]:
    """Folder with the config.json of a known base, keys changed as asked."""

    def folder(name: str, **changes: object) -> Path:
        made = tmp_path / name
        made.mkdir()
        config = json.loads((CONFIGS / f"{name}.json").read_text())
        (made / "config.json").write_text(json.dumps(config | changes))
        return made

    return folder


@pytest.fixture(autouse=True)
def own_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    home = tmp_path / "home"
    monkeypatch.setenv("RANKWISE_HOME", str(home))
    return home
