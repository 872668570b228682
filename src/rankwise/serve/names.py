"""What a request's `model` stands for: the base, a domain, or one adapter of the catalogue; never anything else.

Names are looked up among those there are. None is ever made part of a path.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from threading import Lock

from rankwise import catalog
from rankwise.catalog.listing import Listing
from rankwise.errors import AdapterError, raise_if_errors
from rankwise.facts import AdapterFacts, AdapterRecord, Anatomy, BaseIdentity, read_adapter, verify_adapter


class UnknownModel(LookupError):
    """No base, domain or adapter is called so."""


@dataclass(frozen=True)
class Served:
    """What answers."""

    id: str
    """`shelf/digest`, or the base's name."""
    facts: AdapterFacts | None
    """None: the base alone."""

    @property
    def record(self) -> AdapterRecord | None:
        return None if self.facts is None else self.facts.record


@dataclass(frozen=True)
class Listed:
    """One name in `/v1/models`."""

    id: str
    created: str
    """UTC, ISO 8601; empty for the base."""
    adapter: str | None
    """The `shelf/digest` it stands for."""


class Names:
    """The names of one base and of the adapters trained on it. Any thread may ask."""

    def __init__(self, base: str, identity: BaseIdentity, anatomy: Anatomy) -> None:
        self.base = base
        self._identity, self._anatomy = identity, anatomy
        self._listing = Listing()
        self._checked: dict[str, AdapterFacts] = {}
        self._lock = Lock()

    def entries(self) -> list[catalog.Entry]:
        """Adapters of this base, newest first, as the catalogue has them now."""
        return [entry for entry in self._listing.entries() if entry.base_weights == self._identity.weights]

    def listed(self) -> list[Listed]:
        """The base, then every shelf by its adapter in production, else its newest, then every adapter."""
        entries = self.entries()
        named = catalog.by_shelf(entries)
        shelves = [Listed(shelf, entry.created, entry.id) for shelf, entry in named.items() if shelf != self.base]
        return [Listed(self.base, "", None), *shelves, *(Listed(e.id, e.created, e.id) for e in entries)]

    def find(self, name: str) -> Served:
        """The base by its name; a shelf by its adapter in production, else its newest; an adapter by `shelf/digest` or
        by its digest.

        Raises UnknownModel, and AdapterError if the adapter must not be loaded on this base.
        """
        if name == self.base:
            return Served(self.base, None)
        entries = self.entries()
        entry = catalog.by_shelf(entries).get(name) or next((e for e in entries if name in (e.id, e.digest)), None)
        if entry is None:
            raise UnknownModel(name)
        return Served(entry.id, self._facts(entry.id, entry.path))

    def _facts(self, key: str, path: Path) -> AdapterFacts:
        """Of a folder that is immutable: checked once, values and all."""
        with self._lock:
            if key not in self._checked:
                raise_if_errors(AdapterError, verify_adapter(path, self._identity, self._anatomy))
                self._checked[key] = read_adapter(path)
            return self._checked[key]
