"""Files that are whole or absent: atomic writes, folder commits, digests, and where rankwise keeps things."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import re
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any


def user_path(text: str) -> Path:
    """`text` as a path, `~` and `~name` as the user's own folder; as it is written where there is no such user."""
    try:
        return Path(text).expanduser()
    except RuntimeError:
        return Path(text)


def home() -> Path:
    """The folder of bases, machine measurements and catalogue: `RANKWISE_HOME`, else `~/.rankwise`."""
    return Path(os.environ.get("RANKWISE_HOME") or "~/.rankwise").expanduser().absolute()


def sha256_bytes(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def sha256_file(path: Path) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def sha256_json(value: Any) -> str:
    """Digest of a JSON value that does not depend on the order of its keys."""
    return sha256_bytes(json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode())


def read_json(path: Path, limit: int = 64 << 20) -> Any:
    """Parse a JSON file of at most `limit` bytes."""
    with path.open("rb") as stream:
        data = stream.read(limit + 1)
    if len(data) > limit:
        raise ValueError(f"{path}: over {limit} bytes, refused")
    return json.loads(data)


def fsync_dir(path: Path) -> None:
    """Make renames and creations inside `path` durable."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def fsync_file(path: Path) -> None:
    """Make the content of `path` durable."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def write_text(path: Path, text: str) -> None:
    """Write `text` so that a reader sees the old file or the new one, also after a crash."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as stream:
            stream.write(text)
            stream.flush()
            os.fsync(stream.fileno())
        os.chmod(temporary, 0o644)
        os.replace(temporary, path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise
    fsync_dir(path.parent)


def write_json(path: Path, value: Any) -> None:
    write_text(path, json.dumps(value, indent=2, ensure_ascii=False) + "\n")


@contextmanager
def new_folder(path: Path) -> Iterator[Path]:
    """Yield an empty sibling folder that becomes `path` at the end, or vanishes if the block fails.

    Every file in it is fsynced before the rename. An existing `path` is replaced, and put back if that fails; what a
    killed process leaves on the way, `clear_drafts` sees to.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = Path(tempfile.mkdtemp(prefix=f".{path.name}.", dir=path.parent))
    try:
        yield draft
        draft.chmod(0o755)
        for file in sorted(draft.rglob("*")):
            if file.is_dir():
                fsync_dir(file)
            else:
                file.chmod(0o644)
                fsync_file(file)
        fsync_dir(draft)
        if path.exists():
            _replace_folder(draft, path)
        else:
            os.replace(draft, path)
        fsync_dir(path.parent)
    except BaseException:
        shutil.rmtree(draft, ignore_errors=True)
        raise


def _replace_folder(draft: Path, path: Path) -> None:
    old = Path(tempfile.mkdtemp(prefix=f".{path.name}.old.", dir=path.parent))
    try:
        os.replace(path, old / path.name)
        os.replace(draft, path)
    except BaseException:
        if not path.exists() and (old / path.name).exists():
            os.rename(old / path.name, path)
        shutil.rmtree(old, ignore_errors=True)
        raise
    shutil.rmtree(old, ignore_errors=True)


def remove_folder(path: Path) -> None:
    """Remove `path` so that a reader sees all of it or nothing, also after a crash."""
    if not path.is_dir() or path.is_symlink():
        path.unlink()
        return
    grave = Path(tempfile.mkdtemp(prefix=f".{path.name}.gone.", dir=path.parent))
    try:
        os.replace(path, grave / path.name)
    finally:
        shutil.rmtree(grave, ignore_errors=True)


_DRAFT = re.compile(r"\.(?P<name>.+?)(?P<kind>\.old|\.gone)?\.[a-z0-9_]{8}")
"""What mkstemp and mkdtemp make of the prefixes above."""


def clear_drafts(folder: Path, ours: Callable[[str], bool]) -> list[str]:
    """Remove what killed processes left half-made in `folder`, and put back what one was about to replace.

    `ours`: whether a name is of what this program makes there; drafts of others are none of its business. Returns the
    names of what was removed or put back. Only for who knows that no other process writes there.
    """
    cleared = []
    for left in sorted(folder.glob(".*")):
        found = _DRAFT.fullmatch(left.name)
        if found is None or not ours(found["name"]):
            continue
        name = found["name"]
        if found["kind"] == ".old" and (left / name).exists() and not (folder / name).exists():
            os.replace(left / name, folder / name)
        if left.is_dir() and not left.is_symlink():
            shutil.rmtree(left)
        else:
            left.unlink()
        cleared.append(left.name)
    return cleared


_DISK_FULL = ("No space left on device", "os error 28", "Disk quota exceeded", "os error 122", "disk is full")
"""As the C library, Rust's and SQLite say it, in errors that carry no errno."""


def is_disk_full(fault: BaseException) -> bool:
    """Whether a disk or a quota without room is behind `fault`, whichever library reports it."""
    known = isinstance(fault, OSError) and fault.errno in (errno.ENOSPC, errno.EDQUOT)
    cause = fault.__cause__
    return known or any(words in str(fault) for words in _DISK_FULL) or (cause is not None and is_disk_full(cause))
