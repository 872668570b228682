"""What each domain asks of a model: the task, its prompt, its answers and how they are scored.

A domain holds no hyperparameters: those come from a doctrine.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from difflib import get_close_matches
from pathlib import Path
from types import MappingProxyType
from typing import Literal

from rankwise.errors import Problem, RecipeError

ROWS = Path(__file__).parent / "rows"


@dataclass(frozen=True)
class Domain:
    """One kind of task."""

    name: str
    """As a recipe writes it: `human_resources`."""
    title: str
    kind: Literal["labels", "open"]
    """`labels`: the answer is one of `labels`. `open`: the answer is free text."""
    task: str
    """One sentence: what goes in and what comes out."""
    instruction: str
    """The prompt put before every text."""
    labels: tuple[str, ...]
    """Empty for open answers."""
    scorer: Literal["accuracy", "fields", "text"]
    """`accuracy` of labels, F1 over `Field: value` lines, or text overlap."""
    note: str = ""
    """What a reader must know about the sample rows: the rules behind the labels, what they are not for."""
    train: Path | None = None
    """Bundled sample rows (JSONL); None where there are none yet."""
    held_out: Path | None = None
    """Bundled held-out rows, in phrasings that the train rows do not use."""


def _labels(name: str, title: str, task: str, instruction: str, labels: tuple[str, ...], note: str = "") -> Domain:
    prompt = f"{instruction} Answer with one of: {', '.join(labels)}."
    return Domain(name, title, "labels", task, prompt, labels, "accuracy", note)


def _fields(name: str, title: str, task: str, instruction: str, note: str = "") -> Domain:
    return Domain(name, title, "open", task, instruction, (), "fields", note)


def _text(name: str, title: str, task: str, instruction: str) -> Domain:
    return Domain(name, title, "open", task, instruction, (), "text")


def _with_rows(domain: Domain) -> Domain:
    train, held_out = (ROWS / f"{domain.name}.{part}.jsonl" for part in ("train", "held_out"))
    return replace(domain, train=train, held_out=held_out)


_PROFILES = (
    _with_rows(
        _fields(
            "financial",
            "Financial reports",
            "A paragraph of a company's results becomes five normalised fields.",
            "Extract revenue, growth, operating margin, net income and guidance.",
            "Companies and figures are invented. Amounts are in millions of dollars, for the whole group in the period "
            "reported; a figure not given for these is `not stated`, even where it could be worked out.",
        )
    ),
    _with_rows(
        _labels(
            "legal",
            "Contract risk",
            "A contract clause is sorted by the main risk it puts on the party that pays.",
            "What is the main risk of this clause to the party that pays?",
            ("uncapped exposure", "no remedy", "unilateral change", "lock-in", "loss of control", "acceptable"),
            "Clauses are invented and the labels are not legal advice; they follow the rules in "
            "tools/sample_rows/README.md of the project.",
        )
    ),
    _with_rows(
        _labels(
            "healthcare",
            "Symptom notes",
            "A short note by a nurse, a patient or a doctor is sorted into the likeliest of twelve diagnoses.",
            "Which diagnosis fits this note best?",
            (
                "influenza",
                "common cold",
                "pneumonia",
                "asthma",
                "hay fever",
                "strep throat",
                "migraine",
                "tension headache",
                "gastroenteritis",
                "appendicitis",
                "urinary infection",
                "kidney stone",
            ),
            "Synthetic notes made from simplified rules, about no real patient. Not medical advice; "
            "a model trained on them must not be used for diagnosis.",
        )
    ),
    _with_rows(
        _fields(
            "manufacturing",
            "Production reports",
            "A shift's production records become a report of seven fields and a one-sentence summary.",
            "Write the shift report from these production records.",
            "Plants and records are invented. Downtime is the sum of the stops, the main cause that of the longest; "
            "the status is hold from 20 scrap on one machine or 60 min of downtime, watch from 15 or 30, else ok.",
        )
    ),
    _fields(
        "real_estate",
        "Property listings",
        "A property listing becomes the fields a valuation needs.",
        "Extract type, area, rooms, condition, location and asking price.",
    ),
    _labels(
        "insurance",
        "Claim triage",
        "A claim note is sorted by what has to happen to it next.",
        "What is the next step for this insurance claim?",
        ("pay", "request documents", "send adjuster", "check coverage", "refer for fraud", "decline"),
    ),
    _text(
        "marketing",
        "Product copy",
        "A product's attributes become a short advertising text that names all of them.",
        "Write a short advertisement that uses every attribute.",
    ),
    _labels(
        "technology",
        "Incident triage",
        "An incident report is sorted by where its cause lies.",
        "Where does the cause of this incident lie?",
        ("code defect", "configuration", "capacity", "network", "dependency", "user error"),
    ),
    _text(
        "education",
        "Worked answers",
        "A school question becomes a short worked answer.",
        "Answer the question in a few short steps.",
    ),
    _labels(
        "retail",
        "Product reviews",
        "A product review is sorted by how satisfied the buyer is on the whole.",
        "How satisfied is this buyer on the whole?",
        ("satisfied", "mixed", "dissatisfied"),
    ),
    _labels(
        "human_resources",
        "Staff requests",
        "An employee's message is sorted by the team's work it calls for.",
        "What does this employee's message call for?",
        ("leave", "pay", "benefits", "recruitment", "conduct", "training", "leaving"),
    ),
    _text(
        "customer_support",
        "Support replies",
        "A customer's message becomes a short reply that answers it.",
        "Reply to this customer briefly and politely.",
    ),
)

DOMAINS: Mapping[str, Domain] = MappingProxyType({domain.name: domain for domain in _PROFILES})


def find_domain(name: str) -> Domain:
    """The domain called `name`; RecipeError with the nearest name if there is none."""
    if name in DOMAINS:
        return DOMAINS[name]
    near = get_close_matches(name.strip().lower().replace("-", "_").replace(" ", "_"), DOMAINS, n=1)
    hint = f"did you mean {near[0]}? " if near else ""
    message = f"unknown domain {name!r}; {hint}Domains: {', '.join(DOMAINS)}"
    raise RecipeError(problems=[Problem("error", "unknown-domain", "domain", message)])
