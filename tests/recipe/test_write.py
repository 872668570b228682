from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rankwise.recipe import Recipe, commented_recipe, parse_recipe
from rankwise.recipe.keys import LEAVES, only_one_value
from rankwise.recipe.patterns import PatternError, compiled
from rankwise.recipe.schema import DataRecipe
from rankwise.recipe.write import Chosen, yaml_scalar, yaml_value

ROWS = {"data.train": Chosen("rows.jsonl", "why")}


@pytest.mark.parametrize(("domain", "train"), [("financial", None), (None, "rows.csv"), ("legal", "a b/rows.jsonl")])
def test_a_written_recipe_asks_for_no_more_than_what_was_chosen(domain: str | None, train: str | None) -> None:
    chosen = {"model": "./base", "domain": domain, "data.train": train}
    text = commented_recipe({key: Chosen(value, "why") for key, value in chosen.items()})
    asked = parse_recipe(text, "recipe.yaml", Path())
    assert asked.recipe == Recipe(model="./base", domain=domain, data=DataRecipe(train=train))


def test_a_written_recipe_shows_every_key_there_is_a_choice_about() -> None:
    text = commented_recipe(ROWS)
    shown = set(parse_recipe(text, "recipe.yaml", Path()).lines)
    assert shown == {key for key in LEAVES if not only_one_value(key)}
    assert (
        "  r: auto  # Rank of the adapter (a whole number from 1 to 1024, or auto); auto: the doctrine decides\n"
        in text
    )
    assert "serving:" not in text
    for line in text.splitlines():
        assert not line or line.startswith("# ") or "  # " in line


def test_a_choice_carries_its_reason_and_every_auto_its_meaning() -> None:
    lines = commented_recipe({**ROWS, "lora.r": Chosen(4, "very low")}).splitlines()
    assert "  r: 4  # very low" in lines
    assert "  train: rows.jsonl  # why" in lines
    for line in lines:
        value, _, comment = line.partition("  # ")
        assert not value.endswith(": auto") or "; auto: " in comment or "auto follows r" in comment, line


def test_a_key_of_one_value_is_shown_where_it_was_chosen() -> None:
    text = commented_recipe({**ROWS, "objective": Chosen("sft", "asked for")})
    assert "objective: sft  # asked for\n" in text
    assert parse_recipe(text, "recipe.yaml", Path()).recipe.objective == "sft"


@pytest.mark.parametrize(
    ("value", "written"),
    [
        *((None, "null"), (True, "true"), (0.1, "0.1"), ("auto", "auto"), ("12", '"12"'), ("a: b", '"a: b"')),
        *(("", '""'), (1e-05, "1e-05"), (float("inf"), ".inf"), (float("nan"), ".nan")),
    ],
)
def test_scalars(value: object, written: str) -> None:
    assert yaml_scalar(value) == written


@pytest.mark.parametrize(
    ("value", "written"),
    [
        (["q_proj", "mlp.c_proj"], "[q_proj, mlp.c_proj]"),
        (["a, b", "[c]", "true", "x:"], '["a, b", "[c]", "true", "x:"]'),
        ((), "[]"),
        ([0, 11], "[0, 11]"),
        ([r"a\.b", "'"], r"""["a\\.b", "'"]"""),
        ({"q_proj": 8, r"layers\.0\..*": 0.5}, r"""{q_proj: 8, "layers\\.0\\..*": 0.5}"""),
        (4, "4"),
    ],
)
def test_lists(value: object, written: str) -> None:
    assert yaml_value(value) == written


def is_pattern(text: str) -> bool:
    try:
        compiled(text)
    except PatternError:
        return False
    return True


NAMES = st.text(min_size=1, max_size=20) | st.sampled_from(
    ["true", "1e5", "~", "C:\\rows #1.csv", "'", '"', "- a", "a\n", "a, b", "{", "]", "&x", "*x", "!t", "a#b"]
)


@settings(max_examples=60, deadline=None)
@given(NAMES, NAMES)
def test_any_file_name_and_any_reason_survive_writing_and_reading(name: str, reason: str) -> None:
    text = commented_recipe({"data.train": Chosen(name, reason), "model": Chosen(name, reason)}, [reason])
    asked = parse_recipe(text, "recipe.yaml", Path())
    assert (asked.recipe.data.train, asked.recipe.model) == (name, name)


@settings(max_examples=60, deadline=None)
@given(st.lists(NAMES, min_size=1, max_size=4))
def test_any_names_survive_in_a_list(names: list[str]) -> None:
    text = commented_recipe({**ROWS, "lora.target_modules": Chosen(names, "why")})
    assert parse_recipe(text, "recipe.yaml", Path()).recipe.lora.target_modules == names


@settings(max_examples=60, deadline=None)
@given(st.floats(min_value=1e-300, allow_infinity=False, allow_nan=False))
def test_any_number_survives(number: float) -> None:
    text = commented_recipe({**ROWS, "training.learning_rate": Chosen(number, "why")})
    assert parse_recipe(text, "recipe.yaml", Path()).recipe.training.learning_rate == number


@settings(max_examples=60, deadline=None)
@given(st.dictionaries(NAMES.filter(is_pattern), st.integers(1, 1024), min_size=1, max_size=4))
def test_any_patterns_survive_in_a_mapping_in_their_order(ranks: dict[str, int]) -> None:
    text = commented_recipe({**ROWS, "lora.rank_pattern": Chosen(ranks, "why")})
    found = parse_recipe(text, "recipe.yaml", Path()).recipe.lora.rank_pattern
    assert found is not None and list(found.items()) == list(ranks.items())
