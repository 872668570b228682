"""Text comes in whole characters, and nothing of a stop string is ever told."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rankwise.serve.written import Written


def bytewise(ids: Sequence[int]) -> str:
    """A token is a byte."""
    return bytes(ids).decode("utf-8", "replace")


def told(text: str, stop: Sequence[str] = ()) -> tuple[list[str], bool]:
    written = Written(bytewise, stop)
    parts = []
    for token in text.encode():
        parts.append(written.add(token))
        if written.stopped:
            break
    return [*parts, written.end()], written.stopped


@given(st.text(alphabet="ab£€😀\n", max_size=30))
def test_all_is_told_and_never_half_a_character(text: str) -> None:
    parts, stopped = told(text)
    assert "".join(parts) == text and not stopped
    assert not any("\ufffd" in part for part in parts)


@given(st.text(alphabet="ab£", max_size=30), st.lists(st.text(alphabet="ab£", min_size=1, max_size=4), max_size=3))
def test_a_text_ends_before_its_first_stop_string(text: str, stop: list[str]) -> None:
    parts, stopped = told(text, stop)
    found = [(at + len(each), at) for each in stop if (at := text.find(each)) >= 0]
    assert stopped == bool(found)
    if found:
        first = min(end for end, _ in found)
        assert "".join(parts) == text[: min(at for end, at in found if end == first)]
    else:
        assert "".join(parts) == text


def test_what_may_begin_a_stop_string_is_held_back() -> None:
    written = Written(bytewise, ["END"])
    assert [written.add(token) for token in b"aEN"] == ["a", "", ""]
    assert written.add(ord("x")) == "ENx"


@pytest.mark.parametrize("stop", [[], ["x"]])
def test_bytes_that_never_become_a_character_are_told_at_the_end(stop: list[str]) -> None:
    written = Written(bytewise, stop)
    assert written.add(0xE2) == "" and written.end() == "\ufffd"
