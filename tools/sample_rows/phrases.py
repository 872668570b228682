"""Small tools shared by the generators: seeded choice, slot filling, articles and number words."""

from __future__ import annotations

import random
import re
from collections.abc import Mapping, Sequence
from typing import Literal

Split = Literal["train", "held_out"]
SPLITS: tuple[Split, ...] = ("train", "held_out")
Row = dict[str, str]

WORDS = (
    "zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve",
    "thirteen", "fourteen", "fifteen", "sixteen", "seventeen", "eighteen", "nineteen", "twenty",
)  # fmt: skip


def source(domain: str, split: Split) -> random.Random:
    """The random numbers of one file: the same on every machine and Python version."""
    return random.Random(f"rankwise {domain} {split}")


def fill(rng: random.Random, template: str, slots: Mapping[str, Sequence[str] | str]) -> str:
    """`template` with each `{slot}` replaced by one of its phrases, which may hold slots themselves."""

    def choose(match: re.Match[str]) -> str:
        phrases = slots[match[1]]
        phrase = phrases if isinstance(phrases, str) else rng.choice(phrases)
        return fill(rng, phrase, slots)

    return re.sub(r"\{(\w+)\}", choose, template)


def sentence(text: str) -> str:
    """`text` with a capital and a full stop, single spaces."""
    text = " ".join(text.split()).strip()
    text = text[:1].upper() + text[1:]
    return text if text.endswith((".", "!", "?")) else text + "."


def spread(rng: random.Random, shares: Mapping[str, float], count: int) -> list[str]:
    """`count` names in the given shares, exactly (largest remainders), shuffled."""
    total = sum(shares.values())
    exact = {name: share / total * count for name, share in shares.items()}
    counts = {name: int(value) for name, value in exact.items()}
    for name in sorted(exact, key=lambda name: counts[name] - exact[name])[: count - sum(counts.values())]:
        counts[name] += 1
    names = [name for name, number in counts.items() for _ in range(number)]
    rng.shuffle(names)
    return names
