"""Education rows: the working is right, follows its plan, and starts from numbers of the question."""

from __future__ import annotations

import re
from collections.abc import Callable
from fractions import Fraction
from random import Random

import pytest

from rankwise.recipe.domains.profiles import ROWS
from tools.sample_rows import education
from tools.sample_rows.education import FRACTIONS, KINDS, SMALL_UNITS, WITH_UNITS, Sum
from tools.sample_rows.education_bank import BANKS
from tools.sample_rows.measure import read_rows
from tools.sample_rows.phrases import SPLITS, Split

SIGNS = {"add": "+", "subtract": "-", "multiply": "x", "divide": "/", "divide with remainder": "/"}
SMALLER = {"kg": ("g", 1000), "m": ("cm", 100), "l": ("ml", 1000), "h": ("min", 60)}
UNASKED = {"2", "3", "4", "5", "10"}
"""What a fraction in words or a percentage is divided by, and 2 for a mean."""
FORMULAS: dict[str, Callable[[dict[str, int]], float]] = {
    "groups_less": lambda n: n["a"] * n["b"] - n["c"],
    "groups_more": lambda n: n["a"] * n["b"] + n["c"],
    "change": lambda n: n["w"] - n["a"] * n["b"],
    "spend_two": lambda n: n["w"] - n["a"] - n["b"],
    "pool_share": lambda n: (n["a"] + n["b"]) / n["c"],
    "rest_share": lambda n: (n["a"] - n["b"]) / n["c"],
    "more_total": lambda n: 2 * n["a"] + n["b"],
    "fewer_total": lambda n: 2 * n["a"] - n["b"],
    "times_total": lambda n: n["a"] * (n["k"] + 1),
    "difference": lambda n: n["a"] - n["b"],
    "product": lambda n: n["a"] * n["b"],
    "quotient": lambda n: n["q"] / n["b"],
    "percent_of": lambda n: n["a"] * n["r"] / 100,
    "percent_off": lambda n: n["a"] * (100 - n["r"]) / 100,
    "percent_more": lambda n: n["a"] * (100 + n["r"]) / 100,
    "round_up": lambda n: -(-n["a"] // n["b"]),
    "remainder": lambda n: n["a"] % n["b"],
    "average": lambda n: (n["a"] + n["b"]) / 2,
    "perimeter": lambda n: 2 * (n["a"] + n["b"]),
}


def minutes(clock: str) -> int:
    hours, rest = clock.split(":")
    return 60 * int(hours) + int(rest)


def check_step(plan: str, line: str) -> str:
    """The result of one line of working, worked out again."""
    if plan == "convert":
        given, large, result, small = re.fullmatch(r"(\d) (\w+) = (\d+) (\w+)", line).groups()  # type: ignore[union-attr]
        assert SMALLER[large] == (small, int(result) // int(given))
        return result
    if plan == "to the hour":
        start, full, result = re.fullmatch(r"(\S+) to (\d+:00) = (\d+) min", line).groups()  # type: ignore[union-attr]
        assert minutes(full) - minutes(start) == int(result) < 60
        return result
    left, sign, right, result = re.fullmatch(r"(\S+) (\S) (.+) = (.+)", line).groups()  # type: ignore[union-attr]
    assert sign == SIGNS[plan]
    if ":" in left:
        amount, unit = right.split()
        size = int(amount) * {"h": 60, "min": 1}[unit]
        assert minutes(result) == minutes(left) + (size if sign == "+" else -size)
        return result
    a, b = int(left), int(right)
    assert sign in "-/" or a >= b, "the larger number stands first"
    values = {"+": a + b, "-": a - b, "x": a * b, "/": a // b}
    assert result == str(values[sign]) if plan != "divide with remainder" else f"{a // b} remainder {a % b}"
    assert plan != "divide" or a % b == 0
    return result


@pytest.mark.parametrize("split", SPLITS)
def test_every_line_of_working_is_right(split: Split) -> None:
    rows = read_rows(ROWS / f"education.{split}.jsonl")
    assert len(rows) >= 150
    for row in rows:
        plan, *steps, last = (line.partition(": ")[2] for line in row["output"].splitlines())
        plans = plan.split(", ")
        assert len(plans) == len(steps) <= 2
        results = [check_step(*step) for step in zip(plans, steps, strict=True)]
        bare = re.sub(r"^[$£€]| (?:cm|km|m|g|kg|l|ml|min)$", "", last)
        if plan == "divide with remainder":
            assert bare == results[0].split(" remainder ")[1]
        else:
            assert bare == results[-1]


@pytest.mark.parametrize("split", SPLITS)
def test_the_working_starts_from_the_question(split: Split) -> None:
    for row in read_rows(ROWS / f"education.{split}.jsonl"):
        first, *rest = (line for line in row["output"].splitlines() if line.startswith("Step"))
        asked = re.findall(r"\d+:\d+|\d+", row["input"])
        start, *others = re.findall(r"\d+:\d+|\d+", first.partition(": ")[2].split(" = ")[0])
        assert start in asked
        assert all(number in asked or number in UNASKED or number.endswith(":00") for number in others), row
        made = first.split(" = ")[1].split()[0]
        assert all(made in re.findall(r"\d+:\d+|\d+", step) for step in rest), "the second step goes on from the first"


@pytest.mark.parametrize("kind", FORMULAS)
def test_the_steps_of_a_kind_lead_to_its_formula(kind: str) -> None:
    rng = Random(3)
    for _ in range(100):
        made = KINDS[kind](rng)
        numbers = {name: number for name, number in made.numbers.items() if isinstance(number, int)}
        assert float(made.steps[-1].result) == FORMULAS[kind](numbers) > 0, made


@pytest.mark.parametrize("kind", ["fraction_of", "fraction_left"])
def test_a_fraction_is_taken_or_left(kind: str) -> None:
    rng = Random(4)
    words = {word: f"{top}/{bottom}" for (top, bottom), word in FRACTIONS.items()}
    for _ in range(100):
        made = KINDS[kind](rng)
        whole, written = made.numbers["a"], str(made.numbers["f"])
        part = Fraction(words.get(written, written)) * int(str(whole))
        assert int(made.steps[-1].result) == (part if kind == "fraction_of" else int(str(whole)) - part)


def answer(made: Sum, unit: str = "") -> list[str]:
    return education.working(made.steps, unit).splitlines()


def test_workings_by_hand() -> None:
    change = Sum({}, (education.multiply(3, 4), education.subtract(20, 12)))
    assert answer(change, "£") == [
        "Plan: multiply, subtract",
        "Step 1: 4 x 3 = 12",
        "Step 2: 20 - 12 = 8",
        "Answer: £8",
    ]
    board = Sum({}, (education.convert(3, "cm"), education.subtract(300, 45)))
    assert answer(board, "cm")[1:] == ["Step 1: 3 m = 300 cm", "Step 2: 300 - 45 = 255", "Answer: 255 cm"]
    train = Sum({}, (education.shift(9 * 60 + 50, 120), education.shift(11 * 60 + 50, 25)))
    assert answer(train)[1:] == ["Step 1: 9:50 + 2 h = 11:50", "Step 2: 11:50 + 25 min = 12:15", "Answer: 12:15"]
    bags = Sum({}, (education.divide_with_remainder(26, 8, 2),))
    assert answer(bags) == ["Plan: divide with remainder", "Step 1: 26 / 8 = 3 remainder 2", "Answer: 2"]


@pytest.mark.parametrize("split", SPLITS)
def test_every_kind_has_questions_that_use_all_its_numbers(split: Split) -> None:
    questions = BANKS[split].questions
    assert set(questions) == {*KINDS, *WITH_UNITS}
    for kind, texts in questions.items():
        for text in texts:
            asked, _, unit = text.partition(" -> ")
            assert kind not in WITH_UNITS or unit in SMALL_UNITS
            made = WITH_UNITS[kind](Random(0), unit) if kind in WITH_UNITS else KINDS[kind](Random(0))
            slots = set(re.findall(r"\{(\w+)\}", asked))
            assert set(made.numbers) - {"values"} <= slots, text
            assert ("values" in made.numbers) == bool(slots & {"days", "names", "items"}), text


def test_banks_share_no_question() -> None:
    train, held_out = BANKS["train"], BANKS["held_out"]
    for known, new in (
        (train.people, held_out.people),
        (train.things, held_out.things),
        (train.leads, held_out.leads),
        (train.tables, held_out.tables),
        (
            [key for keys in train.keys.values() for key in keys],
            [key for keys in held_out.keys.values() for key in keys],
        ),
        (
            [text for texts in train.questions.values() for text in texts],
            [text for texts in held_out.questions.values() for text in texts],
        ),
    ):
        assert not set(known) & set(new)
