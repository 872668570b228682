"""Real estate rows: a listing -> its facts, what raises and lowers the value, a value band (rules in README.md).

Knobs: how many reasons a listing gives, how often a visit puts one right, how often it speaks of another home.
"""

from __future__ import annotations

import random
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace

from rankwise.recipe.domains import find_domain
from tools.sample_rows.phrases import Row, Split, fill, spread
from tools.sample_rows.real_estate_bank import TRAIN, Bank
from tools.sample_rows.real_estate_held_out import HELD_OUT

BANKS: Mapping[Split, Bank] = {"train": TRAIN, "held_out": HELD_OUT}
BANDS = {"A": 0.18, "B": 0.22, "C": 0.22, "D": 0.2, "E": 0.18}
CONDITIONS = {"new": 1, "renovated": 1, "well kept": 0, "dated": -1, "needs work": -1}
"""Condition -> the bands it moves a home up."""
REASONS = {
    "transport": ("near transport", "far from transport"),
    "street": ("quiet street", "noise"),
    "light": ("bright rooms", "dark rooms"),
    "parking": ("parking", "no parking"),
    "outside": ("outdoor space", "no outdoor space"),
    "energy": ("low energy costs", "high energy costs"),
    "view": ("open view", "poor view"),
    "layout": ("good layout", "awkward layout"),
    "access": ("easy access", "stairs"),
    "shops": ("shops nearby", "no shops nearby"),
}
"""Topic -> the reason that raises the value and the one that lowers it."""
FLATS = ("apartment", "maisonette")
BEDROOMS = {"apartment": (1, 2, 3), "maisonette": (2, 3, 4), "bungalow": (1, 2, 3, 4)}
MOST_BEDROOMS = (2, 3, 4, 5)
GIVEN = (2, 2, 3, 3)
VISITED = 0.3
ELSEWHERE = 0.45


@dataclass(frozen=True)
class Remark:
    topic: str
    raises: bool


@dataclass(frozen=True)
class Home:
    type: str
    bedrooms: int
    condition: str
    remarks: tuple[Remark, ...]
    """In the order in which they are made; of a topic the last one counts."""

    @property
    def reasons(self) -> tuple[list[str], list[str]]:
        """(what raises the value, what lowers it)."""
        last = {remark.topic: place for place, remark in enumerate(self.remarks)}
        kept = [remark for place, remark in enumerate(self.remarks) if last[remark.topic] == place]
        raises = [REASONS[remark.topic][0] for remark in kept if remark.raises]
        return raises, [REASONS[remark.topic][1] for remark in kept if not remark.raises]

    @property
    def band(self) -> str:
        """From C, one up or down for the condition and one for the reasons."""
        raises, lowers = map(len, self.reasons)
        return "EDCBA"[2 + CONDITIONS[self.condition] + (raises > lowers) - (raises < lowers)]


def answer(home: Home) -> str:
    raises, lowers = home.reasons
    fields = {
        "Type": home.type,
        "Bedrooms": str(home.bedrooms),
        "Condition": home.condition,
        "Raises value": ", ".join(raises) or "none",
        "Lowers value": ", ".join(lowers) or "none",
        "Band": home.band,
    }
    return "\n".join(f"{field}: {value}" for field, value in fields.items())


def rows(split: Split, count: int, rng: random.Random) -> list[Row]:
    """`count` Alpaca rows, all different."""
    instruction, bank = find_domain("real_estate").instruction, BANKS[split]
    made: dict[str, str] = {}
    for band in spread(rng, BANDS, count):
        text, fields = _listing(rng, bank, band)
        while text in made:
            text, fields = _listing(rng, bank, band)
        made[text] = fields
    return [{"instruction": instruction, "input": text, "output": fields} for text, fields in made.items()]


def _listing(rng: random.Random, bank: Bank, band: str) -> tuple[str, str]:
    home = _home(rng, bank)
    while home.band != band:
        home = _home(rng, bank)
    heard, visit = home, ""
    if rng.random() < VISITED:
        corrected = home.remarks[-1]
        visit = rng.choice(bank.visits).replace("{remark}", _said(rng, bank, corrected))
        wrong = replace(corrected, raises=not corrected.raises)
        told = list(home.remarks[:-1])
        told.insert(rng.randint(0, len(told)), wrong)
        heard = replace(home, remarks=(*told, corrected))
    remarks = heard.remarks[:-1] if visit else heard.remarks
    parts = [rng.choice(bank.conditions[home.condition]), *(_said(rng, bank, remark) for remark in remarks)]
    if rng.random() < 0.5:
        parts.insert(rng.randint(1, len(parts)), parts.pop(0))
    if rng.random() < ELSEWHERE:
        spoken_of = {remark.topic for remark in heard.remarks}
        others = [topic for topic in REASONS if topic not in spoken_of and (topic != "access" or home.type in FLATS)]
        parts.insert(rng.randint(0, len(parts)), rng.choice(bank.topics[rng.choice(others)].elsewhere))
    slots = {
        "type": rng.choice(bank.types[home.type]),
        "beds": rng.choice(bank.bedrooms[home.bedrooms]),
        "extra": bank.extras,
        "place": bank.places,
    }
    opener = fill(rng, rng.choice(bank.openers), slots)
    return _laid_out(rng.choice(bank.joints), [opener, *parts, rng.choice(bank.asides), visit]), answer(heard)


def _home(rng: random.Random, bank: Bank) -> Home:
    kind, condition = rng.choice(list(bank.types)), rng.choice(list(CONDITIONS))
    remarks = [Remark(topic, rng.random() < 0.5) for topic in rng.sample(list(REASONS), rng.choice(GIVEN))]
    while not all(_fits(kind, condition, remark) for remark in remarks):
        remarks = [Remark(topic, rng.random() < 0.5) for topic in rng.sample(list(REASONS), len(remarks))]
    return Home(kind, rng.choice(BEDROOMS.get(kind, MOST_BEDROOMS)), condition, tuple(remarks))


def _fits(kind: str, condition: str, remark: Remark) -> bool:
    """Whether a home of this kind and condition can be spoken of like this."""
    if remark.topic == "access":
        return kind in FLATS
    if remark.topic == "outside" and not remark.raises:
        return kind not in ("detached house", "bungalow")
    if remark.topic == "energy":
        return condition != "needs work" if remark.raises else CONDITIONS[condition] <= 0
    return True


def _said(rng: random.Random, bank: Bank, remark: Remark) -> str:
    said = bank.topics[remark.topic]
    return rng.choice(said.raises if remark.raises else said.lowers)


def _laid_out(joint: str, parts: list[str]) -> str:
    """The parts as whole sentences if a space joins them, else as they are."""
    parts = [part for part in parts if part]
    if joint != " ":
        return joint.join(parts)
    text = " ".join(part if part.endswith((".", "!", "?", ")")) else f"{part}." for part in parts)
    return re.sub(r"(?:^|[.?!]\)? )\(?[a-z]", lambda start: start[0][:-1] + start[0][-1].upper(), text)
