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
    _with_rows(
        _fields(
            "real_estate",
            "Property listings",
            "A property listing becomes type, bedrooms, condition, what raises and lowers the value, and a band.",
            "Extract type, bedrooms, condition, what raises and what lowers the value, and the value band from A to E.",
            "Homes and places are invented, the band is no valuation: from C it moves by one for the condition and by "
            "one for the balance of the reasons. What a visit found counts against the listing.",
        )
    ),
    _with_rows(
        _labels(
            "insurance",
            "Claim triage",
            "A claim note is sorted by what has to happen to it next.",
            "What is the next step for this insurance claim?",
            ("pay", "request documents", "send adjuster", "check coverage", "refer for fraud", "decline"),
            "Customers and claims are invented; a model trained on them must not decide claims. The weightiest fact of "
            "a note counts, by the rules in tools/sample_rows/README.md: no cover first, then doubts about the story.",
        )
    ),
    _with_rows(
        _fields(
            "marketing",
            "Campaign copy",
            "A product manager's brief becomes campaign copy of six lines in the house style.",
            "Write the campaign copy for this brief in our house style.",
            "Products and prices are invented. The copy names every fact of the brief that is not ruled out and none "
            "that is; tone words, order and spellings follow the house style in tools/sample_rows/README.md.",
        )
    ),
    _with_rows(
        _fields(
            "technology",
            "Ticket to call",
            "An IT ticket becomes the one function call that it asks for, in JSON.",
            "Turn this ticket into one JSON call of restart_service, roll_back, scale_service, restore_backup, "
            "grant_access, unlock_account, open_incident or mute_alerts.",
            "Services and people are invented. The call is what the ticket wants in the end, not what was done before "
            "or is ruled out; values are normalised by the rules in tools/sample_rows/README.md.",
        )
    ),
    _with_rows(
        _fields(
            "education",
            "Worked answers",
            "A school question becomes a plan, one or two steps of working and the answer.",
            "Answer the question in a few short steps.",
            "Children and questions are invented. Scored by fields, because an answer that is off by one is wrong "
            "though nearly all its text is right; in a sum or a product the larger number stands first.",
        )
    ),
    _with_rows(
        _fields(
            "retail",
            "Product reviews",
            "A product review becomes the product, the verdict, what was liked and disliked, and whether to buy again.",
            "Extract product, overall verdict, liked, disliked and whether the buyer would buy again.",
            "Products and reviews are invented. Twelve aspects; what is said last of this product counts, what is said "
            "of a former one does not; without a verdict the aspects decide.",
        )
    ),
    _with_rows(
        _fields(
            "human_resources",
            "Staff policy",
            "Policy clauses and an employee's question become the clause that covers it and the answer it gives.",
            "Which clause answers the question? Give topic, clause, condition and answer.",
            "Firms and policies are invented; no advice on employment law. Just one clause covers both what is asked "
            "and the person who asks; its condition and answer are copied from it.",
        )
    ),
    _with_rows(
        _labels(
            "customer_support",
            "Support requests",
            "A customer's message is sorted by the one thing that the customer wants done.",
            "What does this customer want?",
            (
                "cancel order",
                "change order",
                "change address",
                "track delivery",
                "refund",
                "refund status",
                "return instructions",
                "replacement",
                "exchange",
                "repair",
                "login help",
                "invoice copy",
                "charge query",
                "cancel subscription",
                "staff complaint",
                "product question",
            ),
            "Shops and customers are invented. What is asked for decides, not what is mentioned, settled or ruled out.",
        )
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
