"""Tiny random bases of several architectures, wide enough in their weights that every token matters."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

VOCABULARY = 260
ARCHITECTURES = ("llama", "qwen2", "qwen3", "gemma3", "mistral")


def save_tokenizer(folder: Path) -> None:
    """One token a byte, and three special ones: 256 <s>, 257 </s>, 258 <pad>."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    tokenizer = Tokenizer(models.BPE({letter: i for i, letter in enumerate(letters)}, []))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens(["<s>", "</s>", "<pad>"])
    fast = PreTrainedTokenizerFast(tokenizer_object=tokenizer, bos_token="<s>", eos_token="</s>", pad_token="<pad>")
    fast.chat_template = (
        "{% for m in messages %}{{ m['role'] }}: {{ m['content'] }}"
        "{% if m['role'] == 'assistant' %}</s>{% endif %}\n{% endfor %}"
        "{% if add_generation_prompt %}assistant: {% endif %}"
    )
    fast.save_pretrained(folder)


def make_base(folder: Path, architecture: str) -> Path:
    import torch
    from transformers import (
        Gemma3ForCausalLM,
        Gemma3TextConfig,
        LlamaConfig,
        LlamaForCausalLM,
        MistralConfig,
        MistralForCausalLM,
        MixtralConfig,
        MixtralForCausalLM,
        Qwen2Config,
        Qwen2ForCausalLM,
        Qwen3Config,
        Qwen3ForCausalLM,
        Qwen3MoeConfig,
        Qwen3MoeForCausalLM,
    )

    common = {
        "vocab_size": VOCABULARY,
        "hidden_size": 32,
        "intermediate_size": 48,
        "num_hidden_layers": 3,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "max_position_embeddings": 512,
        "initializer_range": 0.2,
        "bos_token_id": 256,
        "eos_token_id": 257,
        "pad_token_id": 258,
    }
    torch.manual_seed(0)
    model = {
        "llama": lambda: LlamaForCausalLM(LlamaConfig(**common, tie_word_embeddings=True)),
        "llama-64": lambda: LlamaForCausalLM(  # widths that 4-bit blocks divide
            LlamaConfig(**{**common, "hidden_size": 64, "intermediate_size": 128})
        ),
        "qwen2": lambda: Qwen2ForCausalLM(Qwen2Config(**common)),  # biases on q, k, v
        "qwen3": lambda: Qwen3ForCausalLM(Qwen3Config(**common, head_dim=16)),  # norms on q, k
        "gemma3": lambda: Gemma3ForCausalLM(  # two kinds of layers, its own score scale
            Gemma3TextConfig(**common, head_dim=16, query_pre_attn_scalar=12, sliding_window=9)
        ),
        "mistral": lambda: MistralForCausalLM(MistralConfig(**common, sliding_window=7)),
        "mixtral": lambda: MixtralForCausalLM(MixtralConfig(**common, num_local_experts=4)),
        "qwen3_moe": lambda: Qwen3MoeForCausalLM(
            Qwen3MoeConfig(**common, head_dim=16, num_experts=4, num_experts_per_tok=2, moe_intermediate_size=24)
        ),
    }[architecture]()
    if architecture == "gemma3":
        assert {"sliding_attention"} <= set(model.config.layer_types)
        model.config.layer_types = ["sliding_attention", "full_attention", "sliding_attention"]
    with torch.no_grad():
        for name, p in model.named_parameters():
            if name.endswith("bias"):
                p.normal_()
    model.save_pretrained(folder)
    save_tokenizer(folder)
    return folder


@pytest.fixture(scope="session")
def base_of(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """The folder of a tiny base by architecture, each made once."""
    made: dict[str, Path] = {}

    def get(architecture: str) -> Path:
        if architecture not in made:
            made[architecture] = make_base(tmp_path_factory.mktemp("shapes") / architecture, architecture)
        return made[architecture]

    return get
