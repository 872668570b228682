"""A report as its parts, whatever was tried: sentences, tables, intervals and curves; and its Markdown and CSV."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

Sentences = tuple[str, ...]


@dataclass(frozen=True)
class Table:
    heads: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


@dataclass(frozen=True)
class Interval:
    """One value of a figure, with its 95% interval."""

    name: str
    note: str
    value: float
    low: float
    high: float
    second: bool = False
    """Of the second kind that the figure sets apart by colour."""


@dataclass(frozen=True)
class Intervals:
    lines: tuple[Interval, ...]
    caption: str
    signed: bool = False
    """Values are differences: they are written with their sign, and 0 is marked."""


@dataclass(frozen=True)
class Curve:
    name: str
    points: tuple[tuple[float, float], ...]
    """In rising order of the first number."""
    reference: bool = False
    """Drawn dashed: what the others are held against."""


@dataclass(frozen=True)
class Chart:
    curves: tuple[Curve, ...]
    x: str
    y: str
    caption: str
    logarithmic: bool = False
    """The axis of `x`."""


Part = Sentences | Table | Intervals | Chart


@dataclass(frozen=True)
class Section:
    title: str
    part: Part


@dataclass(frozen=True)
class Document:
    kind: str
    data: str
    facts: Sentences
    """What it rests on: rows, seeds, machine, time."""
    sections: tuple[Section, ...]

    @property
    def title(self) -> str:
        return f"{self.kind.capitalize()}: {self.data}"


Value = str | float | int | None
Plain = Sequence[Sequence[Value]]
"""A table of plain numbers, its heads first."""


def markdown(document: Document) -> str:
    """All but the figures, whose numbers are in the table and the CSV."""
    lines = [f"# {document.title}", "", *_bullets(document.facts)]
    for section in document.sections:
        if isinstance(section.part, Table):
            lines += ["", f"## {section.title}", "", *_table(section.part)]
        elif isinstance(section.part, tuple) and section.part:
            lines += ["", f"## {section.title}", "", *_bullets(section.part)]
    return "\n".join([*lines, ""])


def csv_of(plain: Plain) -> str:
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerows(["" if value is None else value for value in row] for row in plain)
    return stream.getvalue()


def _table(table: Table) -> Iterator[str]:
    yield _row(table.heads)
    yield _row(["---"] * len(table.heads))
    yield from map(_row, table.rows)


def _row(cells: Iterable[str]) -> str:
    return f"| {' | '.join(cell.replace('|', '/') for cell in cells)} |"


def _bullets(sentences: Iterable[str]) -> list[str]:
    return [f"- {sentence}" for sentence in sentences]
