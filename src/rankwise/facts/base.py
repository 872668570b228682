"""What a base model is made of, from its `config.json` and file headers: no weights are read, no torch is needed.

With `facts/shapes` the one place that knows architectures by name, and only for what a header cannot tell.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal, NamedTuple

from rankwise.facts.folder import base_error, has_weights, read_config, read_weights
from rankwise.facts.header import Weight
from rankwise.facts.identity import BaseIdentity as BaseIdentity
from rankwise.facts.identity import compare_identity as compare_identity
from rankwise.facts.identity import identify_base as identify_base
from rankwise.facts.meta import walk_on_meta
from rankwise.facts.modules import (
    BIASES,
    GROUPS,
    TAKEN_FOR_EXPERTS,
    ExpertParameter,
    Module,
    container_names,
    count_layers,
    expand,
    find_modules,
    fuse_experts,
    is_parameter,
    is_table,
    names_of_roles,
)
from rankwise.facts.settings import ConfigFault
from rankwise.facts.shapes import RENAMED, TRANSPOSED, weights_from_config
from rankwise.recipe.patterns import value_at

Kind = Literal["causal", "encoder", "encoder-decoder"]
Task = Literal["causal_lm", "seq_cls", "seq_2_seq_lm"]
"""PEFT's word, in a recipe's letters."""
TASKS: Mapping[Kind, Task] = {"causal": "causal_lm", "encoder": "seq_cls", "encoder-decoder": "seq_2_seq_lm"}
Source = Literal["headers", "config", "meta"]
"""What the shapes were read from: the weight files, `config.json` in closed form, or transformers' own model of the
architecture built on the meta device (in another process)."""

NO_LIMIT = 1 << 30
"""`Anatomy.max_length` of a base whose config names no limit."""
MOST_LAYERS = 10_000
"""A config of more is damaged."""

LENGTHS = ("max_position_embeddings", "n_positions", "max_sequence_length", "max_seq_len", "seq_length", "n_ctx")
COUNTED_FROM_PADDING = ("roberta", "xlm-roberta", "xlm-roberta-xl", "camembert", "roberta-prelayernorm", "mpnet")
"""Model types whose positions begin after their padding token's id."""
LAYERS = ("num_hidden_layers", "n_layer", "n_layers", "num_layers")
HIDDEN = ("hidden_size", "n_embd", "d_model", "dim")
HEADS = ("num_attention_heads", "n_head", "n_heads", "num_heads")
TIED_HEADS = ("lm_head.weight", "cls.predictions.decoder.weight", "vocab_projector.weight", "lm_head.decoder.weight")
STACK_TABLES = ("encoder.embed_tokens.weight", "decoder.embed_tokens.weight")
ACTIVE_EXPERTS = ("num_experts_per_tok", "num_experts_per_token", "moe_topk", "moe_top_k", "top_k_experts")


@dataclass(frozen=True)
class Projection:
    """All linear layers of one leaf name and one shape."""

    name: str
    role: str
    """What it is for: a key of `modules.ROLES`, or expert, head, other."""
    in_features: int
    out_features: int
    count: int
    """How many of them the base has, over layers and experts."""
    has_bias: bool


class Targets(NamedTuple):
    """Target names held against a base."""

    modules: tuple[str, ...]
    """What to give PEFT: projection names, or dotted ends where a leaf name alone would match too much."""
    absent: tuple[str, ...]
    """Names that are nowhere in this base."""
    expanded: Mapping[str, tuple[str, ...]]
    """Container or `all-linear` -> the projections it stood for."""
    unreachable: tuple[str, ...]
    """Names that are here, but only as fused expert or router parameters, where a target name attaches nothing."""


@dataclass(frozen=True)
class Anatomy:
    """The shape of a base model."""

    name: str
    path: Path
    architecture: str
    """`LlamaForCausalLM`; empty if the config does not say."""
    model_type: str
    kind: Kind
    hidden_size: int
    num_layers: int
    vocab_size: int
    max_length: int
    """Most positions, in tokens; NO_LIMIT where the config names no limit."""
    total_parameters: int
    """Elements of all weights, a tied head counted once."""
    bias_parameters: int
    """Elements of all biases, the norms' included: what `bias: all` trains."""
    projections: tuple[Projection, ...]
    containers: Mapping[str, tuple[str, ...]]
    """`mlp` -> the target names of the projections inside."""
    tied_head: bool
    dtype: str
    """Of most of the weights, torch's name."""
    modules: tuple[Module, ...]
    source: Source
    experts: int
    """Routed experts a layer has, at most; 0 for a dense base."""
    active_experts: int
    """Of them, how many a token passes through; 0 for a dense base."""
    expert_parameters: tuple[ExpertParameter, ...]
    """The fused experts, which only `target_parameters` reaches."""
    key_width: int
    """Features of one token's keys in one layer: what a prefix of PEFT's prefix tuning is made of."""
    classifier_parameters: int = 0
    """Of the head that a sequence classifier trains whole beside its adapter (`facts/classifier`); not in
    `bias_parameters`. 0 for any other task."""

    @property
    def task(self) -> Task:
        """What a base of its kind is adapted for, whatever the head that its files carry."""
        return TASKS[self.kind]

    def resolve_targets(self, names: Iterable[str] | str) -> Targets:
        """What `target_modules` means on this base; nothing is raised, an empty `modules` is the caller's error."""
        found: list[str] = []
        absent: list[str] = []
        unreachable: list[str] = []
        expanded: dict[str, tuple[str, ...]] = {}
        for name in dict.fromkeys([names] if isinstance(names, str) else names):
            if name == "all-linear":
                body = [m for m in self.modules if m.reachable and m.role != "head"]
                expanded[name] = tuple(dict.fromkeys(m.leaf for m in body))
                found += expanded[name]
            elif matched := [m for m in self.modules if m.matches(name)]:
                (found if any(map(self._takes_adapter, matched)) else unreachable).append(name)
            elif inside := expand(self.modules, name):
                expanded[name] = inside
                found += inside
            elif any(m.inside(name) for m in self.modules):
                unreachable.append(name)
            elif inside := names_of_roles(self.modules, GROUPS.get(name, ())):
                expanded[name] = inside
                found += inside
            else:
                absent.append(name)
        return Targets(tuple(dict.fromkeys(found)), tuple(absent), expanded, tuple(unreachable))

    def targeted(self, modules: Iterable[str], layers: Collection[int] | None = None) -> tuple[Module, ...]:
        """The linear layers that these target names put an adapter on; `layers`: in those of these numbers alone."""
        names = tuple(modules)
        return tuple(
            m for m in self.modules if self._takes_adapter(m) and any(m.targeted_by(name, layers) for name in names)
        )

    def _takes_adapter(self, module: Module) -> bool:
        """A classifier's head is trained whole, so PEFT puts no adapter on it."""
        return module.reachable and not (self.classifier_parameters and module.role == "head")

    def experts_meant(self, names: Iterable[str]) -> tuple[ExpertParameter, ...]:
        """The fused experts that target names speak of, which PEFT must be given as `target_parameters`."""
        named = tuple(names)
        return tuple(p for p in self.expert_parameters if any(p.meant_by(name) for name in named))

    def targeted_experts(self, parameters: Iterable[str]) -> tuple[ExpertParameter, ...]:
        """The fused experts that these names of `target_parameters` put an adapter on."""
        names = tuple(parameters)
        return tuple(p for p in self.expert_parameters if any(p.matches(name) for name in names))

    def trainable_parameters(
        self,
        modules: Iterable[str],
        r: int,
        bias: str = "none",
        rank_pattern: Mapping[str, int] | None = None,
        layers: Collection[int] | None = None,
    ) -> int:
        """r * (in + out) over the targeted layers, plus the biases that `bias` (PEFT's word) trains; of the adapter
        alone, without `classifier_parameters`. `rank_pattern`: other ranks than `r`, by PEFT's patterns."""
        adapted, ranks = self.targeted(modules, layers), rank_pattern or {}
        count = sum(value_at(ranks, m.path, r) * (m.in_features + m.out_features) for m in adapted)
        if bias == "all":
            return count + self.bias_parameters
        if bias == "lora_only":
            return count + sum(m.out_features for m in adapted if m.has_bias)
        return count

    def expert_trainable_parameters(
        self, parameters: Iterable[str], r: int, rank_pattern: Mapping[str, int] | None = None
    ) -> int:
        """r * (in + out) for every expert of the fused parameters that `target_parameters` names."""
        experts, ranks = self.targeted_experts(parameters), rank_pattern or {}
        return sum(value_at(ranks, p.path, r) * p.experts * (p.in_features + p.out_features) for p in experts)


def read_anatomy(path: Path, name: str = "") -> Anatomy:
    """The anatomy of the base in folder `path`: config.json, and safetensors files where there are any.

    Without weight files the shapes follow from the config, or from transformers' own model of it (`Anatomy.source`).
    Raises BaseError with every fault found.
    """
    return describe(path, name, read_config(path), has_weights(path))


def describe(path: Path, name: str, config: Mapping[str, Any], weights: bool) -> Anatomy:
    """As `read_anatomy`, by this `config`; `weights`: the shapes are in the folder's weight files."""
    if "quantization_config" in config:
        raise base_error(
            "base-quantized", path, "its weights are already quantised; give the base in bfloat16 or float32"
        )
    inner = inner_config(config)
    architecture = str((config.get("architectures") or [""])[0])
    hidden, vocabulary = _first(inner, HIDDEN), _first(inner, ("vocab_size",))
    missing = [what for what, there in (("hidden_size", hidden), ("vocab_size", vocabulary)) if not there]
    if missing:
        fault = f"config.json names no {' and no '.join(missing)}"
        raise base_error("base-unreadable", path, f"{fault}; give the folder of a transformers model")
    found = _find_weights(path, config, inner, architecture, weights)
    model_type = str(config.get("model_type", ""))
    modules = _named_as_built(find_modules(found.weights, found.transposed, found.linear), model_type)
    tied = _has_head(architecture) and not any(m.leaf == "lm_head" for m in modules)
    if tied and "MaskedLM" not in architecture:
        modules = (*modules, Module("lm_head", "head", hidden, vocabulary, False))
    if not modules:
        fault = "no linear layer was found in its weights"
        raise base_error("base-unreadable", path, f"{fault}; give the folder of a transformers model")
    by_dtype: Counter[str] = Counter()
    for weight in found.weights:
        by_dtype[weight.dtype] += weight.size
    experts = fuse_experts(modules)
    most = max((p.experts for p in experts), default=0)
    return Anatomy(
        name=name or path.name,
        path=path,
        architecture=architecture,
        model_type=model_type,
        kind=_kind(config, architecture),
        hidden_size=hidden,
        num_layers=_first(inner, LAYERS) or count_layers(modules),
        vocab_size=vocabulary,
        max_length=_max_length(inner),
        total_parameters=sum(w.size for w in found.weights),
        bias_parameters=sum(w.size for w in found.weights if w.name.endswith(BIASES)),
        projections=_projections(modules),
        containers={name: inside for name in container_names(modules) if (inside := expand(modules, name))},
        tied_head=tied,
        dtype=by_dtype.most_common(1)[0][0],
        modules=modules,
        source=found.source,
        experts=most,
        active_experts=min(_first(inner, ACTIVE_EXPERTS) or most, most),
        expert_parameters=experts,
        key_width=_key_width(inner, modules, hidden),
    )


class _Found(NamedTuple):
    """The weights of a base, and what is known of its linear layers beside their names."""

    weights: tuple[Weight, ...]
    source: Source
    transposed: Collection[str]
    linear: Collection[str] | None
    """All of them; None: by name."""


def inner_config(config: Mapping[str, Any]) -> dict[str, Any]:
    """A config with what it says of its text model on top."""
    return {**config, **text} if isinstance(text := config.get("text_config"), dict) else dict(config)


def _find_weights(
    path: Path, config: Mapping[str, Any], inner: Mapping[str, Any], architecture: str, weights: bool
) -> _Found:
    """From the headers if there are weight files, else from the config, else from the meta device. Raises BaseError."""
    transposed = TRANSPOSED.get(str(inner.get("model_type")), ())
    if weights:
        held = tuple(t for t in read_weights(path) if is_parameter(t))
        return _Found(_without_copies(held, inner), "headers", transposed, None)
    advice = "it has no weight files either; add them, or mend config.json"
    if not architecture:
        raise base_error("base-no-weights", path, f"config.json names no architectures, and {advice}")
    try:
        described = None
        if _first(inner, LAYERS) > MOST_LAYERS:
            raise ConfigFault(f"it speaks of {_first(inner, LAYERS):,} layers")
        described = weights_from_config(inner, architecture)
    except ConfigFault as fault:
        raise base_error("base-unreadable", path, f"config.json: {fault}; {advice}") from None
    if described is not None:
        return _Found(described, "config", transposed, None)
    walked = walk_on_meta(path, config)
    return _Found(walked.weights, "meta", walked.transposed, walked.linear)


def _without_copies(tensors: tuple[Weight, ...], inner: Mapping[str, Any]) -> tuple[Weight, ...]:
    """Leave out what a file stores a second time: a tied head, and T5's and BART's tables of each stack."""
    tables = {t.shape for t in tensors if is_table(t.name.split(".")[:-1])}
    copies = set()
    if inner.get("tie_word_embeddings"):
        copies |= {t.name for t in tensors if t.name in TIED_HEADS and t.shape in tables}
    shared = {t.shape for t in tensors if t.name.removeprefix("model.") == "shared.weight"}
    copies |= {t.name for t in tensors if t.name.removeprefix("model.") in STACK_TABLES and t.shape in shared}
    return tuple(t for t in tensors if t.name not in copies)


def _named_as_built(modules: tuple[Module, ...], model_type: str) -> tuple[Module, ...]:
    """The modules under the names transformers gives them once loaded, where the files use others, with what PEFT makes
    of these names."""
    renamed = RENAMED.get(model_type, {})
    named = tuple(replace(m, path=renamed[m.path]) if m.path in renamed else m for m in modules)
    taken = TAKEN_FOR_EXPERTS.get(model_type, ()) if any(m.role == "expert" for m in named) else ()
    return tuple(replace(m, taken=True) if m.leaf in taken and m.role != "expert" else m for m in named)


def _key_width(inner: Mapping[str, Any], modules: Iterable[Module], hidden: int) -> int:
    """As PEFT finds it: the hidden size, or head width times key-value heads where the config names those."""
    groups, heads = _first(inner, ("num_key_value_heads",)), _first(inner, HEADS)
    if not groups:
        return hidden
    named = next((m.out_features for m in modules if m.role == "key"), 0)
    return named or groups * (_first(inner, ("head_dim",)) or hidden // max(heads, 1))


def _max_length(inner: Mapping[str, Any]) -> int:
    """Positions that a token can have: RoBERTa leaves those up to its padding token's id unused."""
    positions = _first(inner, LENGTHS) or NO_LIMIT
    if inner.get("model_type") in COUNTED_FROM_PADDING and positions < NO_LIMIT:
        padding = inner.get("pad_token_id")
        positions -= (padding if isinstance(padding, int) else 1) + 1
    return positions


def _first(config: Mapping[str, Any], keys: Iterable[str]) -> int:
    """The first positive number among `keys`; 0 if there is none."""
    values = (config.get(key) for key in keys)
    return next((v for v in values if isinstance(v, int) and v > 0), 0)


def _has_head(architecture: str) -> bool:
    return any(part in architecture for part in ("CausalLM", "LMHead", "ConditionalGeneration", "MaskedLM"))


def _kind(config: Mapping[str, Any], architecture: str) -> Kind:
    if config.get("is_encoder_decoder"):
        return "encoder-decoder"
    causal = any(part in architecture for part in ("CausalLM", "LMHead", "ConditionalGeneration"))
    return "causal" if causal else "encoder"


def _projections(modules: Iterable[Module]) -> tuple[Projection, ...]:
    kinds: Counter[tuple[str, str, int, int, bool]] = Counter()
    for m in modules:
        kinds[m.leaf, m.role, m.in_features, m.out_features, m.has_bias] += m.copies
    return tuple(Projection(leaf, role, i, o, n, biased) for (leaf, role, i, o, biased), n in kinds.items())
