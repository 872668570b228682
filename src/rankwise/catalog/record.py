"""One line of the catalogue."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from pydantic import JsonValue

from rankwise.facts.adapter import AdapterFacts, AdapterRecord


@dataclass(frozen=True)
class Entry:
    """A catalogued adapter. All of it is read back from its folder; nothing is typed in."""

    shelf: str
    """Its domain, or its name where it has none."""
    digest: str
    """Content digest, 12 hex digits."""
    path: Path
    """The adapter folder; its last two parts are shelf and digest."""
    name: str
    domain: str | None
    method: str
    task: str
    base: str
    base_weights: str
    """`BaseIdentity.weights` of the base it was trained on."""
    r: int
    """From the weights' header."""
    parameters: int
    bytes: int
    """Of the weight file."""
    created: str
    """UTC, ISO 8601."""
    parent: str | None
    metrics: Mapping[str, JsonValue]
    alias: str | None = None
    """`production`, if the shelf's alias is on it."""

    @property
    def id(self) -> str:
        """`shelf/digest`, which names it and no other."""
        return f"{self.shelf}/{self.digest}"

    def as_json(self) -> dict[str, object]:
        return {"id": self.id, **asdict(self), "path": str(self.path)}


def make_entry(facts: AdapterFacts, record: AdapterRecord, path: Path) -> Entry:
    """The entry of an adapter that lies, or will lie, in `path`."""
    return Entry(
        shelf=shelf_name(record),
        digest=facts.digest,
        path=path,
        name=record.name,
        domain=record.domain,
        method=record.method,
        task=record.task.kind,
        base=record.base.name,
        base_weights=record.base.identity.weights,
        r=facts.r,
        parameters=facts.parameters,
        bytes=sum(file.stat().st_size for file in {tensor.file for tensor in facts.tensors.values()}),
        created=record.created,
        parent=record.parent,
        metrics=record.metrics,
    )


def shelf_name(record: AdapterRecord) -> str:
    """The folder an adapter is shelved in: its domain, else its name, in characters safe for a file name."""
    return re.sub(r"[^A-Za-z0-9._-]+", "-", record.domain or record.name).strip("-.") or "adapter"
