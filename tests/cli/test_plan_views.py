"""`rankwise plan --doctrine`, `--explain` and `--compare`: what they print, and their JSON.

A golden file that is gone is written anew; read it before it is committed.
"""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from rich.console import Console

from rankwise import api
from rankwise.cli.compare import short_value, show_comparison
from rankwise.cli.explain import show_explanation
from rankwise.doctrine import DOCTRINES
from rankwise.recipe import load_recipe

from .conftest import Cli

GOLDEN = Path(__file__).parent / "golden"
PEERS = ("tinker", "peft-defaults", "trl-defaults", "unsloth-defaults")
SEVEN = ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj")


def golden(name: str, text: str) -> None:
    file = GOLDEN / f"{name}.txt"
    text = "".join(f"{line.rstrip()}\n" for line in text.splitlines())
    if not file.exists():
        file.write_text(text, encoding="utf-8")
        pytest.fail(f"{file} was not there; it is written now")
    assert text == file.read_text(encoding="utf-8")


@pytest.fixture
def peers_alone() -> Iterator[None]:
    """Of the doctrines those of other tools, so that what the guides say may change without these files."""
    everyone = dict(DOCTRINES)
    for name in set(everyone) - {*PEERS, "working-notes", "honest-choice"}:
        del DOCTRINES[name]
    yield
    DOCTRINES.clear()  # put back one by one they would stand in another order
    DOCTRINES.update(everyone)


@pytest.fixture
def printed(project: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., str]:
    """What a view prints at 100 columns; no speed is measured."""
    monkeypatch.setattr(api, "measure_speed", lambda prepared, observer: None)
    monkeypatch.chdir(project)

    def show(key: str | None, *overrides: str) -> str:
        asked, stream = load_recipe(Path("recipe.yaml"), overrides), io.StringIO()
        console = Console(file=stream, width=100, color_system=None)
        if key is None:
            show_comparison(console, api.compare(asked))
        else:
            show_explanation(console, api.explain(asked, key))
        return stream.getvalue()

    return show


@pytest.mark.usefixtures("peers_alone")
def test_compare_as_it_is_printed(printed: Callable[..., str]) -> None:
    text, _, totals = printed(None, "doctrine=tinker").partition(" doctrine ")
    golden("compare", text)
    assert all(name in totals for name in PEERS)


@pytest.mark.usefixtures("peers_alone")
def test_explain_as_it_is_printed(printed: Callable[..., str]) -> None:
    golden("explain_beta2", printed("training.adam_beta2", "doctrine=tinker"))
    golden("explain_yours", printed("training.warmup_ratio", "doctrine=unsloth-defaults", "training.warmup_ratio=0.2"))


def test_nothing_is_wider_than_the_terminal(printed: Callable[..., str]) -> None:
    for key in (None, "method", "lora.target_modules", "training.learning_rate"):
        assert max(map(len, printed(key).splitlines())) <= 100, key


def test_the_table_of_methods_sets_each_beside_lora(printed: Callable[..., str]) -> None:
    lines = printed("method").splitlines()
    rows = {line.split()[0]: line for line in lines if line.split() and line.split()[0] in ("lora", "prefix", "full")}
    assert all("yes" in row for row in rows.values()) and len(rows) == 3
    assert "1.00x" in rows["lora"]
    assert "100.00%" in rows["full"]


@pytest.mark.parametrize(
    ("value", "short"),
    [
        (list(SEVEN), "all 7 layers"),
        ([*SEVEN, "lm_head"], "all 7 layers + lm_head"),
        (["q_proj", "v_proj"], "q, v"),
        (["q_lin"], "q"),
        (2e-4, "0.0002"),
        (None, "null"),
        (True, "true"),
        ([], ""),
    ],
)
def test_short_values(value: object, short: str) -> None:
    assert short_value(value, SEVEN) == short


# -- the program


def test_doctrine_is_short_for_the_recipes_key(cli: Cli, project: Path) -> None:
    flag = cli("plan", "recipe.yaml", "--doctrine", "tinker", "--json", cwd=project).json
    override = cli("plan", "recipe.yaml", "--set", "doctrine=tinker", "--json", cwd=project).json
    assert flag == override
    assert flag["decisions"]["training.adam_beta2"]["value"] == 0.95
    assert flag["decisions"]["training.adam_beta2"]["kind"] == "conventional"
    assert flag["decisions"]["lora.r"]["kind"] == "yours"
    twice = cli("plan", "recipe.yaml", "--doctrine", "tinker", "--set", "doctrine=rankwise", "--json", cwd=project)
    assert (twice.code, twice.codes) == (2, ["duplicate-override"])


def test_compare_in_json(cli: Cli, project: Path) -> None:
    found = cli("plan", "recipe.yaml", "--compare", "--json", cwd=project).json
    assert set(found["compare"]["training.learning_rate"]) == set(DOCTRINES)
    cell = found["compare"]["training.weight_decay"]["tinker"]
    assert cell.keys() == {"value", "reason", "source", "kind", "fallback"} and cell["fallback"] is True
    assert "training.learning_rate" in found["conflicts"] and "lora.r" not in found["conflicts"]
    assert found["yours"]["lora.r"] == "recipe.yaml:6"
    assert {problem["severity"] for problem in found["problems"]} <= {"note", "warning"}


def test_explain_in_json(cli: Cli, project: Path) -> None:
    told = cli("plan", "recipe.yaml", "--explain", "lora.r", "--json", cwd=project).json
    assert (told["key"], told["value"], told["kind"], told["source"]) == ("lora.r", 2, "yours", "recipe.yaml:6")
    assert {"voices", "silent", "unused", "objections", "lessons", "errata", "leads_to"} <= told.keys()
    assert told["methods"] == []
    methods = cli("plan", "recipe.yaml", "--explain", "method", "--json", cwd=project).json["methods"]
    assert {method["name"]: method["built"] for method in methods}["lora"] is True
    assert methods[0]["trainable"] == 2 * 2 * (4 * 32 + 2 * (32 + 16) + 3 * (32 + 64))


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (["--explain", "lora.rank"], "unknown-key"),
        (["--explain", "lora.r", "--compare"], "flags-apart"),
        (["--explain", "lora.r", "--fit"], "flags-apart"),
        (["--compare", "--measure"], "flags-apart"),
        (["--doctrine", "nobody"], "unknown-doctrine"),
        (["--doctrine", "nobody", "--compare"], "unknown-doctrine"),
    ],
)
def test_refusals(cli: Cli, project: Path, arguments: list[str], code: str) -> None:
    result = cli("plan", "recipe.yaml", *arguments, "--json", cwd=project)
    assert (result.code, result.codes) == (2, [code]), json.dumps(result.json)


def test_people_are_answered_on_standard_output(cli: Cli, project: Path) -> None:
    told = cli("plan", "recipe.yaml", "--explain", "lora.lora_alpha", cwd=project, COLUMNS="100")
    assert told.code == 0 and told.out.startswith("lora.lora_alpha: 4\n")
    found = cli("plan", "recipe.yaml", "--compare", cwd=project, COLUMNS="100")
    assert found.code == 0 and "≠" in found.out and "yours: recipe.yaml:6" in found.out
