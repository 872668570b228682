"""Prefix tuning from recipe to reload: planned = trained, stopped = never stopped, saved = loaded."""

from __future__ import annotations

import json
import os
import shutil
import signal
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from typer.testing import CliRunner

from rankwise import api, catalog
from rankwise.cli import app
from rankwise.errors import AdapterError, RecipeError
from rankwise.events import Event, ignore, read_events
from rankwise.facts import identify_base, read_adapter, read_anatomy, verify_adapter
from rankwise.files import read_json, write_json
from rankwise.plan.fit import Fitted
from rankwise.recipe import load_recipe
from rankwise.serve.pool import require_servable

STEPS, TOKENS, LAYERS, KEYS = 12, 6, 2, 16
"""Of the tiny base: two key heads of 8 in two layers."""
WEIGHTS = "adapter_model.safetensors"
MORE = f"method: prefix\nprefix: {{num_virtual_tokens: {TOKENS}}}\n"
TOLERANCE = 1e-5
"""Largest difference of logits (float32, logits of about 1)."""


def write_rows(file: Path, count: int = 40) -> Path:
    """Rows whose first word gives the label away."""
    words = ("losses", "profit")
    rows = [{"text": f"{words[i % 2]} in month {i}", "label": "good" if i % 2 else "bad"} for i in range(count)]
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return file


def write_recipe(folder: Path, base: Path, more: str = MORE) -> Path:
    file = folder / "recipe.yaml"
    file.write_text(
        f"model: {base}\ndata: {{train: rows.jsonl}}\n{more}training: {{max_steps: {STEPS}, eval_steps: 3, "
        "save_steps: 2, per_device_train_batch_size: 4, gradient_accumulation_steps: 2, learning_rate: 0.05}\n"
    )
    return file


def train(recipe: Path, run: Path, *overrides: str) -> api.Trained:
    return api.train(load_recipe(recipe, overrides), run)


@pytest.fixture(scope="module")
def base(tiny_base: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the tiny base in a folder of this file's own."""
    return Path(shutil.copytree(tiny_base, tmp_path_factory.mktemp("bases") / "prefix-llama"))


@pytest.fixture(scope="module")
def recipe(base: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("recipe")
    write_rows(folder / "rows.jsonl")
    return write_recipe(folder, base)


@pytest.fixture(scope="module")
def trained(recipe: Path) -> api.Trained:
    """A run that nobody changes."""
    return train(recipe, recipe.parent / "run")


# -- a run


def test_the_plan_counts_what_is_trained_and_the_folder_holds_it(trained: api.Trained, base: Path) -> None:
    made, tensors = read_json(trained.run / "plan.json"), load_file(trained.adapter / WEIGHTS)
    assert made["trainable_parameters"] == TOKENS * 2 * LAYERS * KEYS == read_adapter(trained.adapter).parameters
    assert {name: tuple(t.shape) for name, t in tensors.items()} == {"prompt_embeddings": (TOKENS, 2 * LAYERS * KEYS)}
    config = read_json(trained.adapter / "adapter_config.json")
    assert (config["peft_type"], config["task_type"]) == ("PREFIX_TUNING", "CAUSAL_LM")
    assert (config["token_dim"], config["num_attention_heads"], config["num_layers"]) == (KEYS, 2, LAYERS)
    assert not {"target_modules", "rank_pattern", "r"} & config.keys()
    assert verify_adapter(trained.adapter, identify_base(base), read_anatomy(base)) == []


def test_it_learns_and_its_record_and_card_say_what_it_is(trained: api.Trained) -> None:
    events = read_events(trained.run / "events.jsonl")
    losses = [event["loss"] for event in events if event["event"] == "held_out"]
    assert len(losses) == STEPS // 3 and min(losses) < losses[0]
    record = read_adapter(trained.adapter).record
    assert record is not None and record.method == "prefix" and record.base.quantization == "none"
    card = (trained.adapter / "README.md").read_text()
    assert "A learnt prefix for" in card and f"| num_virtual_tokens | {TOKENS} |" in card
    assert '"prefix-tuning"' in card and "lora_alpha" not in card


def test_the_snippet_of_its_card_gives_the_same_logits(trained: api.Trained, base: Path) -> None:
    from rankwise.model.open import open_adapter
    from rankwise.model.prefix import prefixed_logits

    snippet = (trained.adapter / "README.md").read_text().partition("```python\n")[2].partition("```")[0]
    names: dict[str, Any] = {"BASE": str(base), "ADAPTER": str(trained.adapter)}
    exec(snippet, names)
    opened = open_adapter(trained.adapter, base, "float32", "cpu")
    assert opened.max_length == read_anatomy(base).max_length - TOKENS
    row = list(range(2, 40))
    with torch.no_grad():
        expected = names["model"](torch.tensor([row])).logits[0]
        [got] = prefixed_logits(opened.model, [row])
    assert float((got - expected).abs().max()) < TOLERANCE


@pytest.mark.parametrize("more", ["", ", prefix_projection: true, encoder_hidden_size: 8", ", init_weights: zero"])
def test_stopped_and_resumed_is_never_stopped(recipe: Path, tmp_path: Path, more: str) -> None:
    write_rows(tmp_path / "rows.jsonl")
    own = write_recipe(tmp_path, read_base(recipe), f"method: prefix\nprefix: {{num_virtual_tokens: 3{more}}}\n")
    whole = train(own, tmp_path / "whole")

    def interrupt(event: Event) -> None:
        if event["event"] == "step" and event["step"] == 5:
            os.kill(os.getpid(), signal.SIGTERM)

    with pytest.raises(api.Stopped):
        api.train(load_recipe(own), tmp_path / "run", interrupt)
    done = api.resume(tmp_path / "run", ignore)
    assert (done.adapter / WEIGHTS).read_bytes() == (whole.adapter / WEIGHTS).read_bytes()
    assert read_adapter(done.adapter).digest == read_adapter(whole.adapter).digest
    assert verify_adapter(done.adapter) == []


def read_base(recipe: Path) -> Path:
    return Path(load_recipe(recipe).recipe.model)


def test_bfloat16_checkpointing_and_other_cuts_train_too(recipe: Path, tmp_path: Path) -> None:
    def after(name: str, *overrides: str) -> tuple[torch.Tensor, list[float]]:
        done = train(recipe, tmp_path / name, "training.num_train_epochs=1", *overrides)
        losses = [event["loss"] for event in read_events(done.run / "events.jsonl") if event["event"] == "step"]
        return load_file(done.adapter / WEIGHTS)["prompt_embeddings"], losses

    whole, losses = after("whole")
    batch = ("training.per_device_train_batch_size=1", "training.gradient_accumulation_steps=8")
    for name, overrides in (("cut", batch), ("again", ("training.gradient_checkpointing=true",))):
        found, lost = after(name, *overrides)
        assert lost == pytest.approx(losses, rel=1e-3), name
        # Not all: Adam moves a number whose gradient is next to nothing by that gradient's sign.
        assert float((found - whole).abs().quantile(0.9)) < 1e-3, name
    assert after("half", "training.bf16=true")[0].dtype == torch.float32


# -- what is done with it


def test_it_is_evaluated_beside_a_base_without_it(trained: api.Trained, base: Path, tmp_path: Path) -> None:
    told = api.evaluate(str(trained.run)).as_json()
    assert {"base", "few_shot", "baseline", "adapter"} <= told.keys()
    assert told["adapter"]["bits_per_token"] < told["base"]["bits_per_token"]
    write_rows(tmp_path / "rows.jsonl")
    lora = api.evaluate(str(train(write_recipe(tmp_path, base, "lora: {r: 2}\n"), tmp_path / "run").run)).as_json()
    for contestant in ("base", "few_shot"):
        for metric in ("accuracy", "bits_per_token"):
            assert told[contestant][metric] == pytest.approx(lora[contestant][metric], rel=1e-5)


def test_it_is_in_the_catalogue_and_answers_beside_its_base(trained: api.Trained) -> None:
    entry = catalog.find_entry(read_adapter(trained.adapter).digest)
    assert (entry.method, entry.parameters) == ("prefix", TOKENS * 2 * LAYERS * KEYS)
    replies = api.chat(entry.id).ask("profit in month 4")
    assert replies["base"].text in ("bad", "good") and replies["adapter"].text in ("bad", "good")
    assert replies["base"].probability != replies["adapter"].probability


def test_open_answers_are_generated_behind_it(base: Path, tmp_path: Path) -> None:
    rows = [{"instruction": f"say {i}", "output": f"the answer is {i % 3}"} for i in range(20)]
    (tmp_path / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    done = train(write_recipe(tmp_path, base), tmp_path / "run")
    told = api.evaluate(str(done.run)).as_json()
    assert told["adapter"]["bits_per_token"] < told["base"]["bits_per_token"]


def test_the_server_says_why_it_does_not_take_it(trained: api.Trained) -> None:
    with pytest.raises(AdapterError, match=r"a learnt prefix.*ask it with rankwise chat"):
        require_servable(read_adapter(trained.adapter), ())


def test_a_run_goes_on_from_it(trained: api.Trained, recipe: Path, tmp_path: Path) -> None:
    write_rows(tmp_path / "rows.jsonl")
    own = write_recipe(tmp_path, read_base(recipe), "")
    done = train(own, tmp_path / "run", f"adapter={trained.adapter}")
    record = read_adapter(done.adapter).record
    assert record is not None and record.method == "prefix"
    assert record.parent == read_adapter(trained.adapter).digest
    assert read_json(done.run / "plan.json")["decisions"]["prefix.num_virtual_tokens"]["value"] == TOKENS
    first = next(event for event in read_events(done.run / "events.jsonl") if event["event"] == "held_out")
    best = min(e["loss"] for e in read_events(trained.run / "events.jsonl") if e["event"] == "held_out")
    assert first["loss"] == pytest.approx(best, rel=1e-4)
    with pytest.raises(RecipeError) as caught:
        api.plan(load_recipe(own, [f"adapter={trained.adapter}", "prefix.num_virtual_tokens=9"]))
    assert [problem.code for problem in caught.value.problems if problem.severity == "error"] == ["adapter-disagrees"]


def test_no_run_goes_on_from_what_a_network_made(recipe: Path, tmp_path: Path) -> None:
    done = train(recipe, tmp_path / "run", "prefix.prefix_projection=true")
    with pytest.raises(AdapterError, match="network that made its prefix is not in it"):
        api.plan(load_recipe(recipe, [f"adapter={done.adapter}"]))


def test_a_plan_is_explained_compared_and_fitted(recipe: Path) -> None:
    told = api.explain(load_recipe(recipe), "method")
    assert next(method for method in told.methods if method.name == "prefix").trainable == TOKENS * 2 * LAYERS * KEYS
    assert api.explain(load_recipe(recipe), "training.learning_rate").decision.value == 0.05
    assert api.compare(load_recipe(recipe)).failed == {}
    assert isinstance(api.fit(load_recipe(recipe)), Fitted)


def test_a_run_is_rehearsed(recipe: Path) -> None:
    made = api.plan(load_recipe(recipe), measure=True)
    assert made.prediction is not None and made.capacity.basis == "measured"


# -- the command line


def test_the_command_line_goes_the_whole_way(base: Path, tmp_path: Path) -> None:
    def ran(*arguments: str) -> dict[str, Any]:
        done = CliRunner().invoke(app, [*arguments, "--json"])
        assert done.exit_code == 0, done.output
        return json.loads(done.stdout)  # type: ignore[no-any-return]

    rows = write_rows(tmp_path / "rows.jsonl")
    file = str(tmp_path / "recipe.yaml")
    ran("init", "--output", file)
    setting = [f"--set={pair}" for pair in (f"model={base}", f"data.train={rows}", "method=prefix")]
    setting += ["--set=training.max_steps=4", "--set=prefix.num_virtual_tokens=2"]
    assert ran("check", file, *setting)["ok"]
    assert ran("plan", file, *setting)["decisions"]["prefix.num_virtual_tokens"]["value"] == 2
    done = ran("train", file, *setting, "--output", str(tmp_path / "run"))
    assert ran("adapters", "verify", done["adapter"])
    assert ran("adapters", "show", done["adapter"])
    assert ran("evaluate", str(tmp_path / "run"))["adapter"]
    assert ran("chat", done["adapter"], "--prompt", "profit in month 4")


# -- what is wrong with a folder


def damaged(trained: api.Trained, folder: Path) -> Path:
    return Path(shutil.copytree(trained.adapter, folder / "adapter"))


def test_a_prefix_of_another_shape_than_its_config_says(trained: api.Trained, base: Path, tmp_path: Path) -> None:
    adapter = damaged(trained, tmp_path)
    config = read_json(adapter / "adapter_config.json")
    write_json(adapter / "adapter_config.json", config | {"num_virtual_tokens": TOKENS + 1})
    assert [problem.code for problem in verify_adapter(adapter)] == ["adapter-shape"]
    write_json(adapter / "adapter_config.json", config | {"num_layers": None, "token_dim": True})
    [problem] = verify_adapter(adapter)
    assert problem.code == "adapter-config" and "num_layers None, token_dim True" in problem.message
    write_json(adapter / "adapter_config.json", config | {"num_layers": 1, "token_dim": 2 * KEYS})
    assert [problem.code for problem in verify_adapter(adapter, anatomy=read_anatomy(base))] == ["adapter-target"]


def test_a_prefix_with_values_that_are_not_finite(trained: api.Trained, tmp_path: Path) -> None:
    adapter = damaged(trained, tmp_path)
    tensors = load_file(adapter / WEIGHTS)
    tensors["prompt_embeddings"][0, 0] = torch.nan
    save_file(tensors, adapter / WEIGHTS)
    assert "adapter-not-finite" in [problem.code for problem in verify_adapter(adapter)]


def test_a_prefix_is_refused_on_another_base(trained: api.Trained, base: Path, tmp_path: Path) -> None:
    from transformers import AutoModelForCausalLM

    other = Path(shutil.copytree(base, tmp_path / "other"))
    model = AutoModelForCausalLM.from_pretrained(other)
    model.model.norm.weight.data += 1
    model.save_pretrained(other)
    assert [p for p in verify_adapter(trained.adapter, identify_base(other)) if p.severity == "error"]
