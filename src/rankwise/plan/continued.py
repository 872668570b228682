"""The adapter that a run continues from settles what the new one is made of."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rankwise.doctrine import Value
from rankwise.errors import AdapterError, Problem, raise_if_errors
from rankwise.facts import Anatomy, BaseIdentity, read_adapter, verify_adapter
from rankwise.facts.adapter import AdapterRecord
from rankwise.facts.classifier import TRAINED
from rankwise.facts.delta import METHOD
from rankwise.facts.payload import CLASSIFIER, PROMPT
from rankwise.facts.prefix import is_prefix, virtual_tokens
from rankwise.plan.adapted import ALPHAS, EXPERT_RANK, EXPERTS, LAYERS, RANKS, TARGETS
from rankwise.plan.prefix import HIDDEN, INIT, PROJECTION, TOKENS
from rankwise.plan.prefix import METHOD as PREFIX
from rankwise.recipe.schema import ProblemType

_BEYOND = (
    "exclude_modules",
    "layers_pattern",
    "modules_to_save",
    "trainable_token_indices",
)
"""PEFT's settings that no key of a recipe expresses."""
_STARTS = (True, False, "gaussian")


@dataclass(frozen=True)
class Continued:
    """An adapter that fits the base, and what a plan must hold to go on with it."""

    folder: Path
    values: Mapping[str, Value]
    """Recipe key -> the adapter's own value."""
    labels: tuple[str, ...]
    """What a classifier's head tells apart, or a causal base chooses among; empty for open answers."""
    problem_type: ProblemType | None
    """Of a classifier's head; None: of one made before there was a choice, for one label a text."""
    problems: tuple[Problem, ...]
    """Remarks; none is an error."""


def read_continued(folder: Path, identity: BaseIdentity, anatomy: Anatomy) -> Continued:
    """The adapter in `folder`, checked against the base; AdapterError with every reason not to go on with it."""
    problems = verify_adapter(folder, identity, anatomy)
    raise_if_errors(AdapterError, problems)
    facts = read_adapter(folder)
    config, record = facts.config, facts.record
    kept = "none" if record is None else record.base.quantization
    if facts.is_delta:
        whole: dict[str, Value] = {"method": METHOD, "quantization": "none"}
        return Continued(folder, whole, () if record is None else record.task.labels, None, tuple(problems))
    if facts.payload in (PROMPT, CLASSIFIER):
        message = "its method only read the base: there is nothing in it to train on; leave adapter out"
        raise AdapterError(problems=[*problems, Problem("error", "adapter-untrained", str(folder), message)])
    if is_prefix(config):
        return _continued_prefix(folder, config, facts.record, problems)
    targets, layers = config.get("target_modules"), config.get("layers_to_transform")
    start = config.get("init_lora_weights", True)
    own = ("modules_to_save",) if anatomy.task == "seq_cls" and _only_head(config) else ()
    beyond = [f"{key}: {config[key]}" for key in _BEYOND if config.get(key) and key not in own]
    if anatomy.task == "seq_cls" and record is None:
        beyond.append("labels that no rankwise.json names")
    if not isinstance(targets, list):
        beyond.append(f"target_modules: {targets}")
    if start not in _STARTS:
        beyond.append(f"init_lora_weights: {start}")
    if beyond:
        message = f"made with {'; '.join(beyond)}, which a recipe cannot express; continue from another adapter"
        raise AdapterError(problems=[*problems, Problem("error", "adapter-beyond-recipe", str(folder), message)])
    experts = sorted(config.get("target_parameters") or ())
    expert_rank, ranks = _expert_rank(experts, config)
    values: dict[str, Value] = {
        "method": "dora" if config.get("use_dora") else "lora" if kept == "none" else "qlora",
        "quantization": kept,
        TARGETS: targets,
        LAYERS: [layers] if isinstance(layers, int) else layers or None,
        EXPERTS: experts or None,
        "lora.r": config["r"],
        EXPERT_RANK: expert_rank,
        RANKS: ranks or None,
        "lora.lora_alpha": config["lora_alpha"],
        ALPHAS: config.get("alpha_pattern") or None,
        "lora.lora_dropout": config.get("lora_dropout", 0.0),
        "lora.bias": config.get("bias", "none"),
        "lora.use_rslora": config.get("use_rslora", False),
        "lora.init_lora_weights": start,
    }
    task = None if record is None else record.task
    labels, problem_type = ((), None) if task is None else (task.labels, task.problem_type)
    return Continued(folder, values, labels, problem_type, tuple(problems))


def _continued_prefix(
    folder: Path, config: Mapping[str, Any], record: AdapterRecord | None, problems: Sequence[Problem]
) -> Continued:
    if config.get("prefix_projection"):
        message = (
            "the network that made its prefix is not in it (PEFT keeps what it made), so it cannot be trained on; "
            "continue from one without prefix_projection"
        )
        raise AdapterError(problems=[*problems, Problem("error", "adapter-beyond-recipe", str(folder), message)])
    values: dict[str, Value] = {
        "method": PREFIX,
        "quantization": "none",
        TOKENS: virtual_tokens(config),
        PROJECTION: False,
        HIDDEN: None,
        INIT: None,
    }
    return Continued(folder, values, () if record is None else record.task.labels, None, tuple(problems))


def _only_head(config: Mapping[str, Any]) -> bool:
    """Whether nothing is trained whole but what PEFT trains so for the task itself."""
    return set(config.get("modules_to_save") or ()) <= set(TRAINED)


def _expert_rank(experts: Sequence[str], config: Mapping[str, Any]) -> tuple[int | None, dict[str, int]]:
    """The rank of all `experts`, if patterns of their names have one, and what is left of the patterns."""
    ranks = dict(config.get("rank_pattern") or {})
    own = {ranks.get(name, config["r"]) for name in experts}
    if len(own) == 1:
        return own.pop(), {name: rank for name, rank in ranks.items() if name not in experts}
    return (config["r"] if experts else None), ranks
