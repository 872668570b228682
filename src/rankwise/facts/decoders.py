"""The weights of decoders: Llama and its kin, GPT-2, GPT-NeoX. Defaults are those of transformers' config classes."""

from __future__ import annotations

from collections.abc import Callable

from rankwise.facts.settings import Settings, Shapes, linear, norm

FeedForward = Callable[[Settings, str, int], Shapes]
"""(config, path of the layer, its number) -> the weights of its feed-forward part."""


def _gated(c: Settings, layer: str, _: int) -> Shapes:
    hidden, inner, bias = c.size("hidden_size"), c.size("intermediate_size"), c.flag("mlp_bias", False)
    yield from linear(f"{layer}.mlp.gate_proj", hidden, inner, bias)
    yield from linear(f"{layer}.mlp.up_proj", hidden, inner, bias)
    yield from linear(f"{layer}.mlp.down_proj", inner, hidden, bias)


def mixtral_experts(c: Settings, layer: str, _: int) -> Shapes:
    hidden, inner, experts = (
        c.size("hidden_size"),
        c.size("intermediate_size"),
        c.size("num_local_experts", 8, also="num_experts"),
    )
    yield from linear(f"{layer}.block_sparse_moe.gate", hidden, experts)
    for n in range(experts):
        expert = f"{layer}.block_sparse_moe.experts.{n}"
        yield from linear(f"{expert}.w1", hidden, inner)
        yield from linear(f"{expert}.w2", inner, hidden)
        yield from linear(f"{expert}.w3", hidden, inner)


def qwen_experts(c: Settings, layer: str, number: int) -> Shapes:
    hidden, experts = c.size("hidden_size"), c.size("num_experts", 128, also="num_local_experts")
    inner = c.size("moe_intermediate_size", 768)
    sparse = (number + 1) % c.size("decoder_sparse_step", 1) == 0
    if not sparse or number in c.numbers("mlp_only_layers"):
        yield from _gated(c, layer, number)
        return
    yield from linear(f"{layer}.mlp.gate", hidden, experts)
    for n in range(experts):
        expert = f"{layer}.mlp.experts.{n}"
        yield from linear(f"{expert}.gate_proj", hidden, inner)
        yield from linear(f"{expert}.up_proj", hidden, inner)
        yield from linear(f"{expert}.down_proj", inner, hidden)


def phi_feed_forward(c: Settings, layer: str, _: int) -> Shapes:
    hidden, inner = c.size("hidden_size"), c.size("intermediate_size")
    yield from linear(f"{layer}.mlp.gate_up_proj", hidden, 2 * inner)
    yield from linear(f"{layer}.mlp.down_proj", inner, hidden)


NORMS = ("input_layernorm", "post_attention_layernorm")


def decoder(
    c: Settings,
    prefix: str,
    *,
    feed_forward: FeedForward = _gated,
    qkv_bias: bool | None = None,
    out_bias: bool | None = None,
    fused_qkv: bool = False,
    query_norms: bool = False,
    norms: tuple[str, ...] = NORMS,
    head_dim: int | None = None,
    key_value_heads: int | None = None,
) -> Shapes:
    """Llama and its kin; a bias of None is what the config's `attention_bias` says."""
    hidden, heads = c.size("hidden_size"), c.size("num_attention_heads")
    groups = c.size("num_key_value_heads", key_value_heads or heads)
    width = c.size("head_dim", head_dim or hidden // heads)
    said = c.flag("attention_bias", False)
    biased = said if qkv_bias is None else qkv_bias
    yield f"{prefix}embed_tokens.weight", (c.size("vocab_size"), hidden)
    for number in range(c.size("num_hidden_layers")):
        layer = f"{prefix}layers.{number}"
        attention = f"{layer}.self_attn"
        if fused_qkv:
            yield from linear(f"{attention}.qkv_proj", hidden, (heads + 2 * groups) * width)
        else:
            yield from linear(f"{attention}.q_proj", hidden, heads * width, biased)
            yield from linear(f"{attention}.k_proj", hidden, groups * width, biased)
            yield from linear(f"{attention}.v_proj", hidden, groups * width, biased)
        yield from linear(f"{attention}.o_proj", heads * width, hidden, said if out_bias is None else out_bias)
        if query_norms:
            yield f"{attention}.q_norm.weight", (width,)
            yield f"{attention}.k_norm.weight", (width,)
        yield from feed_forward(c, layer, number)
        for name in norms:
            yield f"{layer}.{name}.weight", (hidden,)
    yield f"{prefix}norm.weight", (hidden,)


def gpt2(c: Settings, prefix: str) -> Shapes:
    hidden = c.size("n_embd")
    inner = c.size("n_inner", 4 * hidden)
    yield f"{prefix}wte.weight", (c.size("vocab_size"), hidden)
    yield f"{prefix}wpe.weight", (c.size("n_positions", 1024), hidden)
    for number in range(c.size("n_layer")):
        layer = f"{prefix}h.{number}"
        for path, in_features, out_features in (
            ("attn.c_attn", hidden, 3 * hidden),
            ("attn.c_proj", hidden, hidden),
            ("mlp.c_fc", hidden, inner),
            ("mlp.c_proj", inner, hidden),
        ):
            yield f"{layer}.{path}.weight", (in_features, out_features)  # Conv1D: transposed
            yield f"{layer}.{path}.bias", (out_features,)
        yield from norm(f"{layer}.ln_1", hidden)
        yield from norm(f"{layer}.ln_2", hidden)
    yield from norm(f"{prefix}ln_f", hidden)


def gpt_neox(c: Settings, prefix: str) -> Shapes:
    hidden, inner = c.size("hidden_size"), c.size("intermediate_size")
    biased = c.flag("attention_bias", True)
    yield f"{prefix}embed_in.weight", (c.size("vocab_size"), hidden)
    for number in range(c.size("num_hidden_layers")):
        layer = f"{prefix}layers.{number}"
        yield from linear(f"{layer}.attention.query_key_value", hidden, 3 * hidden, biased)
        yield from linear(f"{layer}.attention.dense", hidden, hidden, biased)
        yield from linear(f"{layer}.mlp.dense_h_to_4h", hidden, inner, True)
        yield from linear(f"{layer}.mlp.dense_4h_to_h", inner, hidden, True)
        yield from norm(f"{layer}.input_layernorm", hidden)
        yield from norm(f"{layer}.post_attention_layernorm", hidden)
    yield from norm(f"{prefix}final_layer_norm", hidden)
