"""What is kept of prompts, for whom, and within which bytes."""

from __future__ import annotations

import torch

from rankwise.serve.prefixes import Prefixes

LONG = tuple(range(20))
KEPT = torch.zeros(5, dtype=torch.float32)
"""20 bytes."""


def test_a_prompt_shares_what_it_begins_with_and_keeps_a_token_of_its_own() -> None:
    prefixes = Prefixes(1000)
    prefixes.keep("a", LONG, KEPT)
    assert prefixes.find("a", LONG) == (19, KEPT)
    assert prefixes.find("a", (*LONG, 7))[0] == 20
    assert prefixes.find("a", (*LONG[:6], 99, 3))[0] == 6
    assert prefixes.find("a", (99,)) == (0, None)
    assert prefixes.reused == 19 + 20 + 6


def test_adapters_share_nothing() -> None:
    prefixes = Prefixes(1000)
    prefixes.keep("a", LONG, KEPT)
    assert prefixes.find("b", LONG) == (0, None) and prefixes.find("", LONG) == (0, None)


def test_the_longest_unused_goes_first() -> None:
    prefixes = Prefixes(2 * KEPT.nbytes)
    for name in ("a", "b"):
        prefixes.keep(name, LONG, KEPT)
    prefixes.find("a", LONG)
    prefixes.keep("c", LONG, KEPT)
    assert prefixes.bytes == 2 * KEPT.nbytes
    assert [prefixes.find(name, LONG)[0] for name in "abc"] == [19, 0, 19]


def test_only_what_is_worth_it_is_kept() -> None:
    prefixes = Prefixes(10)
    assert prefixes.is_worth_keeping(LONG, 0) and not prefixes.is_worth_keeping(LONG, 5)
    prefixes.keep("a", LONG, KEPT)
    assert prefixes.bytes == 0
    assert not prefixes.is_worth_keeping(LONG, 0)  # its size is known now
