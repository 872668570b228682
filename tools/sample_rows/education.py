"""Education rows: a school question -> a plan, one or two steps and the answer (rules in README.md).

Knobs: how large the numbers of a kind are, how often a lead stands before a question.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass

from rankwise.recipe.domains import find_domain
from tools.sample_rows.education_bank import BANKS, Bank
from tools.sample_rows.phrases import Row, Split, fill, spread

LEAD = 0.3
SMALL_UNITS = {"cm": 100, "g": 1000, "ml": 1000, "min": 60}
"""What a metre, a kilogram, a litre or an hour has of them."""
FRACTIONS = {
    (1, 2): "half",
    (1, 3): "a third",
    (1, 4): "a quarter",
    (1, 5): "a fifth",
    (2, 3): "two thirds",
    (3, 4): "three quarters",
    (2, 5): "two fifths",
    (3, 5): "three fifths",
}
PERCENT = {10: 10, 20: 5, 25: 4, 50: 2}
"""Per cent -> what to divide by."""

MONEY = ("$", "£", "€")


@dataclass(frozen=True)
class Step:
    plan: str
    """What is done, in the words of the plan."""
    line: str
    result: str


@dataclass(frozen=True)
class Sum:
    """The numbers of a question, and its working."""

    numbers: dict[str, object]
    steps: tuple[Step, ...]


def add(a: int, b: int) -> Step:
    return Step("add", f"{max(a, b)} + {min(a, b)} = {a + b}", str(a + b))


def subtract(a: int, b: int) -> Step:
    return Step("subtract", f"{a} - {b} = {a - b}", str(a - b))


def multiply(a: int, b: int) -> Step:
    return Step("multiply", f"{max(a, b)} x {min(a, b)} = {a * b}", str(a * b))


def divide(a: int, b: int) -> Step:
    assert a % b == 0, (a, b)
    return Step("divide", f"{a} / {b} = {a // b}", str(a // b))


def divide_with_remainder(a: int, b: int, wanted: int) -> Step:
    return Step("divide with remainder", f"{a} / {b} = {a // b} remainder {a % b}", str(wanted))


def convert(a: int, unit: str) -> Step:
    large = {"cm": "m", "g": "kg", "ml": "l", "min": "h"}[unit]
    whole = a * SMALL_UNITS[unit]
    return Step("convert", f"{a} {large} = {whole} {unit}", str(whole))


def clock(minutes: int) -> str:
    return f"{minutes // 60}:{minutes % 60:02d}"


def shift(start: int, minutes: int) -> Step:
    """A time of day moved by whole hours or by less than one."""
    size = abs(minutes)
    amount = f"{size // 60} h" if size % 60 == 0 else f"{size} min"
    plan, sign = ("add", "+") if minutes > 0 else ("subtract", "-")
    end = clock(start + minutes)
    return Step(plan, f"{clock(start)} {sign} {amount} = {end}", end)


# --- one function per kind; the letters are the slots of its questions ---


def groups_less(rng: random.Random) -> Sum:
    a, b = rng.randint(3, 9), rng.randint(3, 10)
    c = rng.randint(2, min(a * b - 3, 19))
    return Sum({"a": a, "b": b, "c": c}, (multiply(a, b), subtract(a * b, c)))


def groups_more(rng: random.Random) -> Sum:
    a, b, c = rng.randint(3, 9), rng.randint(3, 10), rng.randint(2, 19)
    return Sum({"a": a, "b": b, "c": c}, (multiply(a, b), add(a * b, c)))


def change(rng: random.Random) -> Sum:
    a, b = rng.randint(2, 8), rng.randint(2, 9)
    w = rng.choice([note for note in (20, 30, 40, 50, 60, 80, 100) if note > a * b][:2])
    return Sum({"a": a, "b": b, "w": w}, (multiply(a, b), subtract(w, a * b)))


def spend_two(rng: random.Random) -> Sum:
    a, b = rng.sample(range(3, 20), 2)
    w = a + b + rng.randint(2, 30)
    return Sum({"a": a, "b": b, "w": w}, (add(a, b), subtract(w, a + b)))


def pool_share(rng: random.Random) -> Sum:
    c, each = rng.randint(2, 8), rng.randint(3, 9)
    a = rng.randint(2, c * each - 2)
    return Sum({"a": a, "b": c * each - a, "c": c}, (add(a, c * each - a), divide(c * each, c)))


def rest_share(rng: random.Random) -> Sum:
    c, each, b = rng.randint(2, 8), rng.randint(3, 9), rng.randint(2, 15)
    a = c * each + b
    return Sum({"a": a, "b": b, "c": c}, (subtract(a, b), divide(a - b, c)))


def more_total(rng: random.Random) -> Sum:
    a, b = rng.randint(5, 30), rng.randint(2, 12)
    return Sum({"a": a, "b": b}, (add(a, b), add(a, a + b)))


def fewer_total(rng: random.Random) -> Sum:
    a, b = rng.randint(14, 34), rng.randint(2, 12)
    return Sum({"a": a, "b": b}, (subtract(a, b), add(a, a - b)))


def times_total(rng: random.Random) -> Sum:
    a, k = rng.randint(6, 14), rng.randint(2, 5)
    return Sum({"a": a, "k": k}, (multiply(a, k), add(a * k, a)))


def difference(rng: random.Random) -> Sum:
    b, more = rng.randint(11, 60), rng.randint(3, 35)
    return Sum({"a": b + more, "b": b}, (subtract(b + more, b),))


def product(rng: random.Random) -> Sum:
    a, b = rng.randint(3, 12), rng.randint(3, 9)
    return Sum({"a": a, "b": b}, (multiply(a, b),))


def quotient(rng: random.Random) -> Sum:
    b, each = rng.randint(2, 9), rng.randint(4, 12)
    return Sum({"q": b * each, "b": b}, (divide(b * each, b),))


def fraction_of(rng: random.Random) -> Sum:
    (top, bottom), words = rng.choice([item for item in FRACTIONS.items() if item[0][0] > 1])
    part = rng.randint(3, 9)
    a = bottom * part
    return Sum({"a": a, "f": rng.choice((words, f"{top}/{bottom}"))}, (divide(a, bottom), multiply(part, top)))


def fraction_left(rng: random.Random) -> Sum:
    (top, bottom), words = rng.choice([item for item in FRACTIONS.items() if item[0][0] == 1])
    part = rng.randint(3, 12)
    a = bottom * part
    return Sum({"a": a, "f": rng.choice((words, f"{top}/{bottom}"))}, (divide(a, bottom), subtract(a, part)))


def _percent(rng: random.Random) -> tuple[int, int, Step]:
    rate = rng.choice(list(PERCENT))
    divisor = PERCENT[rate]
    a = divisor * rng.randint(20 // divisor, 90 // divisor)
    return a, rate, divide(a, divisor)


def percent_of(rng: random.Random) -> Sum:
    a, rate, part = _percent(rng)
    return Sum({"a": a, "r": rate}, (part,))


def percent_off(rng: random.Random) -> Sum:
    a, rate, part = _percent(rng)
    return Sum({"a": a, "r": rate}, (part, subtract(a, int(part.result))))


def percent_more(rng: random.Random) -> Sum:
    a, rate, part = _percent(rng)
    return Sum({"a": a, "r": rate}, (part, add(a, int(part.result))))


def convert_less(rng: random.Random, unit: str) -> Sum:
    a, whole = rng.randint(2, 5), SMALL_UNITS[unit]
    b = rng.choice(range(whole // 20, whole, whole // (20 if whole > 60 else 12)))
    return Sum({"a": a, "b": b}, (convert(a, unit), subtract(a * whole, b)))


def convert_share(rng: random.Random, unit: str) -> Sum:
    a, whole = rng.randint(2, 4), SMALL_UNITS[unit]
    c = rng.choice([parts for parts in (4, 5, 6, 8, 10) if a * whole % (5 * parts) == 0])
    return Sum({"a": a, "c": c}, (convert(a, unit), divide(a * whole, c)))


def time_end(rng: random.Random) -> Sum:
    start, hours, minutes = rng.randrange(7 * 60, 17 * 60, 5), rng.randint(2, 4), rng.randrange(5, 60, 5)
    steps = shift(start, 60 * hours), shift(start + 60 * hours, minutes)
    return Sum({"s": clock(start), "h": hours, "k": minutes}, steps)


def time_start(rng: random.Random) -> Sum:
    end, hours, minutes = rng.randrange(12 * 60, 22 * 60, 5), rng.randint(2, 4), rng.randrange(5, 60, 5)
    steps = shift(end, -60 * hours), shift(end - 60 * hours, -minutes)
    return Sum({"s": clock(end), "h": hours, "k": minutes}, steps)


def time_span(rng: random.Random) -> Sum:
    """Over one full hour: the minutes before it and those after it."""
    full, before, after = 60 * rng.randint(8, 19), rng.randrange(5, 55, 5), rng.randrange(5, 55, 5)
    to_full = Step("to the hour", f"{clock(full - before)} to {clock(full)} = {before} min", str(before))
    return Sum({"s": clock(full - before), "e": clock(full + after)}, (to_full, add(before, after)))


def table_gap(rng: random.Random) -> Sum:
    values = rng.sample(range(6, 60), rng.choice((3, 4)))
    return Sum({"values": values}, (subtract(max(values), min(values)),))


def table_sum(rng: random.Random) -> Sum:
    values = rng.sample(range(6, 40), rng.choice((3, 4)))
    x, y = rng.sample(range(len(values)), 2)
    return Sum({"values": values, "x": x, "y": y}, (add(values[x], values[y]),))


def table_goal(rng: random.Random) -> Sum:
    values = rng.sample(range(6, 30), rng.choice((3, 4)))
    x, y = rng.sample(range(len(values)), 2)
    both = values[x] + values[y]
    goal = both + rng.randint(3, 24)
    return Sum({"values": values, "x": x, "y": y, "g": goal}, (add(values[x], values[y]), subtract(goal, both)))


def price_list(rng: random.Random) -> Sum:
    values = rng.sample(range(2, 10), 3)
    (x, y), k = rng.sample(range(3), 2), rng.randint(2, 6)
    return Sum({"values": values, "x": x, "y": y, "k": k}, (multiply(k, values[x]), add(k * values[x], values[y])))


def round_up(rng: random.Random) -> Sum:
    a, b = _uneven(rng)
    return Sum({"a": a, "b": b}, (divide_with_remainder(a, b, a // b), add(a // b, 1)))


def remainder(rng: random.Random) -> Sum:
    a, b = _uneven(rng)
    return Sum({"a": a, "b": b}, (divide_with_remainder(a, b, a % b),))


def _uneven(rng: random.Random) -> tuple[int, int]:
    b = rng.randint(3, 9)
    return b * rng.randint(2, 8) + rng.randint(1, b - 1), b


def average(rng: random.Random) -> Sum:
    a, b = rng.sample(range(4 + rng.randint(0, 1), 40, 2), 2)
    return Sum({"a": a, "b": b}, (add(a, b), divide(a + b, 2)))


def perimeter(rng: random.Random) -> Sum:
    b, longer = rng.randint(3, 20), rng.randint(2, 15)
    return Sum({"a": b + longer, "b": b}, (add(b + longer, b), multiply(2 * b + longer, 2)))


KINDS: dict[str, Callable[[random.Random], Sum]] = {
    kind.__name__: kind
    for kind in (
        groups_less, groups_more, change, spend_two, pool_share, rest_share, more_total, fewer_total, times_total,
        difference, product, quotient, fraction_of, fraction_left, percent_of, percent_off, percent_more, time_end,
        time_start, time_span, table_gap, table_sum, table_goal, price_list, round_up, remainder, average, perimeter,
    )
}  # fmt: skip
WITH_UNITS: dict[str, Callable[[random.Random, str], Sum]] = {
    "convert_less": convert_less,
    "convert_share": convert_share,
}


def rows(split: Split, count: int, rng: random.Random) -> list[Row]:
    """`count` Alpaca rows, all different; a kind comes as often as it has questions."""
    instruction, bank = find_domain("education").instruction, BANKS[split]
    made: dict[str, str] = {}
    for kind in spread(rng, {kind: len(questions) for kind, questions in bank.questions.items()}, count):
        text, answer = _question(rng, bank, kind)
        while text in made:
            text, answer = _question(rng, bank, kind)
        made[text] = answer
    return [{"instruction": instruction, "input": text, "output": answer} for text, answer in made.items()]


def working(steps: tuple[Step, ...], unit: str) -> str:
    """The answer to a question; a money sign stands before its number, a unit after it."""
    lines = [f"Plan: {', '.join(step.plan for step in steps)}"]
    lines += [f"Step {number}: {step.line}" for number, step in enumerate(steps, 1)]
    result = steps[-1].result
    written = f"{unit}{result}" if unit in MONEY else f"{result} {unit}".rstrip()
    return "\n".join([*lines, f"Answer: {written}"])


def _question(rng: random.Random, bank: Bank, kind: str) -> tuple[str, str]:
    text, _, unit = rng.choice(bank.questions[kind]).partition(" -> ")
    drawn = WITH_UNITS[kind](rng, unit) if kind in WITH_UNITS else KINDS[kind](rng)
    (name, he, his), (other, _, _) = rng.sample(bank.people, 2)
    money = rng.choice(MONEY)
    slots = {"n": name, "he": he, "He": he.capitalize(), "his": his, "m": other, "t": rng.choice(bank.things)}
    slots |= {"cur": money, "z": str(rng.randint(7, 14))}
    slots |= {key: str(value) for key, value in drawn.numbers.items()}
    if isinstance(values := drawn.numbers.get("values"), list):
        slots |= _table(rng, bank, text, values, money)
        for key in ("x", "y"):
            if isinstance(place := drawn.numbers.get(key), int):
                slots[key] = slots[f"key{place}"]
    lead = rng.choice(bank.leads) if "\n" not in text and rng.random() < LEAD else ""
    return fill(rng, lead + text, slots), working(drawn.steps, money if unit == "cur" else unit)


def _table(rng: random.Random, bank: Bank, text: str, values: list[int], money: str) -> dict[str, str]:
    """The table that `text` asks for, as a slot, and the names of its rows as `key0`, `key1` ..."""
    (kind,) = (kind for kind in bank.keys if f"{{{kind}}}" in text)
    chosen = rng.sample(range(len(bank.keys[kind])), len(values))
    keys = [bank.keys[kind][place] for place in (sorted(chosen) if kind == "days" else chosen)]
    own_lines = f"{{{kind}}}\n" in text
    row, between = rng.choice([table for table in bank.tables if own_lines or "\n" not in table[1]])
    sign = money if kind == "items" else ""
    lines = [fill(rng, row, {"key": key, "value": f"{sign}{value}"}) for key, value in zip(keys, values, strict=True)]
    return {kind: between.join(lines)} | {f"key{place}": key for place, key in enumerate(keys)}
