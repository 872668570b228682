"""JSON Lines and JSON files to records, with the line of every fault."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from typing import Any

from rankwise.data.table import MAX_DEPTH, MAX_ROW_BYTES, Faults, Record, kind_of

Report = Callable[[str, str], None]
"""Takes the code and the message of a fault whose place is known."""

_SPACE = " \t\r\n"


class StrictJSON:
    """A JSON parser that reports what Python's own lets pass: duplicate keys, NaN, Infinity, numbers without end."""

    def __init__(self) -> None:
        self._remarks: list[tuple[str, str]] = []
        self._decoder = json.JSONDecoder(
            object_pairs_hook=self._object, parse_constant=self._constant, parse_float=self._float
        )

    def parse(self, text: str, start: int, report: Report) -> tuple[Any, int]:
        """The value that begins at `start` and the index after it; raises ValueError (JSONDecodeError)."""
        self._remarks.clear()
        try:
            value, end = self._decoder.raw_decode(text, start)
        except RecursionError:
            raise ValueError("too deep") from None
        for code, message in self._remarks:
            report(code, message)
        return value, end

    def parse_all(self, text: str, report: Report) -> Any:
        """The one value that `text` is."""
        start = _skip(text, 0)
        value, end = self.parse(text, start, report)
        end = _skip(text, end)
        if end < len(text):
            raise json.JSONDecodeError("Extra data", text, end)
        return value

    def _object(self, pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        found = dict(pairs)
        if len(found) < len(pairs):
            names = [name for name, _ in pairs]
            for name in found:
                if (times := names.count(name)) > 1:
                    self._remarks.append(("duplicate-key", f'key "{name}" stands {times} times in an object; keep one'))
        return found

    def _constant(self, name: str) -> str:
        self._remarks.append(("non-finite-number", f"{name} is not JSON; write a number, a string or null"))
        return name

    def _float(self, digits: str) -> float:
        number = float(digits)
        if math.isinf(number):
            self._remarks.append(
                ("non-finite-number", f"{digits[:20]} is too large for a number; write it as a string")
            )
        return number


def read_json_lines(data: bytes, faults: Faults) -> list[Record]:
    """Records of a JSON Lines file; its faults go to `faults`, and only sound lines come back."""
    parser = StrictJSON()
    records: list[Record] = []
    lines = data.split(b"\n")
    last = max((n for n, line in enumerate(lines, 1) if line.strip()), default=0)
    offset, blank = 0, 0
    for number, raw in enumerate(lines, 1):
        start, offset = offset, offset + len(raw) + 1
        if not raw.strip():
            blank += number < last
            continue
        if len(raw) > MAX_ROW_BYTES:
            faults.error("line-too-long", _too_long(len(raw)), number)
            continue
        try:
            text = raw.decode().rstrip(_SPACE)
        except UnicodeDecodeError as error:
            faults.error("bad-utf8", _bad_utf8(raw[error.start], start + error.start), number)
            continue

        def report(code: str, message: str, line: int = number) -> None:
            faults.error(code, message, line)

        try:
            value = parser.parse_all(text, report)
        except ValueError as error:
            _report_invalid(error, text, report, at_end=number == last)
            continue
        if isinstance(value, dict):
            records.append(Record(number, value))
        else:
            report("not-an-object", f"got {kind_of(value)}, expected one JSON object {{...}} per line")
    if blank:
        faults.note("blank-lines", f"{blank} blank {'line' if blank == 1 else 'lines'} skipped")
    return records


def read_json_file(data: bytes, faults: Faults) -> list[Record]:
    """Records of a JSON file: a list of objects, or an object whose `data` is that list.

    A record's line is the one it starts on. JSON cannot be resumed after a syntax fault, so the first of those ends
    the reading.
    """
    text = decode(data, faults)
    reader = _Items(text, faults)
    try:
        reader.read_top()
    except ValueError as error:
        line = text.count("\n", 0, error.pos) + 1 if isinstance(error, json.JSONDecodeError) else reader.line

        def report(code: str, message: str) -> None:
            faults.error(code, message, line)

        _report_invalid(error, text.rstrip(_SPACE), report, at_end=True)
    return reader.records


def looks_like_lines(text: bytes) -> bool:
    """Whether a first line that is a whole JSON value is followed by others: JSON Lines, whatever the name says."""
    head, _, rest = text.lstrip().partition(b"\n")
    if not rest.strip():
        return False
    try:
        json.loads(head)
    except (ValueError, RecursionError):
        return False
    return True


def decode(data: bytes, faults: Faults) -> str:
    """The text of a whole file; each line that is not UTF-8 is a fault, and the rest can still be checked."""
    try:
        return data.decode()
    except UnicodeDecodeError:
        offset = 0
        for number, raw in enumerate(data.split(b"\n"), 1):
            try:
                raw.decode()
            except UnicodeDecodeError as error:
                faults.error("bad-utf8", _bad_utf8(raw[error.start], offset + error.start), number)
            offset += len(raw) + 1
        return data.decode(errors="replace")


def _bad_utf8(byte: int, offset: int) -> str:
    return f"byte 0x{byte:02X} at byte {offset} of the file is not UTF-8; save the file as UTF-8"


class _Items:
    """Walks the top level of a JSON text, so that each item keeps its line."""

    def __init__(self, text: str, faults: Faults) -> None:
        self.records: list[Record] = []
        self.line = 1
        self._text = text
        self._faults = faults
        self._parser = StrictJSON()
        self._at = 0
        self._counted = 0

    def read_top(self) -> None:
        first = self._peek()
        if first == "[":
            self._read_list()
        elif first == "{":
            self._read_object()
        else:
            value = self._value()
            self._report("not-an-object", f"got {kind_of(value)}, expected a list of objects [{{...}}, ...]")
        if self._peek():
            raise json.JSONDecodeError("Extra data", self._text, self._at)

    def _read_list(self) -> None:
        self._take("[")
        if self._peek() == "]":
            self._at += 1
            return
        item = 0
        while True:
            item += 1
            self._peek()
            start = self._at
            value = self._value()
            if self._at - start > MAX_ROW_BYTES:
                self._report("line-too-long", _too_long(self._at - start))
            elif isinstance(value, dict):
                self.records.append(Record(self.line, value))
            else:
                self._report("not-an-object", f"item {item} is {kind_of(value)}, expected an object {{...}}")
            if self._peek() == "]":
                self._at += 1
                return
            self._take(",")

    def _read_object(self) -> None:
        self._take("{")
        names: list[str] = []
        while self._peek() != "}":
            if names:
                self._take(",")
            self._peek()
            name = self._value()
            if not isinstance(name, str):
                raise json.JSONDecodeError("Expecting property name enclosed in double quotes", self._text, self._at)
            if name in names:
                self._report("duplicate-key", f'key "{name}" stands twice in an object; keep one')
            names.append(name)
            self._take(":")
            if name == "data" and self._peek() == "[":
                self._read_list()
            else:
                self._peek()
                value = self._value()
                if name == "data":
                    self._report("wrong-type", f'"data" is {kind_of(value)}, expected a list of objects')
        self._at += 1
        others = [name for name in names if name != "data"]
        if "data" not in names:
            got = ", ".join(f'"{name}"' for name in names[:10]) or "none"
            self._faults.error(
                "not-a-list", f'got one object (keys: {got}), expected a list of objects, or {{"data": [...]}}', 1
            )
        elif others:
            self._faults.warning("extra-keys", f'keys beside "data" ignored: {", ".join(others[:10])}')

    def _value(self) -> Any:
        value, self._at = self._parser.parse(self._text, self._at, self._report)
        return value

    def _report(self, code: str, message: str) -> None:
        self._faults.error(code, message, self.line)

    def _peek(self) -> str:
        """The next character that is not space, or "" at the end; `line` becomes its line."""
        self._at = _skip(self._text, self._at)
        self.line += self._text.count("\n", self._counted, self._at)
        self._counted = self._at
        return self._text[self._at : self._at + 1]

    def _take(self, character: str) -> None:
        if self._peek() != character:
            raise json.JSONDecodeError(f"Expecting '{character}'", self._text, self._at)
        self._at += 1


def _skip(text: str, at: int) -> int:
    while at < len(text) and text[at] in _SPACE:
        at += 1
    return at


def _too_long(size: int) -> str:
    return f"{size} bytes in one row; at most {MAX_ROW_BYTES} are read; shorten or split it"


def _report_invalid(error: ValueError, text: str, report: Report, at_end: bool) -> None:
    if not isinstance(error, json.JSONDecodeError):
        if str(error) == "too deep":
            report("too-deep", f"nests lists and objects over {MAX_DEPTH} deep; flatten it")
        else:  # Python converts no integer of more than 4300 digits
            report("invalid-json", "holds a whole number of thousands of digits; write it as a string")
        return
    if at_end and (error.pos >= len(text) or error.msg.startswith("Unterminated string")):
        report("truncated-json", f"the JSON ends in mid-value ({error.msg}); the file was cut off; write it again")
    elif "\0" in text[error.pos : error.pos + 1]:
        report("nul-character", f"a NUL byte at column {error.colno}; remove it")
    else:
        report("invalid-json", f"not JSON at column {error.colno}: {error.msg}")
