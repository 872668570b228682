"""Support rows: the wish in a message is the label's, and what else it says does not give the label away."""

from __future__ import annotations

import re
from random import Random

import pytest

from rankwise.recipe.domains import DOMAINS
from tools.sample_rows import customer_support
from tools.sample_rows.customer_support import ANY, CLASH, FITS
from tools.sample_rows.customer_support_bank import BANKS
from tools.sample_rows.phrases import SPLITS, Split

ASKS = {
    split: {
        label: [re.sub(r"\\\{\w+\\\}", "[^.?!]+", re.escape(ask)) for ask in asks] for label, asks in bank.asks.items()
    }
    for split, bank in BANKS.items()
}


def wishes(split: Split, text: str) -> set[str]:
    return {label for label, asks in ASKS[split].items() if any(re.search(ask, text, re.IGNORECASE) for ask in asks)}


@pytest.mark.parametrize("split", SPLITS)
def test_a_plain_message_holds_the_wish_of_its_label_alone(split: Split, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(customer_support, "STYLES", {"plain": 1.0})
    for row in customer_support.rows(split, 400, Random(1)):
        assert wishes(split, row["text"]) == {row["label"]}, row["text"]


def test_labels_have_everything_they_need() -> None:
    labels = DOMAINS["customer_support"].labels
    assert tuple(FITS) == labels
    for bank in BANKS.values():
        assert tuple(bank.asks) == tuple(bank.ruled_out) == labels
        assert set(bank.situations) == set(ANY)


@pytest.mark.parametrize("situation", ANY)
def test_a_situation_fits_many_labels(situation: str) -> None:
    assert sum(situation in fits for fits in FITS.values()) >= 5


def test_a_wish_is_never_ruled_out_nor_what_clashes_with_it() -> None:
    rng, bank = Random(2), BANKS["train"]
    for label, fits in FITS.items():
        banned = {phrase for other in (label, *CLASH.get(label, ())) for phrase in bank.ruled_out[other]}
        for _ in range(200):
            assert not banned & set(customer_support._ruled_out(rng, bank, label, rng.choice(fits)))


def test_banks_share_no_sentence() -> None:
    train, held_out = BANKS["train"], BANKS["held_out"]
    for known, new in (
        (train.asks, held_out.asks),
        (train.situations, held_out.situations),
        (train.ruled_out, held_out.ruled_out),
        (train.slots, held_out.slots),
        ({"": train.openers + train.closers}, {"": held_out.openers + held_out.closers}),
        ({"": train.greetings + train.farewells}, {"": held_out.greetings + held_out.farewells}),
    ):
        shared = {p for phrases in known.values() for p in phrases} & {p for phrases in new.values() for p in phrases}
        assert shared <= {""}
    assert not set(train.abbreviations) & set(held_out.abbreviations)


def test_typos_swap_letters_inside_words() -> None:
    for seed in range(50):
        text = customer_support._mistyped(Random(seed), "Please cancel my order 48213 today.")
        assert sorted(text) == sorted("Please cancel my order 48213 today.")
        assert text.startswith("P") and text.endswith("today.") and "48213" in text
    assert customer_support._mistyped(Random(0), "so be it") == "so be it"
