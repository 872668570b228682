"""The catalogue for one who asks often: read again only after a change, at the price of a stat for each shelf."""

from __future__ import annotations

import os
import time
from threading import Lock

from rankwise.catalog.record import Entry
from rankwise.catalog.store import adapters_folder, list_entries

SETTLED = 2.0
"""Seconds after a change during which another might leave no other time on the folder; NFS clocks included."""

Stamp = tuple[tuple[str, int], ...]


class Listing:
    """`list_entries()`, remembered. Every change of the catalogue changes the time of a shelf's folder, or of the
    folder of shelves. Any thread may ask."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._stamp: Stamp | None = None
        self._entries: tuple[Entry, ...] = ()

    def entries(self) -> tuple[Entry, ...]:
        """Newest first, as of now. Raises AdapterError."""
        with self._lock:
            now, stamp = time.time_ns(), _stamp()
            if stamp != self._stamp:
                self._entries = list_entries()
                settled = all(now - changed > SETTLED * 1e9 for _, changed in stamp)
                self._stamp = stamp if settled else None
            return self._entries


def _stamp() -> Stamp:
    """Name and time of change of the folder of shelves and of every shelf."""
    root = adapters_folder()
    try:
        with os.scandir(root) as found:
            shelves = sorted((place.name, place.stat().st_mtime_ns) for place in found)
        return ((".", root.stat().st_mtime_ns), *shelves)
    except FileNotFoundError:
        return ()
