from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rankwise.recipe import Recipe, commented_recipe, parse_recipe
from rankwise.recipe.keys import LEAVES, only_one_value
from rankwise.recipe.schema import DataRecipe
from rankwise.recipe.write import yaml_scalar


@pytest.mark.parametrize(("domain", "train"), [("financial", None), (None, "rows.csv"), ("legal", "a b/rows.jsonl")])
def test_a_written_recipe_asks_for_no_more_than_the_schema_decides(domain: str | None, train: str | None) -> None:
    asked = parse_recipe(commented_recipe(domain, train, "./base"), "recipe.yaml", Path())
    assert asked.recipe == Recipe(model="./base", domain=domain, data=DataRecipe(train=train))


def test_a_written_recipe_shows_every_key_there_is_a_choice_about() -> None:
    text = commented_recipe("financial", None, "smollm2-135m")
    shown = set(parse_recipe(text, "recipe.yaml", Path()).lines)
    assert set(LEAVES) - shown == {"objective", "tracking", "serving.target"}
    assert shown == {key for key in LEAVES if not only_one_value(key)}
    assert "  r: auto  # Rank of the adapter (a whole number from 1 to 1024, or auto)\n" in text
    assert "serving:" not in text
    for line in text.splitlines():
        assert not line or line.startswith("# ") or "  # " in line


def test_with_neither_domain_nor_file_a_placeholder_is_named() -> None:
    asked = parse_recipe(commented_recipe(None, None, "smollm2-135m"), "recipe.yaml", Path())
    assert asked.recipe.data.train == "rows.jsonl"


@pytest.mark.parametrize(
    ("value", "written"),
    [(None, "null"), (True, "true"), (0.1, "0.1"), ("auto", "auto"), ("12", '"12"'), ("a: b", '"a: b"'), ("", '""')],
)
def test_scalars(value: object, written: str) -> None:
    assert yaml_scalar(value) == written


@settings(max_examples=60, deadline=None)
@given(
    st.text(min_size=1, max_size=20) | st.sampled_from(["true", "1e5", "~", "C:\\rows #1.csv", "'", '"', "- a", "a\n"])
)
def test_any_file_name_survives_writing_and_reading(name: str) -> None:
    asked = parse_recipe(commented_recipe(None, name, name), "recipe.yaml", Path())
    assert (asked.recipe.data.train, asked.recipe.model) == (name, name)
