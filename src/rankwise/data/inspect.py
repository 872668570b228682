"""What a set of sound rows looks like, and what in it will mislead training or its evaluation."""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from rankwise.data.likeness import THRESHOLD, answer_key, near_rows, prompt_key, same_rows
from rankwise.data.table import LABELLED, Row, Shape
from rankwise.errors import Problem, Severity

_IMBALANCE = 10
"""The most frequent label may have so many times the rows of the rarest before a warning."""
_BINS = 12
_SHOWN = 5
"""Places a message names."""
_IN_JSON = 50
"""Groups listed in JSON; the counts there are of all."""

Group = tuple[str, ...]
"""Places (`file:line`) of rows that belong together."""


@dataclass(frozen=True)
class Lengths:
    """Tokens per row, prompt and answer together."""

    p50: int
    p95: int
    max: int
    total: int
    histogram: tuple[tuple[int, int, int], ...]
    """(least, most, rows) of each bin; both ends inclusive."""

    def as_json(self) -> dict[str, Any]:
        bins = [{"from": low, "to": high, "rows": rows} for low, high, rows in self.histogram]
        return {"p50": self.p50, "p95": self.p95, "max": self.max, "total": self.total, "histogram": bins}


@dataclass(frozen=True)
class Inspection:
    shape: Shape | None
    """None if there are no rows."""
    train_rows: int
    held_out_rows: int
    train_lengths: Lengths
    held_out_lengths: Lengths
    max_length: int
    labels: tuple[tuple[str, int, int], ...]
    """(label, training rows, held-out rows), the most frequent first; empty for open answers."""
    exact_duplicates: tuple[Group, ...]
    """Rows of one side with the same prompt and the same answer."""
    near_duplicates: tuple[Group, ...]
    """Rows of one side whose questions resemble the first's, without being equal to it."""
    contradictions: tuple[Group, ...]
    """Rows, on whichever side, with the same prompt and different answers."""
    exact_overlap: tuple[tuple[str, str], ...]
    """(held-out row, training row) with the same prompt."""
    near_overlap: tuple[tuple[str, str], ...]
    """(held-out row, training row) with questions that resemble each other."""
    over_limit: Group
    """Rows that had more tokens than `max_length`, before they were left out or cut."""
    problems: tuple[Problem, ...]
    """Warnings and notes; nothing here is an error."""

    def as_json(self) -> dict[str, Any]:
        return {
            "shape": self.shape,
            "rows": {"train": self.train_rows, "held_out": self.held_out_rows},
            "tokens": {"train": self.train_lengths.as_json(), "held_out": self.held_out_lengths.as_json()},
            "max_length": self.max_length,
            "labels": [{"label": label, "train": a, "held_out": b} for label, a, b in self.labels],
            "exact_duplicates": _listed(self.exact_duplicates),
            "near_duplicates": _listed(self.near_duplicates),
            "contradictions": _listed(self.contradictions),
            "exact_overlap": _listed(self.exact_overlap),
            "near_overlap": _listed(self.near_overlap),
            "over_limit": {"rows": len(self.over_limit), "listed": list(self.over_limit[:_IN_JSON])},
            "problems": [problem.as_json() for problem in self.problems],
        }


def inspect_rows(
    train: Sequence[Row],
    held_out: Sequence[Row],
    train_lengths: Sequence[int],
    held_out_lengths: Sequence[int],
    max_length: int,
    over_limit: Sequence[str] = (),
) -> Inspection:
    """Lengths, label balance, duplicates, contradictions and overlap of rows with their token counts.

    `over_limit`: places of the rows that had more than `max_length` tokens, those left out and those cut alike.
    """
    rows = [*train, *held_out]
    lengths = len(train_lengths) + len(held_out_lengths)
    if len(rows) != lengths:
        raise ValueError(f"{len(rows)} rows with {lengths} lengths")
    first_held_out = len(train)
    prompts = [prompt_key(row) for row in rows]
    answers = [answer_key(row) for row in rows]
    found = _Found(rows, first_held_out)
    for group in same_rows(prompts):
        found.add_same(group, answers)
    near = near_rows(rows)
    for group in near.groups:
        found.add_near(group, prompts)
    labels = _count_labels(train, held_out)
    problems = [*_label_problems(labels, train, held_out), *found.problems()]
    if near.skipped:
        message = f"near duplicates were looked for among the first {near.compared} questions, not in {near.skipped}"
        problems.append(Problem("note", "near-check-capped", "", message))
    return Inspection(
        shape=rows[0].shape if rows else None,
        train_rows=len(train),
        held_out_rows=len(held_out),
        train_lengths=_summary(train_lengths),
        held_out_lengths=_summary(held_out_lengths),
        max_length=max_length,
        labels=labels,
        exact_duplicates=tuple(found.exact),
        near_duplicates=tuple(found.near),
        contradictions=tuple(found.contradictions),
        exact_overlap=tuple(found.exact_overlap),
        near_overlap=tuple(found.near_overlap),
        over_limit=tuple(over_limit),
        problems=tuple(problems),
    )


class _Found:
    """Groups of like rows, sorted into duplicates of one side and overlap of both."""

    def __init__(self, rows: Sequence[Row], first_held_out: int) -> None:
        self._rows = rows
        self._first_held_out = first_held_out
        self.exact: list[Group] = []
        self.near: list[Group] = []
        self.contradictions: list[Group] = []
        self.exact_overlap: list[tuple[str, str]] = []
        self.near_overlap: list[tuple[str, str]] = []

    def add_same(self, group: Sequence[int], answers: Sequence[str]) -> None:
        """Rows with one prompt."""
        by_answer: dict[str, list[int]] = defaultdict(list)
        for number in group:
            by_answer[answers[number]].append(number)
        if len(by_answer) > 1:
            self.contradictions.append(self._places(group))
        for same in by_answer.values():
            self.exact += [self._places(side) for side in self._sides(same) if len(side) > 1]
        train, held_out = self._sides(group)
        if train:
            self.exact_overlap += [(self._rows[h].where, self._rows[train[0]].where) for h in held_out]

    def add_near(self, group: Sequence[int], prompts: Sequence[str]) -> None:
        """Rows whose questions resemble the first's."""
        train, held_out = self._sides(group)
        for side in (train, held_out):
            resembles_first = side and prompts[side[0]] == prompts[group[0]]
            if resembles_first and len({prompts[number] for number in side}) > 1:
                self.near.append(self._places(side))
        seen = {prompts[number] for number in train}
        if train:
            self.near_overlap += [
                (self._rows[h].where, self._rows[train[0]].where) for h in held_out if prompts[h] not in seen
            ]

    def problems(self) -> list[Problem]:
        problems = []
        if self.exact:
            extra = sum(len(group) - 1 for group in self.exact)
            text = f"{_rows(extra)} equal to an earlier one: {_examples(self.exact)}; drop the repeats"
            problems.append(Problem("warning", "exact-duplicates", self.exact[0][0], text))
        if self.contradictions:
            severity: Severity = "note"  # of open answers several may be right
            text = f"questions with more than one answer, {len(self.contradictions)}: {_examples(self.contradictions)}"
            if self._rows[0].shape in LABELLED:
                severity = "warning"
                kinds = "more than one label" if self._rows[0].labels is None else "more than one list of labels"
                text = (
                    f"texts with {kinds}, {len(self.contradictions)}: {_examples(self.contradictions)}; "
                    "keep the right one"
                )
            problems.append(Problem(severity, "contradictory-rows", self.contradictions[0][0], text))
        if self.near:
            extra = sum(len(group) - 1 for group in self.near)
            text = (
                f"{_rows(extra)} with nearly the question of an earlier one (similarity {THRESHOLD} or more): "
                f"{_examples(self.near)}"
            )
            problems.append(Problem("warning", "near-duplicates", self.near[0][0], text))
        for code, pairs, how in (
            ("exact-overlap", self.exact_overlap, "with the prompt of a training row"),
            (
                "near-overlap",
                self.near_overlap,
                f"with nearly the question of a training row (similarity {THRESHOLD} or more)",
            ),
        ):
            if pairs:
                text = f"{_rows(len(pairs), 'held-out ')} {how}: {_examples(pairs)}; scores on them flatter"
                problems.append(Problem("warning", code, pairs[0][0], text))
        return problems

    def _sides(self, group: Iterable[int]) -> tuple[list[int], list[int]]:
        numbers = list(group)
        return (
            [number for number in numbers if number < self._first_held_out],
            [number for number in numbers if number >= self._first_held_out],
        )

    def _places(self, group: Iterable[int]) -> Group:
        return tuple(self._rows[number].where for number in group)


def _count_labels(train: Sequence[Row], held_out: Sequence[Row]) -> tuple[tuple[str, int, int], ...]:
    in_train = Counter(label for row in train for label in row.own_labels)
    in_held_out = Counter(label for row in held_out for label in row.own_labels)
    ordered = sorted(in_train | in_held_out, key=lambda label: (-in_train[label], -in_held_out[label], label))
    return tuple((label, in_train[label], in_held_out[label]) for label in ordered)


def _label_problems(
    labels: Sequence[tuple[str, int, int]], train: Sequence[Row], held_out: Sequence[Row]
) -> Iterable[Problem]:
    trained = [(label, count) for label, count, _ in labels if count]
    lists = any(row.labels is not None for row in train)
    always = [label for label, count in trained if count == len(train)] if lists else []
    if always:
        listed = ", ".join(f'"{label}"' for label in always[:_SHOWN])
        text = f"labels that every training row has, {len(always)}: {listed}; of these there is nothing to learn"
        yield Problem("warning", "label-always", train[0].where, text)
    if len(trained) == 1 and not lists:
        text = f'every training row has the label "{trained[0][0]}"; there is nothing to tell apart'
        yield Problem("warning", "single-label", train[0].where, text)
    elif trained and trained[0][1] > _IMBALANCE * trained[-1][1]:
        (most, many), (least, few) = trained[0], trained[-1]
        text = (
            f'label "{most}" has {_rows(many)}, "{least}" {few}: judge by macro-F1, or add rows of the rare labels '
            f"(warned of over {_IMBALANCE} to 1)"
        )
        where = next(row.where for row in train if least in row.own_labels)
        yield Problem("warning", "label-imbalance", where, text)
    variants: dict[str, list[str]] = defaultdict(list)
    for label, _, _ in labels:
        variants["".join(label.casefold().split())].append(label)
    for names in variants.values():
        if len(names) > 1:
            listed = ", ".join(f'"{name}"' for name in names)
            where = next(row.where for row in [*train, *held_out] if names[1] in row.own_labels)
            text = f"labels {listed} differ only in case or space; write them alike"
            yield Problem("warning", "label-variants", where, text)
    unseen = {label: count for label, trained_on, count in labels if not trained_on}
    if unseen and trained:
        listed = ", ".join(f'"{label}" ({_rows(count)})' for label, count in list(unseen.items())[:_SHOWN])
        where = next(row.where for row in held_out if unseen.keys() & set(row.own_labels))
        text = f"held-out labels that no training row has, {len(unseen)}: {listed}; they cannot be answered rightly"
        yield Problem("warning", "unseen-label", where, text)
    missing = [label for label, _, count in labels if not count]
    if missing and held_out:
        listed = ", ".join(f'"{label}"' for label in missing[:_SHOWN]) + (", ..." if len(missing) > _SHOWN else "")
        text = f"labels that no held-out row has, {len(missing)}: {listed}; they are not judged"
        yield Problem("note", "label-not-held-out", "", text)


def _summary(lengths: Sequence[int]) -> Lengths:
    if not lengths:
        return Lengths(0, 0, 0, 0, ())
    ordered = sorted(lengths)
    width = _round_up((ordered[-1] - ordered[0] + 1) / _BINS)
    counts = Counter(length // width for length in ordered)
    bins = range(min(counts), max(counts) + 1)
    histogram = tuple((b * width, b * width + width - 1, counts[b]) for b in bins)
    return Lengths(_rank(ordered, 0.5), _rank(ordered, 0.95), ordered[-1], sum(ordered), histogram)


def _rank(ordered: Sequence[int], share: float) -> int:
    """The least length that at least `share` of the rows do not exceed."""
    return ordered[math.ceil(share * len(ordered)) - 1]


def _round_up(width: float) -> int:
    """The next of 1, 2, 5, 10, 20, 50, ..."""
    power = 1
    while True:
        for step in (1, 2, 5):
            if step * power >= width:
                return step * power
        power *= 10


def _rows(count: int, kind: str = "") -> str:
    return f"1 {kind}row" if count == 1 else f"{count} {kind}rows"


def _examples(groups: Sequence[Sequence[str]]) -> str:
    shown = "; ".join(" = ".join(group[:_SHOWN]) + (" = ..." if len(group) > _SHOWN else "") for group in groups[:3])
    return shown + (f"; and {len(groups) - 3} more groups" if len(groups) > 3 else "")


def _listed(groups: Sequence[Sequence[str]]) -> dict[str, Any]:
    return {"groups": len(groups), "listed": [list(group) for group in groups[:_IN_JSON]]}
