"""Marketing rows: a product manager's brief -> campaign copy of six lines in the house style (rules in README.md).

Knobs: how many facts a brief gives and rules out, how often it also names what no longer holds (`DECOYS`).
"""

from __future__ import annotations

import random
import re
from dataclasses import dataclass

from rankwise.recipe.domains import find_domain
from tools.sample_rows.marketing_bank import BANKS, Bank
from tools.sample_rows.phrases import WORDS, Row, Split, fill, sentence

BODY = {
    "material": "made of {v}",
    "origin": "made in {v}",
    "weight": "only {v} g",
    "room": "room for {v} litres",
    "heat": "hot for {v} hours",
    "battery": "{v} hours on one charge",
    "speed": "ready in {v} minutes",
    "water": "waterproof to {v} m",
    "noise": "quiet at {v} dB",
}
"""Facts of the body in the order in which the house names them."""
PROMISE = {"guarantee": "{v}-year guarantee", "returns": "{v}-day returns", "delivery": "free delivery"}
TONE = {
    "students": "clever",
    "families": "friendly",
    "commuters": "handy",
    "athletes": "strong",
    "seniors": "simple",
    "hikers": "sturdy",
    "offices": "reliable",
}
DATES = ("from", "until")
MONTHS = ("January", "February", "March", "April", "May", "June", "July", "August", "September", "October", "November")
NUMBERS = {
    "weight": range(120, 990, 10),
    "room": range(12, 60),
    "heat": range(3, 19),
    "battery": range(5, 60),
    "speed": range(2, 19),
    "water": range(2, 31),
    "noise": range(20, 56),
    "guarantee": (2, 3, 5, 10),
    "returns": (14, 30, 45, 60, 90),
    "price": range(12, 400),
}
BODY_FACTS = (1, 2, 2)
PROMISED, PRICED, DATED = 0.75, 0.6, 0.4
RULED_OUT = (0, 1, 1, 1, 1)
DECOYS = {"number": 0.15, "price or date": 0.25, "audience": 0.25, "goal": 0.15, "channel": 0.2}
IN_WORDS = 0.3
TONES = {"loud": 0.25, "calm": 0.15, "unsaid": 0.6}
LONGEST = 440
"""Letters of a brief."""
LAYOUTS = {"prose": 0.5, "chat": 0.2, "notes": 0.3}


@dataclass(frozen=True)
class Brief:
    name: str
    kind: str
    audience: str
    said: dict[str, str]
    """Fact -> value in house style, without the facts that the brief rules out."""
    goal: str
    channel: str
    loud: bool = False


def rows(split: Split, count: int, rng: random.Random) -> list[Row]:
    """`count` Alpaca rows, all different."""
    instruction = find_domain("marketing").instruction
    made: dict[str, str] = {}
    while len(made) < count:
        text, answer = _brief(rng, BANKS[split])
        if len(text) <= LONGEST:
            made.setdefault(text, answer)
    return [{"instruction": instruction, "input": text, "output": answer} for text, answer in made.items()]


def campaign(brief: Brief) -> str:
    """The answer. A brief promises one thing at most and names one date at most."""
    said = brief.said
    body = [phrase.format(v=said[fact]) for fact, phrase in BODY.items() if fact in said]
    promise = [phrase.format(v=said[fact]) for fact, phrase in PROMISE.items() if fact in said]
    offer = [said["price"]] if "price" in said else []
    offer += [f"{word} {said[word]}" for word in DATES if word in said]
    lines = {
        "Headline": f"{brief.name}, the {TONE[brief.audience]} {brief.kind}{'!' if brief.loud else ''}",
        "For": brief.audience,
        "Body": sentence(_listed(body)),
        "Promise": "".join(promise) or "none",
        "Offer": " ".join(offer) or "none",
        "Call": f"{brief.goal}, {brief.channel}",
    }
    return "\n".join(f"{name}: {line}" for name, line in lines.items())


def _brief(rng: random.Random, bank: Bank) -> tuple[str, str]:
    name, kind = rng.choice(bank.names), rng.choice(list(bank.kinds))
    audience, goal, channel = (rng.sample(list(choices), 2) for choices in (TONE, bank.goals, bank.channels))
    facts = rng.sample(bank.kinds[kind].split(), rng.choice(BODY_FACTS))
    facts += [rng.choice(list(PROMISE))] if rng.random() < PROMISED else []
    facts += ["price"] if rng.random() < PRICED else []
    facts += [rng.choice(DATES)] if rng.random() < DATED else []
    # The first fact stays: copy has a body.
    out = rng.sample(facts[1:], min(rng.choice(RULED_OUT), len(facts) - 1))
    values = {fact: _value(rng, bank, fact, cloth=kind in bank.cloth) for fact in facts}
    tone = _pick(rng, TONES)
    slots = {
        "name": name,
        "kind": kind,
        "aud": rng.choice(bank.audiences[audience[0]]),
        "not_aud": rng.choice(bank.audiences[audience[1]]),
        "goal": rng.choice(bank.goals[goal[0]]),
        "not_goal": rng.choice(bank.goals[goal[1]]),
        "chan": rng.choice(bank.channels[channel[0]]),
        "not_chan": rng.choice(bank.channels[channel[1]]),
        "tone": rng.choice(bank.loud if tone == "loud" else bank.calm),
    }
    said = {fact: values[fact] for fact in facts if fact not in out}
    brief = Brief(name, kind, audience[0], said, goal[0], channel[0], tone == "loud")
    layout = _pick(rng, LAYOUTS)
    if layout == "notes":
        return _notes(rng, bank, slots, values, out, tone != "unsaid"), campaign(brief)
    parts = [*_said(rng, bank, said), *(_hushed(rng, bank, fact, values[fact]) for fact in out)]
    for piece in ("audience", "goal", "channel"):
        decoy = rng.random() < DECOYS[piece]
        parts.append(fill(rng, rng.choice(getattr(bank, f"other_{piece}" if decoy else piece)), slots))
    parts += [slots["tone"]] if tone != "unsaid" else []
    rng.shuffle(parts)
    parts.insert(0, fill(rng, rng.choice(bank.intro), slots))
    return (" ".join(map(sentence, parts)) if layout == "prose" else bank.chat.join(parts)), campaign(brief)


def _notes(
    rng: random.Random, bank: Bank, slots: dict[str, str], values: dict[str, str], out: list[str], toned: bool
) -> str:
    label = rng.choice(bank.labels)
    said = [_named(rng, bank, fact, value, decoy=True) for fact, value in values.items() if fact not in out]
    hushed = [_named(rng, bank, fact, values[fact]) for fact in out]
    rng.shuffle(said)
    lines = {
        "say": label["say"].replace("{it}", "; ".join(said)),
        "hush": label["hush"].replace("{it}", "; ".join(hushed)) if hushed else "",
        **{piece: fill(rng, label[piece], slots) for piece in ("audience", "goal", "channel")},
        "tone": fill(rng, label["tone"], slots) if toned else "",
    }
    body = [line for line in lines.values() if line]
    rng.shuffle(body)
    return "\n".join([fill(rng, label["intro"], slots), *body])


def _said(rng: random.Random, bank: Bank, said: dict[str, str]) -> list[str]:
    """Facts one by one or two by two, in any order."""
    facts = rng.sample(list(said), len(said))
    parts = []
    while facts:
        if rng.random() < 0.5:
            fact = facts.pop()
            clause = _clause(rng, bank, fact, said[fact], decoy=True)
            parts.append(rng.choice(bank.say_clause).replace("{c}", clause))
        else:
            pair = [facts.pop() for _ in range(min(len(facts), rng.choice((1, 2))))]
            named = _listed([_named(rng, bank, fact, said[fact], decoy=True) for fact in pair])
            parts.append(rng.choice(bank.say).replace("{f}", named))
    return parts


def _hushed(rng: random.Random, bank: Bank, fact: str, value: str) -> str:
    if rng.random() < 0.4:
        return rng.choice(bank.hush_clause).replace("{c}", _clause(rng, bank, fact, value))
    return rng.choice(bank.hush).replace("{f}", _named(rng, bank, fact, value))


def _named(rng: random.Random, bank: Bank, fact: str, value: str, decoy: bool = False) -> str:
    return _worded(rng, bank, fact, value, rng.choice(bank.facts[fact].named), decoy)


def _clause(rng: random.Random, bank: Bank, fact: str, value: str, decoy: bool = False) -> str:
    return _worded(rng, bank, fact, value, rng.choice(bank.facts[fact].said), decoy)


def _worded(rng: random.Random, bank: Bank, fact: str, value: str, phrase: str, decoy: bool) -> str:
    """`phrase` with the value as the manager spells it; a decoy is a value that does not hold."""
    if fact in ("price", *DATES):
        phrase = phrase.replace("{v}", _spelled(rng, bank, fact, value))
        wrong = _value(rng, bank, fact)
        if decoy and wrong != value and rng.random() < DECOYS["price or date"]:
            phrase += rng.choice(bank.moved).replace("{w}", _spelled(rng, bank, fact, wrong))
        return phrase
    if "{m}" in phrase:
        return phrase.replace("{m}", str(12 * int(value)))
    if fact not in NUMBERS:
        return phrase.replace("{v}", value)
    tail = rng.choice(bank.corrections) if decoy and rng.random() < DECOYS["number"] else ""
    other = rng.choice([number for number in NUMBERS[fact] if str(number) != value])
    # An abbreviated unit goes with digits.
    if int(value) < len(WORDS) and not re.search(r"\{v\}.(h|min|l|m|dB)\b", phrase) and rng.random() < IN_WORDS:
        value = WORDS[int(value)]
    return phrase.replace("{v}", value) + tail.replace("{w}", str(other))


def _value(rng: random.Random, bank: Bank, fact: str, cloth: bool = False) -> str:
    """A value in house style: `$49`, `$49.50`, `3 May`."""
    if fact in DATES:
        return f"{rng.randint(1, 28)} {rng.choice(MONTHS)}"
    if fact == "price":
        return f"${rng.choice(NUMBERS['price'])}{rng.choice(('', '', '.50'))}"
    if fact in NUMBERS:
        return str(rng.choice(NUMBERS[fact]))
    stuffs = bank.fabrics if cloth else bank.materials
    return rng.choice({"material": stuffs, "origin": bank.places, "delivery": ("",)}[fact])


def _spelled(rng: random.Random, bank: Bank, fact: str, value: str) -> str:
    if fact == "price":
        return rng.choice(bank.prices).replace("{n}", value[1:])
    day, month = value.split()
    return rng.choice(bank.days).format(d=day, month=month, th=day + _ordinal(int(day)))


def _ordinal(day: int) -> str:
    return "th" if day in (11, 12, 13) else {1: "st", 2: "nd", 3: "rd"}.get(day % 10, "th")


def _pick(rng: random.Random, shares: dict[str, float]) -> str:
    return rng.choices(list(shares), list(shares.values()))[0]


def _listed(phrases: list[str]) -> str:
    return phrases[0] if len(phrases) == 1 else ", ".join(phrases[:-1]) + " and " + phrases[-1]
