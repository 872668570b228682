"""CSV and Parquet files to records."""

from __future__ import annotations

import csv
import io
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from rankwise.data.formats import FORMATS
from rankwise.data.json_records import decode
from rankwise.data.table import MAX_ROW_BYTES, Faults, Record, quoted

_KNOWN = {key for f in FORMATS for key in f.keys}
_DELIMITERS = {",": "a comma", ";": "a semicolon", "\t": "a tab"}


def read_csv(data: bytes, faults: Faults) -> list[Record]:
    """Records of a CSV file with a header line; a record's line is the one it starts on."""
    text = decode(data, faults)
    lines = _csv_lines(text, _delimiter(text, faults), faults)
    header = next(lines, None)
    if header is None:
        return []
    first, names = header
    names = [name.strip() for name in names]
    repeated = [name for name, times in Counter(names).items() if times > 1]
    if repeated:
        faults.error("duplicate-key", f"the header names the column {quoted(repeated)} more than once; keep one", first)
        return []
    if not _KNOWN.intersection(names):
        wanted = "; ".join(quoted(f.required) for f in FORMATS[:3])
        faults.error(
            "csv-no-header", f"the first line must name the columns (say {wanted}), got {quoted(names)}; add it", first
        )
        return []
    records: list[Record] = []
    for line, cells in lines:
        if len(cells) == len(names):
            records.append(Record(line, dict(zip(names, cells, strict=True))))
        else:
            faults.error(
                "csv-ragged-row",
                f"cells: {len(cells)} here, {len(names)} in the header; quote the cells that hold the delimiter",
                line,
            )
    return records


def read_parquet(path: Path, faults: Faults) -> list[Record]:
    """Records of a Parquet file; a record's line is its row number, from 1."""
    import polars as pl

    try:
        frame = pl.read_parquet(path)
    except (pl.exceptions.PolarsError, OSError, pl.exceptions.PanicException) as error:
        first = (str(error).splitlines() or [type(error).__name__])[0]
        faults.error("bad-parquet", f"not a Parquet file that can be read ({first}); write it again")
        return []
    return [Record(number, tidy(row)) for number, row in enumerate(frame.iter_rows(named=True), 1)]


def tidy(row: dict[str, Any]) -> dict[str, Any]:
    """A columnar row without the nulls inside lists and structs: there they stand for keys that an item lacks."""
    return {key: _without_nulls(value) for key, value in row.items()}


def _without_nulls(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _without_nulls(item) for key, item in value.items() if item is not None}
    if isinstance(value, list):
        return [_without_nulls(item) for item in value]
    return value


def _delimiter(text: str, faults: Faults) -> str:
    """The one that splits the first line into the most column names known here, else into the most cells."""

    def worth(delimiter: str) -> tuple[int, int]:
        cells = next(csv.reader(io.StringIO(text.lstrip("\r\n"), newline=""), delimiter=delimiter), [])
        return len(_KNOWN.intersection(cell.strip() for cell in cells)), len(cells)

    with _long_cells():
        best = max(_DELIMITERS, key=worth)
    if best != ",":
        faults.note("delimiter-detected", f"cells are separated by {_DELIMITERS[best]}")
    return best


def _csv_lines(text: str, delimiter: str, faults: Faults) -> Iterator[tuple[int, list[str]]]:
    """(line it starts on, cells) of every row that is not blank."""
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    while True:
        start = reader.line_num + 1
        try:
            with _long_cells():
                cells = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            if "field larger" in str(error):
                faults.error("line-too-long", f"a cell is over {MAX_ROW_BYTES} characters long; shorten it", start)
            else:
                faults.error(
                    "csv-bad-quoting", f'{error}; close each quote, and write a quote inside a quoted cell as ""', start
                )
            continue
        if cells:
            yield start, cells


@contextmanager
def _long_cells() -> Iterator[None]:
    """Python's csv refuses cells over 128 KiB by a limit that is global: raised for one read only."""
    before = csv.field_size_limit(MAX_ROW_BYTES)
    try:
        yield
    finally:
        csv.field_size_limit(before)
