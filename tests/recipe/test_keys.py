from __future__ import annotations

import subprocess
import sys

import pytest

from rankwise.recipe.keys import (
    FOREIGN,
    FOREIGN_SECTIONS,
    LEAVES,
    SECTIONS,
    accepts,
    holds_mapping,
    item_accepts,
    spellings,
    unknown_key,
)


def test_names_of_other_tools_lead_to_keys_there_are() -> None:
    assert len(FOREIGN) > 20
    assert set(FOREIGN.values()) <= set(LEAVES)
    assert set(FOREIGN_SECTIONS.values()) <= set(SECTIONS)
    own = {name for section in SECTIONS for name in spellings(section)}
    assert set(FOREIGN) & own == {"prompt"}  # a section here, and another tool's word for what a value there means


def test_every_key_has_a_description_and_says_what_it_accepts() -> None:
    assert len(LEAVES) > 40
    for key, info in LEAVES.items():
        assert info.description and not info.description.endswith("."), key
        assert accepts(key) and "Annotated" not in accepts(key) and "typing" not in accepts(key), key


@pytest.mark.parametrize(
    ("key", "words"),
    [
        ("lora.r", "a whole number from 1 to 1024, or auto"),
        ("lora.lora_alpha", "a number above 0, or auto"),
        ("lora.lora_dropout", "a number of at least 0 and below 1, or auto"),
        ("training.seed", "a whole number from 0 to 4294967295"),
        ("training.warmup_ratio", "a number from 0 to 1, or auto"),
        ("training.early_stopping_patience", "a whole number of at least 1, null, or auto"),
        ("data.held_out", "text, a number above 0 and below 1, or null"),
        ("lora.target_modules", "a list of names, all-linear, or auto"),
        ("lora.layers_to_transform", "a list of whole numbers of at least 0, or null"),
        ("lora.rank_pattern", "a mapping from patterns to whole numbers from 1 to 1024, or null"),
        ("lora.target_parameters", "a list of names, null, or auto"),
        ("lora.rank_per_expert", "a whole number from 1 to 1024, or auto"),
        ("lora.alpha_pattern", "a mapping from patterns to numbers above 0, or null"),
        ("lora.init_lora_weights", "true, false, gaussian, pissa, olora, or auto"),
        ("shared_prefix", "true, false, or auto"),
        ("tracking", "tensorboard, mlflow, wandb, trackio, or null"),
        ("serving.target", "null (nothing else is supported)"),
    ],
)
def test_bounds_are_said_in_words(key: str, words: str) -> None:
    assert accepts(key) == words


@pytest.mark.parametrize("key", LEAVES)
def test_a_key_with_a_letter_too_many_leads_back(key: str) -> None:
    section, _, name = key.rpartition(".")
    if len(name) > 1:
        assert f"did you mean {key}?" in unknown_key(section, name + "x")


@pytest.mark.parametrize("key", [key for key in LEAVES if "." in key])
def test_a_key_at_the_top_level_leads_to_its_section(key: str) -> None:
    section, _, name = key.rpartition(".")
    message = unknown_key("", name)
    assert "it belongs under " in message and f"under {section}, as {key}" in message


def test_reading_recipes_needs_no_heavy_package() -> None:
    heavy = ("torch", "transformers", "peft", "numpy", "polars")
    code = f"import sys, rankwise.recipe; print([m for m in {heavy} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_items_of_lists_and_mappings_are_said_in_words_too() -> None:
    assert item_accepts("lora.target_modules") == "a name"
    assert item_accepts("lora.layers_to_transform") == "a whole number of at least 0"
    assert item_accepts("lora.rank_pattern") == "a whole number from 1 to 1024"
    assert [key for key in LEAVES if holds_mapping(key)] == ["lora.rank_pattern", "lora.alpha_pattern"]
