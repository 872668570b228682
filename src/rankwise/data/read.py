"""A data file or hub id to a `Table`, or to one error that carries every fault of the file."""

from __future__ import annotations

import difflib
import os
from pathlib import Path

from rankwise.data.columns import read_csv, read_parquet
from rankwise.data.formats import build_rows
from rankwise.data.hub import FILE_SUFFIXES, is_hub_id, read_hub
from rankwise.data.json_records import looks_like_lines, read_json_file, read_json_lines
from rankwise.data.table import Faults, Message, Record, Row, Shape, Table, flaws
from rankwise.files import sha256_bytes, sha256_json

__all__ = ["Message", "Row", "Shape", "Table", "is_hub_id", "read_table"]

_BOM = b"\xef\xbb\xbf"
_UTF16_BOMS = (b"\xff\xfe", b"\xfe\xff")


def read_table(source: str | Path) -> Table:
    """Read `source`: a .jsonl, .json, .csv or .parquet file, or a hub id `owner/name[:split]`.

    The format (text/label, Alpaca, prompt/completion, chat) is detected from the keys and said in `Table.problems`.
    Raises DataError with every fault, each with its line and a stable code.
    """
    path = Path(source)
    if isinstance(source, str) and is_hub_id(source) and not path.exists():
        faults = Faults(source, unit="row ")
        records = read_hub(source, faults)
        header: int | None = 0
        digest = sha256_json([record.fields for record in records]) if records else ""
    else:
        _check_path(path)
        faults = Faults(path.name, unit="row " if path.suffix.lower() == ".parquet" else "")
        data = _read_bytes(path, faults)
        digest = sha256_bytes(data)
        records, header = _read_records(path, data, faults)
    for record in records:
        for code, message in flaws(record.fields):
            faults.error(code, message, record.line)
    rows = build_rows(records, faults, header) if records else ()
    faults.raise_if_errors()
    if not rows:
        faults.error("empty-file", "no rows in it; expected at least one")
        faults.raise_if_errors()
    return Table(str(source), rows[0].shape, rows, digest, faults.problems)


def _read_records(path: Path, data: bytes, faults: Faults) -> tuple[list[Record], int | None]:
    """The records, and for a table with columns the line that names them."""
    suffix = path.suffix.lower()
    if suffix == ".parquet":
        return (read_parquet(path, faults) if data else []), 0
    if data.startswith(_UTF16_BOMS):
        faults.error("bad-utf8", "the file is UTF-16, by its first two bytes; save it as UTF-8", 1)
        return [], None
    if data.startswith(_BOM):
        data = data[len(_BOM) :]
        faults.note("bom-removed", "a byte order mark at the start was skipped")
    if ends := data.count(b"\r\n"):
        faults.note("crlf-line-ends", f"{ends} lines end in CR LF, read as line ends")
    if not data.strip():
        return [], None
    if suffix == ".csv":
        return read_csv(data, faults), 1
    many, bracket = looks_like_lines(data), data.lstrip()[:1]
    if suffix == ".json" and many and bracket == b"{":
        faults.note("json-lines-detected", "one object per line, read as JSON Lines")
        return read_json_lines(data, faults), None
    if suffix == ".jsonl" and not many and bracket == b"[":
        faults.note("json-list-detected", "one JSON list, read as a .json file")
        return read_json_file(data, faults), None
    return (read_json_lines if suffix == ".jsonl" else read_json_file)(data, faults), None


def _check_path(path: Path) -> None:
    """Raise DataError unless `path` is a file with a known extension."""
    faults = Faults(str(path))
    if not path.exists():
        near = _nearest(path)
        hint = f'; did you mean "{near}"?' if near else "; check the path"
        faults.error("file-not-found", f"no such file{hint}")
    elif path.is_dir():
        inside = sorted(p.name for p in path.iterdir() if p.suffix.lower() in FILE_SUFFIXES)
        hint = f"; name one of the files in it: {', '.join(inside[:5])}" if inside else ""
        faults.error("is-a-folder", f"a folder, expected a file{hint}")
    elif path.suffix.lower() not in FILE_SUFFIXES:
        got = f'extension "{path.suffix}"' if path.suffix else "no extension"
        faults.error("unknown-extension", f"{got}, expected one of {', '.join(FILE_SUFFIXES)}")
    faults.raise_if_errors()


def _nearest(path: Path) -> str | None:
    try:
        names = sorted(os.listdir(path.parent))
    except OSError:
        return None
    close = difflib.get_close_matches(path.name, names, 1)
    return str(path.parent / close[0]) if close else None


def _read_bytes(path: Path, faults: Faults) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        faults.error("unreadable-file", f"cannot be read: {error.strerror}; check its permissions")
        faults.raise_if_errors()
        raise
