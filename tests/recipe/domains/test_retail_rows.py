"""Retail rows: the answer can be read off the review's remarks, and no remark names its aspect."""

from __future__ import annotations

import re
from typing import TypeVar

import pytest

from rankwise.recipe.domains.profiles import ROWS
from tools.sample_rows.measure import read_rows
from tools.sample_rows.phrases import SPLITS, Split
from tools.sample_rows.retail import ASPECTS, LIKED_DISLIKED, Mention, Review, answer
from tools.sample_rows.retail_bank import BANKS, Bank

T = TypeVar("T")


def spoken(text: str, meanings: dict[str, T]) -> list[T]:
    """The meanings of the phrases in `text`, in its order."""
    places = {text.find(phrase.lower()): meaning for phrase, meaning in meanings.items() if phrase.lower() in text}
    return [places[place] for place in sorted(places)]


def remarks(bank: Bank) -> dict[str, Mention]:
    return {
        phrase: Mention(aspect, good)
        for aspect, said in bank.aspects.items()
        for good, phrases in ((True, said.good), (False, said.bad + said.sarcastic))
        for phrase in phrases
    }


def phrases(bank: Bank) -> list[str]:
    ends = [phrase for group in (bank.verdicts, bank.again) for said in group.values() for phrase in said]
    return [*remarks(bank), *ends, *bank.others, *bank.openers, *bank.former, *bank.edits]


@pytest.mark.parametrize("split", SPLITS)
def test_answers_follow_from_what_is_said_last(split: Split) -> None:
    bank = BANKS[split]
    products = sorted((product for kind in bank.products.values() for product in kind), key=len, reverse=True)
    rows = read_rows(ROWS / f"retail.{split}.jsonl")
    assert len(rows) >= 150
    for row in rows:
        text = row["input"].lower()
        product = row["output"].splitlines()[0].removeprefix("Product: ")
        assert product in products and product in text
        verdicts = {phrase: word for word, said in bank.verdicts.items() for phrase in said}
        again = {phrase.replace("{p}", product): word for word, said in bank.again.items() for phrase in said}
        heard = Review(
            product, tuple(spoken(text, remarks(bank))), tuple(spoken(text, verdicts)), tuple(spoken(text, again))
        )
        assert answer(heard) == row["output"], text


def test_a_review_by_hand() -> None:
    said = (Mention("battery", True), Mention("noise", False), Mention("battery", False), Mention("looks", True))
    assert answer(Review("toaster", said, ("satisfied", "mixed"), ("yes", "no"))).splitlines() == [
        "Product: toaster",
        "Overall: mixed",
        "Liked: looks",
        "Disliked: noise, battery",
        "Would buy again: no",
    ]


@pytest.mark.parametrize(
    ("said", "overall"),
    [
        ((Mention("fit", True),), "satisfied"),
        ((Mention("fit", False),), "dissatisfied"),
        ((Mention("fit", False), Mention("price", True)), "mixed"),
        ((Mention("fit", False), Mention("fit", True)), "satisfied"),
    ],
)
def test_without_a_verdict_the_aspects_decide(said: tuple[Mention, ...], overall: str) -> None:
    fields = answer(Review("hat", said)).splitlines()
    assert fields[1] == f"Overall: {overall}" and fields[4] == "Would buy again: not said"


@pytest.mark.parametrize("split", SPLITS)
def test_no_remark_names_an_aspect(split: Split) -> None:
    bank = BANKS[split]
    words = re.compile(rf"\b(?:{'|'.join(bank.aspects)})\b", re.IGNORECASE)
    former = [phrase for said in bank.aspects.values() for phrase in said.former]
    for phrase in phrases(bank) + former:
        assert not words.search(phrase), phrase


def test_banks_have_the_same_aspects_and_share_no_phrase() -> None:
    train, held_out = BANKS["train"], BANKS["held_out"]
    assert list(train.aspects) == list(held_out.aspects) and len(train.aspects) == 12
    assert {aspect for aspects in ASPECTS.values() for aspect in aspects} == set(train.aspects)
    assert list(train.products) == list(held_out.products) == list(ASPECTS)
    assert list(train.verdicts) == list(held_out.verdicts) == list(LIKED_DISLIKED)
    assert not set(phrases(train)) & set(phrases(held_out))
    assert not set(train.brands + train.times) & set(held_out.brands + held_out.times)
    for kind in ASPECTS:
        assert not set(train.products[kind]) & set(held_out.products[kind])
