"""What the README and the examples tell a user to do works as written."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from rankwise.recipe import load_recipe

ROOT = Path(__file__).parents[1]
BLOCK = re.compile(r"^```(?:console|bash)\n(.*?)^```", re.MULTILINE | re.DOTALL)


def commands() -> list[list[str]]:
    """Every `$ ` line of the README's console blocks, in order."""
    lines = [line for block in BLOCK.findall((ROOT / "README.md").read_text()) for line in block.splitlines()]
    return [shlex.split(line.removeprefix("$ ")) for line in lines if line.startswith("$ ")]


def make_targets() -> set[str]:
    return set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))


def shorten(recipe: Path, model: str) -> None:
    """Make the recipe that `init` wrote one of two steps on `model`."""
    text = recipe.read_text()
    for key, value in (("model", model), ("  max_steps", "2")):
        text, times = re.subn(rf"^{key}: \S+", f"{key}: {value}", text, flags=re.MULTILINE)
        assert times == 1, key
    recipe.write_text(text)


def run_all(folder: Path, home: Path, model: str) -> None:
    ran = 0
    for program, *arguments in commands():
        if program == "make":
            assert set(arguments) <= make_targets()
            continue
        assert program == "rankwise"
        done = subprocess.run(
            [Path(sys.executable).with_name(program), *arguments],
            cwd=folder,
            env={**os.environ, "RANKWISE_HOME": str(home)},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=900,
        )
        assert done.returncode == 0, f"{arguments}: {done.stderr}"
        ran += 1
        if arguments[0] == "init":
            shorten(folder / "recipe.yaml", model)
    assert ran >= 8


def test_readme_commands_work_in_order(tmp_path: Path, home: Path, tiny_base: Path):
    run_all(tmp_path, home, str(tiny_base))


@pytest.mark.slow
def test_readme_commands_work_on_the_embedded_base(tmp_path: Path, home: Path, embedded_base: Path):
    run_all(tmp_path, home, "smollm2-135m")


def test_readme_opens_with_the_two_commands():
    assert [" ".join(command) for command in commands()[:2]] == ["make demo", "make test"]


def test_examples_are_valid_recipes():
    recipes = sorted((ROOT / "examples").glob("*.yaml"))
    assert len(recipes) >= 2
    for recipe in recipes:
        load_recipe(recipe)


def test_makefile_has_the_promised_targets():
    assert make_targets() >= {"install", "demo", "test", "test-all", "check", "clean"}


def test_contributing_stays_short():
    assert len((ROOT / "CONTRIBUTING.md").read_text().splitlines()) < 60
