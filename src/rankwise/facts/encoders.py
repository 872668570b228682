"""The weights of encoders and of encoder-decoders: BERT, RoBERTa, DistilBERT, T5."""

from __future__ import annotations

from rankwise.facts.settings import Settings, Shapes, linear, norm


def bert(c: Settings, prefix: str) -> Shapes:
    hidden, inner = c.size("hidden_size"), c.size("intermediate_size")
    yield f"{prefix}embeddings.word_embeddings.weight", (c.size("vocab_size"), hidden)
    yield f"{prefix}embeddings.position_embeddings.weight", (c.size("max_position_embeddings", 512), hidden)
    yield f"{prefix}embeddings.token_type_embeddings.weight", (c.size("type_vocab_size", 2), hidden)
    yield from norm(f"{prefix}embeddings.LayerNorm", hidden)
    for number in range(c.size("num_hidden_layers")):
        layer = f"{prefix}encoder.layer.{number}"
        for part in ("query", "key", "value"):
            yield from linear(f"{layer}.attention.self.{part}", hidden, hidden, True)
        yield from linear(f"{layer}.attention.output.dense", hidden, hidden, True)
        yield from norm(f"{layer}.attention.output.LayerNorm", hidden)
        yield from linear(f"{layer}.intermediate.dense", hidden, inner, True)
        yield from linear(f"{layer}.output.dense", inner, hidden, True)
        yield from norm(f"{layer}.output.LayerNorm", hidden)


def distilbert(c: Settings, prefix: str) -> Shapes:
    hidden, inner = c.size("dim"), c.size("hidden_dim")
    yield f"{prefix}embeddings.word_embeddings.weight", (c.size("vocab_size"), hidden)
    yield f"{prefix}embeddings.position_embeddings.weight", (c.size("max_position_embeddings", 512), hidden)
    yield from norm(f"{prefix}embeddings.LayerNorm", hidden)
    for number in range(c.size("n_layers")):
        layer = f"{prefix}transformer.layer.{number}"
        for part in ("q_lin", "k_lin", "v_lin", "out_lin"):
            yield from linear(f"{layer}.attention.{part}", hidden, hidden, True)
        yield from norm(f"{layer}.sa_layer_norm", hidden)
        yield from linear(f"{layer}.ffn.lin1", hidden, inner, True)
        yield from linear(f"{layer}.ffn.lin2", inner, hidden, True)
        yield from norm(f"{layer}.output_layer_norm", hidden)


def t5(c: Settings, prefix: str) -> Shapes:
    yield f"{prefix}shared.weight", (c.size("vocab_size"), c.size("d_model"))
    layers = c.size("num_layers")
    for stack, count in (("encoder", layers), ("decoder", c.size("num_decoder_layers", layers))):
        yield from _t5_stack(c, f"{prefix}{stack}", count)


def _t5_stack(c: Settings, stack: str, count: int) -> Shapes:
    hidden, inner, heads = c.size("d_model"), c.size("d_ff"), c.size("num_heads")
    width = heads * c.size("d_kv")
    attentions = ["SelfAttention"] if stack.endswith("encoder") else ["SelfAttention", "EncDecAttention"]
    gated = c.word("feed_forward_proj", "relu").startswith("gated")
    for number in range(count):
        block = f"{stack}.block.{number}.layer"
        for place, attention in enumerate(attentions):
            for part in "qkv":
                yield from linear(f"{block}.{place}.{attention}.{part}", hidden, width)
            yield from linear(f"{block}.{place}.{attention}.o", width, hidden)
            yield f"{block}.{place}.layer_norm.weight", (hidden,)
        if number == 0:  # one table of position biases a stack
            table = f"{block}.0.SelfAttention.relative_attention_bias.weight"
            yield table, (c.size("relative_attention_num_buckets", 32), heads)
        inside = f"{block}.{len(attentions)}.DenseReluDense"
        for part in ("wi_0", "wi_1") if gated else ("wi",):
            yield from linear(f"{inside}.{part}", hidden, inner)
        yield from linear(f"{inside}.wo", inner, hidden)
        yield f"{block}.{len(attentions)}.layer_norm.weight", (hidden,)
    yield f"{stack}.final_layer_norm.weight", (hidden,)
