"""The story of one key."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from rankwise.data.corpus import build_corpus
from rankwise.data.render import Renderer
from rankwise.data.request import corpus_request
from rankwise.doctrine import DOCTRINES
from rankwise.doctrine.errata import ERRATA
from rankwise.errors import RecipeError
from rankwise.facts import Located, Machine, read_anatomy
from rankwise.plan import Prepared
from rankwise.plan.advise import Advised, weigh
from rankwise.plan.compare import Comparison, compare_doctrines
from rankwise.plan.explain import Explanation, explain_decision
from rankwise.recipe import Asked, parse_recipe

Make = Callable[..., tuple[Asked, Prepared]]


@pytest.fixture
def make(tiny_base: Path, tmp_path: Path, rows_file: Path) -> Make:
    def build(text: str = "", *overrides: str) -> tuple[Asked, Prepared]:
        asked = parse_recipe(f"{text}\ndata: {{train: {rows_file.name}}}", "recipe.yaml", tmp_path, overrides)
        anatomy, renderer = read_anatomy(tiny_base), Renderer(tiny_base)
        corpus = build_corpus(corpus_request(asked, None), renderer, anatomy.max_length)
        located = Located("folder", "tiny", str(tiny_base), tiny_base, True)
        return asked, Prepared(located, tiny_base, anatomy, renderer, None, corpus, None)

    return build


@pytest.fixture
def advised(make: Make, machine: Machine) -> Callable[..., Advised]:
    return lambda *recipe: weigh(*make(*recipe), machine, None)


@pytest.fixture
def explain(advised: Callable[..., Advised]) -> Callable[..., Explanation]:
    return lambda key, *recipe: explain_decision(advised(*recipe), key)


def test_every_key_of_a_plan_can_be_explained(advised: Callable[..., Advised]) -> None:
    made = advised()
    for key, decision in made.plan.decisions.items():
        told = explain_decision(made, key)
        assert told.decision == decision
        json.dumps(told.as_json())
        assert {voice.doctrine for voice in told.voices} | set(told.silent) == set(DOCTRINES)
        assert told.leads_to == tuple(dict.fromkeys(told.leads_to)) and key not in told.leads_to


def test_every_doctrine_is_heard_with_reason_source_and_kind(explain: Callable[..., Explanation]) -> None:
    told = explain("lora.r")
    voices = {voice.doctrine: voice for voice in told.voices}
    assert (voices["tinker"].value, voices["tinker"].agrees) == (32, False)
    assert (voices["best-practices"].value, voices["best-practices"].agrees) == (16, True)
    assert all(voice.reason and voice.source and voice.kind for voice in told.voices)
    assert "honest-choice" in told.silent
    assert "Rank" in told.meaning and "whole number" in told.accepts


def test_rules_that_decide_nothing_say_when_they_would(explain: Callable[..., Explanation]) -> None:
    unused = {(one.doctrine, one.when): one.because for one in explain("lora.r").unused}
    assert unused["without-regret", "mixture of experts"] == "it does not apply here"
    assert unused["working-notes", "otherwise"] == "an earlier rule of its doctrine does"


def test_what_follows_from_a_key_is_found_by_looking_what_the_rules_look_at(
    explain: Callable[..., Explanation],
) -> None:
    told = explain("lora.r")
    assert {"lora.lora_alpha", "training.learning_rate", "trainable parameters", "capacity"} <= set(told.leads_to)
    assert told.facts["base_parameters"] == 31_392
    alpha = explain("lora.lora_alpha")
    assert alpha.follows_from == ("lora.r",)
    rate = explain("training.learning_rate")
    assert "lora.r" in rate.follows_from and rate.facts["hidden_size"] == 32
    steps = explain("training.max_steps")
    assert "training.num_train_epochs" in steps.follows_from


def test_a_doctrine_with_a_fixed_alpha_cuts_the_thread(explain: Callable[..., Explanation]) -> None:
    assert "lora.lora_alpha" not in explain("lora.r", "doctrine: tinker").leads_to
    assert explain("lora.lora_alpha", "doctrine: tinker").follows_from == ()


def test_a_value_of_yours_follows_from_nothing_and_is_held_against_advice(
    explain: Callable[..., Explanation],
) -> None:
    told = explain("lora.lora_alpha", "", "lora.lora_alpha=4")
    assert (told.decision.kind, told.follows_from, told.facts) == ("yours", (), {})
    assert {"best-practices", "working-notes"} <= {broken.doctrine for broken in told.objections}
    assert "lora.lora_alpha" not in explain("lora.r", "", "lora.lora_alpha=4").leads_to


def test_lessons_and_errors_of_the_sources_stand_beside(explain: Callable[..., Explanation]) -> None:
    told = explain("lora.r")
    assert any("0.7948" in one.lesson.text for one in told.lessons)
    assert all(one.lesson.topic == "lora.r" for one in told.lessons)
    says = [erratum.says for erratum in told.errata]
    assert any("0.34" in line for line in says) and any("50M" in line for line in says)
    assert 0 < len(told.errata) < len(ERRATA)


@pytest.mark.parametrize(
    ("key", "meant"),
    [
        ("lora.rr", "lora.r"),
        ("alpha", "lora.lora_alpha"),
        ("r", "lora.r"),
        ("learning_rate", "training.learning_rate"),
        ("lr", "training.learning_rate"),
        ("lora_dropuot", "lora.lora_dropout"),
    ],
)
def test_an_unknown_key_names_the_nearest(explain: Callable[..., Explanation], key: str, meant: str) -> None:
    with pytest.raises(RecipeError) as caught:
        explain(key)
    [problem] = caught.value.problems
    assert problem.code == "unknown-key" and f"did you mean {meant}?" in problem.message


def test_a_key_about_which_the_plan_decides_nothing_says_so(explain: Callable[..., Explanation]) -> None:
    with pytest.raises(RecipeError, match="decides nothing about it"):
        explain("goal")
    with pytest.raises(RecipeError, match=r"no such key\. Its keys: model,"):
        explain("zzzzzz")


# -- all doctrines side by side


@pytest.fixture
def compare(make: Make, machine: Machine) -> Callable[..., Comparison]:
    return lambda *recipe: compare_doctrines(*make(*recipe), machine, None)


def test_every_column_is_the_plan_by_that_doctrine(
    compare: Callable[..., Comparison], advised: Callable[..., Advised]
) -> None:
    found = compare()
    assert not found.failed
    for name in DOCTRINES:
        plan = advised(f"doctrine: {name}").plan
        for key, cells in found.compare.items():
            assert cells[name].value == plan[key], (name, key)
        assert found.figures[name].trainable_parameters == plan.trainable_parameters


def test_alpha_follows_each_doctrines_own_rank(compare: Callable[..., Comparison]) -> None:
    cells = compare().compare
    ranks = {name: cell.value for name, cell in cells["lora.r"].items()}
    alphas = {name: cell.value for name, cell in cells["lora.lora_alpha"].items()}
    assert alphas["working-notes"] == 4 * ranks["working-notes"]  # type: ignore[operator]
    assert alphas["honest-choice"] == 2 * ranks["honest-choice"] == 16  # type: ignore[operator]  # PEFT's rank
    assert alphas["rankwise"] == 2 * ranks["rankwise"]  # type: ignore[operator]


def test_silence_is_told_from_agreement(compare: Callable[..., Comparison]) -> None:
    cells = compare().compare
    assert cells["lora.r"]["honest-choice"].fallback and not cells["lora.r"]["peft-defaults"].fallback
    assert not cells["lora.r"]["tinker"].fallback
    assert cells["lora.target_modules"]["trl-defaults"].value == cells["lora.target_modules"]["peft-defaults"].value


def test_conflicts_are_among_those_who_speak(compare: Callable[..., Comparison]) -> None:
    found = compare()
    assert {"lora.r", "lora.lora_alpha", "lora.target_modules", "training.learning_rate"} <= set(found.conflicts)
    assert "training.max_grad_norm" not in found.conflicts  # PEFT's alone
    assert "training.eval_steps" not in found.conflicts  # differs as the steps do, of one rule


def test_your_values_are_the_same_in_all_and_no_conflict(compare: Callable[..., Comparison]) -> None:
    found = compare("lora:\n  r: 5")
    assert found.yours == {"lora.r": "recipe.yaml:2"} and "lora.r" not in found.conflicts
    assert {cell.value for cell in found.compare["lora.r"].values()} == {5}
    assert {cell.value for name, cell in found.compare["lora.lora_alpha"].items() if name == "rankwise"} == {10}


def test_the_recipes_own_doctrine_does_not_change_the_table(compare: Callable[..., Comparison]) -> None:
    assert compare().compare == compare("doctrine: tinker").compare


def test_a_doctrine_that_cannot_plan_here_is_named(
    compare: Callable[..., Comparison], monkeypatch: pytest.MonkeyPatch
) -> None:
    from rankwise.doctrine.rule import Advice, Doctrine

    lost = Doctrine("lost", "", "Lost")
    lost.rule("lora.target_modules", "")(lambda situation: Advice(["nowhere"], "no reason"))
    monkeypatch.setitem(DOCTRINES, "lost", lost)
    found = compare()
    assert "none of nowhere is a linear layer of this base" in found.failed["lost"]
    assert "lost" not in found.compare["lora.r"] and "tinker" in found.compare["lora.r"]
    with pytest.raises(RecipeError):
        compare("doctrine: lost")
