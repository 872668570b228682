"""Digests of large files, remembered by size and time of change so that a second look is quick."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

from rankwise.files import home, read_json, sha256_bytes, sha256_file, write_json


def file_digest(path: Path) -> str:
    """sha256 of a file (hex); recomputed only if its size, inode or time of change differ from last time."""
    path = path.resolve()
    seen = path.stat()
    stamp = [seen.st_size, seen.st_mtime_ns, seen.st_ctime_ns, seen.st_ino]
    memory = home() / "digests" / f"{sha256_bytes(str(path).encode())[:24]}.json"
    with suppress(OSError, ValueError, TypeError, KeyError):
        known = read_json(memory)
        if known["stamp"] == stamp:
            return str(known["sha256"])
    digest = sha256_file(path)
    with suppress(OSError):  # a home that cannot be written costs time, not correctness
        write_json(memory, {"path": str(path), "stamp": stamp, "sha256": digest})
    return digest
