"""Retail rows: a product review -> product, verdict, liked and disliked aspects, would buy again (rules in README.md).

Knobs: how many aspects a review has, how often it is sarcastic, is updated, or speaks of a former product.
"""

from __future__ import annotations

import random
import re
from dataclasses import dataclass, replace
from typing import TypeVar

from rankwise.recipe.domains import find_domain
from tools.sample_rows.phrases import Row, Split, fill, spread
from tools.sample_rows.retail_bank import BANKS, Bank

T = TypeVar("T")

SHARES = {"satisfied": 0.37, "mixed": 0.27, "dissatisfied": 0.36}
LIKED_DISLIKED = {
    "satisfied": {(1, 0): 0.2, (2, 0): 0.35, (1, 1): 0.25, (2, 1): 0.2},
    "mixed": {(1, 1): 0.5, (2, 1): 0.25, (1, 2): 0.25},
    "dissatisfied": {(0, 1): 0.2, (0, 2): 0.35, (1, 1): 0.25, (1, 2): 0.2},
}
SARCASTIC = 0.25
FORMER = 0.35
OTHERS = 0.2
EDITED = 0.35
NEEDLESS_VERDICT = 0.4
"""How often a verdict is given where the aspects alone would tell."""
LOWER_CASE = 0.1
"""Written by somebody who never presses shift."""
AGAIN = {
    "satisfied": {"yes": 0.5, "not said": 0.5},
    "mixed": {"yes": 0.25, "no": 0.25, "not said": 0.5},
    "dissatisfied": {"no": 0.5, "not said": 0.5},
}
COMMON = ("price", "packaging", "delivery", "durability", "support", "looks")
ASPECTS = {
    "cordless": (*COMMON, "battery", "noise", "instructions"),
    "worn": (*COMMON, "fit", "smell"),
    "gadget": (*COMMON, "battery", "fit", "instructions"),
    "home": (*COMMON, "size", "smell", "instructions"),
    "plugged": (*COMMON, "noise", "size", "smell", "instructions"),
}
"""What reviews of a kind of product speak of."""


@dataclass(frozen=True)
class Mention:
    aspect: str
    good: bool


@dataclass(frozen=True)
class Review:
    """What a review says, in its order."""

    product: str
    mentions: tuple[Mention, ...] = ()
    verdicts: tuple[str, ...] = ()
    again: tuple[str, ...] = ()


def answer(review: Review) -> str:
    """The five fields: of an aspect, of the verdict and of buying again, what is said last counts."""
    last = {mention.aspect: place for place, mention in enumerate(review.mentions)}
    kept = [mention for place, mention in enumerate(review.mentions) if last[mention.aspect] == place]
    liked = [mention.aspect for mention in kept if mention.good]
    disliked = [mention.aspect for mention in kept if not mention.good]
    fields = {
        "Product": review.product,
        "Overall": review.verdicts[-1] if review.verdicts else balance(len(liked), len(disliked)),
        "Liked": ", ".join(liked) or "none",
        "Disliked": ", ".join(disliked) or "none",
        "Would buy again": review.again[-1] if review.again else "not said",
    }
    return "\n".join(f"{field}: {value}" for field, value in fields.items())


def balance(liked: int, disliked: int) -> str:
    """The verdict of a review that gives none."""
    if liked and disliked:
        return "mixed"
    return "satisfied" if liked else "dissatisfied"


def rows(split: Split, count: int, rng: random.Random) -> list[Row]:
    """`count` Alpaca rows, all different."""
    instruction, bank = find_domain("retail").instruction, BANKS[split]
    made: dict[str, str] = {}
    for overall in spread(rng, SHARES, count):
        text, fields = _review(rng, bank, overall)
        while text in made:
            text, fields = _review(rng, bank, overall)
        made[text] = fields
    return [{"instruction": instruction, "input": text, "output": fields} for text, fields in made.items()]


def _pick(rng: random.Random, shares: dict[T, float]) -> T:
    return rng.choices(list(shares), list(shares.values()))[0]


def _review(rng: random.Random, bank: Bank, overall: str) -> tuple[str, str]:
    kind = rng.choice(list(bank.products))
    product, other = rng.sample(bank.products[kind], 2)
    aspects = rng.sample(ASPECTS[kind], len(ASPECTS[kind]))
    liked, disliked = _pick(rng, LIKED_DISLIKED[overall])
    mentions = [Mention(aspects.pop(), good) for good in (True,) * liked + (False,) * disliked]
    rng.shuffle(mentions)
    given = overall != balance(liked, disliked) or rng.random() < NEEDLESS_VERDICT
    again = _pick(rng, AGAIN[overall])
    first = Review(product, tuple(mentions), (overall,) * given, () if again == "not said" else (again,))
    later = Review(product)
    if rng.random() < EDITED:
        first, later = _turned(rng, first)

    slots = {"p": product, "q": other, "brand": bank.brands, "d": bank.times}
    parts = [_told(rng, bank, first.mentions)]
    if rng.random() < FORMER:
        words = {"p": product, "former": bank.aspects[aspects.pop()].former}
        parts.insert(rng.randrange(2), fill(rng, rng.choice(bank.former), words))
    parts += _closed(rng, bank, first)
    if rng.random() < OTHERS:
        parts.append(rng.choice(bank.others))
    if later != Review(product):
        remark = " ".join(filter(None, [_told(rng, bank, later.mentions), *_closed(rng, bank, later)]))
        parts.append(rng.choice(bank.edits).replace("{remark}", remark))
    text = fill(rng, " ".join([rng.choice(bank.openers), *parts]), slots)
    text = text.lower() if rng.random() < LOWER_CASE else _capitals(text)
    whole = Review(product, first.mentions + later.mentions, first.verdicts + later.verdicts, first.again + later.again)
    return text, answer(whole)


def _turned(rng: random.Random, review: Review) -> tuple[Review, Review]:
    """`review` as a first part that says otherwise and an update that puts it right."""
    product, mentions, verdicts, again = review.product, review.mentions, review.verdicts, review.again
    turn = rng.choice(["aspect", *["verdict"] * len(verdicts), *["again"] * len(again)])
    if turn == "aspect":
        place = rng.randrange(len(mentions))
        turned = replace(mentions[place], good=not mentions[place].good)
        told = (*mentions[:place], turned, *mentions[place + 1 :])
        return Review(product, told), Review(product, (mentions[place],), verdicts, again)
    if turn == "verdict":
        before = rng.choice([verdict for verdict in SHARES if verdict not in verdicts])
        return Review(product, mentions, (before,)), Review(product, (), verdicts, again)
    before = "no" if again == ("yes",) else "yes"
    return Review(product, mentions, verdicts, (before,)), Review(product, again=again)


def _told(rng: random.Random, bank: Bank, mentions: tuple[Mention, ...]) -> str:
    """The remarks as sentences; sarcasm stands alone, the others may be joined."""
    text, before = "", None
    for mention in mentions:
        remarks = bank.aspects[mention.aspect]
        if not mention.good and rng.random() < SARCASTIC:
            text = f"{text}. {rng.choice(remarks.sarcastic)}".removeprefix(". ")
            before = None
            continue
        joints = (". ",) if before is None else bank.along if before == mention.good else bank.against
        remark = rng.choice(remarks.good if mention.good else remarks.bad)
        text = f"{text}{rng.choice(joints)}{remark}" if text else remark
        # Two are joined, never three: "good, but bad, but good" is no English.
        before = mention.good if before is None else None
    return f"{text}." if text else ""


def _closed(rng: random.Random, bank: Bank, review: Review) -> list[str]:
    """What a review says on the whole and about buying again."""
    verdicts = [rng.choice(bank.verdicts[verdict]) for verdict in review.verdicts]
    return verdicts + [rng.choice(bank.again[word]) for word in review.again]


def _capitals(text: str) -> str:
    """`text` with a capital at the start of every sentence."""
    return re.sub(r"(?:^|[.?!]\)? )[a-z]", lambda start: start[0][:-1] + start[0][-1].upper(), text)
