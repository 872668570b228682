"""Support rows: a customer's message -> the one thing that the customer wants done (rules in README.md).

Knobs: how many other wishes a message rules out, how often its text is chatty, mistyped or set out as a letter.
"""

from __future__ import annotations

import random
import re

from rankwise.recipe.domains import find_domain
from tools.sample_rows.customer_support_bank import BANKS, Bank
from tools.sample_rows.phrases import Row, Split, fill, sentence, spread

RULED_OUT = (0, 0, 1, 1, 2)
STYLES = {"plain": 0.4, "chat": 0.25, "typos": 0.15, "letter": 0.2}
ANY = ("broken", "wrong", "missing", "unsuitable", "waiting", "sent back", "charged", "subscribed")
FITS = {
    "cancel order": ("waiting",),
    "change order": ("waiting",),
    "change address": ("waiting", "subscribed"),
    "track delivery": ("waiting",),
    "refund": ("broken", "wrong", "missing", "unsuitable"),
    "refund status": ("sent back",),
    "return instructions": ("broken", "wrong", "unsuitable"),
    "replacement": ("broken", "wrong", "missing"),
    "exchange": ("unsuitable",),
    "repair": ("broken",),
    "login help": ANY,
    "invoice copy": ANY,
    "charge query": ("charged", "subscribed"),
    "cancel subscription": ("subscribed", "charged"),
    "staff complaint": ANY,
    "product question": ANY,
}
"""What can have happened before each wish. Where several wishes fit, the situation does not give the answer away."""
CLASH = {
    "refund status": ("refund",),
    "refund": ("refund status",),
    "cancel order": ("refund",),
    "change order": ("replacement", "exchange"),
}
"""What a message with this wish cannot rule out without being absurd or unclear."""


def rows(split: Split, count: int, rng: random.Random) -> list[Row]:
    """`count` text/label rows, all different."""
    bank = BANKS[split]
    made: dict[str, str] = {}
    for label in spread(rng, dict.fromkeys(find_domain("customer_support").labels, 1.0), count):
        text = _message(rng, bank, label)
        while text in made:
            text = _message(rng, bank, label)
        made[text] = label
    return [{"text": text, "label": label} for text, label in made.items()]


def _message(rng: random.Random, bank: Bank, label: str) -> str:
    situation = rng.choice(FITS[label])
    slots = {name: rng.choice(phrases) for name, phrases in bank.slots.items()}
    slots["order"] = str(rng.randint(10200, 98999))
    told = [rng.choice(bank.situations[situation]), *_ruled_out(rng, bank, label, situation)]
    told.insert(rng.choice((0, 1, len(told), len(told))), rng.choice(bank.asks[label]))
    parts = [rng.choice(bank.openers), *told, rng.choice(bank.closers)]
    return _styled(rng, bank, [sentence(fill(rng, part, slots)) for part in parts if part])


def _ruled_out(rng: random.Random, bank: Bank, label: str, situation: str) -> list[str]:
    """Wishes that are settled or not wanted: mostly those that the situation would suggest."""
    free = [other for other in FITS if other != label and other not in CLASH.get(label, ())]
    near = [other for other in free if situation in FITS[other]]
    wishes = {rng.choice(near if rng.random() < 0.7 else free) for _ in range(rng.choice(RULED_OUT))}
    return [rng.choice(bank.ruled_out[wish]) for wish in sorted(wishes)]


def _styled(rng: random.Random, bank: Bank, sentences: list[str]) -> str:
    style = rng.choices(list(STYLES), list(STYLES.values()))[0]
    text = " ".join(sentences)
    if style == "letter":
        return f"{rng.choice(bank.greetings)} {text} {rng.choice(bank.farewells)}"
    if style == "chat":
        words = [bank.abbreviations.get(word, word) for word in text.lower().split()]
        return re.sub(r"[.,;']", "", " ".join(words))
    if style == "typos":
        return _mistyped(rng, text)
    return text


def _mistyped(rng: random.Random, text: str) -> str:
    """In two of the longer words two neighbouring letters change places."""
    words = text.split()
    long = [place for place, word in enumerate(words) if len(word) > 4 and word.isalpha()]
    for place in rng.sample(long, min(2, len(long))):
        word, at = words[place], rng.randint(1, len(words[place]) - 3)
        words[place] = word[:at] + word[at + 1] + word[at] + word[at + 2 :]
    return " ".join(words)
