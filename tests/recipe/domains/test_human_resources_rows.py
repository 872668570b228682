"""Staff policy rows: their answers worked out again, by hand and from the sentences of the banks."""

from __future__ import annotations

import re

import pytest

from rankwise.recipe.domains.profiles import ROWS
from tools.sample_rows import human_resources
from tools.sample_rows.human_resources import BANKS, SCALES, SUBJECTS, Clause, side_of
from tools.sample_rows.measure import read_rows
from tools.sample_rows.phrases import SPLITS, WORDS, Row, Split

NUMBER = r"(\$?\w+(?: (?:months?|years?|days?|weeks?|km))?)"
IN_MONTHS_OR_DAYS = {"year": 12, "week": 7}


def bundled(split: Split) -> list[Row]:
    return read_rows(ROWS / f"human_resources.{split}.jsonl")


def fields(row: Row) -> dict[str, str]:
    return dict(line.split(": ", 1) for line in row["output"].splitlines())


def clause(row: Row) -> str:
    """The line of the input that the answer names."""
    number = re.escape(fields(row)["Clause"])
    (line,) = [line for line in row["input"].splitlines() if re.search(rf"(?<![\d.]){number}(?![\d.]*\d)", line)]
    return line.lower()


def pattern(phrase: str) -> str:
    """A regular expression for a phrase of the bank with its numbers as groups."""
    return re.sub(r"\\\{\w\\\}", lambda _: NUMBER, re.escape(phrase.lower()))


def number(said: str) -> int:
    """Years in months, weeks in days."""
    word, _, unit = said.removeprefix("$").partition(" ")
    return (WORDS.index(word) if word in WORDS else int(word)) * IN_MONTHS_OR_DAYS.get(unit.rstrip("s"), 1)


def by_number(split: Split, row: Row) -> list[tuple[str, str]]:
    """(side of the number that the employee gives, side of the answer's condition) for each scale that fits the row."""
    condition, found = fields(row)["Condition"].lower(), []
    for scale in SCALES:
        wording = BANKS[split].splits[scale]
        facts = [re.search(rf"(?<![\w']){pattern(fact)}", row["input"].lower()) for fact in wording.facts["any"]]
        values = [number(match[1]) for match in facts if match]
        for side, phrases in wording.conditions.items():
            bounds = [match.groups() for phrase in phrases if (match := re.fullmatch(pattern(phrase), condition))]
            if values and bounds:
                limits = [number(bound) for bound in bounds[0]]
                said = side_of(values[0], limits)
                found.append((said, side))
    return found


@pytest.mark.parametrize("split", SPLITS)
def test_the_number_an_employee_gives_meets_the_condition_of_the_answer(split: Split) -> None:
    found = [pair for row in bundled(split) for pair in by_number(split, row)]
    assert len(found) > len(bundled(split)) / 4, "about half of the rows turn on a number"
    assert {side for _, side in found} >= {"low", "high"}
    assert all(said == side for said, side in found)


@pytest.mark.parametrize("split", SPLITS)
def test_condition_and_answer_stand_in_the_clause(split: Split) -> None:
    wordings = BANKS[split].subjects.values()
    rights = {
        kind: [re.escape(frame.lower()).replace(r"\{c\}", ".+") for w in wordings for frame in w.clauses.get(kind, ())]
        for kind in ("yes", "no")
    }
    for row in bundled(split):
        answer, text = fields(row), clause(row)
        assert answer["Condition"].lower() in text
        if answer["Answer"] in rights:
            kinds = [
                kind for kind, frames in rights.items() if any(re.search(frame + r"\.?$", text) for frame in frames)
            ]
            assert answer["Answer"] in kinds
        else:
            assert re.search(rf"(?<![\w$]){re.escape(answer['Answer'])}(?!\w)", text)


@pytest.mark.parametrize("split", SPLITS)
def test_no_place_and_no_answer_gives_a_row_away(split: Split) -> None:
    rows = bundled(split)
    lines = [[line for line in row["input"].splitlines() if re.search(r"\b\d+\.\d\b", line)] for row in rows]
    assert {len(clauses) for clauses in lines} == {2, 3}
    first = sum(fields(row)["Clause"] in clauses[0] for row, clauses in zip(rows, lines, strict=True))
    assert 0.3 < first / len(rows) < 0.55
    rights = [answer for row in rows if (answer := fields(row)["Answer"]) in ("yes", "no")]
    assert 0.35 < rights.count("yes") / len(rights) < 0.65
    assert {fields(row)["Topic"] for row in rows} == {subject.topic for subject in SUBJECTS.values()}


def test_an_answer_by_hand() -> None:
    clauses = {
        "4.1": Clause("annual", "low", "staff with under two years", "20 days", "..."),
        "4.2": Clause("annual", "high", "staff with two years or more", "26 days", "..."),
        "4.5": Clause("parental", "high", "staff with two years or more", "12 weeks", "..."),
    }
    assert human_resources.answer(clauses, "annual", side_of(48, [24])).splitlines() == [
        "Topic: leave",
        "Clause: 4.2",
        "Condition: staff with two years or more",
        "Answer: 26 days",
    ]


@pytest.mark.parametrize(("value", "side"), [(23, "low"), (24, "mid"), (59, "mid"), (60, "high"), (90, "high")])
def test_a_number_lies_on_one_side(value: int, side: str) -> None:
    assert side_of(value, [24, 60]) == side


def test_no_number_is_a_bound() -> None:
    for scale in SCALES.values():
        assert not set(scale.values) & set(scale.bounds)
        for bound in scale.bounds:
            assert {side_of(value, [bound]) for value in scale.values} == {"low", "high"}


def test_banks_name_the_same_facts_in_other_words() -> None:
    train, held_out = BANKS["train"], BANKS["held_out"]
    assert list(train.subjects) == list(held_out.subjects) == list(SUBJECTS)
    assert list(train.splits) == list(held_out.splits)
    assert not set(train.layouts) & set(held_out.layouts) and not set(train.names) & set(held_out.names)
    for name, wording in train.subjects.items():
        assert list(wording.clauses) == list(held_out.subjects[name].clauses)
        assert not set(wording.asks) & set(held_out.subjects[name].asks)
    for name, turn in train.splits.items():
        other = held_out.splits[name]
        for known, new in ((turn.conditions, other.conditions), (turn.facts, other.facts), (turn.others, other.others)):
            assert list(known) == list(new)
            assert not {p for phrases in known.values() for p in phrases} & {p for ps in new.values() for p in ps}
