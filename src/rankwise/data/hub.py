"""Data sets on the Hugging Face hub, by `owner/name` or `owner/name:split`.

Only the paths that need no network are covered by the tests: the form of an id, and the clear failure when the hub
cannot be reached.
"""

from __future__ import annotations

import os
import re
import socket
from typing import TYPE_CHECKING
from urllib.parse import urlsplit
from urllib.request import getproxies

from rankwise.data.columns import tidy
from rankwise.data.table import Faults, Record

if TYPE_CHECKING:
    import datasets

_ID = re.compile(r"(?P<name>[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*?)(?::(?P<split>[\w.\[\]%:+-]+))?")
FILE_SUFFIXES = (".jsonl", ".json", ".csv", ".parquet")
_PROBE_SECONDS = 5.0


def is_hub_id(source: str) -> bool:
    """Whether `source` is written as a hub id: `owner/name`, perhaps `:split`, without a data file's extension."""
    match = _ID.fullmatch(source)
    return match is not None and not match["name"].lower().endswith(FILE_SUFFIXES)


def read_hub(source: str, faults: Faults) -> list[Record]:
    """Records of a hub data set's split (`train` if none is named); numbers of class labels become their names."""
    match = _ID.fullmatch(source)
    assert match is not None
    name, split = match["name"], match["split"] or "train"
    if not _offline() and not _reachable():
        faults.error(
            "hub-unreachable",
            f"no such file here, and the hub ({_endpoint()}) cannot be reached; check the path or the network, "
            "or set HF_HUB_OFFLINE=1 if the data set is in the local cache",
        )
        return []
    import datasets

    try:
        table = datasets.load_dataset(name, split=split)
    except Exception as error:  # the loader raises whatever its many back ends raise
        first = (str(error).splitlines() or [type(error).__name__])[0]
        faults.error("hub-error", f"the data set could not be loaded: {first}; check the name and the split ({split})")
        return []
    return records_of(table)


def records_of(table: datasets.Dataset) -> list[Record]:
    """Records of a loaded data set."""
    import datasets

    names = {key: f for key, f in table.features.items() if isinstance(f, datasets.ClassLabel)}
    lists = {key: f.feature for key, f in table.features.items() if isinstance(f, datasets.List)}
    several = {key: f for key, f in lists.items() if isinstance(f, datasets.ClassLabel)}
    records: list[Record] = []
    for number, row in enumerate(table, 1):
        fields = tidy(dict(row))
        for key, feature in names.items():
            if isinstance(fields[key], int) and fields[key] >= 0:
                fields[key] = feature.int2str(fields[key])
        for key, feature in several.items():
            fields[key] = [feature.int2str(number) for number in fields[key] or ()]
        records.append(Record(number, fields))
    return records


def _endpoint() -> str:
    return os.environ.get("HF_ENDPOINT") or "https://huggingface.co"


def _offline() -> bool:
    return os.environ.get("HF_HUB_OFFLINE", "").upper() in {"1", "ON", "YES", "TRUE"}


def _reachable() -> bool:
    """Whether a connection to the hub, or to the proxy on the way, opens: its own client retries for minutes."""
    place = urlsplit(getproxies().get("https") or _endpoint())
    try:
        with socket.create_connection((place.hostname or "", place.port or 443), timeout=_PROBE_SECONDS):
            return True
    except OSError:
        return False
