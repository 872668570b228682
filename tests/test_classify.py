"""A sequence classifier from recipe to reload: planned = trained, stopped = never stopped, saved = loaded."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from safetensors import safe_open

from rankwise import api, catalog
from rankwise.errors import AdapterError, BaseError, DataError, RankwiseError, RecipeError
from rankwise.events import Event, read_events
from rankwise.facts import identify_base, read_adapter, read_anatomy, verify_adapter
from rankwise.files import read_json, sha256_file, write_json
from rankwise.recipe import load_recipe
from rankwise.recipe.presets import PRESETS, draft_of

EncoderOf = Callable[[str], Path]
STEPS = 24
WEIGHTS = "adapter_model.safetensors"
MORE = "lora: {r: 4, lora_dropout: 0.1, target_modules: [query, value]}\n"
TOLERANCE = 1e-5
"""Largest difference of logits (float32, logits of about 1)."""


def write_rows(file: Path, count: int = 60, first: int = 0) -> Path:
    """Rows in which one word gives the label away."""
    words = {"bad": "fell", "good": "rose"}
    labels = ["good" if i % 2 else "bad" for i in range(first, first + count)]
    rows = [{"text": f"revenue {words[label]} in month {first + i}", "label": label} for i, label in enumerate(labels)]
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return file


def write_recipe(folder: Path, base: Path | str, more: str = MORE, data: str = "{train: rows.jsonl}") -> Path:
    file = folder / "recipe.yaml"
    file.write_text(
        f"model: {base}\ndata: {data}\n{more}training: {{max_steps: {STEPS}, eval_steps: 6, save_steps: 4, "
        "per_device_train_batch_size: 8, gradient_accumulation_steps: 2, learning_rate: 0.01}\n"
    )
    return file


def train(recipe: Path, run: Path, *overrides: str) -> api.Trained:
    return api.train(load_recipe(recipe, overrides), run)


@pytest.fixture(scope="module")
def base(encoder_of: EncoderOf) -> Path:
    return encoder_of("bert")


@pytest.fixture(scope="module")
def trained(base: Path, tmp_path_factory: pytest.TempPathFactory) -> api.Trained:
    """A run that nobody changes."""
    folder = tmp_path_factory.mktemp("trained")
    write_rows(folder / "rows.jsonl")
    return train(write_recipe(folder, base), folder / "run")


# -- a run


def test_the_plan_counts_what_is_trained_and_the_folder_holds_it(trained: api.Trained, base: Path) -> None:
    made = read_json(trained.run / "plan.json")
    assert made["decisions"]["task"]["value"] == "seq_cls" and made["decisions"]["shared_prefix"]["value"] is False
    adapter, head = 4 * 2 * 2 * (32 + 32), (32 + 1) * 2
    assert made["trainable_parameters"] == adapter + head
    with safe_open(trained.adapter / WEIGHTS, "pt") as file:
        shapes = {name: tuple(file.get_slice(name).get_shape()) for name in file.keys()}  # noqa: SIM118
    assert shapes["base_model.model.classifier.weight"] == (2, 32)
    assert shapes["base_model.model.classifier.bias"] == (2,)
    assert read_adapter(trained.adapter).parameters == adapter + head
    assert verify_adapter(trained.adapter, identify_base(base), read_anatomy(base)) == []
    config = read_json(trained.adapter / "adapter_config.json")
    assert (config["task_type"], config["modules_to_save"]) == ("SEQ_CLS", ["classifier", "score"])


def test_the_record_and_the_card_say_how_it_answers(trained: api.Trained) -> None:
    record = read_adapter(trained.adapter).record
    assert record is not None
    task = record.task
    assert (task.kind, task.task, task.labels, task.instruction) == ("labels", "seq_cls", ("bad", "good"), None)
    card = (trained.adapter / "README.md").read_text()
    assert "AutoModelForSequenceClassification" in card and 'labels = ["bad", "good"]' in card
    assert 'pipeline_tag: "text-classification"' in card and "chat template" not in card


def test_the_held_out_loss_is_in_bits_a_row_everywhere(trained: api.Trained) -> None:
    events = [e for e in read_events(trained.run / "events.jsonl") if e["event"] == "held_out"]
    best = min(events, key=lambda event: event["loss"])
    assert trained.held_out["bits_per_row"] == best["bits_per_row"] and "bits_per_token" not in trained.held_out
    assert trained.held_out["step"] == best["step"]


def test_a_stopped_run_goes_on_as_if_it_had_not_stopped(trained: api.Trained, base: Path, tmp_path: Path) -> None:
    """The encoder's own dropout is on: the random state goes on too, and the head with the adapter."""
    write_rows(tmp_path / "rows.jsonl")
    recipe = load_recipe(write_recipe(tmp_path, base))

    def interrupt(event: Event) -> None:
        if event["event"] == "step" and event["step"] == 5:
            os.kill(os.getpid(), signal.SIGTERM)

    with pytest.raises(api.Stopped):
        api.train(recipe, tmp_path / "run", interrupt)
    with safe_open(tmp_path / "run" / "checkpoints" / "step-00000005" / "adapter.safetensors", "pt") as file:
        assert any("classifier.modules_to_save" in name for name in file.keys())  # noqa: SIM118
    resumed = api.resume(tmp_path / "run")
    assert sha256_file(resumed.adapter / WEIGHTS) == sha256_file(trained.adapter / WEIGHTS)
    assert resumed.held_out == trained.held_out and resumed.steps == trained.steps


def test_another_seed_draws_another_head(trained: api.Trained, base: Path, tmp_path: Path) -> None:
    write_rows(tmp_path / "rows.jsonl")
    recipe = write_recipe(tmp_path, base)
    short = ("training.max_steps=1", "training.learning_rate=1e-12")
    runs = [train(recipe, tmp_path / f"run{i}", f"training.seed={seed}", *short) for i, seed in enumerate((0, 0, 1))]
    same, again, other = (sha256_file(run.adapter / WEIGHTS) for run in runs)
    assert same == again != other
    heads = []
    for run in (runs[0], runs[2]):
        with safe_open(run.adapter / WEIGHTS, "pt") as file:
            heads.append(file.get_tensor("base_model.model.classifier.weight"))
    assert float((heads[0] - heads[1]).abs().max()) > 0.01


# -- reload


def test_reloaded_it_answers_as_it_did(trained: api.Trained) -> None:
    found = [api.evaluate(target) for target in (str(trained.run), str(trained.adapter), trained.entry.id)]
    scores = [each.contestants["adapter"].scores for each in found]
    assert scores[0] == scores[1] == scores[2]
    assert scores[0]["accuracy"] > 0.5  # of two labels, after 24 steps
    assert scores[0]["bits_per_row"] == pytest.approx(trained.held_out["bits_per_row"], rel=1e-4)
    assert read_json(trained.run / "evaluation.json")["adapter"]["accuracy"] == scores[0]["accuracy"]
    assert catalog.find_entry(trained.entry.id).metrics["adapter"]["accuracy"] == scores[0]["accuracy"]


def test_contestants_that_have_nothing_to_say_are_absent_with_the_reason(trained: api.Trained) -> None:
    found = api.evaluate(str(trained.run))
    assert set(found.contestants) == {"baseline", "adapter"}
    assert "random numbers" in found.absent["base"] and "one text" in found.absent["few_shot"]
    told = found.as_json()
    assert told["base"] is None and told["flips"] is None and told["difference"] is None
    assert told["differences"]["baseline"]["metric"] == "accuracy" and "cheap baseline" in found.verdict
    assert all(0.5 <= (answer.probability or 0) <= 1 for answer in found.contestants["adapter"].answers)


def test_rows_of_ones_own_are_scored_and_those_over_the_context_are_errors(
    trained: api.Trained, tmp_path: Path
) -> None:
    write_rows(tmp_path / "more.jsonl", 6, first=200)
    with (tmp_path / "more.jsonl").open("a") as file:
        file.write(json.dumps({"text": "revenue rose " * 60, "label": "good"}) + "\n")
    counts = api.evaluate(str(trained.run), tmp_path / "more.jsonl").contestants["adapter"].counts
    assert counts["error"] == 1 and sum(counts.values()) == 7


def test_plain_transformers_and_peft_give_the_same_logits(trained: api.Trained, base: Path, tmp_path: Path) -> None:
    """By the card's own snippet, in a process without rankwise."""
    import torch

    from rankwise.model.classifier import class_logits
    from rankwise.model.open import open_adapter

    opened = open_adapter(trained.adapter, base, "float32", "cpu")
    texts = ["revenue rose in May", "revenue fell", "the tenant pays rent every month unless the landlord agrees"]
    rows = [opened.renderer.tokenizer.encode(text).ids for text in texts]
    with torch.no_grad():
        ours = class_logits(opened.model, rows)
    snippet = (trained.adapter / "README.md").read_text().split("```python\n")[1].split("```")[0]
    script = (
        f"import sys, json, torch\nBASE, ADAPTER = sys.argv[1:3]\n{snippet}\n"
        "texts = json.loads(sys.argv[3])\n"
        "batch = tokenizer(texts, padding=True, return_tensors='pt', return_token_type_ids=False)\n"
        "with torch.no_grad():\n"
        "    logits = model(**batch).logits\n"
        "print(json.dumps([logits.tolist(), base.config.id2label]))\n"
        "assert 'rankwise' not in sys.modules\n"
    )
    command = [sys.executable, "-c", script, str(base), str(trained.adapter), json.dumps(texts)]
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    theirs, names = json.loads(done.stdout.splitlines()[-1])
    assert float((ours - torch.tensor(theirs)).abs().max()) < TOLERANCE
    assert names == {"0": "bad", "1": "good"}
    assert [int(row.argmax()) for row in ours[:2]] == [1, 0]


@pytest.mark.parametrize("more", ["{r: 4, bias: all}", "{r: 4, bias: lora_only}", "{r: 2, init_lora_weights: pissa}"])
def test_other_ways_of_lora_reload_to_the_same_loss(more: str, base: Path, tmp_path: Path) -> None:
    write_rows(tmp_path / "rows.jsonl")
    done = train(write_recipe(tmp_path, base, f"lora: {more}\n"), tmp_path / "run")
    assert verify_adapter(done.adapter, identify_base(base), read_anatomy(base)) == []
    found = api.evaluate(str(done.run)).contestants["adapter"].scores
    assert found["bits_per_row"] == pytest.approx(done.held_out["bits_per_row"], rel=1e-3)


@pytest.mark.parametrize("more", ["method: dora\n", "method: qlora\n", "quantization: int8\nmethod: qlora\n"])
def test_other_methods_train_and_reload(more: str, base: Path, tmp_path: Path) -> None:
    write_rows(tmp_path / "rows.jsonl")
    done = train(write_recipe(tmp_path, base, more + MORE), tmp_path / "run")
    found = api.evaluate(str(done.run)).contestants["adapter"].scores
    assert found["bits_per_row"] == pytest.approx(done.held_out["bits_per_row"], rel=1e-3)


@pytest.mark.parametrize("kind", ["roberta", "distilbert"])
def test_other_encoders_are_trained_by_the_guides_preset(kind: str, encoder_of: EncoderOf, tmp_path: Path) -> None:
    from rankwise.facts.naming import known_base

    write_rows(tmp_path / "rows.jsonl")
    base = encoder_of(kind)
    draft = draft_of(PRESETS["sentiment"], known_base(read_anatomy(base)))
    assert draft.chosen["task"].value == "seq_cls" and not draft.left_out
    more = f"task: seq_cls\nlora: {{r: 4, target_modules: {json.dumps(draft.targets())}}}\n"
    done = train(write_recipe(tmp_path, base, more), tmp_path / "run")
    assert api.evaluate(str(done.run)).contestants["adapter"].scores["accuracy"] == 1.0
    assert verify_adapter(done.adapter, identify_base(base), read_anatomy(base)) == []


# -- going on from an adapter


def test_training_continues_from_a_classifier(trained: api.Trained, base: Path, tmp_path: Path) -> None:
    write_rows(tmp_path / "rows.jsonl")
    more = f"adapter: {trained.adapter}\n"
    done = train(write_recipe(tmp_path, base, more), tmp_path / "run", "training.max_steps=2")
    record = read_adapter(done.adapter).record
    assert record is not None and record.parent == trained.entry.digest
    opening = next(e["loss"] for e in read_events(tmp_path / "run" / "events.jsonl") if e["event"] == "held_out")
    assert opening == pytest.approx(trained.held_out["loss"], rel=1e-4)
    config = read_json(done.adapter / "adapter_config.json")
    assert config["modules_to_save"] == ["classifier", "score"]


def test_a_head_for_other_labels_is_not_trained_on(trained: api.Trained, base: Path, tmp_path: Path) -> None:
    rows = [{"text": f"revenue rose in month {i}", "label": ("low", "high")[i % 2]} for i in range(20)]
    (tmp_path / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    with pytest.raises(AdapterError, match="its head tells bad, good apart and these rows have high, low"):
        train(write_recipe(tmp_path, base, f"adapter: {trained.adapter}\n"), tmp_path / "run")


# -- what does not fit


def test_a_causal_base_gets_no_head(tiny_base: Path, tmp_path: Path) -> None:
    write_rows(tmp_path / "rows.jsonl")
    with pytest.raises(RecipeError, match=r"LlamaForCausalLM is a causal base.*no classification head on it"):
        api.plan(load_recipe(write_recipe(tmp_path, tiny_base, "task: seq_cls\n")))


def test_an_encoder_without_all_of_its_body_is_refused_before_a_run_begins(
    encoder_of: EncoderOf, tmp_path: Path
) -> None:
    write_rows(tmp_path / "rows.jsonl")
    recipe = write_recipe(tmp_path, encoder_of("bert-masked"))
    with pytest.raises(BaseError, match=r"also needs bert\.pooler\.dense"):
        train(recipe, tmp_path / "run")
    assert not (tmp_path / "run").exists()
    assert not api.check(load_recipe(recipe)).ok


def test_held_out_labels_that_are_never_trained_on_count_as_wrong(base: Path, tmp_path: Path) -> None:
    write_rows(tmp_path / "rows.jsonl")
    write_rows(tmp_path / "test.jsonl", 10, first=100)
    with (tmp_path / "test.jsonl").open("a") as file:
        file.write(json.dumps({"text": "revenue stood still", "label": "so so"}) + "\n")
    recipe = write_recipe(tmp_path, base, data="{train: rows.jsonl, held_out: test.jsonl}")
    done = train(recipe, tmp_path / "run")
    events = [e for e in read_events(done.run / "events.jsonl") if e["event"] == "held_out"]
    assert {e["rows"] for e in events} == {10}
    assert api.evaluate(str(done.run)).contestants["adapter"].counts["wrong"] >= 1
    (tmp_path / "test.jsonl").write_text(json.dumps({"text": "revenue stood still", "label": "so so"}) + "\n")
    with pytest.raises(DataError, match="no held-out row has a label that is trained on"):
        train(recipe, tmp_path / "other")


def test_what_is_made_for_causal_bases_says_so(trained: api.Trained, base: Path) -> None:
    with pytest.raises(AdapterError, match=r"only label texts.*rankwise evaluate"):
        api.chat(str(trained.run))
    with pytest.raises(BaseError, match="the self-test tries causal bases"):
        api.selftest(str(base))


def test_a_run_is_rehearsed_and_held_against_it(base: Path, tmp_path: Path) -> None:
    write_rows(tmp_path / "rows.jsonl")
    asked = load_recipe(write_recipe(tmp_path, base))
    estimated, made = api.plan(asked), api.plan(asked, measure=True)
    assert estimated.prediction is None and made.prediction is not None and made.prediction.steps_timed >= 4
    assert made.capacity == estimated.capacity  # an encoder writes nothing that could be described
    assert api.train(asked, tmp_path / "run").prediction is not None


def drop_head(tensors: dict) -> dict:
    return {name: tensor for name, tensor in tensors.items() if "classifier" not in name}


def cut_head(tensors: dict) -> dict:
    return {name: tensor[:1].clone() if "classifier" in name else tensor for name, tensor in tensors.items()}


@pytest.mark.parametrize(
    ("change", "message"), [(drop_head, "no head is in it"), (cut_head, r"not one for 2 labels|names 2 labels")]
)
def test_an_adapter_without_its_whole_head_is_refused(
    change: Callable[[dict], dict], message: str, trained: api.Trained, base: Path, tmp_path: Path
) -> None:
    from safetensors.torch import load_file, save_file

    folder = Path(shutil.copytree(trained.adapter, tmp_path / "adapter"))
    save_file(change(load_file(folder / WEIGHTS)), folder / WEIGHTS)
    for anatomy in (None, read_anatomy(base)):
        assert [problem.code for problem in verify_adapter(folder, anatomy=anatomy)] == ["adapter-head"]
    with pytest.raises(RankwiseError, match=message):
        api.evaluate(str(folder))


def test_an_adapter_of_before_is_a_causal_one(trained: api.Trained, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(trained.adapter, tmp_path / "adapter"))
    record = read_json(folder / "rankwise.json")
    del record["task"]["task"]
    write_json(folder / "rankwise.json", record)
    read = read_adapter(folder).record
    assert read is not None and read.task.task == "causal_lm"


def test_a_domains_sample_rows_train_a_classifier(base: Path, tmp_path: Path) -> None:
    """The domain's prompt is for bases that write, so it is left out."""
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text(f"model: {base}\ndomain: legal\ndata: {{too_long: truncate}}\ntraining: {{max_steps: 2}}\n")
    done = train(recipe, tmp_path / "run")
    record = read_adapter(done.adapter).record
    assert record is not None and record.task.instruction is None and len(record.task.labels) > 2
    assert api.evaluate(str(done.run)).rows == record.data.held_out_rows
