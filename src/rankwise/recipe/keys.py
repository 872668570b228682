"""The recipe's keys as its user meets them: what each accepts, in words, and which one was meant."""

from __future__ import annotations

import difflib
import types
from collections.abc import Iterable, Iterator
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from annotated_types import Ge, Gt, Le, Lt
from pydantic import AliasChoices
from pydantic.fields import FieldInfo

from rankwise.recipe.schema import Recipe, Section

FOREIGN: dict[str, str] = {
    "lora_rank": "lora.r",
    "lora_r": "lora.r",
    "rank": "lora.r",
    "alpha": "lora.lora_alpha",
    "dropout": "lora.lora_dropout",
    "targets": "lora.target_modules",
    "lora_target": "lora.target_modules",
    "lora_target_modules": "lora.target_modules",
    "rslora": "lora.use_rslora",
    "lr": "training.learning_rate",
    "epochs": "training.num_train_epochs",
    "num_epochs": "training.num_train_epochs",
    "n_epochs": "training.num_train_epochs",
    "steps": "training.max_steps",
    "iters": "training.max_steps",
    "batch_size": "training.per_device_train_batch_size",
    "micro_batch_size": "training.per_device_train_batch_size",
    "grad_accum": "training.gradient_accumulation_steps",
    "grad_accumulation_steps": "training.gradient_accumulation_steps",
    "lr_scheduler": "training.lr_scheduler_type",
    "scheduler": "training.lr_scheduler_type",
    "warmup": "training.warmup_ratio",
    "grad_clip": "training.max_grad_norm",
    "gradient_clipping": "training.max_grad_norm",
    "patience": "training.early_stopping_patience",
    "random_seed": "training.seed",
    "base": "model",
    "base_model": "model",
    "model_name": "model",
    "model_name_or_path": "model",
    "dataset": "data.train",
    "train_file": "data.train",
    "data_path": "data.train",
    "val_file": "data.held_out",
    "validation_file": "data.held_out",
    "max_seq_length": "data.max_length",
    "sequence_len": "data.max_length",
    "cutoff_len": "data.max_length",
    "prompt": "data.instruction",
}
"""Names other tools give to keys of the recipe."""

FOREIGN_SECTIONS: dict[str, str] = {
    "peft": "lora",
    "lora_config": "lora",
    "lora_parameters": "lora",
    "adapter_config": "lora",
    "train": "training",
    "trainer": "training",
    "training_args": "training",
    "training_arguments": "training",
    "dataset": "data",
    "datasets": "data",
}


def _section(info: FieldInfo) -> type[Section] | None:
    kind = info.annotation
    return kind if isinstance(kind, type) and issubclass(kind, Section) else None


def _walk(kind: type[Section], path: str) -> Iterator[tuple[str, type[Section]]]:
    yield path, kind
    for name, info in kind.model_fields.items():
        inner = _section(info)
        if inner is not None:
            yield from _walk(inner, dotted(path, name))


def dotted(section: str, name: str) -> str:
    return f"{section}.{name}" if section else name


SECTIONS: dict[str, type[Section]] = dict(_walk(Recipe, ""))
"""Every section by its dotted key; the recipe itself is ""."""

LEAVES: dict[str, FieldInfo] = {
    dotted(path, name): info
    for path, kind in SECTIONS.items()
    for name, info in kind.model_fields.items()
    if _section(info) is None
}
"""Every key that holds a value, by its dotted name, in the order of the schema."""


def spellings(section: str) -> dict[str, str]:
    """Every accepted spelling of the keys of `section` -> the key's own dotted name."""
    found: dict[str, str] = {}
    for name, info in SECTIONS[section].model_fields.items():
        found[name] = dotted(section, name)
        if isinstance(info.validation_alias, AliasChoices):
            found |= {
                choice: dotted(section, name) for choice in info.validation_alias.choices if isinstance(choice, str)
            }
    return found


def unknown_key(section: str, name: str, holds_mapping: bool = False) -> str:
    """The message for a key that `section` does not have: what was got, which was meant, which there are."""
    known = ", ".join(SECTIONS[section].model_fields)
    listing = f"Keys of {section}: {known}" if section else f"Keys at the top level: {known}"
    got = f"unknown key {dotted(section, name)}"
    if not section and name in LEAVES:
        outer, inner = name.rsplit(".", 1)
        return f"{got}: in the file, write {outer}: and, indented below it, {inner}:"
    meant = _meant(section, name, holds_mapping)
    if meant is None:
        return f"{got}. {listing}"
    if meant.rsplit(".", 1)[-1] == name:
        homes = [key for key in LEAVES if "." in key and key.rpartition(".")[2] == name] or [meant]
        places = [f"under {key.rpartition('.')[0]}, as {key}" if "." in key else "at the top level" for key in homes]
        return f"{got}; it belongs {', or '.join(places)}. {listing}"
    return f"{got}; did you mean {meant}? {listing}"


def instead_of(section: str) -> str:
    """What was meant by a value where `section` has keys, if other tools call a value so."""
    return f"; did you mean {FOREIGN[section]}?" if section in FOREIGN else ""


def _meant(section: str, name: str, holds_mapping: bool) -> str | None:
    if "." in name:
        return nearest(name, LEAVES)
    plain = name.lower().replace("-", "_").replace(" ", "_")
    foreign = FOREIGN_SECTIONS if holds_mapping else FOREIGN
    every = {key: value for path in SECTIONS for key, value in spellings(path).items()}
    every = {key: value for key, value in every.items() if (value in SECTIONS) == holds_mapping}
    own = {key: value for key, value in spellings(section).items() if (value in SECTIONS) == holds_mapping}
    for exact in (own, every, foreign):
        if plain in exact:
            return exact[plain]
    own |= {key: value for key, value in foreign.items() if value.rpartition(".")[0] == section}
    for pool, cutoff in ((own, 0.6), (foreign | every, 0.8)):
        close = nearest(plain, pool, cutoff)
        if close is not None:
            return pool[close]
    return None


def nearest(name: str, known: Iterable[str], cutoff: float = 0.6) -> str | None:
    """The one of `known` that `name` was probably meant to be."""
    return next(iter(difflib.get_close_matches(name, list(known), 1, cutoff)), None)


def accepts(key: str) -> str:
    """What the leaf `key` accepts, in words, from its declaration."""
    parts = _parts(LEAVES[key].annotation, LEAVES[key].metadata)
    if parts == ["null"]:
        return "null (nothing else is supported)"
    return parts[0] if len(parts) == 1 else ", ".join(parts[:-1]) + ", or " + parts[-1]


def item_accepts(key: str) -> str:
    """What one item of the list or mapping that the leaf `key` holds must be, in words."""
    kinds = [member for member, _ in _alternatives(LEAVES[key].annotation, []) if get_origin(member) in (list, dict)]
    member, bounds = _alternatives(get_args(kinds[0])[-1], [])[0]
    return "a name" if member is str else _number(member is int, bounds)


def holds_mapping(key: str) -> bool:
    """Whether a mapping is a value that the leaf `key` may have."""
    return any(get_origin(member) is dict for member, _ in _alternatives(LEAVES[key].annotation, []))


def choices(key: str) -> list[str]:
    """The words the leaf `key` accepts as they are."""
    return [word for word in _literals(LEAVES[key].annotation) if isinstance(word, str)]


def only_one_value(key: str) -> bool:
    """Whether the leaf `key` can hold nothing but its default."""
    members = [member for member, _ in _alternatives(LEAVES[key].annotation, [])]
    fixed = all(member is types.NoneType or get_origin(member) is Literal for member in members)
    return fixed and len(_parts(LEAVES[key].annotation, [])) == 1


def _alternatives(kind: Any, metadata: list[Any]) -> list[tuple[Any, list[Any]]]:
    """The members of a union with the bounds that stand on each."""
    if get_origin(kind) is Annotated:
        inner, *notes = get_args(kind)
        bounds = [bound for note in notes for bound in (note.metadata if isinstance(note, FieldInfo) else [note])]
        return _alternatives(inner, metadata + bounds)
    if get_origin(kind) in (Union, types.UnionType):
        return [pair for member in get_args(kind) for pair in _alternatives(member, metadata)]
    return [(types.NoneType if kind is None else kind, metadata)]


def _literals(kind: Any) -> list[Any]:
    members = _alternatives(kind, [])
    return [word for member, _ in members if get_origin(member) is Literal for word in get_args(member)]


def _parts(kind: Any, metadata: list[Any]) -> list[str]:
    parts: list[str] = []
    for member, bounds in _alternatives(kind, metadata):
        if get_origin(member) is Literal:
            parts += [_word(value) for value in get_args(member)]
        elif get_origin(member) is list:
            parts.append(f"a list of {_many(get_args(member)[0])}")
        elif get_origin(member) is dict:
            parts.append(f"a mapping from patterns to {_many(get_args(member)[1])}")
        elif member is bool:
            parts += ["true", "false"]
        elif member in (int, float):
            parts.append(_number(member is int, bounds))
        elif member is str:
            parts.append("text")
        elif member is types.NoneType:
            parts.append("null")
        else:
            parts.append(str(getattr(member, "__name__", member)))
    return [part for part in parts if part != "auto"] + ["auto"] * ("auto" in parts)


def _many(kind: Any) -> str:
    """What the items of a list or mapping are, in the plural."""
    member, bounds = _alternatives(kind, [])[0]
    return "names" if member is str else _number(member is int, bounds, many=True)


def _word(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _number(whole: bool, bounds: list[Any], many: bool = False) -> str:
    noun = "whole number" if whole else "number"
    noun = f"{noun}s" if many else f"a {noun}"
    low: Any = None
    high: Any = None
    above: Any = None
    below: Any = None
    for bound in bounds:
        low = bound.ge if isinstance(bound, Ge) else low
        high = bound.le if isinstance(bound, Le) else high
        above = bound.gt if isinstance(bound, Gt) else above
        below = bound.lt if isinstance(bound, Lt) else below
    if whole:
        low = above + 1 if above is not None else low
        high = below - 1 if below is not None else high
        above = below = None
    if low is not None and high is not None:
        return f"{noun} from {low} to {high}"
    limits = {"of at least": low, "above": above, "of at most": high, "below": below}
    said = [f"{word} {limit}" for word, limit in limits.items() if limit is not None]
    return f"{noun} {' and '.join(said)}" if said else noun
