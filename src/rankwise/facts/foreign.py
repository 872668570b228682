"""An adapter that another tool made: what is asked of it beyond `verify_adapter`, before it is let in."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, TypeGuard

from rankwise.errors import AdapterError, Problem
from rankwise.facts.adapter import LORA_KEY, AdapterFacts, read_adapter
from rankwise.facts.base import Anatomy
from rankwise.facts.payload import WEIGHTS
from rankwise.facts.verify import verify_adapter
from rankwise.recipe.patterns import PatternError, value_at

MAX_R = 4096
MAX_SCALE = 1000.0
"""Of alpha / r; recipes in use stay under 300, and beyond this a typing error is likelier than a purpose."""
PLACE = re.compile(r"base_model\.model\.(?P<path>[\w.-]+)")
"""A tensor's name, as PEFT writes it."""
MAGNITUDE = re.compile(r"\.lora_magnitude_vector(\.weight)?$")
IMPORTS_CODE = ("megatron_config", "megatron_core", "auto_mapping")
"""Config keys by which PEFT imports modules of other names."""
HARMLESS = {"megatron_core": ("megatron.core",)}
"""What PEFT itself writes there."""
SHOWN = 3


def check_foreign(path: Path, anatomy: Anatomy) -> list[Problem]:
    """All that is wrong with a PEFT LoRA folder that is to be imported for the base of `anatomy`.

    Nothing is raised for what the folder holds, and nothing in it is run.
    """
    problems = verify_adapter(path, anatomy=anatomy)
    problems = [problem for problem in problems if problem.code != "adapter-base-unknown"]
    if any(problem.code == "adapter-symlink" for problem in problems):
        return problems
    try:
        facts = read_adapter(path)
    except AdapterError:
        return problems  # its faults are among them
    found = [*_check_scale(facts), *_check_tensors(facts), *_check_config(facts), *_check_file(path)]
    return problems + [Problem("error", code, str(path), message) for code, message in found]


Found = Iterator[tuple[str, str]]
"""Code and message."""


def _check_scale(facts: AdapterFacts) -> Found:
    """r and alpha are numbers that a person may have meant, on every layer."""
    ranks, alphas = facts.config.get("rank_pattern") or {}, facts.config.get("alpha_pattern") or {}
    if not isinstance(ranks, dict) or not isinstance(alphas, dict):
        yield "adapter-config", "rank_pattern and alpha_pattern must be objects of patterns and numbers"
        return
    r, alpha = facts.config.get("r"), facts.config.get("lora_alpha")
    odd = [f"r={value!r}" for value in (r, *ranks.values()) if not _is_rank(value)]
    odd += [f"lora_alpha={value!r}" for value in (alpha, *alphas.values()) if not _is_alpha(value)]
    if odd:
        ask = f"r must be a whole number from 1 to {MAX_R}, lora_alpha a finite number over 0"
        yield "adapter-scale", f"got {_some(odd)}; {ask}"
        return
    large = []
    for module, pair in facts.pairs.items():
        try:
            scale = float(value_at(alphas, module, alpha)) / max(pair.r, 1)
        except PatternError:
            return  # told by verify_adapter
        if scale > MAX_SCALE:
            large.append(f"{module} (alpha / r = {scale:g})")
    if large:
        yield "adapter-scale", f"alpha / r over {MAX_SCALE:g} on {_some(large)}"


def _is_rank(value: Any) -> bool:
    return type(value) is int and 1 <= value <= MAX_R


def _is_alpha(value: Any) -> bool:
    return type(value) in (int, float) and value > 0 and math.isfinite(value)


def _check_tensors(facts: AdapterFacts) -> Found:
    """Every tensor is one that PEFT would load, and every pair is on a layer that the config targets."""
    saved = facts.config.get("modules_to_save") or []
    saved = [name for name in saved if isinstance(name, str)] if isinstance(saved, list) else []
    biased = facts.config.get("bias") in ("all", "lora_only")
    foreign = []
    for name in facts.tensors:
        place = PLACE.fullmatch(name)
        known = place is not None and (
            LORA_KEY.fullmatch(name) is not None
            or (bool(facts.config.get("use_dora")) and MAGNITUDE.search(name) is not None)
            or (biased and name.endswith(".bias"))
            or any(f".{module}." in f".{place['path']}" for module in saved)
        )
        if not known:
            foreign.append(ascii(name)[1:-1])
    if foreign:
        yield "adapter-tensor", f"its config has no place for {_some(foreign)}, which would be left out in silence"
    targets = facts.config.get("target_modules")
    if facts.config.get("target_parameters") or targets == "all-linear" or not _is_targets(targets):
        return
    missed = [module for module in facts.pairs if not _is_targeted(module, targets)]
    if missed:
        message = f"its target_modules do not name {_some(missed)}, whose matrices would be left out in silence"
        yield "adapter-target", message


def _is_targets(targets: Any) -> TypeGuard[list[str]]:
    return isinstance(targets, list) and all(isinstance(name, str) for name in targets)


def _is_targeted(module: str, targets: list[str]) -> bool:
    """By PEFT's rule for a list; a single expression is left to PEFT."""
    return any(module == name or module.endswith(f".{name}") for name in targets)


def _check_config(facts: AdapterFacts) -> Found:
    targets, parameters = facts.config.get("target_modules"), facts.config.get("target_parameters")
    if not (_is_targets(targets) or isinstance(targets, str) or (targets is None and parameters)):
        yield "adapter-config", f"target_modules is {_short(targets)}, expected names of layers"
    for key in IMPORTS_CODE:
        value = facts.config.get(key)
        if value and value not in HARMLESS.get(key, ()):
            yield "adapter-code", f"{key} is {_short(value)}: PEFT would import code by that name; take it out"
    if facts.config.get("layer_replication"):
        yield "adapter-config", "layer_replication rebuilds the base's layers; such an adapter fits no base as it is"


def _check_file(path: Path) -> Found:
    """The format's own reader takes the weights: no overlaps, no gaps, no bytes that belong to nothing."""
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path / WEIGHTS, framework="np"):
            pass
    except (SafetensorError, OSError) as fault:
        yield "adapter-weights", f"{WEIGHTS} is refused by safetensors ({fault})"


def _short(value: Any) -> str:
    text = ascii(value)
    return text if len(text) <= 80 else text[:77] + "..."


def _some(names: list[str]) -> str:
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return ", ".join(names[:SHOWN]) + more
