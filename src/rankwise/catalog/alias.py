"""The `production` alias of a shelf: a file beside its adapters, with every move that it ever made."""

from __future__ import annotations

import getpass
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, JsonValue, TypeAdapter

from rankwise.errors import AdapterError, Problem
from rankwise.files import read_json, write_json

PRODUCTION = "production"
FILE = "production.json"


class Move(BaseModel):
    """One move of the alias. The last one says where it is."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: Literal["promote", "rollback", "remove"]
    digest: str | None
    """Where it went; None: nowhere, what it was on was removed."""
    at: str
    """UTC, ISO 8601."""
    by: str
    """The user's name on that machine."""
    forced: str | None = None
    """Why it was moved without or against the figures; None: it was not."""
    figures: dict[str, JsonValue] = {}
    """What the two adapters were found to be worth, on which rows."""


_MOVES = TypeAdapter(tuple[Move, ...])


def read_moves(shelf: Path) -> tuple[Move, ...]:
    """All moves of the alias in the folder `shelf`, oldest first. Raises AdapterError if the file cannot be read."""
    path = shelf / FILE
    try:
        return _MOVES.validate_python(read_json(path))
    except FileNotFoundError:
        return ()
    except (OSError, ValueError, RecursionError) as fault:
        reason = " ".join(str(fault).split())
        message = (
            f"which adapter is in production cannot be read ({reason}); restore the file, or delete it and promote"
        )
        raise AdapterError(problems=[Problem("error", "production-unreadable", str(path), message)]) from None


def add_move(
    shelf: Path,
    kind: Literal["promote", "rollback", "remove"],
    digest: str | None,
    forced: str | None = None,
    figures: Mapping[str, JsonValue] | None = None,
) -> Move:
    """Move the alias, now and by this user. Call with the catalogue's lock held."""
    at = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    move = Move(kind=kind, digest=digest, at=at, by=_user(), forced=forced, figures=dict(figures or {}))
    write_json(shelf / FILE, [made.model_dump(mode="json") for made in (*read_moves(shelf), move)])
    return move


def in_production(moves: Sequence[Move]) -> str | None:
    """The digest that the alias is on."""
    return moves[-1].digest if moves else None


def before(moves: Sequence[Move], present: set[str]) -> str | None:
    """What the alias was on before what it is on now, of those that are still there; None: nothing.

    A rollback undoes moves: after it, the one before is that of the place it went back to.
    """
    path: list[str | None] = []
    for move in moves:
        if move.kind == "rollback" and move.digest in path:
            while path[-1] != move.digest:
                path.pop()
        elif not path or path[-1] != move.digest:
            path.append(move.digest)
    return next((digest for digest in reversed(path[:-1]) if digest in present and digest != path[-1]), None)


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a container's user may have no name
        return "unknown"
