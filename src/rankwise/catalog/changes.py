"""What changes on the shelves after an adapter was registered: which is in production, and which are there at all."""

from __future__ import annotations

from collections.abc import Mapping

from pydantic import JsonValue

from rankwise.catalog.alias import PRODUCTION, Move, add_move, before, in_production, read_moves
from rankwise.catalog.record import Entry
from rankwise.catalog.store import adapters_folder, exclusive, list_entries, refusal, synchronise
from rankwise.files import remove_folder


def production_of(shelf: str) -> Entry | None:
    """The adapter in production on a shelf, if it is still there."""
    return next((entry for entry in list_entries() if entry.shelf == shelf and entry.alias == PRODUCTION), None)


def promote(entry: Entry, expected: Entry | None, forced: str | None, figures: Mapping[str, JsonValue]) -> Move:
    """Put `entry` into production on its shelf. `expected`: what it was held against.

    AdapterError if it is there already, or if another was put there meanwhile.
    """
    with exclusive():
        there = in_production(read_moves(entry.path.parent))
        if there == entry.digest:
            raise refusal("already-in-production", entry.id, "it is in production already")
        if there not in _present(entry.shelf):
            there = None
        if there != (None if expected is None else expected.digest):
            now = "nothing" if there is None else f"{entry.shelf}/{there}"
            raise refusal("production-changed", entry.id, f"meanwhile {now} is in production; promote it again")
        move = add_move(entry.path.parent, "promote", entry.digest, forced, figures)
        synchronise()
    return move


def rollback(shelf: str) -> Move:
    """Put back what was in production before what is there now. AdapterError if there is no such."""
    known = sorted({entry.shelf for entry in list_entries()})
    if shelf not in known:
        message = f"no adapter is of that domain. There are: {', '.join(known) or 'none yet'}"
        raise refusal("unknown-domain", shelf, message)
    folder = adapters_folder() / shelf
    with exclusive():
        moves = read_moves(folder)
        digest = before(moves, _present(shelf))
        if digest is None:
            there = in_production(moves)
            now = "nothing is in production" if there is None else f"{shelf}/{there} is in production"
            raise refusal("nothing-before", shelf, f"{now}, and nothing that is still there was before it")
        move = add_move(folder, "rollback", digest)
        synchronise()
    return move


def _present(shelf: str) -> set[str]:
    """Digests of the adapters on a shelf. Call with the lock held."""
    return {entry.digest for entry in synchronise().entries if entry.shelf == shelf}


def remove(entry: Entry, force: bool) -> None:
    """Take an adapter out of the catalogue, folder and all. AdapterError if it is in production, unless `force`."""
    with exclusive():
        in_use = in_production(read_moves(entry.path.parent)) == entry.digest
        if in_use and not force:
            message = "it is in production; promote another or roll back first, or remove it all the same with --force"
            raise refusal("in-production", entry.id, message)
        if in_use:
            add_move(entry.path.parent, "remove", None, forced="removed with --force")
        remove_folder(entry.path)
        synchronise()


def ancestors(parent: str | None) -> list[str]:
    """The adapters that one with this `parent` goes back to, nearest first: `shelf/digest`, or the digest alone where
    it is not here."""
    known = {each.digest: each for each in list_entries()}
    line: dict[str, str] = {}
    while parent is not None and parent not in line:  # what learnt nothing more has its parent's digest, and is its own
        here = known.get(parent)
        line[parent] = here.id if here else parent
        parent = here.parent if here else None
    return list(line.values())
