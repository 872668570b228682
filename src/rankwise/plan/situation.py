"""What a doctrine's rules may look at, drawn from the base, the rows, the machine and what is settled so far."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from rankwise.doctrine import Situation, Value
from rankwise.facts import Anatomy, Machine, Module
from rankwise.plan.adapted import TARGETS, expert_names, layer_numbers, target_names
from rankwise.plan.prepare import Prepared
from rankwise.recipe import Recipe


def describe_situation(recipe: Recipe, prepared: Prepared, machine: Machine, settled: Mapping[str, Value]) -> Situation:
    """`settled` is looked at, not copied: rules see what is decided after this call, too."""
    anatomy, corpus = prepared.anatomy, prepared.corpus
    gpus = machine.gpus if machine.device == "cuda" else ()
    body = [p for p in anatomy.projections if p.role != "head"]
    head = None if anatomy.tied_head else next((p.name for p in anatomy.projections if p.role == "head"), None)
    return Situation(
        base_parameters=anatomy.total_parameters,
        hidden_size=anatomy.hidden_size,
        linear_layers=tuple(dict.fromkeys(p.name for p in body)),
        rows=len(corpus.train),
        supervised_tokens=corpus.supervised_tokens,
        longest_row=corpus.max_length,
        settled=settled,
        roles=names_by_role(anatomy),
        count_per_rank=lambda names: _count_per_rank(anatomy, names, settled),
        num_layers=anatomy.num_layers,
        model_type=anatomy.model_type,
        architecture=anatomy.architecture,
        kind=anatomy.kind,
        head=head,
        experts=anatomy.experts,
        active_experts=anatomy.active_experts,
        labels=len(corpus.labels),
        multi_label=corpus.shape == "label_lists",
        task=anatomy.task,
        objective=recipe.objective,
        goal=recipe.goal,
        gpus=len(gpus),
        gpu_bytes=gpus[0].memory_bytes if gpus else 0,
        memory_bytes=machine.memory_bytes,
    )


def _count_per_rank(anatomy: Anatomy, names: Sequence[str], settled: Mapping[str, Value]) -> int:
    """On the layers of these names, and a share of it on each adapted expert, so that all active ones have r between
    them."""
    experts = anatomy.expert_trainable_parameters(expert_names(settled), 1)
    layers = anatomy.trainable_parameters(names, 1, layers=layer_numbers(settled))
    return layers + experts // max(anatomy.active_experts, 1)


def names_by_role(anatomy: Anatomy) -> dict[str, tuple[str, ...]]:
    """Role -> target names that reach its layers and no layer of another role; the head left out.

    A leaf name where that is enough, else the shortest dotted end that is: GPT-2's `attn.c_proj` and `mlp.c_proj`; if
    none is (BERT's `output.dense` is an end of `attention.output.dense` too), the end from the layer's number on.
    Experts, which no name reaches, stand under their leaf names.
    """
    layers = [m for m in anatomy.modules if m.role not in ("head", "expert")]
    inner = {module.path: _below_number(module) for module in layers}
    roles_of: dict[str, set[str]] = {}
    for tail, role in {(inner[m.path], m.role) for m in layers}:
        for end in _ends(tail):
            roles_of.setdefault(end, set()).add(role)
    names: dict[str, dict[str, None]] = {}
    for module in layers:
        tail = inner[module.path]
        own = next((end for end in _ends(tail) if len(roles_of[end]) == 1), None)
        if own is None:
            number = module.path.removesuffix(f".{tail}").rpartition(".")[2]
            own = f"{number}.{tail}"
        names.setdefault(module.role, {})[own] = None
    for module in anatomy.modules:
        if module.role == "expert":
            names.setdefault("expert", {})[module.leaf] = None
    return {role: tuple(found) for role, found in names.items()}


def said_as(key: str, value: Value, anatomy: Anatomy) -> Value:
    """A doctrine's value in the plan's words: target names as short as they can be."""
    return short_targets(anatomy, target_names(value)) if key == TARGETS and isinstance(value, list) else value


def short_targets(anatomy: Anatomy, names: Sequence[str]) -> list[str]:
    """The same layers by fewer names: a leaf name for dotted ends that together reach all that it reaches."""
    if not any("." in name for name in names):
        return list(names)
    reached = {module.path for module in anatomy.targeted(names)}
    outside = {m.leaf for m in anatomy.modules if m.reachable and m.path not in reached}
    leaves = {name: name.rpartition(".")[2] for name in names}
    return list(dict.fromkeys(name if leaf in outside else leaf for name, leaf in leaves.items()))


def _below_number(module: Module) -> str:
    """The path below the last number in it: `attention.output.dense`."""
    parts = module.path.split(".")
    start = max((i for i, part in enumerate(parts) if part.isdigit()), default=-1)
    return ".".join(parts[start + 1 :])


def _ends(path: str) -> list[str]:
    """`dense`, `output.dense`, `attention.output.dense`."""
    parts = path.split(".")
    return [".".join(parts[-n:]) for n in range(1, len(parts) + 1)]
