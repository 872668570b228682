"""YAML text to plain values that remember where they stood.

Only what a recipe can hold is let through: text, numbers, true and false, null, lists and mappings.
Tags that would build anything else, merge keys, and aliases that unfold without bound are refused.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass

from ruamel.yaml import YAML
from ruamel.yaml.composer import ComposerError
from ruamel.yaml.error import MarkedYAMLError, ReusedAnchorWarning, YAMLError
from ruamel.yaml.nodes import MappingNode, ScalarNode, SequenceNode
from ruamel.yaml.reader import ReaderError

MAX_CHARACTERS = 256 * 1024
MAX_VALUES = 10_000
MAX_DEPTH = 20

Scalar = str | int | float | bool | None
_TAG = "tag:yaml.org,2002:"
_WORDS: dict[str, Scalar] = {"true": True, "false": False, ".inf": float("inf"), "+.inf": float("inf")}
_WORDS |= {"-.inf": float("-inf"), ".nan": float("nan")}


@dataclass(frozen=True, order=True)
class Place:
    """Where a value was written: `order` sorts faults as the reader meets them, `text` is shown."""

    order: int
    text: str


@dataclass(frozen=True)
class Fault:
    place: Place
    code: str
    message: str


@dataclass(frozen=True)
class Node:
    value: Scalar | list[Node] | dict[str, Node]
    place: Place
    """Of the key for a value in a mapping, else of the value itself."""
    end: int
    """Index of the first character after the value."""
    refused: bool = False
    """A fault of the value itself is reported already; `value` is None."""

    def plain(self) -> object:
        """The value without its places."""
        if isinstance(self.value, list):
            return [item.plain() for item in self.value]
        if isinstance(self.value, dict):
            return {key: item.plain() for key, item in self.value.items()}
        return self.value


class _TooMuch(Exception):
    """The document unfolds beyond what a recipe can need."""


def read_tree(text: str, place: Callable[[int], Place], faults: list[Fault]) -> Node | None:
    """The document in `text`, or None if it is empty or unreadable; faults found are appended to `faults`.

    `place` turns a line number, counted from 1, into the place shown to the user.
    """
    if len(text) > MAX_CHARACTERS:
        message = f"has {len(text)} characters; a recipe has at most {MAX_CHARACTERS}. Is this a data file?"
        faults.append(Fault(place(1), "recipe-too-large", message))
        return None
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ReusedAnchorWarning)
            root = YAML(typ="safe", pure=True).compose(text)
        return None if root is None else _Builder(place, faults).node(root, None, 1)
    except _TooMuch as error:
        faults.append(Fault(place(1), "recipe-too-large", str(error)))
    except RecursionError:
        faults.append(Fault(place(1), "recipe-too-large", f"is nested deeper than {MAX_DEPTH} levels"))
    except YAMLError as error:
        faults.append(_syntax_fault(error, text, place))
    except (ValueError, OverflowError):  # what chr() raises on an escape beyond Unicode
        line = text.count("\n", 0, text.find("\\U")) + 1
        faults.append(Fault(place(line), "bad-character", "holds an escape (\\U) that is no character"))
    return None


def reads_as_itself(text: str) -> bool:
    """Whether `text`, written bare on a line `key: text  # comment`, reads back as this very text."""
    faults: list[Fault] = []
    node = read_tree(f"key: {text}  # comment", lambda line: Place(line, ""), faults)
    return not faults and node is not None and node.plain() == {"key": text}


def bare_scalar(text: str) -> Scalar:
    """What `text` would be without quotes; the text itself if it is no single scalar."""
    faults: list[Fault] = []
    node = read_tree(text, lambda line: Place(line, ""), faults)
    if faults or node is None or isinstance(node.value, list | dict):
        return text
    return node.value


class _Builder:
    def __init__(self, place: Callable[[int], Place], faults: list[Fault]) -> None:
        self.place = place
        self.faults = faults
        self.count = 0

    def node(self, yaml: object, place: Place | None, depth: int) -> Node:
        self.count += 1
        if self.count > MAX_VALUES:
            raise _TooMuch(f"unfolds to more than {MAX_VALUES} values; write it without so many aliases")
        if depth > MAX_DEPTH:
            raise _TooMuch(f"is nested deeper than {MAX_DEPTH} levels")
        assert isinstance(yaml, ScalarNode | SequenceNode | MappingNode)
        here = place or self.place(yaml.start_mark.line + 1)
        end: int = yaml.end_mark.index
        if isinstance(yaml, ScalarNode):
            value, refused = self.scalar(yaml, here)
            return Node(value, here, end, refused)
        if str(yaml.tag) != _TAG + ("seq" if isinstance(yaml, SequenceNode) else "map"):
            self.refuse_tag(str(yaml.tag), here)
            return Node(None, here, end, refused=True)
        if isinstance(yaml, SequenceNode):
            return Node([self.node(item, None, depth + 1) for item in yaml.value], here, end)
        return Node(self.mapping(yaml, depth), here, end)

    def mapping(self, yaml: MappingNode, depth: int) -> dict[str, Node]:
        found: dict[str, Node] = {}
        for key, value in yaml.value:
            place = self.place(key.start_mark.line + 1)
            if not isinstance(key, ScalarNode):
                self.fault(place, "bad-key", "a key is a list or a mapping; expected a name")
            elif str(key.tag) == _TAG + "merge":
                self.fault(place, "yaml-merge", "the merge key << is not supported; write the keys out")
            elif key.value in found:
                first = found[key.value].place.text
                self.fault(place, "duplicate-key", f"key {key.value} is given twice, first at {first}; keep one")
            else:
                found[key.value] = self.node(value, place, depth + 1)
        return found

    def scalar(self, yaml: ScalarNode, place: Place) -> tuple[Scalar, bool]:
        """The value, and whether it had to be refused."""
        tag, text = str(yaml.tag), str(yaml.value)
        kind = tag.removeprefix(_TAG)
        if kind in ("str", "timestamp"):
            return text, False
        if kind == "null":
            return None, False
        if kind not in ("bool", "int", "float"):
            self.refuse_tag(tag, place)
            return None, True
        try:
            return _convert(kind, text), False
        except ValueError:
            shown = text if len(text) <= 40 else text[:40] + "..."
            wanted = {"bool": "true or false", "int": "a whole number", "float": "a number"}[kind]
            self.fault(place, "bad-value", f'cannot read "{shown}" as {wanted}; put it in quotes if it is text')
            return None, True

    def refuse_tag(self, tag: str, place: Place) -> None:
        shown = tag.replace(_TAG, "!!")
        known = "text, numbers, true, false, null, lists and mappings"
        self.fault(place, "yaml-tag", f"the tag {shown} is refused: a recipe holds only {known}. Remove the tag")

    def fault(self, place: Place, code: str, message: str) -> None:
        self.faults.append(Fault(place, code, message))


def _convert(kind: str, text: str) -> Scalar:
    if text.lower() in _WORDS:
        return _WORDS[text.lower()]
    if kind == "bool":
        raise ValueError(text)
    digits = text.replace("_", "")
    if kind == "float":
        return float(digits)
    prefixed = digits.lstrip("+-")[:2].lower() in ("0x", "0o", "0b")
    return int(digits, 0 if prefixed else 10)


def _syntax_fault(error: YAMLError, text: str, place: Callable[[int], Place]) -> Fault:
    if isinstance(error, ReaderError):
        line = text.count("\n", 0, error.position) + 1
        code = f"U+{ord(text[error.position]):04X}" if error.position < len(text) else "a broken character"
        return Fault(place(line), "bad-character", f"holds the character {code}, which YAML does not allow; remove it")
    if not isinstance(error, MarkedYAMLError) or error.problem_mark is None:
        return Fault(place(1), "yaml-syntax", f"is not valid YAML: {error}")
    line = error.problem_mark.line + 1
    problem = (error.problem or error.context or "cannot be read").strip()
    if isinstance(error, ComposerError) and "another document" in problem:
        return Fault(place(line), "yaml-syntax", "a second document starts here (---); a recipe is one document")
    if "\\t" in problem:
        return Fault(place(line), "yaml-tab", "a tab stands where YAML wants spaces; indent with spaces")
    if "<stream end>" in problem or "unexpected end of stream" in problem:
        problem = "it ends before a bracket or quote is closed"
    message = f"is not valid YAML: {problem}"
    if "mapping values are not allowed" in problem:
        message += " (is the indentation right, and is a text with a colon in quotes?)"
    start = error.context_mark
    if start is not None and error.context and start.line + 1 != line:
        message += f", {error.context.strip()} that starts on line {start.line + 1}"
    return Fault(place(line), "yaml-syntax", message)
