"""events.jsonl: what happened in a run, one JSON object a line, appended and never edited.

Every event has `event` (its kind) and `time` (seconds since the epoch, UTC). The same objects are
handed to whoever watches a run live (progress bars, the studio), so file and screen cannot disagree.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

Event = dict[str, Any]
Observer = Callable[[Event], None]


def ignore(event: Event) -> None:
    """The observer of who does not watch."""


class EventLog:
    """Appends events to a file and passes each on to an observer."""

    def __init__(self, path: Path, observer: Observer = ignore) -> None:
        self.path = path
        self._observer = observer
        self._stream = path.open("a", encoding="utf-8")
        if _torn(path):
            self._stream.write("\n")  # what a crash left of a line must not swallow the next one

    def write(self, kind: str, fields: Mapping[str, Any]) -> None:
        event: Event = {"event": kind, "time": round(time.time(), 3), **fields}
        self._stream.write(json.dumps(event, ensure_ascii=False) + "\n")
        self._stream.flush()
        self._observer(event)

    def close(self) -> None:
        self._stream.close()


def _torn(path: Path) -> bool:
    data = path.read_bytes()
    return bool(data) and not data.endswith(b"\n")


def read_events(path: Path) -> list[Event]:
    """All whole events of a log; a line torn by a crash is left out."""
    events: list[Event] = []
    for line in path.read_text(encoding="utf-8").splitlines():
        try:
            events.append(json.loads(line))
        except json.JSONDecodeError:
            continue
    return events
