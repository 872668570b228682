"""Insurance rows: the label is the step that follows from the facts of the note, sums and spans among them."""

from __future__ import annotations

import re
from itertools import chain
from random import Random

import pytest

from rankwise.recipe.domains import DOMAINS
from tools.sample_rows import insurance
from tools.sample_rows.insurance import BANKS, FACT_OF, PRONOUNS, SHARES, STATES, STEPS, next_step
from tools.sample_rows.insurance_bank import Bank
from tools.sample_rows.phrases import SPLITS, Split

LIMIT = 5000
SUM = r"(?:USD |US\$|\$ ?)?([\d,]+)(?:\.00)?(?: dollars)?"
OF_KIND = ("covered", "excluded", "doubtful", "agrees", "contradicted")


def patterns(bank: Bank) -> dict[str, list[str]]:
    """State (or `sum`, or `notice`) -> patterns of its phrases."""
    values = {
        "who": {name for name, _ in bank.customers},
        "paper": {paper for kind in bank.kinds for paper in kind.papers},
        **{slot: {forms[place] for forms in PRONOUNS.values()} for place, slot in enumerate(("he", "him", "his"))},
    }
    slots = {slot: f"(?:{'|'.join(map(re.escape, sorted(words)))})" for slot, words in values.items()}
    slots |= {"sum": SUM, "span": f"({'|'.join(chain(*bank.spans.values()))})"}
    phrases = {state: [*said] for state, said in bank.facts.items()}
    for state in OF_KIND:
        phrases.setdefault(state, []).extend(phrase for kind in bank.kinds for phrase in getattr(kind, state))
    return {
        state: [re.sub(r"\\\{(\w+)\\\}", lambda slot: slots[slot[1]], re.escape(phrase)) for phrase in said]
        for state, said in phrases.items()
    }


def heard(bank: Bank, known: dict[str, list[str]], text: str) -> list[str]:
    """The states that `text` tells of; a phrase inside a longer one does not count."""
    found = []
    for state, said in known.items():
        for match in chain.from_iterable(re.finditer(rf"(?<!\w){p}(?!\w)", text, re.IGNORECASE) for p in said):
            if state == "sum":
                name = "large" if int(match[1].replace(",", "")) > LIMIT else "small"
            elif state == "notice":
                name = "soon" if match[1].lower() in bank.spans["soon"] else "late"
            else:
                name = state
            found.append((match.span(), name))
    return [
        name
        for span, name in found
        if not any(other != span and other[0] <= span[0] and span[1] <= other[1] for other, _ in found)
    ]


@pytest.mark.parametrize("split", SPLITS)
def test_labels_follow_from_the_facts_told(split: Split, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(insurance, "STYLES", {"plain": 1.0})
    bank, known = BANKS[split], patterns(BANKS[split])
    for row in insurance.rows(split, 400, Random(1)):
        states = heard(bank, known, row["text"])
        assert len({FACT_OF[state] for state in states}) == len(states) >= 1, (states, row)
        assert next_step(states) == row["label"], (states, row)


@pytest.mark.parametrize(
    ("states", "step"),
    [
        ((), "pay"),
        (("in force", "soon", "small", "seen"), "pay"),
        (("large", "complete"), "send adjuster"),
        (("unseen", "missing"), "request documents"),
        (("missing", "doubtful", "large"), "check coverage"),
        (("open", "contradicted"), "refer for fraud"),
        (("contradicted", "late"), "decline"),
        (("large", "excluded"), "decline"),
    ],
)
def test_the_weightiest_fact_decides(states: tuple[str, ...], step: str) -> None:
    assert next_step(states) == step


def test_every_trouble_has_one_step_and_every_fact_a_good_state() -> None:
    assert set(STEPS) | {"pay"} == set(SHARES) == set(DOMAINS["insurance"].labels)
    troubles = [state for _, *rest in STATES.values() for state in rest]
    assert sorted(chain(*STEPS.values())) == sorted(troubles)


@pytest.mark.parametrize("split", SPLITS)
def test_no_sum_or_span_lies_near_a_limit(split: Split) -> None:
    small, large = insurance.SUMS["small"], insurance.SUMS["large"]
    assert small[1] <= 0.8 * LIMIT and large[0] >= 1.4 * LIMIT
    assert not set(BANKS[split].spans["soon"]) & set(BANKS[split].spans["late"])


def test_banks_have_the_same_states_and_share_no_phrase() -> None:
    train, held_out = BANKS["train"], BANKS["held_out"]
    assert list(train.facts) == list(held_out.facts) and len(train.kinds) == len(held_out.kinds)
    for name in train.facts:
        assert not set(train.facts[name]) & set(held_out.facts[name]), name
    for name in ("losses", "papers", *OF_KIND):
        known, new = ({phrase for kind in bank.kinds for phrase in getattr(kind, name)} for bank in (train, held_out))
        assert not known & new, name
    for name in ("customers", "sums", "openers", "asides", "abbreviations"):
        assert not (set(getattr(train, name)) & set(getattr(held_out, name))) - {""}, name
    assert not set(chain(*train.spans.values())) & set(chain(*held_out.spans.values()))
