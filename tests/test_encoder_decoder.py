"""An encoder-decoder from recipe to reload: planned = trained, stopped = never stopped, saved = loaded."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from safetensors import safe_open

from rankwise import api, catalog
from rankwise.errors import BaseError, DataError, RecipeError
from rankwise.events import Event, read_events
from rankwise.facts import identify_base, read_adapter, read_anatomy, verify_adapter
from rankwise.facts.naming import known_base
from rankwise.files import read_json, sha256_file, write_json
from rankwise.recipe import load_recipe
from rankwise.recipe.presets import PRESETS, draft_of

EncoderDecoderOf = Callable[[str], Path]
STEPS = 24
WEIGHTS = "adapter_model.safetensors"
MORE = "lora: {r: 8, lora_dropout: 0.1}\n"
TOLERANCE = 1e-4
"""Largest difference of logits (float32, logits of about 10)."""


def write_rows(file: Path, count: int = 60, labels: bool = False) -> Path:
    """Questions whose one word gives the answer away."""
    words = [("rose", "good"), ("fell", "bad")]
    asked = [(f"revenue {words[i % 2][0]} in month {i}", words[i % 2][1]) for i in range(count)]
    keys = ("text", "label") if labels else ("instruction", "output")
    file.write_text("".join(json.dumps(dict(zip(keys, row, strict=True))) + "\n" for row in asked))
    return file


def write_recipe(folder: Path, base: Path, more: str = MORE, labels: bool = False) -> Path:
    write_rows(folder / "rows.jsonl", labels=labels)
    file = folder / "recipe.yaml"
    file.write_text(
        f"model: {base}\ndata: {{train: rows.jsonl}}\n{more}training: {{max_steps: {STEPS}, eval_steps: 6, "
        "save_steps: 4, per_device_train_batch_size: 8, gradient_accumulation_steps: 2, learning_rate: 0.02}\n"
    )
    return file


def train(recipe: Path, run: Path, *overrides: str) -> api.Trained:
    return api.train(load_recipe(recipe, overrides), run)


def problems(recipe: Path, *overrides: str) -> set[str]:
    return {p.code for p in api.check(load_recipe(recipe, overrides)).problems if p.severity == "error"}


@pytest.fixture(scope="module")
def base(encoder_decoder_of: EncoderDecoderOf) -> Path:
    return encoder_decoder_of("t5")


@pytest.fixture(scope="module")
def trained(base: Path, tmp_path_factory: pytest.TempPathFactory) -> api.Trained:
    """A run that nobody changes."""
    folder = tmp_path_factory.mktemp("trained")
    return train(write_recipe(folder, base), folder / "run")


# -- a run


def test_the_plan_counts_what_is_trained_and_the_folder_holds_it(trained: api.Trained, base: Path) -> None:
    made = read_json(trained.run / "plan.json")
    decided = {key: decision["value"] for key, decision in made["decisions"].items()}
    assert decided["task"] == "seq_2_seq_lm" and decided["shared_prefix"] is False
    # q, k, v and o of an encoder's layer, and of self and cross attention in a decoder's; wi and wo of either
    parameters = 8 * (2 * (1 + 2) * 4 * (32 + 32) + 2 * (1 + 1) * 2 * (32 + 48))
    assert made["trainable_parameters"] == read_adapter(trained.adapter).parameters == parameters
    assert verify_adapter(trained.adapter, identify_base(base), read_anatomy(base)) == []
    config = read_json(trained.adapter / "adapter_config.json")
    assert (config["task_type"], config["target_modules"]) == ("SEQ_2_SEQ_LM", sorted(["q", "k", "v", "o", "wi", "wo"]))
    with safe_open(trained.adapter / WEIGHTS, "pt") as file:
        assert sum("EncDecAttention" in name for name in file.keys()) == 2 * 4 * 2  # noqa: SIM118
    assert trained.held_out["bits_per_token"] < 3  # far from the 8.6 of a vocabulary of 400


def test_the_record_and_the_card_say_how_it_answers(trained: api.Trained) -> None:
    record = read_adapter(trained.adapter).record
    assert record is not None and (record.task.kind, record.task.task) == ("open", "seq_2_seq_lm")
    card = (trained.adapter / "README.md").read_text()
    assert "AutoModelForSeq2SeqLM" in card and "AutoModelForCausalLM" not in card
    assert 'pipeline_tag: "text2text-generation"' in card and "chat template" not in card


def test_a_stopped_run_goes_on_as_if_it_had_not_stopped(trained: api.Trained, base: Path, tmp_path: Path) -> None:
    """The base's own dropout is on: the random state goes on too."""
    recipe = load_recipe(write_recipe(tmp_path, base))

    def interrupt(event: Event) -> None:
        if event["event"] == "step" and event["step"] == 5:
            os.kill(os.getpid(), signal.SIGTERM)

    with pytest.raises(api.Stopped):
        api.train(recipe, tmp_path / "run", interrupt)
    resumed = api.resume(tmp_path / "run")
    assert sha256_file(resumed.adapter / WEIGHTS) == sha256_file(trained.adapter / WEIGHTS)
    assert resumed.held_out == trained.held_out and resumed.steps == trained.steps


def test_accumulation_changes_nothing(base: Path, tmp_path: Path) -> None:
    """Without dropout, eight rows a forward pass are as good as two."""
    quiet = "lora: {r: 4, lora_dropout: 0, target_modules: [q, v]}\n"
    recipe = write_recipe(tmp_path, without_dropout(base, tmp_path / "base"), quiet)
    losses = []
    for i, (rows, parts) in enumerate(((16, 1), (2, 8))):
        sizes = (f"training.per_device_train_batch_size={rows}", f"training.gradient_accumulation_steps={parts}")
        train(recipe, tmp_path / f"run{i}", *sizes, "training.max_steps=3")
        events = read_events(tmp_path / f"run{i}" / "events.jsonl")
        losses.append([e["loss"] for e in events if e["event"] == "step"])
    assert len(losses[0]) == 3 and losses[0] == pytest.approx(losses[1], rel=1e-4)


def without_dropout(base: Path, folder: Path) -> Path:
    import shutil

    shutil.copytree(base, folder)
    write_json(folder / "config.json", {**read_json(folder / "config.json"), "dropout_rate": 0.0})
    return folder


# -- reload


def test_reloaded_it_answers_as_it_did(trained: api.Trained) -> None:
    found = [api.evaluate(target) for target in (str(trained.run), str(trained.adapter), trained.entry.id)]
    scores = [each.contestants["adapter"].scores for each in found]
    assert scores[0] == scores[1] == scores[2]
    assert scores[0]["exact_match"] > 0.5
    assert scores[0]["bits_per_token"] == pytest.approx(trained.held_out["bits_per_token"], rel=1e-4)
    assert set(found[0].contestants) == {"base", "few_shot", "baseline", "adapter"} and found[0].flips is not None
    assert found[0].contestants["base"].scores["bits_per_token"] > scores[0]["bits_per_token"]
    assert catalog.find_entry(trained.entry.id).metrics["adapter"]["exact_match"] == scores[0]["exact_match"]


def test_labels_are_scored_after_one_reading(base: Path, tmp_path: Path) -> None:
    done = train(write_recipe(tmp_path, base, labels=True), tmp_path / "run", "data.instruction=sort")
    record = read_adapter(done.adapter).record
    assert record is not None and record.task.labels == ("bad", "good") and record.task.instruction == "sort"
    found = api.evaluate(str(done.run)).contestants
    assert found["adapter"].scores["accuracy"] > 0.5
    assert found["adapter"].scores["bits_per_token"] == pytest.approx(done.held_out["bits_per_token"], rel=1e-4)
    assert all(0.5 <= (answer.probability or 0) <= 1 for answer in found["adapter"].answers)
    replies = api.chat(str(done.run)).ask("revenue rose in month 3")
    assert replies["adapter"].text in ("bad", "good") and replies["base"].probability is not None


def test_base_and_adapter_talk_side_by_side(trained: api.Trained) -> None:
    replies = api.chat(str(trained.run)).ask("revenue fell in month 5")
    assert replies["adapter"].text == "bad" != replies["base"].text


def test_plain_transformers_and_peft_give_the_same_logits(trained: api.Trained, base: Path, tmp_path: Path) -> None:
    """By the card's own snippet, in a process without rankwise."""
    import torch

    from rankwise.model.open import open_adapter

    opened = open_adapter(trained.adapter, base, "float32", "cpu")
    source = opened.renderer.prompt([{"role": "user", "content": "revenue rose in May"}])
    target = opened.renderer.prompt([{"role": "assistant", "content": "good"}])
    with torch.no_grad():
        ours = opened.model(input_ids=torch.tensor([source]), labels=torch.tensor([target])).logits
    snippet = (trained.adapter / "README.md").read_text().split("```python\n")[1].split("```")[0]
    script = (
        f"import sys, json, torch\nBASE, ADAPTER = sys.argv[1:3]\n{snippet}\n"
        "model.eval()\n"
        "read = tokenizer('revenue rose in May', return_tensors='pt').input_ids\n"
        "written = tokenizer('good', return_tensors='pt').input_ids\n"
        "with torch.no_grad():\n"
        "    logits = model(input_ids=read, labels=written).logits\n"
        "print(json.dumps(logits.tolist()))\n"
        "assert 'rankwise' not in sys.modules\n"
    )
    command = [sys.executable, "-c", script, str(base), str(trained.adapter)]
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    theirs = torch.tensor(json.loads(done.stdout.splitlines()[-1]))
    assert float((ours - theirs).abs().max()) < TOLERANCE


@pytest.mark.parametrize(
    "more",
    ["method: dora\nlora: {r: 4}\n", "lora: {r: 2, init_lora_weights: pissa}\n", "lora: {r: 2, use_rslora: true}\n"],
)
def test_other_ways_of_lora_reload_to_the_same_loss(more: str, base: Path, tmp_path: Path) -> None:
    done = train(write_recipe(tmp_path, base, more), tmp_path / "run")
    assert verify_adapter(done.adapter, identify_base(base), read_anatomy(base)) == []
    found = api.evaluate(str(done.run)).contestants["adapter"].scores
    assert found["bits_per_token"] == pytest.approx(done.held_out["bits_per_token"], rel=1e-3)


@pytest.mark.parametrize(
    ("kind", "targets"),
    [
        ("t5", ["q", "k", "v", "o", "wi", "wo"]),
        ("t5-gated", ["q", "k", "v", "o", "wi_0", "wi_1", "wo"]),
        ("mt5", ["q", "k", "v", "o", "wi_0", "wi_1", "wo"]),
        ("bart", ["q_proj", "k_proj", "v_proj", "out_proj", "fc1", "fc2"]),
    ],
)
def test_the_guides_preset_trains_each_in_the_names_of_its_layers(
    kind: str, targets: list[str], encoder_decoder_of: EncoderDecoderOf, tmp_path: Path
) -> None:
    base = encoder_decoder_of(kind)
    draft = draft_of(PRESETS["question-answering"], known_base(read_anatomy(base)))
    assert draft.chosen["task"].value == "seq_2_seq_lm" and draft.targets() == targets
    bias = draft.chosen["lora.bias"].value if "lora.bias" in draft.chosen else "none"
    assert bias == ("lora_only" if kind == "bart" else "none")
    more = f"task: seq_2_seq_lm\nlora: {{r: 4, bias: {bias}, target_modules: {json.dumps(targets)}}}\n"
    done = train(write_recipe(tmp_path, base, more), tmp_path / "run")
    found = api.evaluate(str(done.run)).contestants
    assert found["adapter"].scores["bits_per_token"] == pytest.approx(done.held_out["bits_per_token"], rel=1e-3)
    assert found["adapter"].scores["bits_per_token"] < found["base"].scores["bits_per_token"]
    assert verify_adapter(done.adapter, identify_base(base), read_anatomy(base)) == []


def test_layers_of_either_side_are_chosen_by_number(base: Path, tmp_path: Path) -> None:
    more = "lora: {r: 4, target_modules: [q, v], layers_to_transform: [1]}\n"
    done = train(write_recipe(tmp_path, base, more), tmp_path / "run", "training.max_steps=1")
    with safe_open(done.adapter / WEIGHTS, "pt") as file:
        blocks = {name.partition(".layer.")[0] for name in file.keys()}  # noqa: SIM118
    assert blocks == {"base_model.model.encoder.block.1", "base_model.model.decoder.block.1"}


def test_training_continues_from_an_adapter(trained: api.Trained, base: Path, tmp_path: Path) -> None:
    more = f"adapter: {trained.adapter}\n"
    done = train(write_recipe(tmp_path, base, more), tmp_path / "run", "training.max_steps=2")
    record = read_adapter(done.adapter).record
    assert record is not None and record.parent == trained.entry.digest
    opening = next(e["loss"] for e in read_events(tmp_path / "run" / "events.jsonl") if e["event"] == "held_out")
    assert opening == pytest.approx(trained.held_out["loss"], rel=1e-4)


def test_a_run_is_rehearsed_and_held_against_it(base: Path, tmp_path: Path) -> None:
    asked = load_recipe(write_recipe(tmp_path, base))
    estimated, made = api.plan(asked), api.plan(asked, measure=True)
    assert estimated.seconds is None and estimated.prediction is None
    assert made.prediction is not None and made.prediction.steps_timed >= 4
    assert api.train(asked, tmp_path / "run").prediction is not None


# -- what does not fit


@pytest.mark.parametrize(
    "override",
    ["method=adalora", "method=qlora", "quantization=nf4", "method=dora quantization=int8", "shared_prefix=true"],
)
def test_what_is_not_built_for_it_is_an_error_of_the_plan(override: str, base: Path, tmp_path: Path) -> None:
    recipe = write_recipe(tmp_path, base)
    assert "not-with-encoder-decoder" in problems(recipe, *override.split())
    with pytest.raises(RecipeError, match=r"T5ForConditionalGeneration is an encoder-decoder: .*; (take|leave)"):
        api.plan(load_recipe(recipe, override.split()))


def test_it_learns_from_answers_alone(base: Path, tmp_path: Path) -> None:
    recipe = write_recipe(tmp_path, base)
    assert "not-with-grpo" in problems(recipe, "objective=grpo")
    rows = [{"prompt": f"month {i}", "chosen": "good", "rejected": "bad"} for i in range(20)]
    (tmp_path / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    assert "not-with-dpo" in problems(recipe, "objective=dpo")


def test_a_base_and_a_task_of_different_kinds_are_told(base: Path, tiny_base: Path, tmp_path: Path) -> None:
    assert problems(write_recipe(tmp_path, base), "task=causal_lm") == {"task-of-another-base"}
    assert problems(write_recipe(tmp_path, tiny_base), "task=seq_2_seq_lm") == {"task-of-another-base"}


def test_a_base_without_a_start_token_is_refused_before_a_run_begins(base: Path, tmp_path: Path) -> None:
    import shutil

    folder = Path(shutil.copytree(base, tmp_path / "base"))
    write_json(folder / "config.json", {**read_json(folder / "config.json"), "decoder_start_token_id": None})
    recipe = write_recipe(tmp_path, folder)
    with pytest.raises(BaseError, match="names no decoder_start_token_id"):
        train(recipe, tmp_path / "run")
    assert not (tmp_path / "run").exists() and not api.check(load_recipe(recipe)).ok


def test_rows_with_tools_are_refused_each_by_its_place(base: Path, tmp_path: Path) -> None:
    recipe = write_recipe(tmp_path, base)
    turns = [{"role": "user", "content": "the rent?"}, {"role": "assistant", "content": "low"}]
    tools = [{"type": "function", "function": {"name": "look", "parameters": {}}}]
    rows = [{"messages": turns, "tools": tools}, {"messages": [{"role": "user", "content": "due?"}, turns[1]]}]
    (tmp_path / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    with pytest.raises(DataError, match=r"rows\.jsonl:1.*no place for tools"):
        api.plan(load_recipe(recipe))


def test_prompt_and_answer_have_a_limit_each(encoder_decoder_of: EncoderDecoderOf, tmp_path: Path) -> None:
    """BART has 128 positions on either side."""
    recipe = write_recipe(tmp_path, encoder_decoder_of("bart"), "")
    rows = [{"instruction": f"month {i}: {'revenue ' * 40}", "output": "good " * 40} for i in range(20)]
    (tmp_path / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    longest = api.plan(load_recipe(recipe))["data.max_length"]
    assert isinstance(longest, int) and 64 < longest <= 128
    with (tmp_path / "rows.jsonl").open("a") as file:
        file.write(json.dumps({"instruction": "revenue", "output": "good " * 140}) + "\n")
    assert "row-too-long" in problems(recipe)
