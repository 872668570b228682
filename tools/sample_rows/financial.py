"""Financial rows: a paragraph of results -> five normalised fields.

Knobs: how often a figure is not stated, how often a distractor stands beside it, the spellings of amounts.
"""

from __future__ import annotations

import random

from rankwise.recipe.domains import find_domain
from tools.sample_rows.financial_bank import BANKS, UNITS, Bank
from tools.sample_rows.phrases import WORDS, Row, Split, fill, sentence

GROWTH = {"up": 0.48, "down": 0.24, "flat": 0.06, "unsaid": 0.22}
NO_MARGIN = 0.3
NO_PROFIT = 0.25
LOSS = 0.25
GUIDANCE = {"raised": 0.2, "lowered": 0.2, "kept": 0.2, "withdrawn": 0.1, "not stated": 0.3}
SEGMENT = {"train": 0.9, "held_out": 0.75}
NOT_STATED = "not stated"


def rows(split: Split, count: int, rng: random.Random) -> list[Row]:
    """`count` Alpaca rows, all different."""
    instruction = find_domain("financial").instruction
    made: dict[str, str] = {}
    while len(made) < count:
        text, answer = _report(rng, split)
        made.setdefault(text, answer)
    return [{"instruction": instruction, "input": text, "output": answer} for text, answer in made.items()]


def _pick(rng: random.Random, shares: dict[str, float]) -> str:
    return rng.choices(list(shares), list(shares.values()))[0]


def _amount(rng: random.Random, bank: Bank, tenths: int) -> str:
    """`tenths` of a million dollars, spelled in one of the bank's ways that lose nothing."""
    units = [u for u in bank.units if "{n}" in u or (tenths >= 10000 and tenths % 100 == 0)]
    million = f"{tenths / 10:,.0f}" if tenths % 10 == 0 else f"{tenths / 10:,.1f}"
    return rng.choice(units).replace("{n}", million).replace("{bn}", f"{tenths / 10000:.2f}".rstrip("0").rstrip("."))


def _in_millions(tenths: int) -> str:
    return f"${tenths // 10}M" if tenths % 10 == 0 else f"${tenths / 10:.1f}M"


def _size(rng: random.Random) -> int:
    """Revenue in tenths of a million: round enough to be written as a report would."""
    return rng.choice(
        (rng.randint(21, 99) * 10, rng.randint(100, 999) * 10, rng.randint(100, 999), rng.randint(101, 999) * 100)
    )


def _percent(rng: random.Random, bank: Bank, value: int) -> str:
    ways = [way for way in bank.percent if "{w}" not in way or value < len(WORDS)]
    return rng.choice(ways).replace("{g}", str(value)).replace("{w}", WORDS[min(value, len(WORDS) - 1)])


def _report(rng: random.Random, split: Split) -> tuple[str, str]:
    bank, units = BANKS[split], UNITS[split]
    revenue = _size(rng)
    direction, growth = _pick(rng, GROWTH), rng.randint(2, 38)
    prior = round(revenue / (1 + growth / 100 * {"up": 1, "down": -1}.get(direction, 0.5)))
    income = max(20, round(revenue * rng.uniform(0.02, 0.2)))
    income = income // 10 * 10 if income > 500 else income
    loss, has_profit, has_margin = rng.random() < LOSS, rng.random() >= NO_PROFIT, rng.random() >= NO_MARGIN
    margin, gross = rng.randint(20, 240), rng.randint(250, 620)
    guidance = _pick(rng, GUIDANCE)
    period = rng.choice(list(bank.periods))
    step = 100 if revenue >= 1000 else 10
    outlook = (revenue * bank.periods[period] // step + 1) * step
    slots = {
        "co": rng.choice(bank.companies),
        "per": period,
        "unit": rng.choice(units),
        "rev": _amount(rng, bank, revenue),
        "prior": _amount(rng, bank, prior // 10 * 10 or prior),
        "g": _percent(rng, bank, growth),
        "sg": _percent(rng, bank, rng.randint(2, 40)),
        "m": f"{margin / 10:.1f}%",
        "lm": f"{(margin - rng.randint(3, 15)) / 10:.1f}%",
        "hm": f"{(margin + rng.randint(3, 15)) / 10:.1f}%",
        "bp": str(rng.randint(2, 30) * 10),
        "gm": f"{gross / 10:.0f}%",
        "lg": f"{gross / 10 - rng.randint(1, 4):.0f}%",
        "ni": _amount(rng, bank, income),
        "pni": _amount(rng, bank, max(10, income * rng.randint(55, 90) // 1000 * 10)),
        "x": _amount(rng, bank, max(10, revenue * rng.randint(15, 60) // 1000 * 10)),
        "a": _amount(rng, bank, outlook + rng.randint(1, 4) * step),
        "b": _amount(rng, bank, outlook),
        "tr": f"{rng.randint(15, 33)}%",
        "d": f"0.{rng.randint(10, 95)}",
    }
    profit = (bank.loss if loss else bank.profit) if has_profit else bank.no_profit
    parts = {
        "r": bank.revenue[direction],
        "s": bank.segment if rng.random() < SEGMENT[split] else ("",),
        "m": bank.margin if has_margin else bank.no_margin,
        "p": profit,
        "o": bank.guidance[guidance],
    }
    sentences = [fill(rng, rng.choice(parts[part]), slots) for part in rng.choice(bank.layouts)]
    text = " ".join(sentence(part) for part in sentences if part)
    stated = {"up": f"+{growth}%", "down": f"-{growth}%", "flat": "0%", "unsaid": NOT_STATED}
    answer = {
        "Revenue": _in_millions(revenue),
        "Growth": stated[direction],
        "Operating margin": f"{margin / 10:.1f}%" if has_margin else NOT_STATED,
        "Net income": ("-" if loss else "") + _in_millions(income) if has_profit else NOT_STATED,
        "Guidance": guidance,
    }
    return text, "\n".join(f"{field}: {value}" for field, value in answer.items())
