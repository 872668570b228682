"""The linear layers of a base, found among the names and shapes of its weights, and what each is for."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass

from rankwise.facts.header import Weight

ROLES: Mapping[str, tuple[str, ...]] = {
    "query": ("q_proj", "q_lin", "query", "q", "wq", "q_attn"),
    "key": ("k_proj", "k_lin", "key", "k", "wk"),
    "value": ("v_proj", "v_lin", "value", "v", "wv"),
    "query_key_value": ("c_attn", "qkv_proj", "query_key_value", "Wqkv", "qkv"),
    "attention_output": (
        *("o_proj", "out_proj", "out_lin", "o", "wo_attn", "attn.c_proj"),
        *("attention.output.dense", "attention.dense", "self_attention.dense", "self_attn.dense"),
    ),
    "gate": ("gate_proj", "w1", "wi_0"),
    "gate_up": ("gate_up_proj",),
    "up": ("up_proj", "w3", "wi", "wi_1", "c_fc", "fc1", "lin1", "intermediate.dense", "dense_h_to_4h"),
    "down": ("down_proj", "w2", "wo", "fc2", "lin2", "output.dense", "mlp.c_proj", "dense_4h_to_h"),
    "router": ("router", "gate", "shared_expert_gate"),
    "pooler": ("pooler.dense",),
}
GROUPS: Mapping[str, tuple[str, ...]] = {
    "attention": ("query", "key", "value", "query_key_value", "attention_output"),
    "mlp": ("gate", "gate_up", "up", "down"),
}
GROUPS = {**GROUPS, "attn": GROUPS["attention"], "ffn": GROUPS["mlp"]}
"""Words for the layers of some roles, understood on a base that has no container of that name."""
HEADS = (
    *("lm_head", "embed_out", "classifier", "pre_classifier", "score", "qa_outputs", "seq_relationship"),
    *("cls", "vocab_transform", "vocab_projector"),
)
"""A layer so called, or anything inside a top module so called, belongs to the head."""
EMBEDDINGS = ("shared", "wte", "wpe", "relative_attention_bias")
"""Tables that are looked up rather than multiplied; so is every name with `embed` in it."""
BIASES = (".bias", ".beta")
"""Ends of the names of biases; `beta` is that of a norm in files from before transformers."""
BUFFERS = (".inv_freq", ".masked_bias", ".position_ids", "final_logits_bias")
"""Ends of the names of tensors that some files hold and no optimizer sees."""
SPLIT_PARTS = {"gate": "gate_up_proj", "up": "gate_up_proj", "down": "down_proj"}
"""Role of an expert's projection in the files -> the fused parameter in which transformers 5 keeps it."""
FUSED_PARTS = {"gate_up_proj": ("gate_proj", "up_proj"), "down_proj": ("down_proj",)}
"""Fused parameter -> what its parts are called where they are single projections."""
EVERYWHERE = ("all-linear", *(word for word, roles in GROUPS.items() if "down" in roles))
"""Words that mean experts too."""
WRAPPED = tuple(FUSED_PARTS)
"""The order in which transformers registers fused parameters, and so PEFT wraps them: the last is outermost."""
TAKEN_FOR_EXPERTS: Mapping[str, tuple[str, ...]] = {
    **dict.fromkeys(("mixtral", "minimax", "minimax_m2"), ("w1", "w2", "w3")),
    **dict.fromkeys(
        (
            *("afmoe", "deepseek_v2", "deepseek_v3", "deepseek_v32", "dots1", "ernie4_5_moe", "exaone_moe"),
            *("glm4_moe", "glm4_moe_lite", "glm4v_moe", "glm_moe_dsa", "hunyuan_v1_moe", "longcat_flash", "mellum"),
            *("olmoe", "qwen3_moe", "qwen3_next", "cohere2_moe", "solar_open", "flex_olmo"),
        ),
        ("gate_proj", "up_proj", "down_proj"),
    ),
}
"""Model type -> layers whose names PEFT 0.21 takes for those of experts, be they in a dense or a shared MLP."""


@dataclass(frozen=True)
class Module:
    """One linear layer of the base."""

    path: str
    """Dotted, as transformers calls it: `model.layers.0.self_attn.q_proj`."""
    role: str
    in_features: int
    out_features: int
    has_bias: bool
    copies: int = 1
    """How many matrices of this shape lie under the one name: experts stored in one tensor."""
    taken: bool = False
    """Whether PEFT takes its name for that of an expert (TAKEN_FOR_EXPERTS)."""

    @property
    def leaf(self) -> str:
        return self.path.rpartition(".")[2]

    @property
    def reachable(self) -> bool:
        """Whether naming it attaches LoRA: transformers fuses experts and routers into bare parameters."""
        return self.role not in ("expert", "router") and not self.taken

    def matches(self, name: str) -> bool:
        """PEFT's own rule: the path, or a dotted end of it."""
        return self.path == name or self.path.endswith("." + name)

    @property
    def layer(self) -> int | None:
        """The number of the layer it lies in, the first in its path; None: outside of all, as the head is."""
        return next((int(part) for part in self.path.split(".") if part.isdecimal()), None)

    def targeted_by(self, name: str, layers: Collection[int] | None = None) -> bool:
        """Whether PEFT takes `name` for it under `layers_to_transform`, which a path in full is not held against."""
        return self.matches(name) and (layers is None or self.path == name or self.layer in layers)

    def inside(self, container: str) -> bool:
        return f".{container}." in f".{self.path}"


@dataclass(frozen=True)
class ExpertParameter:
    """All experts of one layer in one bare parameter, (experts, out, in): what `target_parameters` names."""

    path: str
    """`model.layers.0.mlp.experts.gate_up_proj`; gate and up lie above each other."""
    experts: int
    in_features: int
    out_features: int
    parts: tuple[str, ...] = ()
    """Leaf names of the projections that lie in it: `gate_proj`, `up_proj`."""

    @property
    def leaf(self) -> str:
        return self.path.rpartition(".")[2]

    @property
    def name(self) -> str:
        """What every layer's parameter of its kind is called: `mlp.experts.gate_up_proj`."""
        parts = self.path.split(".")
        start = next((i + 1 for i, part in enumerate(parts) if part.isdecimal()), 0)
        return ".".join(parts[start:])

    @property
    def layer(self) -> int | None:
        """As a module's."""
        return next((int(part) for part in self.path.split(".") if part.isdecimal()), None)

    def meant_by(self, name: str) -> bool:
        """Whether a target name speaks of it: as a part of it, as all around it, or by its own name."""
        return name in EVERYWHERE or name in self.parts or f".{name}." in f".{self.path}."

    def matches(self, name: str) -> bool:
        """PEFT's own rule: the path, or a dotted end of it."""
        return self.path == name or self.path.endswith("." + name)


def is_parameter(weight: Weight) -> bool:
    """Whether it is trained in full fine-tuning: integers, rotary tables and GPT-2's causal mask are not."""
    mask = weight.name.endswith((".attn.bias", ".attention.bias")) and len(weight.shape) != 1
    return "float" in weight.dtype and not mask and not weight.name.endswith(BUFFERS)


def find_modules(
    weights: Iterable[Weight], transposed: Collection[str] = (), linear: Collection[str] | None = None
) -> tuple[Module, ...]:
    """The linear layers, ordered by role.

    `transposed`: paths or leaf names of those whose weight lies as (in, out). `linear`: the paths of all linear
    layers where they are known; without it, every matrix is one that is no table by its name.
    """
    weights = tuple(weights)
    names = {weight.name for weight in weights}
    modules = []
    for weight in weights:
        path, _, last = weight.name.rpartition(".")
        parts = path.split(".")
        if len(weight.shape) == 3 and "experts" in parts[-2:]:
            copies, rows, columns = weight.shape
            fused = weight.name.removesuffix(".weight")
            modules.append(Module(fused, "expert", columns, rows, f"{fused}_bias" in names, copies))
        if last != "weight" or len(weight.shape) != 2:
            continue
        role = _role(parts)
        if is_table(parts) or (linear is not None and path not in linear and role != "router"):
            continue
        flipped = path in transposed or parts[-1] in transposed
        shape = weight.shape if flipped else weight.shape[::-1]
        modules.append(Module(path, role, shape[0], shape[1], f"{path}.bias" in names))
    order = [*ROLES, "expert", "other", "head"]
    return tuple(sorted(modules, key=lambda m: order.index(m.role)))


def is_table(parts: Sequence[str]) -> bool:
    """Whether the module at `parts` of a path looks its input up in a table."""
    return bool(parts) and parts[-1] not in HEADS and (parts[-1] in EMBEDDINGS or "embed" in parts[-1].lower())


def _role(parts: Sequence[str]) -> str:
    if parts[-1] in HEADS or parts[0] in HEADS:
        return "head"
    if "experts" in parts:
        return "expert"
    return _role_by_name(parts)


def _role_by_name(parts: Sequence[str]) -> str:
    ends = [".".join(parts[-n:]) for n in (3, 2, 1) if n <= len(parts)]
    for end in ends:  # the longest end decides: BERT's `dense` is three things
        for role, names in ROLES.items():
            if end in names:
                return role
    return "other"


def fuse_experts(modules: Iterable[Module]) -> tuple[ExpertParameter, ...]:
    """The parameters in which transformers 5 holds the experts: as they are, or those it fuses single ones into."""
    fused: dict[str, list[Module]] = {}
    for module in modules:
        if module.role != "expert":
            continue
        if module.copies > 1:
            fused[module.path] = [module]
            continue
        parts = module.path.split(".")
        at = parts.index("experts")
        name = SPLIT_PARTS.get(_role_by_name(parts[-1:]))
        if name is not None and len(parts) == at + 3:  # ... experts . number . projection
            block = "mlp" if parts[at - 1] == "block_sparse_moe" else parts[at - 1]
            fused.setdefault(".".join([*parts[: at - 1], block, "experts", name]), []).append(module)
    return tuple(_stack(path, parts) for path, parts in fused.items())


def _stack(path: str, parts: Sequence[Module]) -> ExpertParameter:
    """One parameter of the single projections `parts`; gate and up of an expert share their input."""
    first = parts[0]
    if first.copies > 1:
        names = FUSED_PARTS.get(first.leaf, ())
        return ExpertParameter(path, first.copies, first.in_features, first.out_features, names)
    experts = len({part.path.rpartition(".")[0] for part in parts})
    out_features = sum(part.out_features for part in parts) // experts
    names = tuple(dict.fromkeys(part.leaf for part in parts))
    return ExpertParameter(path, experts, first.in_features, out_features, names)


def expand(modules: Iterable[Module], container: str) -> tuple[str, ...]:
    """Target names that match the reachable layers inside `container` and no others."""
    layers = [m for m in modules if m.reachable]
    outside = {m.leaf for m in layers if not m.inside(container)}
    names = []
    for module in layers:
        if module.inside(container):
            _, _, after = f".{module.path}".rpartition(f".{container}.")
            names.append(f"{container}.{after}" if module.leaf in outside else module.leaf)
    return tuple(dict.fromkeys(names))


def names_of_roles(modules: Iterable[Module], roles: Collection[str]) -> tuple[str, ...]:
    """Target names that match the reachable layers of these roles and no others."""
    layers = [m for m in modules if m.reachable]
    others = {end for m in layers if m.role not in roles for end in _ends(m.path)}
    return tuple(
        dict.fromkeys(next(end for end in _ends(m.path) if end not in others) for m in layers if m.role in roles)
    )


def _ends(path: str) -> list[str]:
    """`dense`, `output.dense`, `attention.output.dense`."""
    parts = path.split(".")
    return [".".join(parts[-n:]) for n in range(1, len(parts) + 1)]


def container_names(modules: Iterable[Module]) -> list[str]:
    """Names between the last layer number and the leaf, such as `self_attn`."""
    return list(dict.fromkeys(part for m in modules for part in _inner_parts(m)))


def _inner_parts(module: Module) -> list[str]:
    """The path below the last layer number, without the leaf: [`self_attn`]."""
    parts = module.path.split(".")
    start = max((i for i, part in enumerate(parts) if part.isdigit()), default=-1)
    return parts[start + 1 : -1]


def count_layers(modules: Iterable[Module]) -> int:
    return len({part for m in modules for part in m.path.split(".")[:4] if part.isdigit()})
