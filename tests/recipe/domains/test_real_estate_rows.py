"""Real estate rows: the answer can be read off the listing's phrases, and none of them names its reason."""

from __future__ import annotations

import re
from typing import TypeVar

import pytest

from rankwise.recipe.domains.profiles import ROWS
from tools.sample_rows.measure import read_rows
from tools.sample_rows.phrases import SPLITS, Split
from tools.sample_rows.real_estate import BANKS, CONDITIONS, FLATS, REASONS, Home, Remark, answer
from tools.sample_rows.real_estate_bank import Bank

T = TypeVar("T")


def spoken(text: str, meanings: dict[str, T]) -> list[T]:
    """The meanings of the phrases in `text`, in its order; of two that start together the longer one first."""
    places = [(text.find(phrase.lower()), -len(phrase), phrase) for phrase in meanings if phrase.lower() in text]
    return [meanings[phrase] for _, _, phrase in sorted(places)]


def of_value(groups: dict[T, tuple[str, ...]]) -> dict[str, T]:
    return {phrase: value for value, phrases in groups.items() for phrase in phrases}


def remarks(bank: Bank) -> dict[str, Remark]:
    return {
        phrase: Remark(topic, raises)
        for topic, said in bank.topics.items()
        for raises, phrases in ((True, said.raises), (False, said.lowers))
        for phrase in phrases
    }


def phrases(bank: Bank) -> list[str]:
    elsewhere = [phrase for said in bank.topics.values() for phrase in said.elsewhere]
    return [*remarks(bank), *elsewhere, *of_value(bank.conditions), *bank.openers, *bank.visits, *bank.asides]


@pytest.mark.parametrize("split", SPLITS)
def test_answers_follow_from_the_listing(split: Split) -> None:
    bank = BANKS[split]
    for row in read_rows(ROWS / f"real_estate.{split}.jsonl"):
        text = row["input"].lower()
        (condition,) = spoken(text, of_value(bank.conditions))
        home = Home(
            spoken(text, of_value(bank.types))[0],
            spoken(text, of_value(bank.bedrooms))[0],
            condition,
            tuple(spoken(text, remarks(bank))),
        )
        assert answer(home) == row["output"], text
        assert home.type in FLATS or "access" not in {remark.topic for remark in home.remarks}


def test_an_answer_by_hand() -> None:
    said = (Remark("view", True), Remark("street", True), Remark("light", False), Remark("view", False))
    assert answer(Home("bungalow", 3, "dated", said)).splitlines() == [
        "Type: bungalow",
        "Bedrooms: 3",
        "Condition: dated",
        "Raises value: quiet street",
        "Lowers value: dark rooms, poor view",
        "Band: E",
    ]


@pytest.mark.parametrize(
    ("condition", "raises", "lowers", "band"),
    [
        ("new", 2, 1, "A"),
        ("renovated", 1, 1, "B"),
        ("well kept", 2, 0, "B"),
        ("well kept", 1, 1, "C"),
        ("renovated", 0, 2, "C"),
        ("needs work", 3, 0, "C"),
        ("dated", 1, 1, "D"),
        ("needs work", 1, 2, "E"),
    ],
)
def test_the_band_follows_from_condition_and_balance(condition: str, raises: int, lowers: int, band: str) -> None:
    said = [Remark(topic, place < raises) for place, topic in enumerate(list(REASONS)[: raises + lowers])]
    assert Home("bungalow", 2, condition, tuple(said)).band == band


@pytest.mark.parametrize("split", SPLITS)
def test_no_phrase_names_a_reason(split: Split) -> None:
    reasons = re.compile(rf"\b(?:{'|'.join(name for pair in REASONS.values() for name in pair)})\b", re.IGNORECASE)
    for phrase in phrases(BANKS[split]):
        assert not reasons.search(phrase), phrase


def test_banks_have_the_same_topics_and_share_no_phrase() -> None:
    train, held_out = BANKS["train"], BANKS["held_out"]
    assert list(train.topics) == list(held_out.topics) == list(REASONS)
    assert list(train.conditions) == list(held_out.conditions) == list(CONDITIONS)
    assert list(train.types) == list(held_out.types) and list(train.bedrooms) == list(held_out.bedrooms)
    assert not set(phrases(train)) & set(phrases(held_out)) - {""}
    assert not set(train.places) & set(held_out.places)
    assert not set(of_value(train.types)) & set(of_value(held_out.types))
    assert not set(of_value(train.bedrooms)) & set(of_value(held_out.bedrooms))
