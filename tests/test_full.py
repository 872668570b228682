"""Full fine-tuning from recipe to reload: planned = trained, stopped = never stopped, base + delta = trained."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from typer.testing import CliRunner

from rankwise import api, catalog
from rankwise.cli import app
from rankwise.errors import AdapterError, RecipeError
from rankwise.events import Event, read_events
from rankwise.facts import identify_base, read_adapter, read_anatomy, verify_adapter
from rankwise.facts.payload import DELTA
from rankwise.files import read_json, sha256_file, write_json
from rankwise.model.open import open_adapter
from rankwise.recipe import load_recipe
from rankwise.selftest.gradients import our_logits
from rankwise.serve.pool import require_servable

STEPS = 12
TOLERANCE = 1e-5
"""Largest difference of logits (float32, logits of about 1)."""


def write_rows(file: Path, count: int = 60) -> Path:
    """Rows in which one word gives the label away."""
    words = {"bad": "fell", "good": "rose"}
    labels = ["good" if i % 2 else "bad" for i in range(count)]
    rows = [{"text": f"revenue {words[label]} in month {i}", "label": label} for i, label in enumerate(labels)]
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return file


def write_recipe(folder: Path, base: Path, more: str = "") -> Path:
    write_rows(folder / "rows.jsonl")
    file = folder / "recipe.yaml"
    file.write_text(
        f"model: {base}\nmethod: full\ndata: {{train: rows.jsonl}}\n{more}training: {{max_steps: {STEPS}, "
        "eval_steps: 3, save_steps: 4, per_device_train_batch_size: 8, gradient_accumulation_steps: 2, "
        "learning_rate: 0.003}\n"
    )
    return file


def train(recipe: Path, run: Path, *overrides: str) -> api.Trained:
    return api.train(load_recipe(recipe, overrides), run)


@pytest.fixture(scope="module")
def trained(tiny_base: Path, tmp_path_factory: pytest.TempPathFactory) -> api.Trained:
    """A run that nobody changes."""
    folder = tmp_path_factory.mktemp("trained")
    return train(write_recipe(folder, tiny_base), folder / "run")


# -- a run


def test_every_weight_is_trained_and_kept_as_a_difference(trained: api.Trained, tiny_base: Path) -> None:
    made, every = read_json(trained.run / "plan.json"), read_anatomy(tiny_base).total_parameters
    assert made["trainable_parameters"] == every
    assert sorted(file.name for file in trained.adapter.iterdir()) == ["README.md", DELTA, "rankwise.json"]
    delta, base = load_file(trained.adapter / DELTA), load_file(tiny_base / "model.safetensors")
    assert sum(tensor.numel() for tensor in delta.values()) == every
    assert delta.keys() == base.keys()  # the head is tied, so it is the embeddings in both
    assert all(tensor.dtype == torch.float32 and tensor.abs().max() > 0 for tensor in delta.values())
    assert verify_adapter(trained.adapter, identify_base(tiny_base), read_anatomy(tiny_base)) == []
    losses = [event["loss"] for event in read_events(trained.run / "events.jsonl") if event["event"] == "held_out"]
    assert losses[-1] < losses[0]


def test_it_is_catalogued_like_an_adapter(trained: api.Trained, tiny_base: Path) -> None:
    entry = catalog.find_entry(trained.entry.id)
    assert (entry.method, entry.parameters, entry.r) == ("full", read_anatomy(tiny_base).total_parameters, 0)
    assert sha256_file(entry.path / DELTA) == sha256_file(trained.adapter / DELTA)
    record = read_adapter(entry.path).record
    assert record is not None and record.method == "full" and record.base.identity == identify_base(tiny_base)
    assert (record.base.dtype, record.base.quantization) == ("float32", "none")


def test_a_base_in_sixteen_bits_is_trained_in_thirty_two(tiny_base: Path, tmp_path: Path) -> None:
    from transformers import AutoModelForCausalLM

    half = tmp_path / "half"
    shutil.copytree(tiny_base, half)
    AutoModelForCausalLM.from_pretrained(tiny_base, dtype=torch.bfloat16).save_pretrained(half)
    done = train(write_recipe(tmp_path, half), tmp_path / "run", "training.max_steps=2")
    record = read_adapter(done.adapter).record
    assert record is not None and record.base.dtype == "bfloat16"
    assert "float32, its files are in bfloat16" in (done.adapter / "README.md").read_text()
    assert verify_adapter(done.adapter, identify_base(half), read_anatomy(half)) == []
    scores = api.evaluate(str(done.run)).contestants["adapter"].scores
    assert scores["bits_per_token"] == pytest.approx(done.held_out["bits_per_token"], rel=1e-4)


def test_a_stopped_run_goes_on_as_if_it_had_not_stopped(trained: api.Trained, tiny_base: Path, tmp_path: Path) -> None:
    def interrupt(event: Event) -> None:
        if event["event"] == "step" and event["step"] == 5:
            os.kill(os.getpid(), signal.SIGTERM)

    with pytest.raises(api.Stopped):
        api.train(load_recipe(write_recipe(tmp_path, tiny_base)), tmp_path / "run", interrupt)
    resumed = api.resume(tmp_path / "run")
    assert sha256_file(resumed.adapter / DELTA) == sha256_file(trained.adapter / DELTA)
    assert resumed.held_out == trained.held_out and resumed.entry.digest == trained.entry.digest


def test_recomputed_activations_give_the_same_weights(trained: api.Trained, tiny_base: Path, tmp_path: Path) -> None:
    recipe = write_recipe(tmp_path, tiny_base)
    again = train(recipe, tmp_path / "run", "training.gradient_checkpointing=true")
    assert again.held_out["loss"] == pytest.approx(trained.held_out["loss"], rel=1e-4)


def test_a_run_is_rehearsed_on_the_base_as_it_is(tiny_base: Path, tmp_path: Path) -> None:
    asked = load_recipe(write_recipe(tmp_path, tiny_base))
    made = api.plan(asked, measure=True)
    assert made.prediction is not None and made.prediction.steps_timed >= 4
    assert made.capacity.basis == "measured" and made.capacity.capacity_bits == 2 * made.total_parameters


# -- reload


def test_reloaded_it_gives_the_same_losses(trained: api.Trained) -> None:
    found = [api.evaluate(target) for target in (str(trained.run), str(trained.adapter), trained.entry.id)]
    scores = [each.contestants["adapter"].scores for each in found]
    assert scores[0] == scores[1] == scores[2]
    assert scores[0]["bits_per_token"] == pytest.approx(trained.held_out["bits_per_token"], rel=1e-4)
    assert set(found[0].contestants) == {"base", "few_shot", "baseline", "adapter"}
    assert {each.rows for each in found} == {6}


def test_the_base_beside_it_is_the_untouched_one(trained: api.Trained, tiny_base: Path) -> None:
    from rankwise.model.load import load_base

    opened = open_adapter(trained.adapter, tiny_base, "float32", "cpu")
    rows = [opened.renderer.render(row) for row in _rows(trained)]
    untouched = our_logits(load_base(tiny_base, "float32", "cpu"), rows)
    before = our_logits(opened.model, rows)
    with opened.base_alone():
        assert torch.equal(our_logits(opened.model, rows), untouched)
    assert torch.equal(our_logits(opened.model, rows), before) and not torch.allclose(before, untouched, atol=1e-2)


def _rows(trained: api.Trained) -> list:
    from rankwise.data.read import read_table

    record = read_adapter(trained.adapter).record
    assert record is not None
    return list(read_table(record.data.train).rows[:2])


def test_plain_transformers_gives_the_same_logits(trained: api.Trained, tiny_base: Path, tmp_path: Path) -> None:
    """By the card's own snippet, in a process without rankwise."""
    opened = open_adapter(trained.adapter, tiny_base, "float32", "cpu")
    row = opened.renderer.render(_rows(trained)[0])
    ours = our_logits(opened.model, [row])
    snippet = (trained.adapter / "README.md").read_text().split("```python\n")[1].split("```")[0]
    script = (
        f"import sys, json\nBASE, ADAPTER = sys.argv[1:3]\n{snippet}\n"
        "with torch.no_grad():\n"
        "    print(json.dumps(model.eval()(torch.tensor([json.loads(sys.argv[3])])).logits[0].tolist()))\n"
        "assert 'rankwise' not in sys.modules and 'peft' not in sys.modules\n"
    )
    command = [sys.executable, "-c", script, str(tiny_base), str(trained.adapter), json.dumps(row.ids)]
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    theirs = torch.tensor(json.loads(done.stdout.splitlines()[-1]))
    assert float((ours - theirs).abs().max()) < TOLERANCE


def test_it_is_talked_to_beside_its_base(trained: api.Trained) -> None:
    replies = api.chat(str(trained.run)).ask("revenue rose in month 3")
    assert set(replies) == {"base", "adapter"} and {reply.text for reply in replies.values()} <= {"bad", "good"}
    assert replies["base"].probability != replies["adapter"].probability


def test_training_goes_on_from_it(trained: api.Trained, tiny_base: Path, tmp_path: Path) -> None:
    recipe = write_recipe(tmp_path, tiny_base, f"adapter: {trained.adapter}\n")
    done = train(recipe, tmp_path / "run", "training.max_steps=2", "training.learning_rate=1e-6")
    record = read_adapter(done.adapter).record
    assert record is not None and (record.method, record.parent) == ("full", trained.entry.digest)
    opening = next(e["loss"] for e in read_events(done.run / "events.jsonl") if e["event"] == "held_out")
    assert opening == pytest.approx(trained.held_out["loss"], rel=1e-4)
    before, after = (load_file(run.adapter / DELTA) for run in (trained, done))
    # Against the base, not against the parent, from which it hardly moved.
    assert all(torch.allclose(before[name], after[name], atol=1e-4) for name in before)


def test_other_methods_do_not_go_on_from_it(trained: api.Trained, tiny_base: Path, tmp_path: Path) -> None:
    recipe = write_recipe(tmp_path, tiny_base, f"adapter: {trained.adapter}\n")
    with pytest.raises(RecipeError, match="method is lora here and full in the adapter it continues from"):
        api.plan(load_recipe(recipe, ["method=lora"]))
    assert api.plan(load_recipe(recipe, ["method=auto"]))["method"] == "full"


# -- what is wrong with a folder


@pytest.fixture
def copied(trained: api.Trained, tmp_path: Path) -> Path:
    return Path(shutil.copytree(trained.adapter, tmp_path / "adapter"))


def codes(folder: Path, base: Path) -> set[str]:
    return {problem.code for problem in verify_adapter(folder, identify_base(base), read_anatomy(base))}


def test_another_base_is_refused(trained: api.Trained, tiny_base: Path, tmp_path: Path) -> None:
    other = Path(shutil.copytree(tiny_base, tmp_path / "other"))
    weights = load_file(other / "model.safetensors")
    weights["model.norm.weight"] += 1
    save_file(weights, other / "model.safetensors", metadata={"format": "pt"})
    assert codes(trained.adapter, other) == {"base-weights-differs"}
    with pytest.raises(AdapterError, match="load it on the base it was trained on"):
        open_adapter(trained.adapter, other, "float32", "cpu")


def test_a_damaged_delta_is_found(copied: Path, tiny_base: Path) -> None:
    delta = load_file(copied / DELTA)
    broken = {
        "adapter-not-finite": delta | {"model.norm.weight": torch.full((32,), float("nan"))},
        "adapter-dtype": delta | {"model.norm.weight": delta["model.norm.weight"].bfloat16()},
        "adapter-shape": {name: tensor for name, tensor in delta.items() if name != "model.norm.weight"},
        "adapter-does-nothing": {name: torch.zeros_like(tensor) for name, tensor in delta.items()},
    }
    for code, tensors in broken.items():
        save_file(tensors, copied / DELTA, metadata={"format": "pt"})
        assert codes(copied, tiny_base) == {code}
    square = {
        name: tensor.reshape(-1, 16) if name.endswith("q_proj.weight") else tensor for name, tensor in delta.items()
    }
    save_file(square, copied / DELTA, metadata={"format": "pt"})
    assert codes(copied, tiny_base) == {"adapter-shape"}


def test_a_delta_that_nothing_tells_the_base_of_is_refused(copied: Path, tiny_base: Path) -> None:
    record = read_json(copied / "rankwise.json")
    write_json(copied / "rankwise.json", record | {"method": "lora"})
    assert codes(copied, tiny_base) == {"adapter-method"}
    (copied / "rankwise.json").unlink()
    assert "adapter-method" in codes(copied, tiny_base)
    with pytest.raises(AdapterError, match="what method full leaves"):
        open_adapter(copied, tiny_base, "float32", "cpu")


def test_it_is_not_served_beside_adapters(trained: api.Trained) -> None:
    with pytest.raises(AdapterError, match="it moves every weight of the base, which the others need as it is"):
        require_servable(read_adapter(trained.adapter), ())


def test_a_classifier_is_not_trained_whole(encoder_of, tmp_path: Path) -> None:
    recipe = write_recipe(tmp_path, encoder_of("bert"))
    with pytest.raises(RecipeError, match=r"method full: .*the head of task seq_cls is none of them"):
        api.plan(load_recipe(recipe))


# -- the command line


def test_every_verb_knows_it(tiny_base: Path, tmp_path: Path) -> None:
    recipe, run = write_recipe(tmp_path, tiny_base), tmp_path / "run"

    def told(*arguments: str, code: int = 0) -> dict:
        done = CliRunner().invoke(app, [*arguments, "--json"])
        assert done.exit_code == code, done.output
        return json.loads(done.stdout)

    assert told("check", str(recipe))["ok"]
    assert told("plan", str(recipe))["decisions"]["method"]["value"] == "full"
    made = told("train", str(recipe), "--output", str(run), "--set", "training.max_steps=2")
    assert Path(made["adapter"]) == run / "adapter"
    assert told("adapters", "verify", str(run))["ok"]
    assert told("adapters", "show", str(run))["record"]["method"] == "full"
    assert told("evaluate", str(run))["rows"] == 6
    assert told("chat", str(run), "--prompt", "revenue fell")
    problems = told("plan", str(recipe), "--set", "lora.r=8", code=2)["problems"]
    assert [problem["code"] for problem in problems if problem["severity"] == "error"] == ["not-with-full"]
    shown = CliRunner().invoke(app, ["adapters", "show", str(run)]).output
    assert "of every weight of the base" in shown and "lora_alpha" not in shown
