"""What a base model is made of, from its `config.json` and file headers: no weights are read, no torch is needed.

This is the one place that knows architectures by name, and only for what a header cannot tell
(which weights lie transposed, what a projection is for).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, NamedTuple

from rankwise.facts.folder import base_error, read_config, read_weights
from rankwise.facts.header import Tensor
from rankwise.facts.identity import BaseIdentity as BaseIdentity
from rankwise.facts.identity import compare_identity as compare_identity
from rankwise.facts.identity import identify_base as identify_base

Kind = Literal["causal", "encoder", "encoder-decoder"]

NO_LIMIT = 1 << 30
"""`Anatomy.max_length` of a base whose config names no limit."""

ROLES: Mapping[str, tuple[str, ...]] = {
    "query": ("q_proj", "q_lin", "query", "q", "wq", "q_attn"),
    "key": ("k_proj", "k_lin", "key", "k", "wk"),
    "value": ("v_proj", "v_lin", "value", "v", "wv"),
    "query_key_value": ("c_attn", "qkv_proj", "query_key_value", "Wqkv", "qkv"),
    "attention_output": ("o_proj", "out_proj", "out_lin", "o", "wo_attn", "attention.output.dense", "attn.c_proj"),
    "gate": ("gate_proj", "w1", "wi_0"),
    "gate_up": ("gate_up_proj",),
    "up": ("up_proj", "w3", "wi", "wi_1", "c_fc", "fc1", "lin1", "intermediate.dense", "dense_h_to_4h"),
    "down": ("down_proj", "w2", "wo", "fc2", "lin2", "output.dense", "mlp.c_proj", "dense_4h_to_h"),
    "router": ("router", "gate", "shared_expert_gate"),
    "pooler": ("pooler.dense",),
}
HEADS = ("lm_head", "embed_out", "classifier", "score", "qa_outputs", "seq_relationship")
EMBEDDINGS = ("shared", "wte", "wpe", "relative_attention_bias")
"""Tables that are looked up rather than multiplied; so is every name with `embed` in it."""
TRANSPOSED = {"gpt2": ("c_attn", "c_proj", "c_fc", "q_attn")}
"""Model types whose projections are stored as (in, out); everything else stores (out, in)."""

LENGTHS = ("max_position_embeddings", "n_positions", "max_sequence_length", "max_seq_len", "seq_length", "n_ctx")
LAYERS = ("num_hidden_layers", "n_layer", "n_layers", "num_layers")
HIDDEN = ("hidden_size", "n_embd", "d_model", "dim")


@dataclass(frozen=True)
class Module:
    """One linear layer of the base."""

    path: str
    """Dotted, as in the weight file: `model.layers.0.self_attn.q_proj`."""
    role: str
    in_features: int
    out_features: int
    has_bias: bool

    @property
    def leaf(self) -> str:
        return self.path.rpartition(".")[2]

    @property
    def reachable(self) -> bool:
        """Whether naming it attaches LoRA: transformers fuses experts and routers into bare parameters."""
        return self.role not in ("expert", "router")

    def matches(self, name: str) -> bool:
        """PEFT's own rule: the path, or a dotted end of it."""
        return self.path == name or self.path.endswith("." + name)

    def inside(self, container: str) -> bool:
        return f".{container}." in f".{self.path}"


@dataclass(frozen=True)
class Projection:
    """All linear layers of one leaf name and one shape."""

    name: str
    role: str
    """What it is for: a key of ROLES, or expert, head, other."""
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
                (found if any(m.reachable for m in matched) else unreachable).append(name)
            elif inside := _expand(self.modules, name):
                expanded[name] = inside
                found += inside
            elif any(m.inside(name) for m in self.modules):
                unreachable.append(name)
            else:
                absent.append(name)
        return Targets(tuple(dict.fromkeys(found)), tuple(absent), expanded, tuple(unreachable))

    def targeted(self, modules: Iterable[str]) -> tuple[Module, ...]:
        """The linear layers that these target names put an adapter on."""
        names = tuple(modules)
        return tuple(m for m in self.modules if m.reachable and any(m.matches(name) for name in names))

    def trainable_parameters(self, modules: Iterable[str], r: int, bias: str = "none") -> int:
        """r * (in + out) over the targeted layers, plus the biases that `bias` (PEFT's word) trains."""
        layers = self.targeted(modules)
        count = sum(r * (m.in_features + m.out_features) for m in layers)
        if bias == "all":
            return count + self.bias_parameters
        if bias == "lora_only":
            return count + sum(m.out_features for m in layers if m.has_bias)
        return count


def read_anatomy(path: Path, name: str = "") -> Anatomy:
    """The anatomy of the base in folder `path` (config.json and safetensors files).

    Raises BaseError with every fault found.
    """
    config = read_config(path)
    tensors = tuple(t for t in read_weights(path) if "float" in t.dtype)  # integers are buffers, such as position ids
    if "quantization_config" in config:
        raise base_error(
            "base-quantized", path, "its weights are already quantised; give the base in bfloat16 or float32"
        )
    inner = config.get("text_config", config)
    if not isinstance(inner, dict):
        inner = config
    if inner.get("tie_word_embeddings", config.get("tie_word_embeddings")):
        tensors = _without_second_head(tensors)
    model_type = str(config.get("model_type", ""))
    architecture = str((config.get("architectures") or [""])[0])
    modules = _modules(tensors, str(inner.get("model_type", model_type)))
    hidden = _first(inner, HIDDEN)
    vocabulary = _first(inner, ("vocab_size",))
    tied = _has_head(architecture) and not any(m.leaf == "lm_head" or m.leaf == "embed_out" for m in modules)
    if tied and hidden and vocabulary and "MaskedLM" not in architecture:
        modules = (*modules, Module("lm_head", "head", hidden, vocabulary, False))
    if not hidden or not vocabulary or not modules:
        missing = [what for what, there in (("hidden_size", hidden), ("vocab_size", vocabulary)) if not there]
        fault = (
            f"config.json names no {' and no '.join(missing)}"
            if missing
            else "no linear layer was found in its weights"
        )
        raise base_error("base-unreadable", path, f"{fault}; give the folder of a transformers model")
    by_dtype: Counter[str] = Counter()
    for tensor in tensors:
        by_dtype[tensor.dtype] += tensor.size
    return Anatomy(
        name=name or path.name,
        path=path,
        architecture=architecture,
        model_type=model_type,
        kind=_kind(config, architecture),
        hidden_size=hidden,
        num_layers=_first(inner, LAYERS) or _count_layers(modules),
        vocab_size=vocabulary,
        max_length=_first(inner, LENGTHS) or NO_LIMIT,
        total_parameters=sum(t.size for t in tensors),
        bias_parameters=sum(t.size for t in tensors if t.name.endswith(".bias")),
        projections=_projections(modules),
        containers={name: inside for name in _container_names(modules) if (inside := _expand(modules, name))},
        tied_head=tied,
        dtype=by_dtype.most_common(1)[0][0],
        modules=modules,
    )


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


def _without_second_head(tensors: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
    """Leave out a tied head that the file stores a second time."""
    tables = {t.shape for t in tensors if _is_embedding(t.name.split(".")[:-1])}
    return tuple(t for t in tensors if not (t.name == "lm_head.weight" and t.shape in tables))


def _is_embedding(parts: list[str]) -> bool:
    return bool(parts) and (parts[-1] in EMBEDDINGS or "embed" in parts[-1].lower())


def _modules(tensors: tuple[Tensor, ...], model_type: str) -> tuple[Module, ...]:
    names = {t.name for t in tensors}
    flipped = TRANSPOSED.get(model_type, ())
    modules = []
    for tensor in tensors:
        path, _, last = tensor.name.rpartition(".")
        parts = path.split(".")
        if last != "weight" or len(tensor.shape) != 2 or _is_embedding(parts):
            continue
        shape = tensor.shape if parts[-1] in flipped else tensor.shape[::-1]
        modules.append(Module(path, _role(parts), shape[0], shape[1], f"{path}.bias" in names))
    order = [*ROLES, "expert", "other", "head"]
    return tuple(sorted(modules, key=lambda m: order.index(m.role)))


def _role(parts: list[str]) -> str:
    if parts[-1] in HEADS or parts[0] == "cls":
        return "head"
    if "experts" in parts:
        return "expert"
    ends = [".".join(parts[-n:]) for n in (3, 2, 1) if n <= len(parts)]
    for end in ends:  # the longest end decides: BERT's `dense` is three things
        for role, names in ROLES.items():
            if end in names:
                return role
    return "other"


def _projections(modules: Iterable[Module]) -> tuple[Projection, ...]:
    kinds = Counter((m.leaf, m.role, m.in_features, m.out_features, m.has_bias) for m in modules)
    return tuple(Projection(leaf, role, i, o, n, biased) for (leaf, role, i, o, biased), n in kinds.items())


def _inner_parts(module: Module) -> list[str]:
    """The path below the last layer number, without the leaf: [`self_attn`]."""
    parts = module.path.split(".")
    start = max((i for i, part in enumerate(parts) if part.isdigit()), default=-1)
    return parts[start + 1 : -1]


def _container_names(modules: Iterable[Module]) -> list[str]:
    return list(dict.fromkeys(part for m in modules for part in _inner_parts(m)))


def _expand(modules: Iterable[Module], container: str) -> tuple[str, ...]:
    """Target names that match the reachable layers inside `container` and no others."""
    layers = [m for m in modules if m.reachable]
    outside = {m.leaf for m in layers if not m.inside(container)}
    names = []
    for module in layers:
        if module.inside(container):
            _, _, after = f".{module.path}".rpartition(f".{container}.")
            names.append(f"{container}.{after}" if module.leaf in outside else module.leaf)
    return tuple(dict.fromkeys(names))


def _count_layers(modules: Iterable[Module]) -> int:
    return len({part for m in modules for part in m.path.split(".")[:4] if part.isdigit()})
