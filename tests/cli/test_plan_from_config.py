"""A plan for a base of which only config.json is at hand: no weights, no tokenizer, no torch."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from .conftest import Cli
from .test_light import HEAVY, modules_after

CONFIGS = Path(__file__).parents[1] / "facts" / "configs"
LORA = ["--set", "lora.r=16", "--set", "lora.target_modules=all-linear"]

# In + out of every projection, times layers: r x this is what LoRA trains.
ALL_LINEAR = {
    "llama-3.1-70b": 12_943_360,
    "llama-3.1-8b": 2_621_440,
    "qwen3-8b": 2_727_936,
    "qwen3-30b-a3b": 835_584,
    "mixtral-8x7b": 851_968,
    "gemma-3-1b": 815_360,
    "t5-small": 135_168,
    "distilbert-base-uncased": 82_944,
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folders of configs alone, and a recipe of a few rows for each."""
    made = tmp_path_factory.mktemp("shapes")
    rows = [{"instruction": f"Sum up report {i}", "output": f"Revenue rose by {i} percent."} for i in range(12)]
    (made / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    for name in ALL_LINEAR:
        (made / name).mkdir()
        shutil.copy(CONFIGS / f"{name}.json", made / name / "config.json")
        (made / f"{name}.yaml").write_text(f"model: ./{name}\ndata: {{train: rows.jsonl}}\n")
    return made


@pytest.mark.parametrize("name", ALL_LINEAR)
def test_counts(name: str, folder: Path, cli: Cli) -> None:
    done = cli("plan", f"{name}.yaml", "--json", *LORA, cwd=folder)
    assert done.code == 0, done.err
    assert done.json["trainable_parameters"] == 16 * ALL_LINEAR[name]
    assert done.json["seconds"] is None
    notes = {p["code"]: p["severity"] for p in done.json["problems"]}
    assert notes["base-without-weights"] == notes["tokens-estimated"] == "note"
    assert ("kind-not-trained" in notes) is (name in ("t5-small", "distilbert-base-uncased"))


def test_a_large_shape_needs_no_torch(folder: Path) -> None:
    modules = modules_after(["plan", "llama-3.1-70b.yaml", "--json"], folder)
    assert "rankwise" in modules
    assert modules & HEAVY == set()


def test_a_large_shape_is_planned_within_a_second(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import time

    from rankwise import api, measure
    from rankwise.recipe import load_recipe

    def never(*_: object) -> None:
        raise AssertionError("measured a base that has no weights")

    monkeypatch.setattr(measure, "_run", never)
    for name in ("llama-3.1-70b", "qwen3-30b-a3b"):
        seconds = []
        for _ in range(3):
            began = time.monotonic()
            api.plan(load_recipe(folder / f"{name}.yaml"))
            seconds.append(time.monotonic() - began)
        assert min(seconds) < 1, seconds


def test_nothing_is_trained_without_weights_and_tokenizer(folder: Path, cli: Cli) -> None:
    for verb in (["train", "--output", "run"], ["check"]):
        done = cli(*verb, "t5-small.yaml", "--json", cwd=folder)
        assert done.code == 2
        said = " ".join(problem["message"] for problem in done.json["problems"])
        assert "base-no-weights" in done.codes
        assert "no tokenizer.json" in said and "trains causal models only" in said
        assert not (folder / "run").exists()
