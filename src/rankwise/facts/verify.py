"""Does an adapter folder hold what it claims, and does it belong on this base? Every fault is reported at once."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from rankwise.errors import AdapterError, Problem
from rankwise.facts.adapter import LORA_KEY, AdapterFacts, LoraPair, claimed_rank, read_adapter
from rankwise.facts.base import Anatomy
from rankwise.facts.classifier import TRAINED, as_classifier, head_shapes
from rankwise.facts.delta import check_delta
from rankwise.facts.folder import PICKLES
from rankwise.facts.header import Tensor, looks_like_header, read_values
from rankwise.facts.identity import BaseIdentity, compare_identity
from rankwise.facts.payload import CLASSIFIER, FULL, PROMPT
from rankwise.facts.prefix import PEFT_TYPE, check_prefix, is_prefix
from rankwise.facts.unattached import check_unattached
from rankwise.recipe.patterns import PatternError, compiled

FLOATS = ("float64", "float32", "float16", "bfloat16")
HEAD_KEY = re.compile(rf"base_model\.model\.(?P<name>\w*(?:{'|'.join(TRAINED)})(?:\.\w+)?\.(?:weight|bias))")
SHOWN = 3
"""Most tensors named one by one for the same fault."""


def verify_adapter(path: Path, identity: BaseIdentity | None = None, anatomy: Anatomy | None = None) -> list[Problem]:
    """All that is wrong with the adapter folder `path`; errors mean that it must not be loaded.

    With `identity`, also whether it was trained on that base; with `anatomy`, also whether its shapes fit.
    All values are read once, through a memory map. Nothing is raised for what the folder holds.
    """
    problems = list(_check_files(path)) if path.is_dir() else []
    if any(problem.code == "adapter-symlink" for problem in problems):
        return problems  # what lies behind a link is not read
    try:
        facts = read_adapter(path)
    except AdapterError as error:
        return [*problems, *error.problems]
    if facts.payload == FULL:
        problems += check_delta(path, None if facts.record is None else facts.record.method, facts.tensors, anatomy)
    elif facts.payload in (PROMPT, CLASSIFIER):
        problems += check_unattached(facts, anatomy)
    else:
        problems += check_prefix(facts, anatomy) if is_prefix(facts.config) else _check_lora(facts, anatomy)
    problems += _check_values(facts)
    if identity is not None:
        problems += _check_base(facts, identity)
    return problems


def _check_attached(facts: AdapterFacts, anatomy: Anatomy | None) -> Iterator[Problem]:
    """What is in PEFT's format."""
    yield from _check_names(facts)
    unreadable = list(_check_patterns(facts))
    yield from unreadable or _check_ranks(facts)
    yield from _check_head(facts, anatomy)
    if anatomy is not None:
        yield from _check_shapes(facts, anatomy)


def _check_files(path: Path) -> Iterator[Problem]:
    """No pickle under any name, and nothing outside the folder."""
    root = path.resolve()
    for file in sorted(path.rglob("*")):
        name = file.relative_to(path)
        if file.is_symlink() and not file.resolve().is_relative_to(root):
            yield _error(
                "adapter-symlink",
                path,
                f"{name} is a link to {file.resolve()}, outside the folder; copy the files themselves (cp -L)",
            )
        elif file.suffix in PICKLES:
            yield _error("adapter-pickle", path, f"{name} is a pickle by its name; pickles are never read, delete it")
        elif file.is_file() and _starts_like_pickle(file):
            yield _error(
                "adapter-pickle", path, f"{name} holds a pickle or zip archive; these are never read, delete it"
            )


def _starts_like_pickle(file: Path) -> bool:
    with file.open("rb") as stream:
        start = stream.read(9)
    if looks_like_header(start):
        return False
    return start.startswith(b"PK\x03\x04") or (
        start[:1] == b"\x80" and start[1:2] in (b"\x02", b"\x03", b"\x04", b"\x05")
    )


def _check_lora(facts: AdapterFacts, anatomy: Anatomy | None) -> Iterator[Problem]:
    yield from _check_names(facts)
    unreadable = list(_check_patterns(facts))
    yield from unreadable or _check_ranks(facts)
    yield from _check_head(facts, anatomy)
    if anatomy is not None:
        yield from _check_shapes(facts, anatomy)


def _check_names(facts: AdapterFacts) -> Iterator[Problem]:
    """It is LoRA, every matrix has its partner, and there is at least one pair."""
    if facts.config.get("peft_type") != "LORA":
        yield _error(
            "adapter-method",
            facts.path,
            f"its peft_type is {facts.config.get('peft_type')!r}, expected 'LORA' or '{PEFT_TYPE}'",
        )
    if not facts.pairs:
        yield _error("adapter-empty", facts.path, f"none of its {len(facts.tensors)} tensors is a LoRA pair")
    paired = {tensor.name for pair in facts.pairs.values() for tensor in (pair.a, pair.b)}
    alone = [
        name
        for name, tensor in facts.tensors.items()
        if LORA_KEY.fullmatch(name) and (name not in paired or len(tensor.shape) != 2)
    ]
    if alone:
        yield _error("adapter-unpaired", facts.path, f"without a partner of two dimensions: {_some(alone)}")


def _check_patterns(facts: AdapterFacts) -> Iterator[Problem]:
    """PEFT can read the patterns of ranks and alphas."""
    for key in ("rank_pattern", "alpha_pattern"):
        patterns = facts.config.get(key) or {}
        for pattern in patterns if isinstance(patterns, dict) else ():
            try:
                compiled(pattern)
            except PatternError as fault:
                yield _error("adapter-config", facts.path, f"{key} in its config: {pattern!r} is {fault}")


def _check_ranks(facts: AdapterFacts) -> Iterator[Problem]:
    """A and B agree with each other, and with the rank that the config claims."""
    torn = [f"{path} (A {p.a.shape}, B {p.b.shape})" for path, p in facts.pairs.items() if p.b.shape[1] != p.a.shape[0]]
    if torn:
        yield _error("adapter-shape", facts.path, f"A and B differ in rank on {_some(torn)}")
    wrong = []
    for module, pair in facts.pairs.items():
        claimed = claimed_rank(facts.config, module)
        if claimed != pair.r:
            wrong.append(f"{module} (weights r={pair.r}, config r={claimed})")
    if wrong:
        yield _error("adapter-rank", facts.path, f"the config's rank is not that of the weights on {_some(wrong)}")


def _check_values(facts: AdapterFacts) -> Iterator[Problem]:
    """All values are finite floats; an adapter whose B are all zero is worth a warning."""
    foreign = [f"{t.name} ({t.dtype})" for t in facts.tensors.values() if t.dtype not in FLOATS]
    if foreign:
        yield _error("adapter-dtype", facts.path, f"expected {', '.join(FLOATS)}, got {_some(foreign)}")
    counts = {name: _bad_and_nonzero(t) for name, t in facts.tensors.items() if t.dtype in FLOATS}
    broken = [f"{name} ({bad} values)" for name, (bad, _) in counts.items() if bad]
    if broken:
        advice = "training diverged before it was saved; train again with a lower learning rate"
        yield _error("adapter-not-finite", facts.path, f"NaN or infinity in {_some(broken)}: {advice}")
    ups = [pair.b.name for pair in facts.pairs.values() if pair.b.name in counts]
    ups, what = (list(counts), "differences") if facts.is_delta else (ups, "B matrices")
    if ups and not any(counts[name][1] for name in ups):
        message = f"all {len(ups)} {what} are zero, so the adapter changes nothing; it was not trained"
        yield Problem("warning", "adapter-does-nothing", str(facts.path), message)


def _bad_and_nonzero(tensor: Tensor) -> tuple[int, int]:
    """How many values are not finite, and how many are not zero."""
    import numpy as np

    values = read_values(tensor)
    return int(values.size - np.count_nonzero(np.isfinite(values))), int(np.count_nonzero(values))


def _check_shapes(facts: AdapterFacts, anatomy: Anatomy) -> Iterator[Problem]:
    """Every pair sits on a layer the base has, and fits it."""
    base: dict[str, set[tuple[int, int]]] = {}
    for layer in anatomy.modules:
        base.setdefault(place_of(layer.path), set()).add((layer.in_features, layer.out_features))
    experts = {place_of(parameter.path): parameter for parameter in anatomy.expert_parameters}
    for place, parameter in experts.items():  # which some bases keep as (in, out)
        ends = (parameter.in_features, parameter.out_features)
        base.setdefault(place, set()).update((ends, ends[::-1]))
    absent = [module for module in facts.pairs if place_of(module) not in base]
    if absent:
        yield _error("adapter-target", facts.path, f"{anatomy.name} has no {_some(absent)}: another architecture")
    wrong = [
        f"{module} (adapter {_ends(pair)}, base {' or '.join(map(str, sorted(base[place_of(module)])))})"
        for module, pair in facts.pairs.items()
        if module not in absent and _ends(pair) not in base[place_of(module)]
    ]
    if wrong:
        yield _error("adapter-shape", facts.path, f"(in, out) do not fit {anatomy.name} on {_some(wrong)}")
    miscounted = [
        f"{path} (adapter {pair.experts}, base {experts[place_of(path)].experts})"
        for path, pair in facts.pairs.items()
        if place_of(path) in experts and pair.experts != experts[place_of(path)].experts
    ]
    if miscounted:
        yield _error("adapter-shape", facts.path, f"not as many experts as {anatomy.name} has on {_some(miscounted)}")


def _check_head(facts: AdapterFacts, anatomy: Anatomy | None) -> Iterator[Problem]:
    """A classifier's head is whole, and tells as many labels apart as the record names; with `anatomy`, it fits."""
    labels = len(facts.record.task.labels) if facts.record is not None else 0
    classifies = facts.record is not None and facts.record.task.task == "seq_cls"
    if not classifies and facts.config.get("task_type") != "SEQ_CLS":
        return
    head = {key["name"]: t.shape for name, t in facts.tensors.items() if (key := HEAD_KEY.fullmatch(name))}
    if not head:
        yield _error("adapter-head", facts.path, "it classifies, and no head is in it; it was not saved whole")
    elif labels and anatomy is not None:
        expected = head_shapes(as_classifier(anatomy, labels))
        wrong = [
            f"{name} ({head.get(name, 'absent')}, expected {shape})"
            for name, shape in expected.items()
            if head.get(name) != shape
        ]
        if wrong:
            told = f"its head is not one for {labels} labels on {anatomy.name}: {_some(wrong)}"
            yield _error("adapter-head", facts.path, told)
    elif labels and not any(shape[:1] == (labels,) for shape in head.values()):
        yield _error("adapter-head", facts.path, f"the record names {labels} labels, its head tells others apart")


def place_of(module: str) -> str:
    """A layer's path without the outermost names, which differ between a weight file and the model class in memory.

    `transformer.h.0.attn.c_attn` and `h.0.attn.c_attn` are both `h.0.attn.c_attn`.
    """
    parts = module.split(".")
    first = next((i for i, part in enumerate(parts) if part.isdigit()), None)
    return ".".join(parts[-2:] if first is None else parts[max(first - 1, 0) :])


def _ends(pair: LoraPair) -> tuple[int, int]:
    return pair.a.shape[1], pair.b.shape[0]


def _check_base(facts: AdapterFacts, identity: BaseIdentity) -> Iterator[Problem]:
    if facts.record is None:
        message = "no rankwise.json in it, so nothing says which base it was trained on"
        yield Problem("warning", "adapter-base-unknown", str(facts.path), message)
        return
    for problem in compare_identity(facts.record.base.identity, identity):
        message = f"{problem.message} ({facts.record.base.name})"
        yield replace(problem, where=str(facts.path), message=message)


def _error(code: str, path: Path, message: str) -> Problem:
    return Problem("error", code, str(path), message)


def _some(names: list[str]) -> str:
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return ", ".join(names[:SHOWN]) + more
