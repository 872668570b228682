"""Technology rows: the call is the one the ticket asks for, with normalised arguments that stand in the ticket."""

from __future__ import annotations

import json
import re
from itertools import chain

import pytest

from rankwise.evaluate.fields import parse_fields
from rankwise.recipe.domains import DOMAINS
from rankwise.recipe.domains.profiles import ROWS
from tools.sample_rows.__main__ import COUNTS
from tools.sample_rows.measure import read_rows
from tools.sample_rows.phrases import SPLITS, Row, Split
from tools.sample_rows.technology import FUNCTIONS, OF_ACCOUNTS, call, login
from tools.sample_rows.technology_bank import BANKS, HELD_OUT, TRAIN, Bank


def tickets(split: Split) -> list[Row]:
    return read_rows(ROWS / f"technology.{split}.jsonl")


def asked(text: str, bank: Bank) -> set[str]:
    """The functions whose request frames stand in the ticket."""
    return {name for name, frames in bank.requests.items() if any(stands(frame, text) for frame in frames)}


def stands(frame: str, text: str) -> bool:
    """Whether the words of `frame` stand in `text` in order, with anything in its slots."""
    words = [re.escape(part.strip(" ,?.;:()")) for part in re.split(r"\{\w+\}", frame)]
    return bool(re.search(".{0,60}?".join(words), text, re.IGNORECASE | re.DOTALL))


def spoken(text: str, values: dict[str, tuple[str, ...]] | dict[int, tuple[str, ...]]) -> set[str | int]:
    """The values of which a phrase stands in the ticket, as a word of its own."""
    return {
        value
        for value, phrases in values.items()
        if any(re.search(rf"(?<![\w.-]){re.escape(phrase)}(?!\w)", text, re.IGNORECASE) for phrase in phrases if phrase)
    }


@pytest.mark.parametrize("split", SPLITS)
def test_the_call_is_the_one_asked_for(split: Split) -> None:
    rows = tickets(split)
    assert len(rows) == COUNTS[split] and all(list(row) == ["instruction", "input", "output"] for row in rows)
    assert {row["instruction"] for row in rows} == {DOMAINS["technology"].instruction}
    for row in rows:
        answer = json.loads(row["output"])
        assert list(answer) == ["name", "arguments"] and tuple(answer["arguments"]) == FUNCTIONS[answer["name"]]
        assert row["output"] == call(answer["name"], *answer["arguments"].values())
        assert answer["name"] in asked(row["input"], BANKS[split]), row


@pytest.mark.parametrize("split", SPLITS)
def test_arguments_stand_in_the_ticket(split: Split) -> None:
    bank = BANKS[split]
    of_value = {
        "environment": bank.environments,
        "priority": bank.priorities,
        "role": bank.roles,
        "days": bank.days,
        "minutes": bank.spans,
        "hours_ago": bank.ages,
    }
    for row in tickets(split):
        text = row["input"].lower()
        for name, value in json.loads(row["output"])["arguments"].items():
            if name in of_value:
                assert value in spoken(text, of_value[name]), (name, row)
            elif name == "delay_minutes":
                assert value == 0 or value in spoken(text, bank.spans), row
            elif name == "new_password":
                assert value == any(phrase in text for phrase in bank.password[True]), row
            elif name == "user":
                assert value in {login(person) for person in bank.people if person.lower() in text}
            elif name in ("service", "system"):
                assert value in text or value.replace("-", " ") in text
            else:
                assert re.search(rf"(?<![\d.]){re.escape(str(value))}(?!\.?\d)", text), (name, row)


@pytest.mark.parametrize("split", SPLITS)
def test_most_tickets_also_name_a_call_that_is_not_wanted(split: Split) -> None:
    bank = BANKS[split]
    rows = tickets(split)
    named = 0
    for row in rows:
        function = json.loads(row["output"])["name"]
        ruled_out = {name for name, phrases in bank.not_this.items() if any(stands(p, row["input"]) for p in phrases)}
        assert function not in ruled_out, row
        named += bool(ruled_out)
    assert 0.5 <= named / len(rows) <= 0.9


def test_a_call_by_hand() -> None:
    assert call("restart_service", "billing-api", "staging", 15) == (
        '{"name": "restart_service", "arguments": '
        '{"service": "billing-api", "environment": "staging", "delay_minutes": 15}}'
    )
    assert parse_fields(call("unlock_account", login("Maria Keller"), "crm", True)) == {
        "name": "unlock_account",
        "arguments.user": "m.keller",
        "arguments.system": "crm",
        "arguments.new_password": "true",
    }


def test_the_prompt_names_every_function() -> None:
    assert all(name in DOMAINS["technology"].instruction for name in FUNCTIONS)
    assert set(OF_ACCOUNTS) < set(FUNCTIONS)


def test_the_banks_share_nothing_but_the_answers() -> None:
    for part in (
        "services",
        "systems",
        "people",
        "later",
        "not_here",
        "openers",
        "user_openers",
        "not_user",
        "subjects",
    ):
        assert not set(getattr(TRAIN, part)) & set(getattr(HELD_OUT, part)), part
    for part in ("environments", "spans", "ages", "days", "roles", "priorities", "password", "requests", "not_this"):
        train, held_out = getattr(TRAIN, part), getattr(HELD_OUT, part)
        assert list(train) == list(held_out), part
        assert not (set(chain(*train.values())) & set(chain(*held_out.values()))) - {""}, part
