"""Insurance rows: a claim note -> what has to happen next (rules in README.md).

Knobs: how many facts a note gives, how often it has a second trouble of less weight, how far sums lie from the limit.
"""

from __future__ import annotations

import random
import re
from collections.abc import Collection, Mapping

from tools.sample_rows.insurance_bank import TRAIN, Bank, Kind
from tools.sample_rows.insurance_held_out import HELD_OUT
from tools.sample_rows.phrases import Row, Split, fill, spread

BANKS: Mapping[Split, Bank] = {"train": TRAIN, "held_out": HELD_OUT}
SHARES = {
    "decline": 0.19,
    "refer for fraud": 0.15,
    "check coverage": 0.15,
    "request documents": 0.16,
    "send adjuster": 0.15,
    "pay": 0.2,
}
STEPS = {
    "decline": ("ended", "late", "excluded"),
    "refer for fraud": ("contradicted",),
    "check coverage": ("open", "doubtful"),
    "request documents": ("missing",),
    "send adjuster": ("large", "unseen"),
}
"""Step -> the states that ask for it, the weightiest step first; `pay` if there is none of them."""
STATES = {
    "policy": ("in force", "ended", "open"),
    "notice": ("soon", "late"),
    "cause": ("covered", "excluded", "doubtful"),
    "papers": ("complete", "missing"),
    "story": ("agrees", "contradicted"),
    "sum": ("small", "large"),
    "damage": ("seen", "unseen"),
}
"""Fact -> the state that is in order, then those that are not."""
FACT_OF = {state: fact for fact, states in STATES.items() for state in states}
SUMS = {"small": (140, 3900), "large": (7200, 48000)}
"""Dollars; the limit is 5,000 and none lies near it."""
SECOND_TROUBLE = 0.3
FACTS = (2, 3, 3, 4)
STYLES = {"plain": 0.65, "short": 0.2, "lower case": 0.15}
PRONOUNS = {"he": ("he", "him", "his"), "she": ("she", "her", "her")}


def next_step(states: Collection[str]) -> str:
    """The weightiest step that one of the states asks for."""
    return next((step for step, asking in STEPS.items() if set(asking) & set(states)), "pay")


def rows(split: Split, count: int, rng: random.Random) -> list[Row]:
    """`count` text/label rows, all different."""
    bank = BANKS[split]
    made: dict[str, str] = {}
    for label in spread(rng, SHARES, count):
        text = _note(rng, bank, label)
        while text in made:
            text = _note(rng, bank, label)
        made[text] = label
    return [{"text": text, "label": label} for text, label in made.items()]


def _note(rng: random.Random, bank: Bank, label: str) -> str:
    states = _states(rng, label)
    kind = rng.choice([kind for kind in bank.kinds if not set(kind.never) & set(states)])
    name, pronoun = rng.choice(bank.customers)
    paper = rng.choice(kind.papers)
    slots = {"who": name, "paper": paper, **dict(zip(("he", "him", "his"), PRONOUNS[pronoun], strict=True))}
    parts = [_said(rng, bank, kind, state) for state in states]
    parts.insert(rng.choice((0, 0, 0, 1)), rng.choice(kind.losses))
    parts.insert(rng.randint(1, len(parts)), rng.choice(bank.asides))
    return _styled(rng, bank, [fill(rng, part, slots) for part in (rng.choice(bank.openers), *parts) if part])


def _states(rng: random.Random, label: str) -> list[str]:
    """States of different facts that lead to `label`, in any order."""
    chosen = [rng.choice(STEPS[label])] if label in STEPS else []
    steps = list(STEPS)
    lighter = [state for step in steps[steps.index(label) + 1 :] for state in STEPS[step]] if chosen else []
    lighter = [state for state in lighter if FACT_OF[state] != FACT_OF[chosen[0]]]
    if lighter and rng.random() < SECOND_TROUBLE:
        chosen.append(rng.choice(lighter))
    free = [fact for fact in STATES if fact not in {FACT_OF[state] for state in chosen}]
    chosen += [STATES[fact][0] for fact in rng.sample(free, rng.choice(FACTS) - len(chosen))]
    rng.shuffle(chosen)
    return chosen


def _said(rng: random.Random, bank: Bank, kind: Kind, state: str) -> str:
    """A phrase for `state`, with its sum or its span."""
    if FACT_OF[state] == "sum":
        return rng.choice(bank.facts["sum"]).replace("{sum}", _sum(rng, bank, state))
    if FACT_OF[state] == "notice":
        return rng.choice(bank.facts["notice"]).replace("{span}", rng.choice(bank.spans[state]))
    return rng.choice((*getattr(kind, state, ()), *bank.facts.get(state, ())))


def _sum(rng: random.Random, bank: Bank, state: str) -> str:
    dollars = rng.randrange(*SUMS[state], 10) if state == "small" else rng.randrange(*SUMS[state], 100)
    return rng.choice(bank.sums).replace("{n}", rng.choice((f"{dollars:,}", str(dollars))))


def _styled(rng: random.Random, bank: Bank, parts: list[str]) -> str:
    """The parts as whole sentences if a space joins them, else as they are; some notes in lower case or abbreviated."""
    joint, style = rng.choice(bank.joints), rng.choices(list(STYLES), list(STYLES.values()))[0]
    if joint == " ":
        text = " ".join(part if part.endswith((".", "?", ":")) else f"{part}." for part in parts)
        text = re.sub(r"(?:^|[.?] )[a-z]", lambda start: start[0][:-1] + start[0][-1].upper(), text)
    else:
        text = joint.join(part.rstrip(".:") for part in parts)
    if style == "plain":
        return text
    if style == "short":
        return re.sub(r"\w+", lambda word: bank.abbreviations.get(word[0], word[0]), text).replace("..", ".")
    return text.lower()
