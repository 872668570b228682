"""When two rows ask the same, or nearly the same."""

from __future__ import annotations

import itertools
import re
import zlib
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from rankwise.data.table import LABELLED, Row
from rankwise.files import sha256_json

THRESHOLD = 0.85
"""Jaccard similarity of word shingles from which two questions count as nearly the same."""
MAX_COMPARED = 100_000
"""Distinct questions that are compared; further ones are not, and that is said."""
_SHINGLE_WORDS = 3
_MAX_WORDS = 2_000
"""Longer questions are compared by their first words only."""
_MAX_CANDIDATES = 32
_BANDS = (10, 8)
"""10 bands of 8 hashes propose a pair of similarity 0.85 with probability 0.96, 0.9 with 0.996, 0.5 with 0.04."""
_SLOTS = 1 << 24
"""Of the table that tells shingles seen once from those seen again; a collision costs time, never a pair."""
_FEW_QUESTIONS = 20
"""From so many distinct questions on, what all begin with counts as the task's prompt, not the question."""
_WORD = re.compile(r"\w+")


def question_key(row: Row) -> str:
    """What the row asks: its question, or all user turns of a conversation; runs of space count as one."""
    if row.shape in LABELLED or row.instruction is not None:
        return " ".join(row.question.split())
    return " ".join(word for m in row.messages if m["role"] == "user" for word in m["content"].split())


def prompt_key(row: Row) -> str:
    """Digest of all that stands before the last answer, tools included; runs of space count as one."""
    before = [(m["role"], m["content"].split(), m.get("tool_calls")) for m in row.messages[:-1]]
    return sha256_json([before, row.tools])


def answer_key(row: Row) -> str:
    """Of a preference both answers, in their order."""
    answers = (row.answer,) if row.rejected is None else (row.answer, row.rejected)
    return "\0".join(" ".join(answer.split()) for answer in answers)


@dataclass(frozen=True)
class NearRows:
    """Row numbers whose questions are the same or nearly so."""

    groups: tuple[tuple[int, ...], ...]
    """The first of each group is the one that the others resemble."""
    compared: int
    """Distinct questions compared."""
    skipped: int
    """Distinct questions beyond `MAX_COMPARED`, not compared."""


def near_rows(rows: Sequence[Row]) -> NearRows:
    """Group the rows whose questions have a word-shingle Jaccard similarity of at least `THRESHOLD`.

    One pass: a question joins the first earlier one that it resembles, else it stands for itself, so the cost grows
    with the number of questions and not with its square. MinHash proposes, the exact similarity decides.
    """
    holders: dict[tuple[str, str], list[int]] = defaultdict(list)
    for number, row in enumerate(rows):
        task = row.instruction if row.instruction is not None and row.instruction != row.question else ""
        holders[task, question_key(row)].append(number)
    compared = list(itertools.islice(holders, MAX_COMPARED))
    skip = _shared_start([question for _, question in compared])

    def shingles(index: int) -> set[int]:
        task, question = compared[index]
        words = _WORD.findall(question.casefold())[skip : skip + _MAX_WORDS]
        words = words or [question]
        mark = f"{zlib.crc32(task.encode())} "  # questions under different instructions never resemble each other
        runs = range(max(1, len(words) - _SHINGLE_WORDS + 1))
        return {zlib.crc32((mark + " ".join(words[i : i + _SHINGLE_WORDS])).encode()) for i in runs}

    hopeful = _sharing(shingles, len(compared))
    members = _joined(shingles, hopeful) if hopeful else {}
    for number in set(range(len(compared))).difference(hopeful):
        members[number] = [number]
    groups = (
        tuple(row for question in like for row in holders[compared[question]]) for _, like in sorted(members.items())
    )
    found = tuple(group for group in groups if len(group) > 1)
    return NearRows(found, len(compared), len(holders) - len(compared))


def same_rows(keys: Sequence[str]) -> Iterator[tuple[int, ...]]:
    """Row numbers of every key that stands more than once, in order of its first row."""
    holders: dict[str, list[int]] = defaultdict(list)
    for number, key in enumerate(keys):
        holders[key].append(number)
    return (tuple(numbers) for numbers in holders.values() if len(numbers) > 1)


def _joined(shingles: Callable[[int], set[int]], numbers: Sequence[int]) -> dict[int, list[int]]:
    """Number of a set -> the numbers, itself first, of the sets that resemble it and no earlier one."""
    from datasketch import MinHash, MinHashLSH  # type: ignore[import-untyped]  # slow to import

    width = _BANDS[0] * _BANDS[1]
    index = MinHashLSH(num_perm=width, params=_BANDS)
    members: dict[int, list[int]] = defaultdict(list)
    sketches = MinHash.generator(map(shingles, numbers), num_perm=width, seed=1, hashfunc=int)
    for number, sketch in zip(numbers, sketches, strict=True):
        candidates = sorted(index.query(sketch))[:_MAX_CANDIDATES]
        own = shingles(number) if candidates else set()
        like = next((c for c in candidates if _jaccard(own, shingles(c)) >= THRESHOLD), None)
        if like is None:
            index.insert(number, sketch)
        members[number if like is None else like].append(number)
    return members


def _sharing(shingles: Callable[[int], set[int]], count: int) -> list[int]:
    """Which of `count` sets share at least `THRESHOLD` of what they hold with others: only these can resemble one."""
    seen = bytearray(_SLOTS)
    for number in range(count):
        for shingle in shingles(number):
            slot = shingle % _SLOTS
            if seen[slot] < 2:
                seen[slot] += 1

    def shared(own: set[int]) -> float:
        return sum(seen[shingle % _SLOTS] == 2 for shingle in own) / len(own)

    return [number for number in range(count) if shared(shingles(number)) >= THRESHOLD]


def _jaccard(one: set[int], other: set[int]) -> float:
    return len(one & other) / len(one | other)


def _shared_start(questions: Sequence[str]) -> int:
    """Number of words that all questions begin with."""
    if len(questions) < _FEW_QUESTIONS:
        return 0
    # What the first and the last in sorted order share, all share.
    first, last = (extreme(_WORD.findall(q.casefold()) for q in questions) for extreme in (min, max))
    return sum(1 for _ in itertools.takewhile(lambda pair: pair[0] == pair[1], zip(first, last, strict=False)))
