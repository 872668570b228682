"""The adapter folder: PEFT's own two files, or the method's, plus `rankwise.json`; reading it and naming it."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from math import sqrt
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, JsonValue, ValidationError

from rankwise.errors import AdapterError, Problem
from rankwise.facts.header import HeaderError, Tensor, read_header
from rankwise.facts.identity import BaseIdentity
from rankwise.facts.modules import WRAPPED
from rankwise.facts.payload import FULL, PEFT, Payload, payload_in
from rankwise.files import read_json, sha256_file, sha256_json, write_json
from rankwise.recipe.patterns import PatternError, value_at
from rankwise.recipe.schema import ProblemType

RECORD = "rankwise.json"
CARD = "README.md"

UNESSENTIAL = ("base_model_name_or_path", "revision", "peft_version")
"""Config keys that say where and with what an adapter was saved, not what it is."""

WRAPPED_BY = ".base_layer"
"""What PEFT calls that which one of its layers is around."""

LORA_KEY = re.compile(r"base_model\.model\.(?P<module>.+)\.lora_(?P<side>[AB])\.weight")


class Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class BaseRecord(Part):
    name: str
    identity: BaseIdentity
    """Of its files, whose weights are not quantised."""
    quantization: Literal["none", "nf4", "int8"] = "none"
    """In which it was kept while the adapter was trained, and is for whatever runs it."""
    source: str | None = None
    """Folder, file or hub id that an imported adapter was held against; of others the plan names it."""
    dtype: str | None = None
    """Of its files, where all weights were trained: they are read in float32, and the delta is added to that."""


class TaskRecord(Part):
    kind: Literal["labels", "open"]
    task: Literal["causal_lm", "seq_cls", "seq_2_seq_lm"] = "causal_lm"
    """How the base answers: it writes (on, or what an encoder has read), or a head over `labels` (in their order) that
    is saved with the adapter does."""
    problem_type: ProblemType | None = None
    """Of seq_cls: one of `labels`, or any number of them; None: made before there was a choice, so one."""
    scorer: str
    labels: tuple[str, ...] = ()
    instruction: str | None = None
    system: str | None = None
    """The system message that every training row began with."""
    tools: tuple[dict[str, JsonValue], ...] | None = None
    """The tools that every training row had."""
    shape: str
    assistant_turns: Literal["all", "last"] = "all"


class DataRecord(Part):
    train: str
    """Empty: not known, as another tool trained it; so are the other fields then."""
    train_sha256: str
    rows: int
    held_out: str | None = None
    """The file of held-out rows; None: a `fraction` of `train`, drawn with `seed`."""
    held_out_sha256: str | None = None
    held_out_rows: int = 0
    seed: int
    fraction: float | None = None
    max_length: int | None = None
    """Tokens of the longest row let through; None: not recorded."""
    too_long: Literal["error", "drop", "truncate"] = "error"
    """What was done with longer rows."""


class AdapterRecord(Part):
    """The content of `rankwise.json`: where an adapter comes from and what it needs."""

    format_version: Literal[1] = 1
    name: str
    domain: str | None = None
    method: str = "lora"
    objective: Literal["sft", "dpo", "grpo"] = "sft"
    base: BaseRecord
    task: TaskRecord
    data: DataRecord
    plan: dict[str, JsonValue]
    plan_digest: str
    metrics: dict[str, JsonValue] = {}
    versions: dict[str, str]
    machine: dict[str, JsonValue]
    created: str
    """UTC, ISO 8601."""
    parent: str | None = None
    """Digest of the adapter that training went on from."""


@dataclass(frozen=True)
class LoraPair:
    """The two matrices on one layer: A is (r, in), B is (out, r); those of `experts` lie stacked, r times as many."""

    a: Tensor
    b: Tensor
    experts: int = 1

    @property
    def r(self) -> int:
        """On one layer, or on one expert."""
        return self.a.shape[0] // self.experts


@dataclass(frozen=True)
class AdapterFacts:
    """What an adapter folder holds, from its small files and the header of the large one."""

    path: Path
    digest: str
    """Of weights and config, 12 hex digits: the adapter's id."""
    config: Mapping[str, Any]
    """adapter_config.json, or the method's own; empty of a delta of every weight."""
    record: AdapterRecord | None
    """rankwise.json; None for an adapter another tool made."""
    tensors: Mapping[str, Tensor]
    pairs: Mapping[str, LoraPair]
    """Path of a module in the base, or of a parameter that holds its experts -> its pair."""
    payload: Payload = PEFT

    @property
    def r(self) -> int:
        """The largest rank of any layer, read from the weights' shapes."""
        return max((pair.r for pair in self.pairs.values()), default=0)

    def scale(self, module: str) -> float:
        """What B A is multiplied by on one of `pairs`. PEFT's rule: alpha / r; alpha / sqrt(r) under `use_rslora`."""
        r, patterns = self.pairs[module].r, self.config.get("alpha_pattern") or {}
        alpha = float(value_at(patterns, module, self.config["lora_alpha"]))
        return alpha / (sqrt(r) if self.config.get("use_rslora") else r)

    @property
    def is_delta(self) -> bool:
        """Of every weight of the base; then there are no pairs."""
        return self.payload == FULL

    @property
    def parameters(self) -> int:
        return sum(tensor.size for tensor in self.tensors.values())


def read_adapter(path: Path) -> AdapterFacts:
    """What the adapter folder `path` holds. Raises AdapterError with every file that cannot be read."""
    problems: list[Problem] = []
    config: Any = {}
    tensors: dict[str, Tensor] = {}
    record: AdapterRecord | None = None
    if not path.is_dir():
        raise AdapterError(problems=[_fault("adapter-missing", path, "no such folder; give an adapter folder")])
    payload = payload_in(path) or PEFT
    try:
        config = {} if payload.config is None else read_json(path / payload.config)
        if not isinstance(config, dict):
            raise ValueError("not a JSON object")
    except (OSError, ValueError, RecursionError) as error:
        problems.append(_fault("adapter-config", path, f"{payload.config} cannot be read ({_reason(error)})"))
    try:
        if payload.weights is not None:
            tensors = {tensor.name: tensor for tensor in read_header(path / payload.weights)}
    except (OSError, HeaderError) as error:
        problems.append(_fault("adapter-weights", path, f"{payload.weights} cannot be read ({_reason(error)})"))
    if (path / RECORD).exists():
        try:
            record = AdapterRecord.model_validate(read_json(path / RECORD))
        except ValidationError as error:
            problems += [_fault("adapter-record", path, _describe(RECORD, fault)) for fault in error.errors()]
        except (OSError, ValueError, RecursionError) as error:
            problems.append(_fault("adapter-record", path, f"{RECORD} cannot be read ({_reason(error)})"))
    if problems:
        raise AdapterError(problems=problems)
    return AdapterFacts(path, adapter_digest(path), config, record, tensors, _pairs(tensors, config), payload)


def write_record(folder: Path, record: AdapterRecord) -> None:
    """Write `rankwise.json` into an adapter folder."""
    write_json(folder / RECORD, record.model_dump(mode="json"))


def adapter_digest(path: Path) -> str:
    """The id of an adapter: 12 hex digits over its weights and what its config means.

    Where it was saved, by which PEFT, and in which order its target modules are listed make no difference.
    """
    payload = payload_in(path) or PEFT
    config = {} if payload.config is None else read_json(path / payload.config)
    meaning = {
        key: sorted(value) if isinstance(value, list) and all(isinstance(v, str) for v in value) else value
        for key, value in config.items()
        if key not in UNESSENTIAL
    }
    weights = None if payload.weights is None else sha256_file(path / payload.weights)
    return sha256_json([weights, meaning])[:12]


def claimed_rank(config: Mapping[str, Any], path: str) -> object:
    """By PEFT's rule: what the first of `rank_pattern` says that matches the layer's path, else `r`.

    Raises PatternError.
    """
    patterns = config.get("rank_pattern")
    return value_at(patterns if isinstance(patterns, dict) else {}, path, config.get("r"))


def _pairs(tensors: Mapping[str, Tensor], config: Mapping[str, Any]) -> dict[str, LoraPair]:
    sides: dict[str, dict[str, Tensor]] = {}
    for name, tensor in tensors.items():
        if (key := LORA_KEY.fullmatch(name)) and len(tensor.shape) == 2:
            sides.setdefault(key["module"], {})[key["side"]] = tensor
    whole = {module: LoraPair(pair["A"], pair["B"]) for module, pair in sides.items() if len(pair) == 2}
    named = config.get("target_parameters")
    named = [str(name) for name in named] if isinstance(named, list) else []
    found = {}
    for module, pair in whole.items():
        path = _parameter(module, whole, named)
        found[path or module] = pair if path is None else _stacked(pair, config, path)
    return found


def _parameter(module: str, pairs: Collection[str], named: Sequence[str]) -> str | None:
    """The parameter that the pair at `module` is for, None if it is for a module: PEFT stacks wrappers on what holds
    adapted parameters, each around the `base_layer` of the one outside, and does not write down whose they are."""
    depth, holder = 0, module
    while holder.endswith(WRAPPED_BY):
        depth, holder = depth + 1, holder.removesuffix(WRAPPED_BY)
    inside = dict.fromkeys(leaf for above, _, leaf in (name.rpartition(".") for name in named) if _holds(holder, above))
    order = sorted(inside, key=lambda leaf: (WRAPPED.index(leaf) if leaf in WRAPPED else len(WRAPPED), leaf))
    wrappers = sum(f"{holder}{WRAPPED_BY * n}" in pairs for n in range(len(order) + 1))
    return f"{holder}.{order[-1 - depth]}" if order and wrappers == len(order) else None


def _holds(module: str, name: str) -> bool:
    """By PEFT's rule for parameters; a bare one is in what is called experts."""
    return module.endswith("experts") if not name else module == name or module.endswith("." + name)


def _stacked(pair: LoraPair, config: Mapping[str, Any], path: str) -> LoraPair:
    """With the number of experts that its matrices and the claimed rank of each come to."""
    try:
        rank = claimed_rank(config, path)
    except PatternError:
        return pair
    whole = isinstance(rank, int) and rank > 0 and pair.a.shape[0] % rank == 0
    return replace(pair, experts=pair.a.shape[0] // rank) if whole and isinstance(rank, int) else pair


def _fault(code: str, path: Path, message: str) -> Problem:
    return Problem("error", code, str(path), message)


def _reason(error: BaseException) -> str:
    return "it is not there" if isinstance(error, FileNotFoundError) else str(error)


def _describe(file: str, fault: Mapping[str, Any]) -> str:
    key = ".".join(map(str, fault["loc"]))
    return f"{file}: {key or 'content'}: {fault['msg']}"
