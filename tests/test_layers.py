"""The house rules that a machine can check: who may import whom, what stays light, how long a file may be."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import NamedTuple

PACKAGE = Path(__file__).parents[1] / "src" / "rankwise"

FLOORS = [
    {"errors", "files", "signals"},
    {"recipe", "events"},
    {"facts"},
    {"data", "doctrine", "catalog"},
    {"plan"},
    {"model", "doctor"},
    {"evaluate", "export", "serve"},
    {"train"},
    {"measure", "selftest"},
    {"runs", "adapters"},
    {"api"},
    {"experiment", "studio"},
    {"cli"},
    {"__main__", "__init__"},
]
FLOOR = {room: number for number, rooms in enumerate(FLOORS) for room in rooms}

TORCH_ROOMS = {"model", "evaluate", "export", "train", "selftest", "serve"}
"""Where torch may be imported at module level; all else is light, and imports these inside functions."""
HEAVY = {"torch", "transformers", "peft", "accelerate"}
SLOW = {
    "sklearn",
    "scipy",
    "polars",
    "datasets",
    "datasketch",
    "sqlalchemy",
    "alembic",
    "matplotlib",
    "pandas",
    "rouge_score",
}
SLOW_FILES = {"catalog/index.py", "catalog/tables.py"}
SLOW_FOLDERS = {"catalog/migrations"}
"""Imported only inside functions of their neighbours, so that they may import slow things themselves."""

MAX_LINES = 400


class Import(NamedTuple):
    file: Path
    line: int
    target: str
    at_module_level: bool

    def __str__(self) -> str:
        return f"{self.file.relative_to(PACKAGE)}:{self.line} imports {self.target}"


@cache
def files() -> tuple[Path, ...]:
    return tuple(sorted(PACKAGE.rglob("*.py")))


@cache
def imports() -> tuple[Import, ...]:
    return tuple(found for file in files() for found in _imports_of(file))


def _imports_of(file: Path) -> Iterator[Import]:
    def walk(node: ast.AST, at_module_level: bool) -> Iterator[Import]:
        for child in ast.iter_child_nodes(node):
            if isinstance(child, ast.Import):
                for alias in child.names:
                    yield Import(file, child.lineno, alias.name, at_module_level)
            elif isinstance(child, ast.ImportFrom):
                assert child.level == 0, f"{file}:{child.lineno}: imports are absolute here"
                for alias in child.names:
                    yield Import(file, child.lineno, f"{child.module}.{alias.name}", at_module_level)
            else:
                deferred = isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
                deferred = deferred or (isinstance(child, ast.If) and "TYPE_CHECKING" in ast.dump(child.test))
                yield from walk(child, at_module_level and not deferred)

    yield from walk(ast.parse(file.read_text(encoding="utf-8")), True)


def room_of(file: Path) -> str:
    return file.relative_to(PACKAGE).parts[0].removesuffix(".py")


def module_of(file: Path) -> str:
    parts = file.relative_to(PACKAGE.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def own_module(target: str) -> str | None:
    """The module of this package that an import brings in: `rankwise.files.home` is in `rankwise.files`."""
    parts = target.split(".")
    if parts[0] != "rankwise":
        return None
    modules = {module_of(file) for file in files()}
    return next((name for n in range(len(parts), 0, -1) if (name := ".".join(parts[:n])) in modules), None)


def test_there_is_something_to_look_at():
    assert len(files()) >= 60
    assert sum(own_module(found.target) is not None for found in imports()) >= 150


def test_every_room_has_a_floor():
    rooms = {room_of(file) for file in files()} - {"__init__"}
    assert rooms <= FLOOR.keys()
    assert {"errors", "recipe", "facts", "data", "plan", "model", "evaluate", "train", "cli"} <= rooms


def test_imports_go_down_only():
    wrong = []
    for found in imports():
        target = own_module(found.target)
        if target in (None, "rankwise"):
            continue
        upper, lower = room_of(found.file), target.partition(".")[2].partition(".")[0]
        if upper != lower and not FLOOR[lower] < FLOOR[upper]:
            wrong.append(str(found))
    assert not wrong, "\n".join(wrong)


def test_no_module_imports_itself_in_a_circle():
    edges: dict[str, set[str]] = {module_of(file): set() for file in files()}
    for found in imports():
        if (target := own_module(found.target)) and target != module_of(found.file):
            edges[module_of(found.file)].add(target)
    assert sum(map(len, edges.values())) >= 100
    done: set[str] = set()

    def visit(module: str, above: tuple[str, ...]) -> None:
        assert module not in above, " -> ".join((*above[above.index(module) :], module))
        if module not in done:
            for target in sorted(edges[module]):
                visit(target, (*above, module))
            done.add(module)

    for module in edges:
        visit(module, ())


def test_light_rooms_import_light():
    wrong = [
        str(found)
        for found in imports()
        if found.at_module_level
        and found.target.partition(".")[0] in HEAVY | SLOW
        and room_of(found.file) not in TORCH_ROOMS
        and str(found.file.relative_to(PACKAGE)) not in SLOW_FILES
        and not any(found.file.is_relative_to(PACKAGE / folder) for folder in SLOW_FOLDERS)
    ]
    assert not wrong, "\n".join(wrong)


def test_files_stay_short_and_are_named_for_what_they_hold():
    lengths = {file: len(file.read_text(encoding="utf-8").splitlines()) for file in files()}
    assert not [f"{file}: {lines} lines" for file, lines in lengths.items() if lines > MAX_LINES]
    assert not [
        file for file in files() if {"utils", "util", "helpers", "common", "misc"} & set(file.with_suffix("").parts)
    ]
