"""Preferences and rewards from recipe to catalogue, by TRL: stopped = never stopped, saved = loaded, learnt at all."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Callable
from pathlib import Path

import pytest

pytest.importorskip("trl")

from rankwise import api
from rankwise.events import Event, ignore, read_events
from rankwise.facts import identify_base, read_adapter, read_anatomy, verify_adapter
from rankwise.files import sha256_file
from rankwise.recipe import load_recipe
from rankwise.runs import Stopped

STEPS = 8
SETTINGS = (
    f"lora: {{r: 4, target_modules: [q_proj, v_proj, down_proj]}}\ntraining: {{max_steps: {STEPS}, save_steps: 2, "
    "per_device_train_batch_size: 4, gradient_accumulation_steps: 1, learning_rate: 0.01, logging_steps: 1"
)
MORE = {"dpo": f"{SETTINGS}, eval_steps: 4}}\n", "grpo": f"{SETTINGS}}}\ngrpo: {{num_generations: 2}}\n"}


def write_recipe(folder: Path, base: Path | str, objective: str, more: str | None = None, rows: int = 24) -> Path:
    kinds = ("good", "bad")
    if objective == "dpo":
        made = [{"prompt": f"rent in month {i}", "chosen": "yes", "rejected": f"no {i}"} for i in range(rows)]
    else:
        made = [{"text": f"revenue {kinds[i % 2]} in month {i}", "label": kinds[i % 2]} for i in range(rows)]
    (folder / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in made))
    recipe = folder / "recipe.yaml"
    text = f"model: {base}\nobjective: {objective}\ndata: {{train: rows.jsonl}}\n"
    recipe.write_text(text + (MORE[objective] if more is None else more))
    return recipe


def train(recipe: Path, run: Path, observer: Callable[[Event], None] = ignore) -> api.Trained:
    return api.train(load_recipe(recipe), run, observer)


def weights(run: Path) -> str:
    return sha256_file(run / "adapter" / "adapter_model.safetensors")


@pytest.fixture(scope="module", params=["dpo", "grpo"])
def objective(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def recipe(objective: str, tiny_base: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_recipe(tmp_path_factory.mktemp(objective), tiny_base, objective)


@pytest.fixture(scope="module")
def trained(recipe: Path) -> api.Trained:
    """A run that nobody changes."""
    return train(recipe, recipe.parent / "whole")


def test_an_adapter_like_any_other(trained: api.Trained, objective: str, tiny_base: Path) -> None:
    from peft import PeftModel
    from transformers import AutoModelForCausalLM

    facts = read_adapter(trained.adapter)
    assert trained.steps == STEPS
    assert facts.record is not None and facts.record.objective == objective
    found = {
        problem.code for problem in verify_adapter(trained.adapter, identify_base(tiny_base), read_anatomy(tiny_base))
    }
    assert found <= ({"adapter-does-nothing"} if objective == "grpo" else set())  # a random base is never rewarded
    loaded = PeftModel.from_pretrained(AutoModelForCausalLM.from_pretrained(tiny_base), str(trained.adapter))
    assert list(loaded.peft_config) == ["default"]
    assert not list(trained.adapter.glob("*/"))  # the reference is not in it


def test_events_tell_what_is_learnt(trained: api.Trained, objective: str) -> None:
    events = read_events(trained.run / "events.jsonl")
    steps = [event for event in events if event["event"] == "step"]
    assert [event["step"] for event in steps] == list(range(1, STEPS + 1))
    assert all(("accuracy" if objective == "dpo" else "reward") in event for event in steps)
    if objective == "dpo":
        assert [event["step"] for event in events if event["event"] == "preferences"] == [4, 8]


def test_evaluated_like_any_other(trained: api.Trained) -> None:
    assert api.evaluate(str(trained.adapter)).rows > 0


def test_killed_anywhere_it_ends_as_if_it_had_not_been(recipe: Path, trained: api.Trained, tmp_path: Path) -> None:
    class Killed(Exception):
        pass

    def kill(event: Event) -> None:
        if event["event"] == "step" and event["step"] == 5:
            raise Killed

    with pytest.raises(Killed):
        train(recipe, tmp_path / "run", kill)
    assert api.resume(tmp_path / "run").steps == STEPS
    assert weights(tmp_path / "run") == weights(trained.run)


def test_a_signal_commits_the_step(recipe: Path, trained: api.Trained, tmp_path: Path) -> None:
    def ask(event: Event) -> None:
        if event["event"] == "step" and event["step"] == 2:
            os.kill(os.getpid(), signal.SIGTERM)

    with pytest.raises(Stopped) as stopped:
        train(recipe, tmp_path / "run", ask)
    assert stopped.value.signal == signal.SIGTERM
    assert (tmp_path / "run" / "checkpoints" / "checkpoint-3" / "manifest.json").is_file()
    api.resume(tmp_path / "run")
    assert weights(tmp_path / "run") == weights(trained.run)


def test_preferences_are_learnt(tmp_path: Path, tiny_base: Path) -> None:
    """A base of random weights learns which of two answers is chosen."""
    more = MORE["dpo"].replace(f"max_steps: {STEPS}", "max_steps: 40")
    done = train(write_recipe(tmp_path, tiny_base, "dpo", more), tmp_path / "run")
    assert done.held_out["held_out_accuracy"] == 1.0


@pytest.mark.slow
@pytest.mark.parametrize(("kind", "measure"), [("dpo", "accuracy"), ("grpo", "reward")])
def test_a_real_base_learns(kind: str, measure: str, embedded_base: Path, tmp_path: Path) -> None:
    """Preference accuracy, or reward, of the last quarter of the steps is above that of the first."""
    more = (
        "lora: {r: 8}\ntraining: {max_steps: 40, per_device_train_batch_size: 8, gradient_accumulation_steps: 2, "
        "logging_steps: 1}\n"
    )
    done = train(write_recipe(tmp_path, embedded_base, kind, more, rows=96), tmp_path / "run")
    events = [event for event in read_events(done.run / "events.jsonl") if event["event"] == "step"]
    found = [event[measure] for event in events]
    assert sum(found[-10:]) / 10 > sum(found[:10]) / 10 + 0.1
