"""Every error a user can meet, and the `Problem` lines they are made of.

RankwiseError
├── RecipeError      the recipe file or an override is wrong
├── DataError        a data file is wrong
├── BaseError        the base model cannot be found, fetched or read
├── AdapterError     an adapter folder cannot be loaded, or not on this base
├── PlanError        the plan cannot be made, or was not followed to the letter
├── RunError         a run folder cannot be used
└── TrainingError    training had to stop (a non-finite loss, say)

A message says what was got, what was expected and what to do next. An error that has found
several faults carries them all, one `Problem` each.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Literal

Severity = Literal["error", "warning", "note"]


@dataclass(frozen=True)
class Problem:
    """One fault or remark, as it is printed and as it stands in `--json`."""

    severity: Severity
    code: str
    """Stable, lower-case, words joined by hyphens; tests and scripts may rely on it."""
    where: str
    """`file:line`, a recipe key, or empty."""
    message: str
    """What was got, what was expected, what to do."""

    def __str__(self) -> str:
        place = f"{self.where}: " if self.where else ""
        return f"{place}{self.severity}: {self.message} [{self.code}]"

    def as_json(self) -> dict[str, str]:
        return asdict(self)


class RankwiseError(Exception):
    """Root of all errors meant for the user; the command line prints it without a traceback."""

    def __init__(self, message: str = "", problems: Iterable[Problem] = ()) -> None:
        self.problems: tuple[Problem, ...] = tuple(problems)
        super().__init__(message or "\n".join(map(str, self.problems)))


class RecipeError(RankwiseError, ValueError):
    pass


class DataError(RankwiseError, ValueError):
    pass


class BaseError(RankwiseError, LookupError):
    pass


class AdapterError(RankwiseError, ValueError):
    pass


class PlanError(RankwiseError, ValueError):
    pass


class RunError(RankwiseError, ValueError):
    pass


class TrainingError(RankwiseError, RuntimeError):
    pass


def raise_if_errors(kind: type[RankwiseError], problems: Iterable[Problem]) -> None:
    """Raise `kind` with all of `problems` if any of them is an error; warnings alone pass."""
    found = tuple(problems)
    if any(p.severity == "error" for p in found):
        raise kind(problems=found)
