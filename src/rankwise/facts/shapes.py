"""Names and shapes of a base's weights from its `config.json` alone, in closed form.

With `facts/base` the only place that knows architectures by name. Names are those of the weight files; defaults are
those of transformers' config classes, for configs that leave a key out.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from itertools import islice
from typing import Any

from rankwise.facts.decoders import NORMS, decoder, gpt2, gpt_neox, mixtral_experts, phi_feed_forward, qwen_experts
from rankwise.facts.encoders import bert, distilbert, t5
from rankwise.facts.header import Weight
from rankwise.facts.settings import ConfigFault, Settings, Shapes, linear, norm

MAX_WEIGHTS = 1_000_000
"""More tensors than any base has: a config that speaks of more is damaged, and would only fill the memory."""

TRANSPOSED: Mapping[str, tuple[str, ...]] = {"gpt2": ("c_attn", "c_proj", "c_fc", "q_attn")}
"""Model type -> projections stored as (in, out); everything else stores (out, in)."""
RENAMED: Mapping[str, Mapping[str, str]] = {"gpt_neox": {"embed_out": "lm_head"}}
"""Model type -> module in the files -> what transformers 5 calls it, which is what PEFT matches names against."""

Head = Callable[[Settings], Shapes]


def _nothing(_: Settings) -> Shapes:
    return iter(())


def _language_head(c: Settings, tied: bool = False, name: str = "lm_head", hidden: str = "hidden_size") -> Shapes:
    """The output layer, unless it is the input table again; `tied` is what a config that is silent means."""
    if not c.flag("tie_word_embeddings", tied):
        yield f"{name}.weight", (c.size("vocab_size"), c.size(hidden))


def _bert_masked(c: Settings) -> Shapes:
    hidden, vocabulary = c.size("hidden_size"), c.size("vocab_size")
    yield "cls.predictions.bias", (vocabulary,)
    yield from linear("cls.predictions.transform.dense", hidden, hidden, True)
    yield from norm("cls.predictions.transform.LayerNorm", hidden)
    yield from _language_head(c, tied=True, name="cls.predictions.decoder")


def _distilbert_masked(c: Settings) -> Shapes:
    yield from linear("vocab_transform", c.size("dim"), c.size("dim"), True)
    yield from norm("vocab_layer_norm", c.size("dim"))
    yield from _language_head(c, tied=True, name="vocab_projector", hidden="dim")
    yield "vocab_projector.bias", (c.size("vocab_size"),)


def _roberta_masked(c: Settings) -> Shapes:
    hidden, vocabulary = c.size("hidden_size"), c.size("vocab_size")
    yield "lm_head.bias", (vocabulary,)
    yield from linear("lm_head.dense", hidden, hidden, True)
    yield from norm("lm_head.layer_norm", hidden)
    yield from _language_head(c, tied=True, name="lm_head.decoder")


def _pooler(c: Settings, prefix: str = "") -> Shapes:
    return linear(f"{prefix}pooler.dense", c.size("hidden_size"), c.size("hidden_size"), True)


def _score(c: Settings) -> Shapes:
    return linear("score", c.size("hidden_size"), c.labels)


def _bert_classifier(c: Settings) -> Shapes:
    yield from _pooler(c, "bert.")
    yield from linear("classifier", c.size("hidden_size"), c.labels, True)


def _distilbert_classifier(c: Settings) -> Shapes:
    yield from linear("pre_classifier", c.size("dim"), c.size("dim"), True)
    yield from linear("classifier", c.size("dim"), c.labels, True)


def _roberta_classifier(c: Settings) -> Shapes:
    yield from linear("classifier.dense", c.size("hidden_size"), c.size("hidden_size"), True)
    yield from linear("classifier.out_proj", c.size("hidden_size"), c.labels, True)


@dataclass(frozen=True)
class Family:
    """A model type: its body, and what each of its architectures puts on top."""

    body: Callable[[Settings, str], Shapes]
    prefix: str
    """Of the body's names in every architecture but the bare one."""
    bare: str
    heads: Mapping[str, Head]
    bare_head: Head = _nothing


def _causal(name: str, body: Callable[[Settings, str], Shapes], tied: bool = False) -> Family:
    heads: dict[str, Head] = {
        f"{name}ForCausalLM": partial(_language_head, tied=tied),
        f"{name}ForSequenceClassification": _score,
    }
    return Family(body, "model.", f"{name}Model", heads)


FAMILIES: Mapping[str, Family] = {
    "llama": _causal("Llama", decoder),
    "mistral": _causal("Mistral", partial(decoder, qkv_bias=False, out_bias=False, key_value_heads=8)),
    "mixtral": _causal(
        "Mixtral",
        partial(decoder, feed_forward=mixtral_experts, qkv_bias=False, out_bias=False, key_value_heads=8),
    ),
    "qwen2": _causal("Qwen2", partial(decoder, qkv_bias=True, out_bias=False, key_value_heads=32)),
    "qwen3": _causal("Qwen3", partial(decoder, query_norms=True, head_dim=128, key_value_heads=32)),
    "qwen3_moe": _causal("Qwen3Moe", partial(decoder, feed_forward=qwen_experts, query_norms=True, key_value_heads=4)),
    "gemma3_text": Family(
        partial(
            decoder,
            query_norms=True,
            head_dim=256,
            key_value_heads=4,
            norms=(*NORMS, "pre_feedforward_layernorm", "post_feedforward_layernorm"),
        ),
        "model.",
        "Gemma3TextModel",
        {"Gemma3ForCausalLM": partial(_language_head, tied=True), "Gemma3TextForSequenceClassification": _score},
    ),
    "phi3": _causal("Phi3", partial(decoder, feed_forward=phi_feed_forward, fused_qkv=True, out_bias=False)),
    "gpt2": Family(
        gpt2,
        "transformer.",
        "GPT2Model",
        {"GPT2LMHeadModel": partial(_language_head, tied=True, hidden="n_embd")},
    ),
    "gpt_neox": Family(
        gpt_neox,
        "gpt_neox.",
        "GPTNeoXModel",
        {"GPTNeoXForCausalLM": partial(_language_head, name="embed_out")},
    ),
    "bert": Family(
        bert,
        "bert.",
        "BertModel",
        {"BertForMaskedLM": _bert_masked, "BertForSequenceClassification": _bert_classifier},
        _pooler,
    ),
    "distilbert": Family(
        distilbert,
        "distilbert.",
        "DistilBertModel",
        {"DistilBertForMaskedLM": _distilbert_masked, "DistilBertForSequenceClassification": _distilbert_classifier},
    ),
    "roberta": Family(
        bert,
        "roberta.",
        "RobertaModel",
        {"RobertaForMaskedLM": _roberta_masked, "RobertaForSequenceClassification": _roberta_classifier},
        _pooler,
    ),
    "t5": Family(
        t5,
        "",
        "T5Model",
        {
            "T5ForConditionalGeneration": partial(_language_head, tied=True, hidden="d_model"),
            "T5WithLMHeadModel": partial(_language_head, tied=True, hidden="d_model"),
        },
    ),
}
"""By the config's `model_type`."""


def weights_from_config(config: Mapping[str, Any], architecture: str) -> tuple[Weight, ...] | None:
    """Every weight of the base that `config` describes; None for an architecture that has no closed form here.

    Raises ConfigFault.
    """
    family = FAMILIES.get(str(config.get("model_type")))
    bare = family is not None and architecture == family.bare
    if family is None or not (bare or architecture in family.heads) or config.get("add_cross_attention"):
        return None
    settings = Settings(config)
    dtype = str(config.get("dtype") or config.get("torch_dtype") or "float32").removeprefix("torch.")

    def all_shapes() -> Shapes:
        assert family is not None
        yield from family.body(settings, "" if bare else family.prefix)
        yield from (family.bare_head if bare else family.heads[architecture])(settings)

    weights = tuple(Weight(name, dtype, shape) for name, shape in islice(all_shapes(), MAX_WEIGHTS + 1))
    if len(weights) > MAX_WEIGHTS:
        raise ConfigFault(f"it describes more than {MAX_WEIGHTS:,} weights")
    return weights
