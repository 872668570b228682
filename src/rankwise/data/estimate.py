"""What stands in for a tokenizer that is not there, so that a plan can be made: tokens estimated from bytes."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from math import ceil

BYTES_PER_TOKEN = 3.5
"""Measured on the bundled sample rows (2 MB of English) with the tokenizer of the embedded base, 49,152 entries: 3.5 in
all, from 2.6 (figures and codes) to 4.8 (legal prose). Larger vocabularies need fewer tokens."""
END = "</s>"
"""The stop token of a base that names none."""
_SPECIAL = re.compile(r"<\|[^|<>\s]{1,40}\|>|<(?:/?s|bos|eos|(?:start|end)_of_turn)>")


@dataclass(frozen=True)
class Estimated:
    """As an encoding of the tokenizers library."""

    ids: list[int]
    offsets: list[tuple[int, int]]
    """First character of a token and the one after its last."""


class EstimatedTokenizer:
    """Cuts a text every BYTES_PER_TOKEN bytes, and never within a special token.

    An id stands for a piece of text, so equal texts have equal ids and ids can be read back; it is no id of the base.
    """

    def __init__(self, template: str, specials: Iterable[str]) -> None:
        """`specials`: special tokens beside those that `template` spells out."""
        found = dict.fromkeys([*_SPECIAL.findall(template), *(text for text in specials if text)])
        self._texts = list(found)
        self._ids = {text: i for i, text in enumerate(self._texts)}
        self.special_ids = frozenset(range(len(self._texts)))
        self._cut = re.compile(f"({'|'.join(map(re.escape, self._texts))})") if found else None

    def encode(self, text: str, add_special_tokens: bool = False) -> Estimated:
        assert not add_special_tokens  # templates write theirs
        ids: list[int] = []
        offsets: list[tuple[int, int]] = []
        start = 0
        for part in self._cut.split(text) if self._cut else [text]:
            for end in [len(part)] if part in self._ids and self._ids[part] in self.special_ids else _ends(part):
                begin = offsets[-1][1] if offsets else 0
                offsets.append((begin, start + end))
                ids.append(self._id(text[begin : start + end]))
            start += len(part)
        return Estimated(ids, offsets)

    def decode(self, ids: Sequence[int], skip_special_tokens: bool = True) -> str:
        shown = (i for i in ids if not (skip_special_tokens and i in self.special_ids))
        return "".join(self._texts[i] for i in shown)

    def _id(self, text: str) -> int:
        if text not in self._ids:
            self._ids[text] = len(self._texts)
            self._texts.append(text)
        return self._ids[text]


def _ends(text: str) -> list[int]:
    """Where each token of `text` ends, in characters; a character is never cut, so one of 4 bytes is one token."""
    if text.isascii():
        count = ceil(len(text) / BYTES_PER_TOKEN)
        return [min(len(text), int((n + 1) * BYTES_PER_TOKEN)) for n in range(count)]
    ends, size = list[int](), 0
    for place, character in enumerate(text, 1):
        size += len(character.encode(errors="replace"))
        if size >= (len(ends) + 1) * BYTES_PER_TOKEN or place == len(text):
            ends.append(place)
    return ends
