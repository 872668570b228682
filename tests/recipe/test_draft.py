"""What a draft takes on, and what it lists instead."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rankwise.recipe import commented_recipe, parse_recipe
from rankwise.recipe.draft import SHOWN, Draft, KnownBase, LeftOut, refusal
from rankwise.recipe.keys import LEAVES

BaseOf = Callable[[str], KnownBase]


@pytest.mark.parametrize(
    ("key", "value", "fault"),
    [
        ("lora.r", 16, None),
        ("lora.r", 0, "expected a whole number from 1 to 1024"),
        ("lora.lora_alpha", 32, None),
        ("lora.target_modules", ["q_proj", "a, b"], None),
        ("lora.target_modules", [], "empty list"),
        ("lora.target_modules", [["q_proj"]], "holds keys below it"),
        ("lora.layers_to_transform", [0, 5], None),
        ("lora.layers_to_transform", ["q_proj"], "expected a whole number of at least 0"),
        ("lora.rank_pattern", {"q_proj": 8, r"layers\.0\..*": 4}, None),
        ("lora.rank_pattern", {"q_proj": 0}, "expected a whole number from 1 to 1024"),
        ("lora.rank_pattern", {"q_proj": [8]}, "holds keys below it"),
        ("lora.rank_pattern", {}, "empty mapping"),
        ("model", {"name": "x"}, "holds keys below it"),
        ("model", "a: b # c", None),
        ("domain", "anything", None),
        ("objective", "sft", None),
        ("training.optim", "adamw_bnb_8bit", "expected adamw_torch"),
        ("training.learning_rate", float("nan"), "not a number"),
        ("training.learning_rate", None, "has no value"),
        ("training.early_stopping_patience", None, None),
    ],
)
def test_a_value_is_refused_as_a_recipe_would(key: str, value: object, fault: str | None) -> None:
    found = refusal(key, value)
    assert (found is None) == (fault is None), found
    assert fault is None or fault in str(found)


def test_refused_values_are_listed_with_the_better_reason() -> None:
    draft = Draft()
    assert not draft.offer("lora.r", 0, "", LeftOut("a.yml:3", "lora_r", 0, ""))
    assert not draft.offer("method", "teleport", "", LeftOut("a.yml:4", "how", "teleport", ""), "not of this world")
    assert draft.chosen == {}
    first, second = draft.left_out
    assert (first.where, first.key, first.value) == ("a.yml:3", "lora_r", 0) and "from 1 to 1024" in first.why
    assert second.why == "not of this world"
    assert str(second.problem()) == (
        "a.yml:4: warning: how: teleport is not carried over: not of this world [not-carried]"
    )


def test_numbers_in_quotes_are_numbers_where_those_are_wanted() -> None:
    draft = Draft()
    assert draft.offer("training.learning_rate", "2e-4", "why")
    assert draft.chosen["training.learning_rate"].value == 2e-4
    assert draft.offer("model", "12", "why")
    assert draft.chosen["model"].value == "12"


def test_the_first_of_two_values_stays() -> None:
    draft = Draft()
    assert draft.offer("lora.r", 8, "first") and draft.offer("lora.r", 8, "again")
    assert not draft.offer("lora.r", 16, "second")
    assert (draft.chosen["lora.r"].value, draft.chosen["lora.r"].reason) == (8, "first")
    assert [left.why for left in draft.left_out] == ["lora.r is 8 already"]


def test_layers_get_this_bases_names(base_of: BaseOf) -> None:
    draft = Draft()
    names = [LeftOut(f"g:{i}", "apply_to", name, "") for i, name in enumerate(["attn.q_proj", "q_lin", "mlp.up_proj"])]
    draft.offer_targets(names, base_of("llama"), "why")
    chosen = draft.chosen["lora.target_modules"]
    assert chosen.value == ["q_proj", "up_proj"]
    assert chosen.reason == "why; on this base q_lin = q_proj"
    assert draft.targets() == ["q_proj", "up_proj"] and Draft().targets() == ["all-linear"]


def test_layers_this_base_has_not_are_listed(base_of: BaseOf) -> None:
    draft = Draft()
    names = [LeftOut(f"g:{i}", "apply_to", name, "") for i, name in enumerate(["lm_head", "mlp_proj", "gate_proj"])]
    draft.offer_targets(names, base_of("gpt2"), "why")
    assert "lora.target_modules" not in draft.chosen
    assert [(left.where, left.value) for left in draft.left_out] == [(name.where, name.value) for name in names]
    assert "tied" in draft.left_out[0].why
    with_head = Draft()
    with_head.offer_targets(names[:1], base_of("untied"), "why")
    assert with_head.chosen["lora.target_modules"].value == ["lm_head"]


def test_without_a_base_names_stay_as_they_are() -> None:
    draft = Draft()
    draft.offer_targets([LeftOut("", "k", "attn.q_proj", ""), LeftOut("", "k", "x", "")], None, "why")
    assert draft.chosen["lora.target_modules"].value == ["attn.q_proj", "x"]


def test_long_and_odd_values_are_shown_short_and_are_json() -> None:
    nested = LeftOut("f:1", "datasets", [{"path": "x" * 200}], "")
    assert len(nested.asked) <= SHOWN + len("datasets: ...")
    odd = LeftOut("f:1", "k", float("inf"), "why")
    assert json.loads(json.dumps(odd.as_json(), allow_nan=False))["value"] is None


VALUES = (
    st.none()
    | st.booleans()
    | st.integers(-(2**40), 2**40)
    | st.floats()
    | st.text(max_size=12)
    | st.lists(st.text(max_size=8) | st.integers(), max_size=3)
    | st.dictionaries(st.text(max_size=3), st.integers(), max_size=2)
)


@settings(max_examples=150, deadline=None)
@given(st.dictionaries(st.sampled_from(sorted(LEAVES)), VALUES, max_size=6), st.text(max_size=20))
def test_whatever_is_offered_the_recipe_is_valid(offers: dict[str, object], reason: str) -> None:
    draft = Draft()
    draft.offer("data.train", "rows.jsonl", reason)
    for key, value in offers.items():
        draft.offer(key, value, reason, LeftOut("f", key, value, ""))
    text = commented_recipe(draft.chosen, [left.asked for left in draft.left_out])
    asked = parse_recipe(text, "recipe.yaml", Path())
    for key, chosen in draft.chosen.items():
        value: object = asked.recipe
        for part in key.split("."):
            value = getattr(value, part)
        assert value == chosen.value, key
    assert len(draft.chosen.keys() & offers.keys()) + len(draft.left_out) >= len(offers)
