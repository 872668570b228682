"""The committed page is what the generator writes, and every rule and objection is seen on it."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import pytest

from rankwise.doctrine import DOCTRINES
from rankwise.doctrine.errata import ERRATA
from rankwise.doctrine.examples import ELSEWHERE, FEW, MANY, REFERENCE, with_rows
from rankwise.doctrine.page import COMMAND, SILENT, example_of, settled_by, speaking_rule
from rankwise.doctrine.page import page as make_page

COMMITTED = Path(__file__).parents[2] / "docs" / "doctrines.md"
SEEDS = ("best-practices", "without-regret", "honest-choice", "configuration-guide", "working-notes")


@cache
def page() -> str:
    return make_page()


def rows_of(heading: str) -> list[list[str]]:
    """Cells of the table below `heading`, its header first."""
    text = page().partition(f"\n{heading}\n")[2].partition("\n#")[0]
    lines = [line for line in text.splitlines() if line.startswith("| ") and not line.startswith("| ---")]
    return [line.strip("| ").split(" | ") for line in lines]


def test_the_committed_page_is_the_generated_one() -> None:
    assert COMMITTED.read_text(encoding="utf-8") == page(), f"run: {COMMAND}"


@pytest.mark.parametrize("name", SEEDS)
def test_every_rule_of_the_seeds_speaks_somewhere(name: str) -> None:
    doctrine = DOCTRINES[name]
    met = [with_rows(base, rows) for base in REFERENCE.values() for rows in (FEW, MANY)] + [*ELSEWHERE.values()]
    met = [settled_by(doctrine, situation) for situation in met]
    spoken = {id(speaking_rule(doctrine, rule.sets, situation)) for rule in doctrine.rules for situation in met}
    assert not [(rule.sets, rule.when) for rule in doctrine.rules if id(rule) not in spoken]


@pytest.mark.parametrize("name", SEEDS)
def test_every_objection_of_the_seeds_is_shown_with_an_example(name: str) -> None:
    assert not [objection.object.__name__ for objection in DOCTRINES[name].objections if example_of(objection) is None]


def test_every_rule_lesson_and_erratum_is_on_the_page() -> None:
    text = page()
    for doctrine in DOCTRINES.values():
        assert f"`{doctrine.name}`" in text
        for key in doctrine.decides:
            written = [row for row in rows_of(f"### `{key}`") if row[0] == f"`{doctrine.name}`"]
            assert len(written) == sum(rule.sets == key for rule in doctrine.rules), (doctrine.name, key)
        assert all(lesson.text in text for lesson in doctrine.lessons)
    assert all(erratum.fact in text and erratum.consequence in text for erratum in ERRATA)


def test_a_values_cells_and_their_conflict() -> None:
    header, *rows = rows_of("### `lora.lora_dropout`")
    assert header[2:5] == list(REFERENCE)
    assert [row[2:5] for row in rows if row[0] == "`best-practices`"] == [["0.05"] * 3]
    many = [row for row in rows if row[0] == "`configuration-guide`" and row[1] == "more than 10,000 rows"]
    assert [row[2:5] for row in many] == [[f"{SILENT}; 50,000 rows: 0.3"] * 3]
    text = page().partition("### `lora.lora_dropout`")[2].partition("###")[0]
    assert text.count("**Conflict** on all of these bases with 50,000 rows: ") == 1
    assert "0.3 (configuration-guide)" in text
    assert "**Conflict**" not in page().partition("### `lora.init_lora_weights`")[2].partition("###")[0]


def test_experts_are_shown_on_the_mixture_alone() -> None:
    _, *rows = rows_of("### `lora.rank_per_expert`")
    assert {row[0]: row[2:5] for row in rows} == {
        "`without-regret`": [SILENT, SILENT, "8"],  # of 64
        "`peft-defaults`": [SILENT, SILENT, "1"],  # of 8
    }


def test_values_of_a_doctrine_follow_from_its_own() -> None:
    own = settled_by(DOCTRINES["working-notes"], with_rows(REFERENCE["Llama-3.1-8B"], FEW)).settled
    assert own["lora.lora_alpha"] == 4 * own["lora.r"]  # type: ignore[operator]
    assert own["steps"] == 375  # 3 passes over 1,000 rows, 8 a step: the defaults'
    assert own["training.eval_steps"] == own["training.save_steps"] == 75
