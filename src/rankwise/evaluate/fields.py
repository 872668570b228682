"""Named fields inside an answer, and how many of them two answers share.

An answer has fields when it is a JSON object (a code fence around it is allowed) or text of which at
least half of the lines read `Key: value`; several pairs may share a line, separated by semicolons.
Two fields agree when their paths and their values agree after `normalise_value`.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from decimal import Decimal
from typing import NoReturn

JsonValue = None | bool | str | Decimal | list["JsonValue"] | dict[str, "JsonValue"]
FieldCounts = tuple[int, int, int]
"""(true positives, false positives, false negatives) of one row."""

_FENCE = re.compile(r"\A```\w*\s*\n(.*?)\n?\s*```\Z", re.DOTALL)
_BULLET = re.compile(r"\A[-*•]\s+")
# A key holds a letter, so that "12: 30" is none; and white space follows it, so that "http://" is none.
_KEY = r"(?=[^:;]*[^\W\d_])\w[^:;]{0,59}"
_PAIR = re.compile(rf"\A({_KEY}):(?:\s+(.*))?\Z")
_NEXT_PAIR = re.compile(rf";\s*(?={_KEY}:(?:\s|\Z))")
# No leading zeros: "007" is a name, not the number 7.
_NUMBER = re.compile(r"\A[+-]?(?:0|[1-9]\d*|[1-9]\d{0,2}(?:,\d{3})+)(?:\.\d+)?(?:e[+-]?\d{1,6})?\Z", re.ASCII)


def parse_fields(text: str) -> dict[str, str] | None:
    """Path -> value of every field in `text`, as written; None if it is neither an object nor pairs.

    Paths are lower-case. In an object they lead to its leaves: `order.parts[0]`; null is the value
    "null", an empty list "[]". A path that comes again is counted up: `part`, `part[1]`.
    """
    fence = _FENCE.match(text.strip())
    value = parse_json(fence[1] if fence else text)
    if isinstance(value, list):
        return None
    try:
        return _counted_up(_leaves("", value)) if isinstance(value, dict) else _parse_pairs(text)
    except RecursionError:
        return None


def normalise_value(value: str) -> str:
    """`value` in lower case, white space folded, trailing periods gone; a number in one spelling.

    "1,200", "1200.0" and "1.2e3" are one number; "007" and "12 EUR" are not numbers.
    """
    folded = _fold(value).rstrip(". ")
    return number_spelling(Decimal(folded.replace(",", ""))) if _NUMBER.match(folded) else folded


def field_counts(reference: str, answer: str) -> FieldCounts:
    """(tp, fp, fn) of one answer: a field with a wrong value is one false positive and one false negative.

    An answer without fields has missed every field of the reference.
    """
    wanted = {(path, normalise_value(value)) for path, value in (parse_fields(reference) or {}).items()}
    given = {(path, normalise_value(value)) for path, value in (parse_fields(answer) or {}).items()}
    return len(wanted & given), len(given - wanted), len(wanted - given)


def have_fields(references: Sequence[str]) -> bool:
    """Whether a field score means anything here: every reference parses, and some have fields."""
    parsed = [parse_fields(reference) for reference in references]
    return any(parsed) and all(fields is not None for fields in parsed)


def parse_json(text: str) -> JsonValue:
    """The JSON object or array in `text`, numbers exact; None for anything else.

    Stricter than `json.loads`: NaN and an object that names a key twice are not JSON.
    """
    if not text.lstrip().startswith(("{", "[")):
        return None
    try:
        parsed: JsonValue = json.loads(
            text,
            parse_int=Decimal,
            parse_float=Decimal,
            parse_constant=_refuse_constant,
            object_pairs_hook=_unique_keys,
        )
    except (ValueError, ArithmeticError, RecursionError):
        return None
    return parsed


def number_spelling(number: Decimal) -> str:
    """One exact text per number: equal numbers have equal spellings."""
    sign, digits, exponent = number.as_tuple()
    if not isinstance(exponent, int):
        raise ValueError(f"{number} is not a finite number")
    written = "".join(map(str, digits)).lstrip("0")
    significant = written.rstrip("0")
    if not significant:
        return "0"
    return f"{'-' if sign else ''}{significant}e{exponent + len(written) - len(significant)}"


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")


def _unique_keys(pairs: list[tuple[str, JsonValue]]) -> dict[str, JsonValue]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise ValueError("a key comes twice")
    return found


def _leaves(path: str, value: JsonValue) -> Iterator[tuple[str, str]]:
    if isinstance(value, dict) and (value or not path):
        for key, inner in value.items():
            yield from _leaves(f"{path}.{key}" if path else key, inner)
    elif isinstance(value, list) and value:
        for index, inner in enumerate(value):
            yield from _leaves(f"{path}[{index}]", inner)
    elif isinstance(value, str | Decimal):
        yield path, str(value)
    else:
        yield path, json.dumps(value)


def _parse_pairs(text: str) -> dict[str, str] | None:
    lines = [line for line in text.splitlines() if line.strip()]
    found = [_pairs_of_line(line) for line in lines]
    if not lines or 2 * sum(map(bool, found)) < len(lines):
        return None
    return _counted_up(pair for pairs in found for pair in pairs)


def _counted_up(pairs: Iterable[tuple[str, str]]) -> dict[str, str]:
    fields: dict[str, str] = {}
    seen: Counter[str] = Counter()
    for key, value in pairs:
        path = _fold(key)
        fields[f"{path}[{seen[path]}]" if seen[path] else path] = value
        seen[path] += 1
    return fields


def _pairs_of_line(line: str) -> list[tuple[str, str]]:
    """The pairs of one line; none if it does not begin with one. A semicolon ends a value only before a key."""
    # Chat models like to print keys in bold.
    plain = _BULLET.sub("", line.replace("**", "").strip())
    matches = [_PAIR.match(part) for part in _NEXT_PAIR.split(plain.rstrip("; "))]
    return [(match[1], (match[2] or "").strip()) for match in matches if match] if matches[0] else []


def _fold(text: str) -> str:
    return " ".join(text.casefold().split())
