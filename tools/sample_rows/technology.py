"""Technology rows: an IT ticket -> the function call it asks for, as JSON (rules in README.md).

Knobs: how often a ticket also names another call (`NOT_THIS`), another place or person (`NOT_HERE`), or a larger role.
"""

from __future__ import annotations

import json
import random

from rankwise.recipe.domains import find_domain
from tools.sample_rows.phrases import Row, Split, fill, sentence, spread
from tools.sample_rows.technology_bank import BANKS, Bank

FUNCTIONS = {
    "restart_service": ("service", "environment", "delay_minutes"),
    "roll_back": ("service", "environment", "version"),
    "scale_service": ("service", "environment", "replicas"),
    "restore_backup": ("service", "environment", "hours_ago"),
    "grant_access": ("user", "system", "role", "days"),
    "unlock_account": ("user", "system", "new_password"),
    "open_incident": ("service", "environment", "priority"),
    "mute_alerts": ("service", "environment", "minutes"),
}
OF_ACCOUNTS = ("grant_access", "unlock_account")
NOT_THIS = 0.7
NOT_HERE = 0.35
NARROWED = 0.3
BACKGROUND = 0.5
DELAYED = 0.65
OPENED = 0.65
"""Share of tickets that name the service first and then call it `it`."""
SUBJECT = 0.25
CHAT = 0.25
"""Share of tickets in lower case."""


def rows(split: Split, count: int, rng: random.Random) -> list[Row]:
    """`count` Alpaca rows, all different."""
    instruction = find_domain("technology").instruction
    made: dict[str, str] = {}
    for name in spread(rng, dict.fromkeys(FUNCTIONS, 1.0), count):
        write = _account_ticket if name in OF_ACCOUNTS else _service_ticket
        text, answer = write(rng, BANKS[split], name)
        while text in made:
            text, answer = write(rng, BANKS[split], name)
        made[text] = answer
    return [{"instruction": instruction, "input": text, "output": answer} for text, answer in made.items()]


def call(name: str, *values: str | int | bool) -> str:
    """The answer: the function and its arguments in order."""
    return json.dumps({"name": name, "arguments": dict(zip(FUNCTIONS[name], values, strict=True))})


def login(person: str) -> str:
    """`Maria Keller` -> `m.keller`."""
    first, last = person.lower().split()
    return f"{first[0]}.{last}"


def _service_ticket(rng: random.Random, bank: Bank, name: str) -> tuple[str, str]:
    service = rng.choice(bank.services)
    here, elsewhere = rng.sample(list(bank.environments), 2)
    slots, value = _last_argument(rng, bank, name)
    slots |= {
        "svc": rng.choice((service, service, service.replace("-", " "), f"the {service.replace('-', ' ')}")),
        "env": rng.choice(bank.environments[here]),
        "other_env": rng.choice(bank.environments[elsewhere]),
    }
    opened = rng.random() < OPENED
    slots["it"] = "it" if opened else f"{slots['svc']} {slots['env']}"
    request = fill(rng, rng.choice(bank.requests[name]), slots)
    asides = _not_this(rng, bank, name, [other for other in FUNCTIONS if other not in OF_ACCOUNTS])
    asides += [fill(rng, rng.choice(bank.not_here), slots)] if rng.random() < NOT_HERE else []
    opener = fill(rng, rng.choice(bank.openers), slots)
    with_subject = opened and rng.random() < SUBJECT
    subject = fill(rng, rng.choice(bank.subjects), slots) if with_subject else ""
    body = _mixed(rng, bank, request, asides)
    parts = [opener, *body] if opened and not with_subject else body
    return _laid_out(rng, bank, subject, parts), call(name, service, here, value)


def _account_ticket(rng: random.Random, bank: Bank, name: str) -> tuple[str, str]:
    person, other = rng.sample(bank.people, 2)
    system = rng.choice(bank.systems)
    days, new_password = rng.choice(list(bank.days)), rng.random() < 0.5
    role, not_role = rng.sample(list(bank.roles), 2)
    roles = {"role": rng.choice(bank.roles[role]), "not_role": rng.choice(bank.roles[not_role])}
    slots = {
        "who": person,
        "other": other,
        "system": system.upper() if len(system) <= 3 and rng.random() < 0.5 else system.replace("-", " "),
        "role": fill(rng, rng.choice(bank.narrowed), roles) if rng.random() < NARROWED else roles["role"],
        "days": rng.choice(bank.days[days]),
        "password": rng.choice(bank.password[new_password]),
    }
    asides = _not_this(rng, bank, name, [*OF_ACCOUNTS, "open_incident"])
    asides += [fill(rng, rng.choice(bank.not_user), slots)] if rng.random() < NOT_HERE else []
    parts = _mixed(rng, bank, fill(rng, rng.choice(bank.requests[name]), slots), asides)
    if rng.random() < OPENED:
        parts.insert(0, fill(rng, rng.choice(bank.user_openers), slots))
    values = (role, days) if name == "grant_access" else (new_password,)
    return _laid_out(rng, bank, "", parts), call(name, login(person), system, *values)


def _last_argument(rng: random.Random, bank: Bank, name: str) -> tuple[dict[str, str], str | int]:
    """Slots for the request, and the value of the argument after service and environment."""
    if name == "restart_service":
        minutes = rng.choice([m for m in bank.spans if m <= 120]) if rng.random() < DELAYED else 0
        when = rng.choice(bank.later if minutes else bank.now)
        return {"when": when.replace("{span}", rng.choice(bank.spans.get(minutes, ("",))))}, minutes
    if name == "mute_alerts":
        minutes = rng.choice(list(bank.spans))
        return {"span": rng.choice(bank.spans[minutes])}, minutes
    if name == "restore_backup":
        hours = rng.choice(list(bank.ages))
        return {"age": rng.choice(bank.ages[hours])}, hours
    if name == "open_incident":
        priority = rng.choice(list(bank.priorities))
        return {"prio": rng.choice(bank.priorities[priority])}, priority
    if name == "scale_service":
        replicas, old = rng.sample(range(2, 17), 2)
        return {"n": str(replicas), "old": str(old)}, replicas
    major, minor, patch = rng.randint(1, 9), rng.randint(0, 14), rng.randint(1, 9)
    good = f"{major}.{minor}.{patch}"
    return {"good": good, "bad": rng.choice((f"{major}.{minor}.{patch + 1}", f"{major}.{minor + 1}.0"))}, good


def _not_this(rng: random.Random, bank: Bank, name: str, kindred: list[str]) -> list[str]:
    others = [other for other in kindred if other != name]
    return [rng.choice(bank.not_this[rng.choice(others)])] if rng.random() < NOT_THIS else []


def _mixed(rng: random.Random, bank: Bank, request: str, asides: list[str]) -> list[str]:
    parts = [request, *asides]
    if rng.random() < BACKGROUND:
        numbers = {"pct": str(rng.randint(21, 89)), "hour": str(rng.randint(2, 11))}
        parts.append(fill(rng, rng.choice(bank.background), numbers))
    rng.shuffle(parts)
    return parts


def _laid_out(rng: random.Random, bank: Bank, subject: str, parts: list[str]) -> str:
    tail = fill(rng, rng.choice(bank.tails), {"first": _first_name(rng, bank), "ext": str(rng.randint(1000, 9999))})
    text = " ".join(_tidy(sentence(part)) for part in (*parts, tail) if part)
    return subject + (text.lower() if rng.random() < CHAT else text)


def _first_name(rng: random.Random, bank: Bank) -> str:
    return rng.choice(bank.people).split()[0]


def _tidy(text: str) -> str:
    """Without what an empty slot leaves behind."""
    for end in (".", "?"):
        text = text.replace(f", {end}", end).replace(f",{end}", end).replace(f" {end}", end)
    return text
