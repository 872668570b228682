"""The guide's presets on bases of several architectures."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from rankwise.errors import RecipeError
from rankwise.recipe import Recipe, commented_recipe, parse_recipe
from rankwise.recipe.draft import Draft, KnownBase
from rankwise.recipe.keys import choices
from rankwise.recipe.presets import PRESETS, draft_of, find_preset
from rankwise.recipe.write import Chosen

BaseOf = Callable[[str], KnownBase]
GUIDE = {
    "sentiment": (16, 32, 0.1, "none"),
    "text-generation": (8, 16, 0.05, "none"),
    "question-answering": (32, 64, 0.1, "lora_only"),
    "under-8gb": (4, 8, 0.05, "none"),
}
"""r, lora_alpha, lora_dropout and bias as the guide writes them."""
ATTENTION = {
    "llama": ["q_proj", "k_proj", "v_proj", "o_proj"],
    "gpt2": ["c_attn", "attn.c_proj"],
    "bert": ["query", "key", "value", "attention.output.dense"],
    "distilbert": ["q_lin", "k_lin", "v_lin", "out_lin"],
}
MLP = {
    "llama": ["gate_proj", "up_proj", "down_proj"],
    "gpt2": ["c_fc", "mlp.c_proj"],
    "bert": ["intermediate.dense", "0.output.dense", "1.output.dense"],  # `output.dense` ends attention's output too
    "distilbert": ["lin1", "lin2"],
}


def recipe_of(draft: Draft) -> Recipe:
    chosen = draft.chosen | {"data.train": Chosen("rows.jsonl", "")}
    return parse_recipe(commented_recipe(chosen), "recipe.yaml", Path()).recipe


def test_the_presets_are_the_guides() -> None:
    assert list(PRESETS) == list(GUIDE)


@pytest.mark.parametrize("name", GUIDE)
@pytest.mark.parametrize("kind", ["llama", "gpt2", "qwen2", "mixtral"])
def test_a_preset_is_a_recipe_on_every_base(name: str, kind: str, base_of: BaseOf) -> None:
    draft = draft_of(PRESETS[name], base_of(kind))
    lora = recipe_of(draft).lora
    assert (lora.r, lora.lora_alpha, lora.lora_dropout) == GUIDE[name][:3]
    listed = {left.key for left in draft.left_out}
    assert lora.bias == GUIDE[name][3] or (lora.bias == "auto" and "lora.bias" in listed)
    for key, chosen in draft.chosen.items():
        assert PRESETS[name].source in chosen.reason, key
    for left in draft.left_out:
        assert left.where == f"preset {name}" and left.why


@pytest.mark.parametrize("kind", ATTENTION)
def test_layers_are_found_by_what_they_do(kind: str, base_of: BaseOf) -> None:
    def targets(name: str) -> list[str]:
        return draft_of(PRESETS[name], base_of(kind)).targets()

    assert set(targets("sentiment")) == set(targets("text-generation")) == set(ATTENTION[kind])
    assert set(targets("question-answering")) == {*ATTENTION[kind], *MLP[kind]}
    assert targets("under-8gb") == ATTENTION[kind][:1]


@pytest.mark.parametrize(("kind", "carried"), [("llama", False), ("qwen2", True), ("gpt2", True)])
def test_biases_are_trained_where_there_are_some(kind: str, carried: bool, base_of: BaseOf) -> None:
    draft = draft_of(PRESETS["question-answering"], base_of(kind))
    assert ("lora.bias" in draft.chosen) == carried
    assert [left.why for left in draft.left_out if left.key == "lora.bias"] == (
        [] if carried else ["the adapted layers of this base have no biases"]
    )


@pytest.mark.parametrize(
    ("name", "asked"),
    [
        ("sentiment", {"task": "seq_cls"}),
        ("text-generation", {"task": "causal_lm"}),
        ("question-answering", {"task": "seq_2_seq_lm"}),
        ("under-8gb", {"task": "seq_cls", "method": "qlora", "quantization": "nf4"}),
    ],
)
def test_what_the_base_has_not_got_is_listed_and_never_written(
    name: str, asked: dict[str, str], base_of: BaseOf
) -> None:
    draft = draft_of(PRESETS[name], base_of("llama"))
    listed = {left.key: left.value for left in draft.left_out}
    for key, value in asked.items():
        if value in choices(key) and value not in ("seq_cls", "seq_2_seq_lm"):  # tasks of other kinds of bases
            assert draft.chosen[key].value == value
        else:
            assert key not in draft.chosen and listed[key] == value
    assert {key for key in listed if key in ("task", "method", "quantization")} <= asked.keys()


@pytest.mark.parametrize("kind", ["bert", "distilbert"])
def test_an_encoder_is_given_the_presets_that_classify(kind: str, base_of: BaseOf) -> None:
    for name in ("sentiment", "under-8gb"):
        draft = draft_of(PRESETS[name], base_of(kind))
        assert draft.chosen["task"].value == "seq_cls" and draft.left_out == []
    for name in ("text-generation", "question-answering"):
        draft = draft_of(PRESETS[name], base_of(kind))
        assert "task" not in draft.chosen
        assert {"task"} <= {left.key for left in draft.left_out} <= {"task", "target_modules"}  # a gate, here not there


def test_an_unknown_preset_is_told_the_nearest() -> None:
    with pytest.raises(RecipeError, match="did you mean text-generation"):
        find_preset("Text Generations")
    with pytest.raises(RecipeError, match="Presets: sentiment, text-generation"):
        find_preset("xyz")
