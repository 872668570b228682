"""Staff policy rows: two or three clauses and a question -> the clause that answers it (rules in README.md).

Knobs: how often a row has three clauses, and how often the third is about another subject than the question.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass

from rankwise.recipe.domains import find_domain
from tools.sample_rows.human_resources_bank import TRAIN, Bank
from tools.sample_rows.human_resources_held_out import HELD_OUT
from tools.sample_rows.phrases import WORDS, Row, Split, fill, sentence

BANKS = {"train": TRAIN, "held_out": HELD_OUT}
THIRD_SIDE = 0.25
OTHER_SUBJECT = 0.3
CASUAL = 0.2
IN_WORDS = 0.6
MOST_WORDS = 75
"""A longer row is drawn again: prompt and answer stay under about 170 tokens."""


@dataclass(frozen=True)
class Scale:
    """A fact that is a number. No value is a bound, so `more than` and `at least` come to the same."""

    bounds: tuple[int, ...]
    values: tuple[int, ...]
    unit: str = "{}"


SCALES = {
    "service": Scale(
        (6, 12, 24, 36, 60, 120), (2, 3, 4, 8, 9, 10, 16, 18, 20, 48, 84, 96, 108, 144, 168, 216), "{} months"
    ),
    "hired": Scale((2012, 2015, 2018, 2021), (2008, 2010, 2011, 2013, 2014, 2016, 2017, 2019, 2020, 2022, 2023, 2024)),
    "child": Scale((6, 10, 12), (2, 3, 4, 5, 7, 8, 9, 13, 14, 15, 16)),
    "hours": Scale((20, 25, 30), (12, 15, 16, 18, 22, 24, 28, 32, 35, 38, 40)),
    "ahead": Scale((14, 21, 28), (2, 3, 5, 9, 35, 42, 56, 70), "{} days"),
    "absence": Scale((3, 5), (1, 2, 4, 6, 8, 9, 10), "{} days"),
    "amount": Scale((50, 100, 200, 500), (18, 24, 35, 65, 80, 120, 145, 180, 260, 320, 390, 640, 780, 950), "${}"),
    "distance": Scale((30, 50, 80), (8, 12, 22, 26, 40, 45, 60, 65, 70, 95, 110, 150, 240), "{} km"),
}  # fmt: skip


@dataclass(frozen=True)
class Subject:
    topic: str
    splits: tuple[str, ...]
    """What its clauses may turn on."""
    unit: str = ""
    """Of what it grants; empty for rights and duties, whose answer is yes or no."""
    amounts: range = range(0)
    more_means_yes: bool = False
    """Of two sides of a number the high one is the yes: no policy asks for a doctor's note after short absences."""


SUBJECTS = {
    "annual": Subject("leave", ("service", "contract", "hired", "shift"), "{} days", range(18, 33)),
    "carry over": Subject("leave", ("service", "grade", "contract"), "{} days", range(2, 13)),
    "parental": Subject("leave", ("service", "contract", "hired"), "{} weeks", range(8, 31, 2)),
    "unpaid": Subject("leave", ("service", "grade", "probation"), "{} months", range(2, 13)),
    "bereavement": Subject("leave", ("relation",), "{} days", range(2, 11)),
    "request": Subject("leave", ("ahead",), more_means_yes=True),
    "sick pay": Subject("sickness", ("service", "contract", "hired", "probation"), "{} weeks", range(4, 27)),
    "sick note": Subject("sickness", ("absence",), more_means_yes=True),
    "child care": Subject("sickness", ("child",), "{} days", range(3, 16)),
    "overtime": Subject("pay", ("day",), "{}%", range(10, 101, 10)),
    "bonus": Subject("pay", ("service", "contract", "probation", "hours", "shift")),
    "pension": Subject("pay", ("service", "hired", "grade"), "{}%", range(2, 12)),
    "meals": Subject("pay", ("shift", "place"), "${}", range(4, 17)),
    "remote": Subject("working time", ("probation", "contract", "grade", "child", "hours")),
    "flexible": Subject("working time", ("shift", "place", "child", "hours", "service")),
    "breaks": Subject("working time", ("shift", "hours", "place"), "{} minutes", range(15, 61, 5)),
    "per diem": Subject("expenses", ("trip", "night"), "${}", range(20, 91, 5)),
    "purchases": Subject("expenses", ("amount",), more_means_yes=True),
    "equipment": Subject("expenses", ("place", "contract", "grade"), "${}", range(100, 901, 50)),
    "relocation": Subject("expenses", ("distance",), "${}", range(500, 5001, 500)),
    "course cost": Subject("training", ("course",), "{}%", range(20, 101, 10)),
    "study days": Subject("training", ("service", "contract", "hours", "grade"), "{} days", range(2, 13)),
    "notice": Subject("leaving", ("service", "probation", "grade", "contract"), "{} weeks", range(2, 15)),
    "severance": Subject("leaving", ("reason",), "{} weeks", range(2, 21)),
}


@dataclass(frozen=True)
class Turn:
    """What the clauses of a row turn on."""

    on: str
    bounds: tuple[int, ...]
    """Of a number, else none."""
    sides: tuple[str, ...]
    side: str
    """Where the employee stands."""
    unlike: str
    """Where somebody else stands, who may be mentioned."""


@dataclass(frozen=True)
class Clause:
    subject: str
    side: str
    condition: str
    answer: str
    text: str


def rows(split: Split, count: int, rng: random.Random) -> list[Row]:
    """`count` Alpaca rows, all different."""
    instruction = find_domain("human_resources").instruction
    made: dict[str, str] = {}
    while len(made) < count:
        subject = list(SUBJECTS)[len(made) % len(SUBJECTS)]
        text, answer = _row(rng, BANKS[split], subject)
        if len(text.split()) <= MOST_WORDS:
            made.setdefault(text, answer)
    return [{"instruction": instruction, "input": text, "output": answer} for text, answer in made.items()]


def side_of(value: int, bounds: Sequence[int]) -> str:
    """Where a number lies: `low` under the first bound, `high` from the last one on, `mid` between two."""
    return "low" if value < bounds[0] else "high" if value >= bounds[-1] else "mid"


def answer(clauses: dict[str, Clause], subject: str, side: str) -> str:
    """The one clause on what is asked that covers the employee."""
    (number,) = [n for n, clause in clauses.items() if (clause.subject, clause.side) == (subject, side)]
    clause = clauses[number]
    return f"Topic: {SUBJECTS[subject].topic}\nClause: {number}\nCondition: {clause.condition}\nAnswer: {clause.answer}"


def _row(rng: random.Random, bank: Bank, subject: str) -> tuple[str, str]:
    turn = _turn(rng, bank, subject)
    clauses = _clauses(rng, bank, subject, turn)
    if len(clauses) == 2 and rng.random() < OTHER_SUBJECT:
        clauses.append(_stray(rng, bank, subject, turn))
    rng.shuffle(clauses)
    part = rng.randint(1, 14)
    numbers = [f"{part}.{n}" for n in sorted(rng.sample(range(1, 7), len(clauses)))]
    numbered = dict(zip(numbers, clauses, strict=True))

    slots = {"q": _question(rng, bank, subject, turn), "part": str(part), "name": bank.names}
    layout = rng.choice(bank.layouts)
    lines = [fill(rng, layout.clause, {"n": n, "clause": clause.text}) for n, clause in numbered.items()]
    text = "\n".join(filter(None, (fill(rng, layout.head, slots), *lines, fill(rng, layout.foot, slots))))
    return text, answer(numbered, subject, turn.side)


def _turn(rng: random.Random, bank: Bank, subject: str) -> Turn:
    on = rng.choice(SUBJECTS[subject].splits)
    known = list(bank.splits[on].conditions)
    count = 3 if rng.random() < THIRD_SIDE and len(known) > 2 else 2
    if on not in SCALES:
        sides = rng.sample(known, count)
        return Turn(on, (), tuple(sides), *rng.sample(sides, 2))
    bounds = tuple(sorted(rng.sample(SCALES[on].bounds, count - 1)))
    sides = [side for side in known if any(side_of(value, bounds) == side for value in SCALES[on].values)]
    return Turn(on, bounds, tuple(sides), *rng.sample(sides, 2))


def _clauses(rng: random.Random, bank: Bank, subject: str, turn: Turn) -> list[Clause]:
    """A clause for each side, all in the same words but for what decides."""
    kind, sides = SUBJECTS[subject], turn.sides
    if kind.unit:
        grants = rng.sample(kind.amounts, len(sides))
        answers = [kind.unit.format(n) for n in (sorted(grants) if turn.bounds else grants)]
    elif kind.more_means_yes:
        answers = ["yes" if side == "high" else "no" for side in sides]
    else:
        answers = rng.sample(["yes", "no", rng.choice(("yes", "no"))][: len(sides)], len(sides))
    way = rng.randrange(6)
    bounds = [_say(rng, bound, turn.on) for bound in turn.bounds] or [""]
    made = []
    for side, result in zip(sides, answers, strict=True):
        phrases = bank.splits[turn.on].conditions[side]
        slots = {"t": bounds[-1] if side == "high" else bounds[0], "u": bounds[-1]}
        condition = fill(rng, phrases[way % len(phrases)], slots)
        frames = bank.subjects[subject].clauses["grant" if kind.unit else result]
        text = fill(rng, frames[way % len(frames)], {"c": condition, "x": result})
        made.append(Clause(subject, side, condition, result, sentence(text)))
    return made


def _stray(rng: random.Random, bank: Bank, subject: str, turn: Turn) -> Clause:
    """A clause on another subject: one that covers the same employee if there is any, else one of the same topic."""
    others = {name: kind for name, kind in SUBJECTS.items() if name != subject}
    if alike := [name for name, kind in others.items() if turn.on in kind.splits]:
        return next(c for c in _clauses(rng, bank, rng.choice(alike), turn) if c.side == turn.side)
    name = rng.choice([name for name, kind in others.items() if kind.topic == SUBJECTS[subject].topic])
    return rng.choice(_clauses(rng, bank, name, _turn(rng, bank, name)))


def _question(rng: random.Random, bank: Bank, subject: str, turn: Turn) -> str:
    wording = bank.splits[turn.on]
    own, others = wording.facts, wording.others
    parts = {
        "fact": fill(rng, rng.choice(own.get(turn.side) or own["any"]), {"v": _value(rng, turn, turn.side)}),
        "other": fill(
            rng,
            rng.choice(others.get(turn.unlike) or others["any"]),
            {"v": _value(rng, turn, turn.unlike), "name": bank.names},
        ),
        "ask": bank.subjects[subject].asks,
        "aside": bank.asides,
    }
    said = [fill(rng, slot, parts) for slot in rng.choice(bank.questions).split()]
    question = " ".join(sentence(text) for text in said if text)
    return question.lower().rstrip(".") if rng.random() < CASUAL else question


def _value(rng: random.Random, turn: Turn, side: str) -> str:
    """A number on that side of the bounds; nothing where no number decides."""
    if not turn.bounds:
        return ""
    return _say(rng, rng.choice([v for v in SCALES[turn.on].values if side_of(v, turn.bounds) == side]), turn.on)


def _say(rng: random.Random, number: int, scale: str) -> str:
    """`number` with its unit, as people say it: 24 months are two years, 14 days two weeks."""
    unit = SCALES[scale].unit
    if unit == "{} months" and number % 12 == 0:
        number, unit = number // 12, "{} years"
    elif unit == "{} days" and number % 7 == 0:
        number, unit = number // 7, "{} weeks"
    in_words = number < len(WORDS) and not unit.startswith("$") and rng.random() < IN_WORDS
    said = unit.format(WORDS[number] if in_words else number)
    return said.removesuffix("s") if number == 1 else said
