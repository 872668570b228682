"""PEFT's patterns over layers: the keys of `rank_pattern` and `alpha_pattern`, and which of them counts for a layer."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import TypeVar

T = TypeVar("T")


class PatternError(ValueError):
    """It is no regular expression."""


@lru_cache(maxsize=1024)
def compiled(pattern: str) -> re.Pattern[str]:
    """What PEFT makes of a pattern: an expression for a layer's path, or for what follows a dot in it.

    Raises PatternError.
    """
    try:
        re.compile(pattern)  # by itself first, for the places that its faults name
        return re.compile(rf"(.*\.)?({pattern})$")
    except (re.error, OverflowError, RecursionError) as fault:
        raise PatternError(f"no regular expression ({fault})") from None


def matches(pattern: str, path: str) -> bool:
    return compiled(pattern).match(path) is not None


def first_match(patterns: Iterable[str], path: str) -> str | None:
    """The pattern that counts for the layer at `path`: the first that matches."""
    return next((pattern for pattern in patterns if matches(pattern, path)), None)


def value_at(patterns: Mapping[str, T], path: str, otherwise: T) -> T:
    """What `patterns` say of the layer at `path`; `otherwise` where none matches."""
    found = first_match(patterns, path)
    return otherwise if found is None else patterns[found]
