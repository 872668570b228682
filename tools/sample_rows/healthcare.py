"""Healthcare rows: a short symptom note -> one of twelve diagnoses (rules in README.md). Synthetic; not medical advice.

Knobs: how many of a diagnosis's typical findings a note gives (`TYPICAL`), how many shared and denied ones.
"""

from __future__ import annotations

import random
import re
from dataclasses import dataclass

from tools.sample_rows.healthcare_bank import BANKS, Bank
from tools.sample_rows.phrases import Row, Split, fill, spread

TYPICAL = 2
SHARED = (1, 1, 2)
DENIED = (1, 2, 2)
STYLES = ("nurse", "doctor", "patient")


@dataclass(frozen=True)
class Picture:
    """What a diagnosis looks like: `typical` findings set it apart, `shared` ones occur elsewhere too."""

    share: float
    typical: tuple[str, ...]
    shared: tuple[str, ...]
    denied: tuple[str, ...]
    """Typical findings of its rivals; the note says that they are absent."""


PICTURES = {
    "influenza": Picture(
        0.1,
        ("sudden fever", "aches"),
        ("dry cough", "headache", "tired", "scratchy throat"),
        ("phlegm", "patches", "runny nose", "diarrhoea", "wheeze"),
    ),
    "common cold": Picture(
        0.11,
        ("runny nose", "slow start", "scratchy throat"),
        ("sneezing", "dry cough", "tired", "headache"),
        ("fever", "aches", "itchy eyes", "patches", "phlegm"),
    ),
    "pneumonia": Picture(
        0.09,
        ("phlegm", "chest pain"),
        ("fever", "breathless", "tired"),
        ("wheeze", "runny nose", "sore throat", "aches"),
    ),
    "asthma": Picture(
        0.09,
        ("wheeze", "trigger"),
        ("breathless", "night cough", "dry cough"),
        ("fever", "phlegm", "chest pain", "itchy eyes"),
    ),
    "hay fever": Picture(
        0.08, ("itchy eyes", "season"), ("sneezing", "runny nose", "tired"), ("fever", "sore throat", "wheeze", "aches")
    ),
    "strep throat": Picture(
        0.08,
        ("sore throat", "patches", "glands"),
        ("fever", "headache", "tired"),
        ("runny nose", "dry cough", "phlegm", "aches"),
    ),
    "migraine": Picture(
        0.09, ("half head", "light", "aura"), ("nausea", "vomiting", "headache"), ("fever", "band", "diarrhoea", "neck")
    ),
    "tension headache": Picture(
        0.08, ("band", "stress"), ("neck", "headache", "tired"), ("nausea", "light", "aura", "fever", "half head")
    ),
    "gastroenteritis": Picture(
        0.09,
        ("diarrhoea", "others"),
        ("vomiting", "cramps", "nausea", "fever"),
        ("right low", "blood", "burning", "light"),
    ),
    "appendicitis": Picture(
        0.06,
        ("right low", "moved"),
        ("vomiting", "appetite", "nausea", "fever"),
        ("diarrhoea", "burning", "flank", "others"),
    ),
    "urinary infection": Picture(
        0.08, ("burning", "often"), ("cloudy", "blood", "fever"), ("flank", "right low", "vomiting", "restless")
    ),
    "kidney stone": Picture(
        0.05,
        ("flank", "restless"),
        ("blood", "nausea", "vomiting"),
        ("fever", "burning", "diarrhoea", "right low", "often"),
    ),
}


def rows(split: Split, count: int, rng: random.Random) -> list[Row]:
    """`count` text/label rows, all different."""
    made: dict[str, str] = {}
    for label in spread(rng, {name: picture.share for name, picture in PICTURES.items()}, count):
        text = _note(rng, BANKS[split], PICTURES[label])
        while text in made:
            text = _note(rng, BANKS[split], PICTURES[label])
        made[text] = label
    return [{"text": text, "label": label} for text, label in made.items()]


def _note(rng: random.Random, bank: Bank, picture: Picture) -> str:
    found = rng.sample(picture.typical, TYPICAL) + rng.sample(picture.shared, rng.choice(SHARED))
    denied = rng.sample(picture.denied, rng.choice(DENIED))
    rng.shuffle(found)
    style = rng.choice(STYLES)
    absent = " or ".join(_bare(rng.choice(bank.findings[name][1])) for name in denied)
    slots = {
        "who": bank.who[0 if style == "nurse" else 1],
        "age": str(rng.randint(17, 79)),
        "days": bank.days,
        "aside": bank.patient_asides if style == "patient" else bank.asides,
        "denied": absent if style == "patient" else absent.replace(" my ", " the "),
        "found": _listed([rng.choice(bank.findings[name][0]) for name in found]),
        "told": ". ".join(_lay(rng, bank, name) for name in found),
    }
    note = fill(rng, rng.choice(getattr(bank, style)), slots)
    return note if style == "nurse" else re.sub(r"(?:^|[.?!] )[a-z]", lambda start: start[0].upper(), note)


def _lay(rng: random.Random, bank: Bank, name: str) -> str:
    _, phrases, sentences = bank.findings[name]
    return rng.choice([*(f"I have {phrase}" for phrase in phrases), *sentences, *sentences])


def _bare(phrase: str) -> str:
    return phrase.removeprefix("a ").removeprefix("no ")


def _listed(phrases: list[str]) -> str:
    return ", ".join(phrases[:-1]) + " and " + phrases[-1]
