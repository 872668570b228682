"""Another tool's configuration, or a guide's: reading it, and the work of turning it into a draft, key by key."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from rankwise.errors import Problem, RecipeError, raise_if_errors
from rankwise.recipe.dialects import DIALECTS, Dialect, why_not
from rankwise.recipe.draft import Draft, KnownBase, LeftOut
from rankwise.recipe.keys import LEAVES, SECTIONS, dotted, holds_mapping, spellings, unknown_key
from rankwise.recipe.tree import MAX_CHARACTERS, Fault, Node, Place, read_tree

_PLAIN = re.compile(r"[\w.]+")
"""A pattern that is a name; its dots are meant as they stand."""


@dataclass(frozen=True)
class Foreign:
    """A configuration that was read and recognised."""

    source: str
    """The file's name as given."""
    dialect: Dialect
    entries: Mapping[str, Node]

    @property
    def model(self) -> str | None:
        """The base it names."""
        names = [key for key, meant in self.dialect.same.items() if meant == "model"] or ["model"]
        found = (self.entries[name].value for name in names if name in self.entries)
        return next((value for value in found if isinstance(value, str) and value), None)


def load_foreign(path: Path) -> Foreign:
    """The configuration in the file at `path`; RecipeError if it cannot be read or is of no kind known here."""
    try:
        with path.open("rb") as stream:
            data = stream.read(4 * MAX_CHARACTERS + 1)
        text = data.decode("utf-8-sig")
    except (OSError, UnicodeDecodeError) as fault:
        reason = fault.strerror if isinstance(fault, OSError) else "it is not UTF-8 text"
        message = f"cannot be read: {reason}; expected a configuration in YAML or JSON"
        raise RecipeError(problems=[Problem("error", "guide-unreadable", str(path), message)]) from None
    return read_foreign(text, str(path))


def read_foreign(text: str, source: str) -> Foreign:
    """The configuration in `text` (YAML, or JSON, which is YAML); RecipeError if it is of no kind known here."""
    faults: list[Fault] = []
    root = read_tree(text, lambda line: Place(line, f"{source}:{line}"), faults)
    raise_if_errors(RecipeError, (Problem("error", f.code, f.place.text, f.message) for f in faults))
    entries = root.value if root is not None and isinstance(root.value, dict) else {}
    marked = {dialect.name: len(dialect.marks & entries.keys()) for dialect in DIALECTS}
    dialect = max(DIALECTS, key=lambda dialect: marked[dialect.name])
    if not marked[dialect.name]:
        kinds = "; ".join(f"{each.name} ({', '.join(sorted(each.marks)[:4])})" for each in DIALECTS)
        message = f"none of its keys tells what it is; known are, by their keys: {kinds}"
        raise RecipeError(problems=[Problem("error", "unknown-guide", source, message)])
    return Foreign(source, dialect, entries)


@dataclass
class Translation:
    """What a rule works on."""

    foreign: Foreign
    base: KnownBase | None
    draft: Draft = field(default_factory=Draft)

    def names(self, key: str) -> bool:
        """Whether the file gives the key a value."""
        node = self.foreign.entries.get(key)
        return node is not None and node.value is not None

    def is_on(self, key: str) -> bool:
        """Whether the file sets the flag."""
        node = self.foreign.entries.get(key)
        return node is not None and node.value is True

    def asks_nothing(self, key: str, value: object) -> bool:
        neutral = self.foreign.dialect.neutral
        if key in neutral:
            return neutral[key] is ... or neutral[key] == value or says_nothing(value)
        return says_nothing(value) or (value is False and why_not(key, "") != "")

    def offer(self, meant: str, value: object, key: str, node: Node, reason: str = "", otherwise: str = "") -> bool:
        """Take `value` on for the recipe's key `meant`."""
        told = f"{reason or key} ({node.place.text})"
        return self.draft.offer(meant, value, told, self.listed(key, node), otherwise)

    def leave(self, key: str, node: Node, why: str) -> None:
        self.draft.leave(self.listed(key, node), why)

    def listed(self, key: str, node: Node) -> LeftOut:
        return LeftOut(node.place.text, key, node.plain(), "")

    def targets(self, key: str, node: Node, names: list[str] | None = None) -> None:
        """Layers in a list, or `names` of a text that holds several."""
        if isinstance(node.value, list):
            items = [self.listed(key, item) for item in node.value]
        else:
            items = [LeftOut(node.place.text, key, name, "") for name in names or [str(node.value)]]
        self.draft.offer_targets(items, self.base, f"{key} ({node.place.text})")

    def patterns(self, meant: str, key: str, node: Node) -> None:
        """Ranks or alphas by PEFT's patterns; a plain name becomes this base's for the layers that do the same."""
        if not isinstance(node.value, dict):
            self.offer(meant, node.plain(), key, node)
            return
        here: dict[str, object] = {}
        for pattern, inner in node.value.items():
            kept = self.base is None or not _PLAIN.fullmatch(pattern)
            names = (pattern,) if kept or self.base is None else self.base.names(pattern)
            if not names:
                self.leave(dotted(key, pattern), inner, "this base has no such layer")
            here |= {name: inner.plain() for name in names if name not in here}
        if here:
            self.offer(meant, here, key, node)

    def own(self, key: str, node: Node, section: str) -> None:
        """A key that a recipe may have itself, or a section of them."""
        meant = spellings(section).get(key) if section in SECTIONS else None
        if meant is None:
            self.leave(dotted(section, key), node, unknown_key(section, key, isinstance(node.value, dict)))
        elif meant in SECTIONS and isinstance(node.value, dict):
            for name, inner in node.value.items():
                self.own(name, inner, meant)
        elif meant in SECTIONS:
            if node.value is not None:
                self.leave(meant, node, "it holds keys, not a value")
        elif node.value == LEAVES[meant].default:
            return
        elif holds_mapping(meant):
            self.patterns(meant, meant, node)
        elif meant == "lora.target_modules" and node.value != "all-linear":
            self.targets(meant, node)
        else:
            self.offer(meant, node.plain(), meant, node)


def says_nothing(value: object) -> bool:
    return value is None or value == "" or value == [] or value == {}
