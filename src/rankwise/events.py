"""events.jsonl: what happened in a run, one JSON object a line, appended and never edited.

Every event has `event` (its kind) and `time` (seconds since the epoch, UTC). The same objects are
handed to whoever watches a run live (progress bars, the studio), so file and screen cannot disagree.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

Event = dict[str, Any]
Observer = Callable[[Event], None]


def ignore(event: Event) -> None:
    """The observer of who does not watch."""


class EventLog:
    """Appends events to a file and passes each on to an observer. Every line is whole, also when the disk is full."""

    def __init__(self, path: Path, observer: Observer = ignore) -> None:
        self.path = path
        self._observer = observer
        self._handle = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o644)
        size = os.fstat(self._handle).st_size
        if size and os.pread(self._handle, 1, size - 1) != b"\n":
            self._append(b"\n")  # what a crash left of a line must not swallow the next one

    def write(self, kind: str, fields: Mapping[str, Any]) -> None:
        event: Event = {"event": kind, "time": round(time.time(), 3), **fields}
        self._append(json.dumps(event, ensure_ascii=False).encode() + b"\n")
        self._observer(event)

    def sync(self) -> None:
        """Make what was written so far durable."""
        os.fsync(self._handle)

    def close(self) -> None:
        os.close(self._handle)

    def _append(self, line: bytes) -> None:
        size = os.fstat(self._handle).st_size
        try:
            written = os.write(self._handle, line)
            while written < len(line):
                written += os.write(self._handle, line[written:])
        except BaseException as fault:
            os.ftruncate(self._handle, size)  # no half a line
            if isinstance(fault, OSError) and fault.filename is None:
                fault.filename = str(self.path)
            raise


def read_events(path: Path) -> list[Event]:
    """All whole events of a log; a line torn by a crash is left out."""
    events: list[Event] = []
    for line in path.read_text(encoding="utf-8").splitlines():
        try:
            events.append(json.loads(line))
        except json.JSONDecodeError:
            continue
    return events
