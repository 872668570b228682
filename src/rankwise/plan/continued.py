"""The adapter that a run continues from settles what the new one is made of."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rankwise.doctrine import Value
from rankwise.errors import AdapterError, Problem, raise_if_errors
from rankwise.facts import Anatomy, BaseIdentity, read_adapter, verify_adapter
from rankwise.facts.classifier import TRAINED

_BEYOND = (
    "alpha_pattern",
    "exclude_modules",
    "layers_to_transform",
    "modules_to_save",
    "rank_pattern",
    "target_parameters",
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
    problems: tuple[Problem, ...]
    """Remarks; none is an error."""


def read_continued(folder: Path, identity: BaseIdentity, anatomy: Anatomy) -> Continued:
    """The adapter in `folder`, checked against the base; AdapterError with every reason not to go on with it."""
    problems = verify_adapter(folder, identity, anatomy)
    raise_if_errors(AdapterError, problems)
    facts = read_adapter(folder)
    config, record = facts.config, facts.record
    kept = "none" if record is None else record.base.quantization
    targets, start = config.get("target_modules"), config.get("init_lora_weights", True)
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
    values: dict[str, Value] = {
        "method": "dora" if config.get("use_dora") else "lora" if kept == "none" else "qlora",
        "quantization": kept,
        "lora.target_modules": targets,
        "lora.r": config["r"],
        "lora.lora_alpha": config["lora_alpha"],
        "lora.lora_dropout": config.get("lora_dropout", 0.0),
        "lora.bias": config.get("bias", "none"),
        "lora.use_rslora": config.get("use_rslora", False),
        "lora.init_lora_weights": start,
    }
    return Continued(folder, values, () if record is None else record.task.labels, tuple(problems))


def _only_head(config: Mapping[str, Any]) -> bool:
    """Whether nothing is trained whole but what PEFT trains so for the task itself."""
    return set(config.get("modules_to_save") or ()) <= set(TRAINED)
