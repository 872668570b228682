"""What a data file becomes: `Row` and `Table`; and how its faults are gathered before any is raised."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from rankwise.errors import DataError, Problem

Message = dict[str, Any]
"""`{"role": "system" | "user" | "assistant" | "tool", "content": str}`, perhaps with `tool_calls`."""

Shape = Literal["labels", "label_lists", "instruction", "prompt_completion", "messages", "preferences"]
LABELLED: tuple[Shape, ...] = ("labels", "label_lists")
"""Shapes of text/label rows."""

MAX_LISTED = 50
"""Errors listed for one file; the rest are counted."""
MAX_DEPTH = 64
"""Levels of lists and objects a row may have."""
MAX_ROW_BYTES = 16 << 20
"""Size of the longest line, or item of a JSON list, that is read."""


@dataclass(frozen=True)
class Row:
    """One conversation that ends with the assistant's answer, and where it was written."""

    where: str
    """`reports.jsonl:7`; for Parquet and hub rows `reports.parquet:row 7`."""
    messages: tuple[Message, ...]
    """The whole conversation. Label rows: the text and the label, without any instruction."""
    question: str
    """Label rows: the text. Alpaca rows: the input, else the instruction. Others: the last user turn."""
    answer: str
    """Text of the last assistant turn; its tool calls as JSON when it has no text. Rows with a list of labels: the list
    as JSON, sorted."""
    label: str | None = None
    instruction: str | None = None
    """Alpaca rows only."""
    tools: tuple[dict[str, Any], ...] | None = None
    completion_start: int | None = None
    """Prompt/completion rows only: index in `messages` of the first that belongs to the completion."""
    rejected: str | None = None
    """Preference rows only: the answer that is worse than `answer`, to the same prompt."""
    labels: tuple[str, ...] | None = None
    """Of rows whose label is a list: those the text has, sorted, perhaps none."""

    @property
    def own_labels(self) -> tuple[str, ...]:
        """All labels the text has: one, or those of its list; none of rows with open answers."""
        if self.labels is not None:
            return self.labels
        return () if self.label is None else (self.label,)

    @property
    def shape(self) -> Shape:
        if self.label is not None:
            return "labels"
        if self.labels is not None:
            return "label_lists"
        if self.rejected is not None:
            return "preferences"
        if self.instruction is not None:
            return "instruction"
        return "messages" if self.completion_start is None else "prompt_completion"


@dataclass(frozen=True)
class Table:
    """A data file that has no faults."""

    path: str
    shape: Shape
    rows: tuple[Row, ...]
    sha256: str
    """Hex digest of the file's bytes; of the rows' content for a hub id."""
    problems: tuple[Problem, ...] = ()
    """Warnings and notes: the format detected, keys ignored, a BOM removed, ..."""


@dataclass(frozen=True)
class Record:
    """One row as the file has it: a JSON object, a CSV line, a Parquet row."""

    line: int
    fields: dict[str, Any]


class Faults:
    """The problems of one file, kept with their lines until all are known."""

    def __init__(self, name: str, unit: str = "") -> None:
        self.name = name
        self._unit = unit
        self._found: list[tuple[int, Problem]] = []

    def where(self, line: int) -> str:
        """`reports.jsonl:7`; line 0 stands for the whole file."""
        return f"{self.name}:{self._unit}{line}" if line else self.name

    def error(self, code: str, message: str, line: int = 0) -> None:
        self._found.append((line, Problem("error", code, self.where(line), message)))

    def warning(self, code: str, message: str, line: int = 0) -> None:
        self._found.append((line, Problem("warning", code, self.where(line), message)))

    def note(self, code: str, message: str, line: int = 0) -> None:
        self._found.append((line, Problem("note", code, self.where(line), message)))

    @property
    def problems(self) -> tuple[Problem, ...]:
        """In the order of the file."""
        return tuple(problem for _, problem in sorted(self._found, key=lambda pair: pair[0]))

    def raise_if_errors(self) -> None:
        raise_data_errors(self.problems, self.name)


def raise_data_errors(problems: Sequence[Problem], name: str) -> None:
    """Raise a DataError with every problem if one is an error; errors beyond `MAX_LISTED` are counted in a last one."""
    errors = [p for p in problems if p.severity == "error"]
    if not errors:
        return
    rest = Counter(p.code for p in errors[MAX_LISTED:])
    if rest:
        kinds = ", ".join(f"{count} {code}" for code, count in rest.most_common())
        message = f"{rest.total()} more errors ({kinds}); the first {MAX_LISTED} of {len(errors)} are listed"
        errors = [*errors[:MAX_LISTED], Problem("error", "more-errors", name, message)]
    raise DataError(problems=[*(p for p in problems if p.severity != "error"), *errors])


def kind_of(value: object) -> str:
    """A JSON value in words, for messages: `a list`, `the number 3`, `null`."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return f"the number {value}"
    if isinstance(value, str):
        return "a string"
    if isinstance(value, list | tuple):
        return "a list"
    if isinstance(value, dict):
        return "an object"
    return f"a value of type {type(value).__name__}"


def quoted(names: Iterable[str]) -> str:
    """`"text", "label"`, for messages; the first ten."""
    listed = [f'"{name}"' for name in names]
    return ", ".join(listed[:10]) + (f" and {len(listed) - 10} more" if len(listed) > 10 else "")


def flaws(fields: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """(code, message) of what no row may hold anywhere: NUL, half a surrogate pair, nesting without end."""
    waiting: list[tuple[str, object, int]] = [(key, value, 1) for key, value in fields.items()]
    for key in fields:
        if "\0" in key:
            yield "nul-character", f"key {key!r} holds a NUL character (U+0000); remove it"
    while waiting:
        key, value, depth = waiting.pop()
        if isinstance(value, str):
            if (at := value.find("\0")) >= 0:
                yield "nul-character", f'"{key}" holds a NUL character (U+0000) at character {at + 1}; remove it'
            if not value.isascii() and (at := _surrogate(value)) >= 0:
                code = f"U+{ord(value[at]):04X}"
                yield "lone-surrogate", f'"{key}" holds half a character ({code}) at character {at + 1}; remove it'
        elif isinstance(value, dict | list | tuple):
            if depth >= MAX_DEPTH:
                yield "too-deep", f'"{key}" nests lists and objects over {MAX_DEPTH} deep; flatten it'
                return
            inner = value.values() if isinstance(value, dict) else value
            waiting.extend((key, item, depth + 1) for item in inner)


def _surrogate(text: str) -> int:
    try:
        text.encode()
    except UnicodeEncodeError as error:
        return error.start
    return -1
