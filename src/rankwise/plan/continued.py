"""The adapter that a run continues from settles what the new one is made of."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from rankwise.doctrine import Value
from rankwise.errors import AdapterError, Problem, raise_if_errors
from rankwise.facts import Anatomy, BaseIdentity, read_adapter, verify_adapter
from rankwise.plan.adapted import ALPHAS, LAYERS, RANKS, TARGETS

_BEYOND = (
    "exclude_modules",
    "layers_pattern",
    "modules_to_save",
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
    problems: tuple[Problem, ...]
    """Remarks; none is an error."""


def read_continued(folder: Path, identity: BaseIdentity, anatomy: Anatomy) -> Continued:
    """The adapter in `folder`, checked against the base; AdapterError with every reason not to go on with it."""
    problems = verify_adapter(folder, identity, anatomy)
    raise_if_errors(AdapterError, problems)
    facts = read_adapter(folder)
    config, record = facts.config, facts.record
    kept = "none" if record is None else record.base.quantization
    targets, layers = config.get("target_modules"), config.get("layers_to_transform")
    start = config.get("init_lora_weights", True)
    beyond = [f"{key}: {config[key]}" for key in _BEYOND if config.get(key)]
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
        TARGETS: targets,
        LAYERS: [layers] if isinstance(layers, int) else layers or None,
        "lora.r": config["r"],
        RANKS: config.get("rank_pattern") or None,
        "lora.lora_alpha": config["lora_alpha"],
        ALPHAS: config.get("alpha_pattern") or None,
        "lora.lora_dropout": config.get("lora_dropout", 0.0),
        "lora.bias": config.get("bias", "none"),
        "lora.use_rslora": config.get("use_rslora", False),
        "lora.init_lora_weights": start,
    }
    return Continued(folder, values, tuple(problems))
