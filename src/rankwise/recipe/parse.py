"""YAML text and `--set` overrides to a checked recipe that knows where each value was written."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from rankwise.errors import Problem, RecipeError, raise_if_errors
from rankwise.files import user_path
from rankwise.recipe.keys import (
    LEAVES,
    SECTIONS,
    accepts,
    choices,
    dotted,
    holds_mapping,
    instead_of,
    item_accepts,
    nearest,
    spellings,
    unknown_key,
)
from rankwise.recipe.schema import Recipe
from rankwise.recipe.tree import MAX_CHARACTERS, Fault, Node, Place, bare_scalar, read_tree

_AFTER_THE_FILE = 1 << 30
_BOUNDS = {"greater_than", "greater_than_equal", "less_than", "less_than_equal", "finite_number"}
_PATHS = ("model", "adapter", "data.train", "data.held_out")
"""Keys whose value may be a path; it may as well be a name or a hub id."""
_FILES = (".jsonl", ".json", ".csv", ".parquet", ".gguf", ".yaml")
_HIDES_KEYS = ("not-a-mapping", "yaml-tag", "yaml-merge")


@dataclass(frozen=True)
class Asked:
    """A recipe with its origin."""

    recipe: Recipe
    source: str
    """The file's name as given, or "<defaults>"."""
    folder: Path
    """Relative paths in the recipe resolve against it."""
    text: str
    """The recipe as written, without the overrides."""
    lines: Mapping[str, str]
    """Key -> where it was written: "lora.r" -> "recipe.yaml:7", or "--set lora.r=32"; a pattern of a mapping under
    "lora.rank_pattern.q_proj"."""
    given: frozenset[str]
    """Keys to which the user gave a value, `auto` and a null that stands for "left out" aside."""

    def where(self, key: str) -> str:
        return self.lines.get(key, self.source)

    def path(self, value: str) -> Path:
        """A path written in the recipe, resolved against the recipe's folder."""
        return self.folder / user_path(value)


def load_recipe(path: Path, overrides: Sequence[str] = ()) -> Asked:
    """Read and check the recipe file at `path`.

    Raises RecipeError with every problem of the file and of the overrides.
    """
    source = str(path)
    try:
        with path.open("rb") as stream:
            data = stream.read(4 * MAX_CHARACTERS + 1)
    except FileNotFoundError:
        raise _refused("recipe-missing", source, _missing(path)) from None
    except IsADirectoryError:
        raise _refused("recipe-missing", source, "is a folder; expected a recipe file (.yaml)") from None
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        raise _refused("recipe-unreadable", source, f"cannot be read: {reason}") from None
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        if data[:2] in (b"\xff\xfe", b"\xfe\xff"):
            raise _refused("not-utf-8", f"{source}:1", "is UTF-16 text; save it as UTF-8") from None
        line = data.count(b"\n", 0, error.start) + 1
        message = f"is not UTF-8 text (byte 0x{data[error.start]:02X}); save it as UTF-8"
        raise _refused("not-utf-8", f"{source}:{line}", message) from None
    return parse_recipe(text, source, path.absolute().parent, overrides)


def parse_recipe(text: str, source: str, folder: Path, overrides: Sequence[str] = ()) -> Asked:
    """Check the recipe `text` with `overrides` ("lora.r=32") on top; `source` is named in problems.

    Relative paths in the text are read from `folder`, those in overrides from the working folder.

    Raises RecipeError with every problem of the text and of the overrides.
    """
    faults: list[Fault] = []
    root = read_tree(text, lambda line: Place(line, f"{source}:{line}"), faults)
    leaves: dict[str, Node] = {}
    if root is not None and isinstance(root.value, dict):
        _flatten(root.value, "", leaves, faults)
    elif root is not None and root.value is not None:
        message = f"the top level is {_shown(root.value)}; expected keys such as model:, data: and lora:"
        faults.append(Fault(root.place, "not-a-mapping", message))
    # one fault of the whole document says more than the keys it hides
    readable = all(fault.code not in _HIDES_KEYS for fault in faults) and (root is not None or not faults)
    leaves |= _read_overrides(overrides, faults)
    recipe = _validate(leaves, source, faults)
    if readable and all(key not in leaves or leaves[key].value is None for key in ("data.train", "domain")):
        faults.append(_nothing_to_train_on(Place(0, source), empty=root is None or root.value is None))
    faults.sort(key=lambda fault: fault.place.order)
    raise_if_errors(RecipeError, (Problem("error", f.code, f.place.text, f.message) for f in faults))
    assert recipe is not None
    lines = {key: node.place.text for key, node in _with_entries(leaves)}
    return Asked(recipe, source, folder, text, lines, frozenset(k for k, node in leaves.items() if _is_given(k, node)))


def with_overrides(asked: Asked, overrides: Sequence[str]) -> Asked:
    """The same recipe with more overrides; one of them replaces an earlier override of its key."""
    keys = {override.partition("=")[0].strip() for override in overrides}
    places = dict.fromkeys(asked.lines.values())
    earlier = [place.removeprefix("--set ") for place in places if place.startswith("--set ")]
    kept = [override for override in earlier if override.partition("=")[0].strip() not in keys]
    return parse_recipe(asked.text, asked.source, asked.folder, [*kept, *overrides])


def _refused(code: str, where: str, message: str) -> RecipeError:
    return RecipeError(problems=[Problem("error", code, where, message)])


def _missing(path: Path) -> str:
    close = nearest(path.name, (p.name for p in path.absolute().parent.glob("*.y*ml")))
    return "no such file; " + (f"did you mean {close}?" if close else "`rankwise init` writes a recipe")


def _nothing_to_train_on(place: Place, empty: bool) -> Fault:
    wanted = "set data.train to a file or hub id, or domain to train on its sample rows"
    if empty:
        return Fault(place, "recipe-empty", f"is empty; {wanted} (`rankwise init` writes a recipe)")
    return Fault(place, "nothing-to-train-on", f"neither data.train nor domain is given; {wanted}")


def _is_given(key: str, node: Node) -> bool:
    if node.value is None:
        return LEAVES[key].default is not None
    return node.value != "auto" or LEAVES[key].default != "auto"


def _with_entries(leaves: Mapping[str, Node]) -> Iterator[tuple[str, Node]]:
    """Every value by its key, and what a mapping holds by key and pattern: `lora.rank_pattern.q_proj`."""
    for key, node in leaves.items():
        yield key, node
        if isinstance(node.value, dict):
            yield from ((f"{key}.{pattern}", inner) for pattern, inner in node.value.items())


def _flatten(mapping: Mapping[str, Node], section: str, leaves: dict[str, Node], faults: list[Fault]) -> None:
    """Put every known value below `section` into `leaves` by its dotted key; report the rest."""
    known = spellings(section)
    for name, node in mapping.items():
        key = known.get(name)
        if key is None:
            message = unknown_key(section, name, holds_mapping=isinstance(node.value, dict))
            faults.append(Fault(node.place, "unknown-key", message))
        elif key in SECTIONS:
            if isinstance(node.value, dict):
                _flatten(node.value, key, leaves, faults)
            elif node.value is not None:
                inside = ", ".join(SECTIONS[key].model_fields)
                message = f"{key} is {_shown(node.value)}; expected keys below it: {inside}{instead_of(key)}"
                faults.append(Fault(node.place, "not-a-mapping", message))
        elif key in leaves:
            names = " and ".join(other for other in known if known[other] == key)
            message = f"{key} is given twice, first at {leaves[key].place.text} ({names} are one key); keep one"
            faults.append(Fault(node.place, "duplicate-key", message))
        else:
            leaves[key] = node


def _read_overrides(overrides: Sequence[str], faults: list[Fault]) -> dict[str, Node]:
    found: dict[str, Node] = {}
    for number, override in enumerate(overrides):
        place = Place(_AFTER_THE_FILE + number, f"--set {override}")
        name, equals, text = override.partition("=")
        name, text = name.strip(), text.strip()
        section, _, last = name.rpartition(".")
        if not equals or not name:
            faults.append(Fault(place, "bad-override", "expected KEY=VALUE, such as lora.r=32"))
        elif name in SECTIONS:
            inside = ", ".join(dotted(name, key) for key in SECTIONS[name].model_fields)
            faults.append(
                Fault(place, "bad-override", f"{name} is a section; set one of its keys: {inside}{instead_of(name)}")
            )
        elif section not in SECTIONS or last not in spellings(section):
            faults.append(_unknown_override(place, name, text))
        elif (key := spellings(section)[last]) in found:
            message = f"{key} is already set by {found[key].place.text}; keep one"
            faults.append(Fault(place, "duplicate-override", message))
        else:
            node = _override_value(key, text, place, faults)
            if node is not None:
                found[key] = _from_here(node) if key in _PATHS else node
    return found


def _unknown_override(place: Place, name: str, text: str) -> Fault:
    """Of a key that there is not; one inside a mapping that is a value is set with the whole of it."""
    section, _, last = name.rpartition(".")
    whole = next((key for key in LEAVES if name.startswith(f"{key}.") and holds_mapping(key)), None)
    if whole is not None:
        entry = f"{{{name.removeprefix(f'{whole}.')}: {text}}}"
        return Fault(place, "bad-override", f"{whole} is a mapping, set as a whole: --set '{whole}={entry}'")
    message = unknown_key(section, last) if section in SECTIONS else unknown_key("", name)
    return Fault(place, "unknown-key", message)


def _from_here(node: Node) -> Node:
    """A path on the command line is relative to the working folder, unlike one in the recipe."""
    if not isinstance(node.value, str) or not node.value:
        return node
    path = user_path(node.value)
    written_as_path = node.value.startswith((".", "~")) or path.suffix in _FILES
    return replace(node, value=str(path.absolute())) if written_as_path or path.exists() else node


def _override_value(key: str, text: str, place: Place, faults: list[Fault]) -> Node | None:
    inner: list[Fault] = []
    node = read_tree(text, lambda line: place, inner)
    if node is None and not inner:
        inner.append(Fault(place, "bad-override", f"{key} gets no value; expected {accepts(key)}"))
    elif inner or (node is not None and _reads_otherwise(node, text)):
        advice = f"put text in quotes: --set {key}={_quoted(text)}"
        if holds_mapping(key):
            advice = f"write a mapping in brackets: --set '{key}={{q_proj: 8, k_proj: 4}}'"
        message = f"the value is not plain YAML; {advice}"
        inner = [Fault(place, "bad-override", message)]
    faults.extend(inner)
    return None if inner else node


def _reads_otherwise(node: Node, text: str) -> bool:
    """Whether YAML took a colon in the text for a mapping, or dropped its end as a comment."""
    return (isinstance(node.value, dict) and not text.startswith("{")) or text[node.end :].lstrip().startswith("#")


def _quoted(text: str) -> str:
    doubled = text.replace("'", "''")
    return f"\"'{doubled}'\""


def _validate(leaves: Mapping[str, Node], source: str, faults: list[Fault]) -> Recipe | None:
    values: dict[str, Any] = {}
    for key, node in leaves.items():
        *sections, name = key.split(".")
        inside = values
        for section in sections:
            inside = inside.setdefault(section, {})
        inside[name] = node.plain()
    try:
        return Recipe.model_validate(values)
    except ValidationError as error:
        by_key: dict[str, list[ErrorDetails]] = {}
        for detail in error.errors(include_url=False):
            by_key.setdefault(_leaf_of(detail["loc"], leaves), []).append(detail)
    for key, details in by_key.items():
        if key in leaves:
            faults.extend(_value_faults(key, leaves[key], details))
        else:
            faults.extend(Fault(Place(0, source), "bad-recipe", f"{key}: {detail['msg']}") for detail in details)
    return None


def _leaf_of(location: tuple[int | str, ...], leaves: Mapping[str, Node]) -> str:
    """The recipe key an error stands on; what follows it in `location` is the checker's own business."""
    for end in range(1, len(location) + 1):
        key = ".".join(map(str, location[:end]))
        if key in leaves:
            return key
    return ".".join(map(str, location))


def _value_faults(key: str, node: Node, details: Sequence[ErrorDetails]) -> list[Fault]:
    if node.refused:
        return []
    kinds = {detail["type"] for detail in details}
    expected = f"expected {accepts(key)}"
    inside = _inner_faults(key, node, details)
    if inside is not None:
        return inside
    if node.value is None or node.value == "":
        return [Fault(node.place, "empty-value", f"{key} has no value; {expected}, or leave the key out")]
    message = f"{key} is {_shown(node.value)}; {expected}"
    code = "unknown-value" if kinds == {"literal_error"} else "wrong-type"
    if "too_short" in kinds:
        code = "empty-value"
    elif kinds & _BOUNDS:
        code = "out-of-bounds"
    elif isinstance(node.value, str):
        message += _text_hint(key, node.value, kinds)
    return [Fault(node.place, code, message)]


def _inner_faults(key: str, node: Node, details: Sequence[ErrorDetails]) -> list[Fault] | None:
    """Of the items of a list, or of what stands in a mapping that may be a value; None: it is wrong as a whole."""
    inner: dict[int | str, Node] = {}
    if isinstance(node.value, list):
        inner = dict(enumerate(node.value))
    elif isinstance(node.value, dict) and holds_mapping(key):
        inner = {name: item for name, item in node.value.items()}  # noqa: C416  (keys of another type)
    wrong: dict[int | str, ErrorDetails] = {}
    for detail in details:
        for part in detail["loc"][key.count(".") + 1 :]:
            if part in inner:
                wrong.setdefault(part, detail)
    if not wrong:
        return None
    places = [part for part in inner if part in wrong and not inner[part].refused]
    return [_inner_fault(key, part, inner[part], wrong[part]) for part in places]


def _inner_fault(key: str, part: int | str, item: Node, detail: ErrorDetails) -> Fault:
    if part == "":
        return Fault(item.place, "empty-value", f"a pattern of {key} is empty; expected the name of a layer")
    if detail["type"] == "value_error":
        message = f"the pattern {part} of {key} is {detail['ctx']['error']}; escape what is meant as it stands"
        return Fault(item.place, "bad-pattern", message)
    name = f"item {part + 1}" if isinstance(part, int) else part
    got = "empty" if item.value is None or item.value == "" else _shown(item.value)
    code = "out-of-bounds" if detail["type"] in _BOUNDS else "wrong-type"
    return Fault(item.place, code, f"{name} of {key} is {got}; expected {item_accepts(key)}")


def _text_hint(key: str, text: str, kinds: set[str]) -> str:
    """How to write the value that `text` was probably meant to be."""
    bare = bare_scalar(text)
    wanted = {"int_type": int, "float_type": int | float, "bool_type": bool}
    if any(kind in kinds and isinstance(bare, type_) for kind, type_ in wanted.items()):
        return f". Write {text} without quotes"
    close = nearest(text.lower(), choices(key))
    if close is not None:
        return f"; did you mean {close}?"
    return f". Write a list in brackets: [{text}]" if "list_type" in kinds else ""


def _shown(value: object) -> str:
    if isinstance(value, str):
        return f'the text "{value if len(value) <= 60 else value[:60] + "..."}"'
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float) and not math.isfinite(value):
        return "not a number" if math.isnan(value) else "infinite"
    if isinstance(value, list):
        return "a list" if value else "an empty list"
    if isinstance(value, dict):
        return "a mapping" if value else "an empty mapping"
    return "null" if value is None else str(value)
