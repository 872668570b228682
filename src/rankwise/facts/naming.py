"""What another architecture's name for a layer means on this base: `attn.q_proj` or `q_lin` is `c_attn` in GPT-2."""

from __future__ import annotations

from collections.abc import Mapping

from rankwise.facts.base import Anatomy
from rankwise.facts.modules import HEADS, ROLES, SPLIT_PARTS, Module
from rankwise.recipe.draft import KnownBase

STAND_INS: Mapping[str, tuple[str, ...]] = {
    "query": ("query_key_value",),
    "key": ("query_key_value",),
    "value": ("query_key_value",),
    "query_key_value": ("query", "key", "value"),
    "gate": ("gate_up",),
    "up": ("gate_up",),
    "gate_up": ("gate", "up"),
}
"""Role -> the roles that do its work on a base that has no layer for it alone."""


def names_here(anatomy: Anatomy, name: str) -> tuple[str, ...]:
    """Target names of the layers of this base that do what a layer called `name` does; empty: it has none.

    `all-linear`, containers and parts of experts this base knows are kept as they are; where experts alone do it, it is
    the parameters they are fused in.
    """
    leaf = name.rpartition(".")[2]
    if layers := anatomy.targeted((name,)):
        return (leaf,) if anatomy.targeted((leaf,)) == layers else (name,)
    if anatomy.resolve_targets(name).modules or anatomy.experts_meant((name,)):
        return (name,)
    role = _role_of(name)
    for wanted in ((role,), STAND_INS.get(role, ())):
        layers = tuple(m for m in anatomy.modules if m.reachable and m.role in wanted)
        if layers:
            return tuple(dict.fromkeys(_name(anatomy, layer) for layer in layers))
    fused = SPLIT_PARTS.get(role, "")
    return tuple(dict.fromkeys(p.name for p in anatomy.expert_parameters if p.leaf == fused))


def known_base(anatomy: Anatomy) -> KnownBase:
    """What the writing of a recipe needs of a base."""
    return KnownBase(
        task=anatomy.task,
        hidden_size=anatomy.hidden_size,
        tied_head=anatomy.tied_head,
        experts=anatomy.experts,
        names=lambda name: names_here(anatomy, name),
        has_biases=lambda names: any(m.has_bias for m in anatomy.targeted(anatomy.resolve_targets(names).modules)),
    )


def _role_of(name: str) -> str:
    """By the longest end of `name` that some architecture uses; empty if none does."""
    parts = name.split(".")
    if parts[-1] in HEADS:
        return "head"
    ends = [".".join(parts[-n:]) for n in (3, 2, 1) if n <= len(parts)]
    return next((role for end in ends for role, names in ROLES.items() if end in names), "")


def _name(anatomy: Anatomy, layer: Module) -> str:
    """The shortest dotted end of the layer's path that names layers of its role alone."""
    parts = layer.path.split(".")
    ends = (".".join(parts[-n:]) for n in range(1, len(parts) + 1))
    return next(end for end in ends if all(m.role == layer.role for m in anatomy.modules if m.matches(end)))
