from __future__ import annotations

import subprocess
import sys
from dataclasses import FrozenInstanceError

import pytest

from rankwise.errors import RecipeError
from rankwise.recipe.domains import DOMAINS, find_domain

NAMES = [
    "financial", "legal", "healthcare", "manufacturing", "real_estate", "insurance", "marketing", "technology",
    "education", "retail", "human_resources", "customer_support",
]  # fmt: skip


def test_the_twelve_domains_stand_in_their_order() -> None:
    assert list(DOMAINS) == NAMES
    assert [domain.name for domain in DOMAINS.values()] == NAMES


@pytest.mark.parametrize("name", NAMES)
def test_a_profile_is_whole(name: str) -> None:
    domain = find_domain(name)
    assert domain.title and domain.instruction.endswith((".", "?"))
    assert domain.task.endswith(".") and domain.task.count(".") == 1, "one sentence"
    if domain.kind == "labels":
        assert len(domain.labels) >= 3 and len(set(domain.labels)) == len(domain.labels)
        assert domain.scorer == "accuracy"
        assert all(label in domain.instruction for label in domain.labels), "the prompt must name every answer"
    else:
        assert domain.labels == () and domain.scorer in ("fields", "text")


@pytest.mark.parametrize("name", NAMES)
def test_every_domain_has_rows(name: str) -> None:
    domain = DOMAINS[name]
    assert domain.train and domain.train.is_file() and domain.held_out and domain.held_out.is_file()


def test_no_two_domains_share_a_prompt_or_task() -> None:
    assert len({domain.instruction for domain in DOMAINS.values()}) == len(NAMES)
    assert len({domain.task for domain in DOMAINS.values()}) == len(NAMES)


def test_the_healthcare_profile_says_what_it_is_not() -> None:
    note = find_domain("healthcare").note.lower()
    assert "synthetic" in note and "not medical advice" in note


@pytest.mark.parametrize(
    ("wrong", "nearest"),
    [
        ("finacial", "financial"),
        ("Legal", "legal"),
        ("human-resources", "human_resources"),
        ("Real Estate", "real_estate"),
    ],
)
def test_an_unknown_name_is_answered_with_the_nearest(wrong: str, nearest: str) -> None:
    with pytest.raises(RecipeError) as caught:
        find_domain(wrong)
    (problem,) = caught.value.problems
    assert problem.code == "unknown-domain" and problem.where == "domain"
    assert problem.message == f"unknown domain {wrong!r}; did you mean {nearest}? Domains: {', '.join(NAMES)}"


def test_a_name_like_no_other_gets_the_list_alone() -> None:
    with pytest.raises(RecipeError) as caught:
        find_domain("xyzzy")
    assert str(caught.value) == f"domain: error: unknown domain 'xyzzy'; Domains: {', '.join(NAMES)} [unknown-domain]"


def test_profiles_cannot_be_changed() -> None:
    with pytest.raises(FrozenInstanceError):
        find_domain("legal").name = "law"  # type: ignore[misc]
    with pytest.raises(TypeError):
        DOMAINS["law"] = find_domain("legal")  # type: ignore[index]


def test_profiles_import_light() -> None:
    heavy = ["torch", "transformers", "peft", "sklearn", "scipy", "polars"]
    code = f"import sys, rankwise.recipe.domains; print([m for m in {heavy} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
