"""The catalogue: adapter folders under `RANKWISE_HOME/adapters`, and an index over them.

The folders are the truth: `<shelf>/<digest>/`, immutable, named by their content. The index (`catalog.index`) only
makes listing quick; missing, torn or out of step, it is made again.
"""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import JsonValue

from rankwise.catalog.alias import FILE as ALIAS_FILE
from rankwise.catalog.alias import PRODUCTION, Move, in_production, read_moves
from rankwise.catalog.card import write_card
from rankwise.catalog.record import Entry, make_entry, shelf_name
from rankwise.errors import AdapterError, Problem, RunError, raise_if_errors
from rankwise.facts.adapter import AdapterRecord, adapter_digest, read_adapter, write_record
from rankwise.facts.lock import locked
from rankwise.facts.payload import payload_in
from rankwise.facts.verify import verify_adapter
from rankwise.files import clear_drafts, home, new_folder

if TYPE_CHECKING:
    from rankwise.catalog.index import Indexed

DIGEST = re.compile(r"[0-9a-f]{12}")
MIN_PREFIX = 4
"""Fewest digits by which an adapter may be called."""


@dataclass(frozen=True)
class Rebuilt:
    entries: tuple[Entry, ...]
    problems: tuple[Problem, ...]
    """Folders that hold no readable adapter, and are not listed."""


def adapters_folder() -> Path:
    return home() / "adapters"


def register(folder: Path) -> Entry:
    """Copy the adapter in `folder` into the catalogue; the same content again gives the same entry.

    Raises AdapterError with everything verify_adapter finds wrong, or if it has no rankwise.json.
    """
    raise_if_errors(AdapterError, verify_adapter(folder))
    facts = read_adapter(folder)
    if facts.record is None:
        raise refusal("adapter-no-record", str(folder), "no rankwise.json in it; only adapters with one are catalogued")
    target = adapters_folder() / shelf_name(facts.record) / facts.digest
    with exclusive():
        if not target.is_dir():
            clear_drafts(target.parent, lambda name: DIGEST.fullmatch(name) is not None)
            with new_folder(target) as draft:
                shutil.copytree(folder, draft, dirs_exist_ok=True)
                if adapter_digest(draft) != facts.digest:
                    raise refusal("adapter-changed", str(folder), "it changed while it was copied; register it again")
        synchronise()
    return find_entry(f"{target.parent.name}/{target.name}")


def add_metrics(folder: Path, metrics: Mapping[str, JsonValue]) -> None:
    """Write what an evaluation found into the adapter's record and card, here and in the catalogue.

    The adapter itself, and so its digest, stays as it is. Where the catalogue has the same weights of another run (one
    that went on from them and gained nothing), the record there is that run's own and stays, too.
    """
    facts = read_adapter(folder)
    if facts.record is None:
        raise refusal(
            "adapter-no-record", str(folder), "no rankwise.json in it, so there is nowhere to keep its scores"
        )
    record = facts.record.model_copy(update={"metrics": {**facts.record.metrics, **metrics}})
    shelved = adapters_folder() / shelf_name(record) / facts.digest
    with exclusive():
        own = shelved.is_dir() and _same_origin(read_adapter(shelved).record, record)
        for place in {folder.resolve(), *([shelved.resolve()] if own else [])}:
            write_record(place, record)
            write_card(place, record, facts)
        if own:
            synchronise(shelved)
            os.utime(shelved.parent)  # for `Listing`


def _same_origin(one: AdapterRecord | None, other: AdapterRecord) -> bool:
    """Whether both are the record of one training, scores aside."""
    return one is not None and one.model_copy(update={"metrics": other.metrics}) == other


def list_entries() -> tuple[Entry, ...]:
    """All catalogued adapters, newest first. The index is brought in step with the folders on the way."""
    from rankwise.catalog import index

    present, moves = {_key(path) for path in _folders()}, _moves()
    listed = index.read()
    if listed is None or {(e.shelf, e.digest) for e in listed.entries} != present or listed.moves != moves:
        with exclusive():
            listed = synchronise()
    on = {shelf: in_production(made) for shelf, made in listed.moves.items()}
    entries = (replace(e, alias=PRODUCTION) if on.get(e.shelf) == e.digest else e for e in listed.entries)
    return tuple(sorted(entries, key=lambda e: (e.created, e.id), reverse=True))


def by_shelf(entries: Iterable[Entry]) -> dict[str, Entry]:
    """What each shelf's name stands for, of `entries`, newest first: its adapter in production, else its newest."""
    named: dict[str, Entry] = {}
    for entry in entries:
        if entry.alias is not None or entry.shelf not in named:
            named[entry.shelf] = entry
    return named


def find_entry(reference: str) -> Entry:
    """The adapter called `shelf` (in production there, else its newest), `shelf/digest` or by the first digits of its
    digest.

    Raises AdapterError naming what there is.
    """
    entries = list_entries()
    shelf, slash, digits = reference.rpartition("/")
    if slash:
        found = [e for e in entries if e.shelf == shelf and len(digits) >= MIN_PREFIX and e.digest.startswith(digits)]
    elif named := by_shelf(entries).get(reference):
        return named
    else:
        found = [e for e in entries if len(reference) >= MIN_PREFIX and e.digest.startswith(reference)]
    if len(found) == 1:
        return found[0]
    if found:
        many = ", ".join(e.id for e in found)
        raise refusal("adapter-ambiguous", reference, f"{len(found)} adapters are called so ({many}); give more digits")
    known = ", ".join(e.id for e in entries[:10]) or "none yet; `rankwise train` adds one"
    raise refusal("unknown-adapter", reference, f"no adapter is called so. Catalogued: {known}")


def locate_adapter(target: str) -> Path:
    """The adapter folder that `target` means: of a run, itself one, or catalogued under that name.

    Raises RunError for a run without an adapter yet, else AdapterError.
    """
    path = Path(target)
    for folder in (path / "adapter", path):
        if payload_in(folder) is not None:
            return folder
    if (path / "plan.json").is_file():
        raise RunError(f"{target}: this run has no adapter yet; finish it with: rankwise train --resume {target}")
    if path.exists():
        raise AdapterError(
            f"{target}: neither a run nor an adapter folder (no adapter_config.json, prompt.json or classifier.json)"
        )
    return find_entry(target).path


def rebuild() -> Rebuilt:
    """Make the index again from the folders alone."""
    from rankwise.catalog import index

    with exclusive():
        rebuilt = _read_folders(_folders())
        index.clear()
        index.update(rebuilt.entries, (), _moves())
    return rebuilt


def synchronise(changed: Path | None = None) -> Indexed:
    """Bring the index in step with the folders, reading only `changed` and those that it does not know.

    Call with the lock held.
    """
    from rankwise.catalog import index

    folders, moves = {_key(path): path for path in _folders()}, _moves()
    listed = index.read()
    known = {} if listed is None else {(e.shelf, e.digest): e for e in listed.entries}
    if changed is not None:
        known.pop(_key(changed), None)
    kept = tuple(entry for key, entry in known.items() if key in folders)
    new = _read_folders([path for key, path in folders.items() if key not in known]).entries
    gone = known.keys() - folders.keys()
    if new or gone or listed is None or listed.moves != moves:
        index.update(new, gone, moves)
    return index.Indexed(kept + new, moves)


def _moves() -> dict[str, tuple[Move, ...]]:
    """As the shelves' files have them."""
    files = adapters_folder().glob(f"*/{ALIAS_FILE}")
    return {path.parent.name: read_moves(path.parent) for path in sorted(files) if not path.parent.name.startswith(".")}


def _folders() -> list[Path]:
    """The adapter folders that are there; drafts of a copy under way begin with a dot and are left out."""
    found = adapters_folder().glob("*/*")
    return sorted(p for p in found if DIGEST.fullmatch(p.name) and not p.parent.name.startswith(".") and p.is_dir())


def _read_folders(folders: list[Path]) -> Rebuilt:
    entries: list[Entry] = []
    problems: list[Problem] = []
    for path in folders:
        try:
            facts = read_adapter(path)
        except AdapterError as error:
            problems += error.problems
            continue
        if facts.record is None:
            problems.append(
                Problem("error", "adapter-no-record", str(path), "no rankwise.json in it, so it is not listed")
            )
        elif _key(path) != (shelf_name(facts.record), facts.digest):
            found = f"{shelf_name(facts.record)}/{facts.digest}"
            message = f"its content has the id {found}: changed or moved, so it is not listed"
            problems.append(Problem("error", "adapter-changed", str(path), message))
        else:
            entries.append(make_entry(facts, facts.record, path))
    return Rebuilt(tuple(entries), tuple(problems))


def _key(path: Path) -> tuple[str, str]:
    return path.parent.name, path.name


@contextmanager
def exclusive() -> Iterator[None]:
    """No other process of this home changes the catalogue during the block."""
    with locked(home() / ".catalogue.lock"):
        yield


def refusal(code: str, where: str, message: str) -> AdapterError:
    return AdapterError(problems=[Problem("error", code, where, message)])
