"""Marketing rows: the copy follows the house style, names what the brief gives and nothing that it rules out."""

from __future__ import annotations

import re
from collections import Counter
from itertools import chain

import pytest

from rankwise.recipe.domains.profiles import ROWS
from tools.sample_rows.marketing import BODY, DATES, LONGEST, PROMISE, TONE, Brief, campaign
from tools.sample_rows.marketing_bank import BANKS, HELD_OUT, TRAIN, Bank
from tools.sample_rows.measure import read_rows
from tools.sample_rows.phrases import SPLITS, WORDS, Split


def lines(answer: str) -> dict[str, str]:
    return dict(line.split(": ", 1) for line in answer.splitlines())


def written(phrase: str) -> str:
    """A pattern for `phrase` with its value as the group `v`."""
    return re.escape(phrase).replace(re.escape("{v}"), "(?P<v>.+?)")


def house_facts(answer: str) -> dict[str, str]:
    """Fact -> value, read back from the lines of the copy."""
    copy = lines(answer)
    found = {}
    for text in re.split(r", | and (?!.* and )", copy["Body"].removesuffix(".")):
        for fact, phrase in BODY.items():
            if match := re.fullmatch(written(phrase), text[0].lower() + text[1:]):
                found[fact] = match["v"]
    for fact, phrase in PROMISE.items():
        if match := re.fullmatch(written(phrase), copy["Promise"]):
            found[fact] = match.groupdict().get("v", "")
    if match := re.fullmatch(r"(\$[\d.]+)? ?(?:(from|until) (\d+ \w+))?", copy["Offer"]):
        found |= {"price": match[1]} if match[1] else {}
        found |= {match[2]: match[3]} if match[2] else {}
    return found


@pytest.mark.parametrize("split", SPLITS)
def test_the_copy_is_what_the_house_style_makes_of_its_facts(split: Split) -> None:
    bank = BANKS[split]
    kinds = "|".join(bank.kinds)
    for row in read_rows(ROWS / f"marketing.{split}.jsonl"):
        copy = lines(row["output"])
        headline = re.fullmatch(rf"(.+), the \w+ ({kinds})(!?)", copy["Headline"])
        assert headline, copy["Headline"]
        name, kind, loud = headline.groups()
        goal, channel = copy["Call"].split(", ")
        facts = house_facts(row["output"])
        assert campaign(Brief(name, kind, copy["For"], facts, goal, channel, bool(loud))) == row["output"]
        text = row["input"]
        assert name in text and kind in text.lower() and len(text) <= LONGEST
        # Chat and notes leave phrases as they are; a full stop or a capital is all that prose adds.
        said = text.lower()
        for phrases in (bank.audiences[copy["For"]], bank.goals[goal], bank.channels[channel]):
            assert any(phrase.lower() in said for phrase in phrases), (phrases, text)
        assert bool(loud) == any(phrase in said for phrase in bank.loud)


@pytest.mark.parametrize("split", SPLITS)
def test_every_value_in_the_copy_stands_in_the_brief(split: Split) -> None:
    for row in read_rows(ROWS / f"marketing.{split}.jsonl"):
        for fact, value in house_facts(row["output"]).items():
            spellings = {value.removeprefix("$")}
            if fact in DATES:
                spellings = {word for word in value.split() if word.isalpha()}
            elif value.isdigit():
                spellings |= {WORDS[int(value)]} if int(value) < len(WORDS) else set()
                spellings |= {str(12 * int(value))} if fact == "guarantee" else set()
            assert any(spelling in row["input"].lower() or spelling in row["input"] for spelling in spellings), row


@pytest.mark.parametrize("split", SPLITS)
def test_the_copy_names_every_fact_that_is_given_and_none_that_is_ruled_out(split: Split) -> None:
    bank = BANKS[split]
    kept = left_out = 0
    for row in read_rows(ROWS / f"marketing.{split}.jsonl"):
        named = house_facts(row["output"])
        for fact, ruled_out in told(row["input"], bank):
            assert (fact in named) != ruled_out, (fact, row)
            kept, left_out = kept + (not ruled_out), left_out + ruled_out
    assert kept > 3 * left_out > 0


def told(text: str, bank: Bank) -> list[tuple[str, bool]]:
    """(fact, whether it is ruled out) for every fact of which one of the bank's phrases stands in the brief."""
    found = []
    for fact, phrases in bank.facts.items():
        named = [(phrase, bank.hush, "{f}") for phrase in phrases.named]
        said = [(phrase, bank.hush_clause, "{c}") for phrase in phrases.said]
        for phrase, frames, slot in named + said:
            worded = re.sub(r"\\\{[vm]\\\}", r"[^,;:/()]{1,24}?", re.escape(phrase)) + r"(?!\w)"
            if re.search(rf"(?<!\w){worded}", text, re.IGNORECASE):
                hushes = [rf"(?:^|[.?!/-] ?){re.escape(frame).replace(re.escape(slot), worded)}" for frame in frames]
                hushes += [rf"^{re.escape(label['hush'].removesuffix('{it}'))}.*{worded}" for label in bank.labels]
                found.append((fact, any(re.search(hush, text, re.IGNORECASE | re.MULTILINE) for hush in hushes)))
    return found


def test_a_campaign_by_hand() -> None:
    said = {"until": "31 May", "price": "$49.50", "battery": "12", "guarantee": "3", "material": "oak", "weight": "900"}
    assert campaign(Brief("Lumo", "lamp", "seniors", said, "Order now", "reply YES", loud=True)).splitlines() == [
        "Headline: Lumo, the simple lamp!",
        "For: seniors",
        "Body: Made of oak, only 900 g and 12 hours on one charge.",
        "Promise: 3-year guarantee",
        "Offer: $49.50 until 31 May",
        "Call: Order now, reply YES",
    ]
    bare = campaign(Brief("Lumo", "lamp", "offices", {"origin": "Ghent"}, "Win one", "tap the link"))
    assert "Body: Made in Ghent.\nPromise: none\nOffer: none\n" in bare


@pytest.mark.parametrize("split", SPLITS)
def test_no_line_is_mostly_the_same(split: Split) -> None:
    copies = [lines(row["output"]) for row in read_rows(ROWS / f"marketing.{split}.jsonl")]
    for name in copies[0]:
        assert max(Counter(copy[name] for copy in copies).values()) <= 0.65 * len(copies), name


def test_the_banks_share_nothing_but_the_answers() -> None:
    assert list(TRAIN.facts) == list(HELD_OUT.facts) and list(TRAIN.audiences) == list(HELD_OUT.audiences) == list(TONE)
    assert list(TRAIN.goals) == list(HELD_OUT.goals) and list(TRAIN.channels) == list(HELD_OUT.channels)
    for part in ("names", "kinds", "materials", "fabrics", "places", "corrections", "prices", "days", "moved", "intro"):
        assert not set(getattr(TRAIN, part)) & set(getattr(HELD_OUT, part)), part
    for part in ("say", "hush", "hush_clause", "audience", "other_audience", "goal", "other_goal", "channel", "loud"):
        assert not set(getattr(TRAIN, part)) & set(getattr(HELD_OUT, part)), part
    for part in ("audiences", "goals", "channels"):
        train, held_out = (set(chain(*getattr(bank, part).values())) for bank in (TRAIN, HELD_OUT))
        assert not train & held_out, part
    for fact, phrases in TRAIN.facts.items():
        assert not {*phrases.named, *phrases.said} & {*HELD_OUT.facts[fact].named, *HELD_OUT.facts[fact].said}
