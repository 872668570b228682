"""Methods prompt and classifier from recipe to reload: chosen and fitted without the held-out rows, asked again."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from sklearn.linear_model import LogisticRegression  # type: ignore[import-untyped]
from typer.testing import CliRunner

from rankwise import api, catalog
from rankwise.cli import app
from rankwise.errors import AdapterError, RecipeError
from rankwise.evaluate.rows import evaluation_rows
from rankwise.events import Event, read_events
from rankwise.facts import identify_base, read_adapter, read_anatomy, verify_adapter
from rankwise.files import read_json, sha256_file, write_json
from rankwise.model.linear import LinearClassifier, read_states
from rankwise.model.open import open_adapter
from rankwise.recipe import load_recipe
from rankwise.serve.pool import require_servable

METHODS = ("prompt", "classifier")
FILES = {"prompt": ["prompt.json"], "classifier": ["classifier.json", "classifier.safetensors"]}


WORDS = {"bad": "fell", "good": "rose", "none": "stood"}
"""Label -> the word that gives it away."""


def write_recipe(folder: Path, base: Path, method: str, more: str = "", labels: int = 2) -> Path:
    folder.mkdir(exist_ok=True)
    said = [(i, list(WORDS)[i % labels]) for i in range(60)]
    rows = [{"text": f"revenue {WORDS[label]} in {i}", "label": label} for i, label in said]
    (folder / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    file = folder / "recipe.yaml"
    file.write_text(f"model: {base}\nmethod: {method}\ndata: {{train: rows.jsonl}}\n{more}")
    return file


@pytest.fixture(scope="module", params=METHODS)
def method(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def trained(method: str, tiny_base: Path, tmp_path_factory: pytest.TempPathFactory) -> api.Trained:
    folder = tmp_path_factory.mktemp("trained")
    return api.train(load_recipe(write_recipe(folder, tiny_base, method)), folder / "run")


# -- a run


def test_it_ends_in_an_adapter_folder_of_its_own_files(trained: api.Trained, method: str, tiny_base: Path) -> None:
    names = {file.name for file in trained.adapter.iterdir()}
    assert names == {"README.md", "rankwise.json", *FILES[method]}
    assert verify_adapter(trained.adapter, identify_base(tiny_base), read_anatomy(tiny_base)) == []
    made = read_json(trained.run / "plan.json")
    facts = read_adapter(trained.adapter)
    width = read_anatomy(tiny_base).hidden_size
    assert facts.parameters == made["trainable_parameters"] == {"prompt": 0, "classifier": width + 1}[method]
    assert trained.held_out["bits_per_token" if method == "prompt" else "bits_per_row"] > 0


def test_it_is_catalogued_and_read_by_name(trained: api.Trained, method: str) -> None:
    entry = catalog.find_entry(trained.entry.id)
    assert (entry.method, entry.r) == (method, 0)
    told = CliRunner().invoke(app, ["adapters", "show", trained.entry.id])
    assert told.exit_code == 0, told.output
    assert {"prompt": "shown before each question", "classifier": "linear head on"}[method] in told.output
    assert CliRunner().invoke(app, ["adapters", "verify", trained.entry.id]).exit_code == 0


def test_one_seed_gives_one_folder_and_a_stopped_run_begins_anew(
    trained: api.Trained, method: str, tiny_base: Path, tmp_path: Path
) -> None:
    def interrupt(event: Event) -> None:
        if event["event"] in ("candidate", "fitted"):
            os.kill(os.getpid(), signal.SIGTERM)

    recipe = write_recipe(tmp_path, tiny_base, method)
    with pytest.raises(api.Stopped):
        api.train(load_recipe(recipe), tmp_path / "run", interrupt)
    assert not (tmp_path / "run/adapter").exists()
    resumed = api.resume(tmp_path / "run")
    for name in FILES[method]:
        assert sha256_file(resumed.adapter / name) == sha256_file(trained.adapter / name)
    assert resumed.entry.digest == trained.entry.digest
    again = CliRunner().invoke(app, ["train", "--resume", str(tmp_path / "run")])
    assert again.exit_code == 0, again.output


def test_the_held_out_rows_have_no_say(method: str, tiny_base: Path, tmp_path: Path, trained: api.Trained) -> None:
    """Other held-out rows, the same training rows: the same choice."""
    made = []
    for name, word in (("a", "rose"), ("b", "fell")):
        recipe = write_recipe(tmp_path / name, tiny_base, method)
        other = [{"text": f"profit {word} {i}", "label": "good" if i % 2 else "bad"} for i in range(9)]
        (recipe.parent / "other.jsonl").write_text("".join(json.dumps(row) + "\n" for row in other))
        recipe.write_text(recipe.read_text().replace("rows.jsonl}", "rows.jsonl, held_out: other.jsonl}"))
        made.append(api.train(load_recipe(recipe), recipe.parent / "run").adapter)
    for name in FILES[method]:
        assert (made[0] / name).read_bytes() == (made[1] / name).read_bytes()


# -- what is made of it


def test_it_is_evaluated_beside_the_others(trained: api.Trained, method: str) -> None:
    found = api.evaluate(str(trained.run))
    assert set(found.contestants) == {"base", "few_shot", "baseline", "adapter"} and found.absent == {}
    own, base = found.contestants["adapter"].scores, found.contestants["base"].scores
    assert base["bits_per_token"] is not None
    if method == "classifier":
        assert own["accuracy"] == 1.0  # a word that gives it away can be read in any states
        assert own["bits_per_row"] == pytest.approx(trained.held_out["bits_per_row"], rel=1e-4)
    else:
        assert own["bits_per_token"] == pytest.approx(trained.held_out["bits_per_token"], rel=1e-4)


def test_it_is_not_merged(trained: api.Trained, tmp_path: Path) -> None:
    with pytest.raises(AdapterError, match="changes no weight of the base") as caught:
        api.merge(str(trained.adapter), tmp_path / "merged")
    assert caught.value.problems[0].code == "adapter-not-mergeable" and not (tmp_path / "merged").exists()


def test_asked_by_chat(trained: api.Trained, method: str) -> None:
    if method == "classifier":
        with pytest.raises(AdapterError, match="only label texts"):
            api.chat(str(trained.run))
        return
    replies = api.chat(str(trained.run)).ask("revenue rose in 7")
    assert replies["adapter"].probability is not None
    assert replies["adapter"].probability != replies["base"].probability  # the one has seen examples


def test_the_server_says_why_it_does_not_serve_it(trained: api.Trained, method: str) -> None:
    expected = {"prompt": "send them as earlier messages", "classifier": "rankwise evaluate"}[method]
    with pytest.raises(AdapterError, match=expected):
        require_servable(read_adapter(trained.adapter), [])


def test_the_cards_snippet_asks_as_rankwise_does(trained: api.Trained, method: str, tiny_base: Path) -> None:
    """Executed as it stands, with no more than transformers, torch and safetensors."""
    card = (trained.adapter / "README.md").read_text()
    [snippet] = re.findall(r"```python\n(.*?)```", card, flags=re.S)
    text = "revenue rose in 7"
    scope: dict[str, Any] = {"BASE": str(tiny_base), "ADAPTER": str(trained.adapter), "QUESTION": text}
    exec(snippet, scope)
    opened = open_adapter(trained.adapter, tiny_base, "float32", "cpu")
    record = read_adapter(trained.adapter).record
    assert record is not None
    messages = [{"role": "user", "content": f"{record.task.instruction}\n{text}" if record.task.instruction else text}]
    if method == "prompt":
        assert scope["asked"]["input_ids"][0].tolist() == opened.asked_by.prompt(messages)
        return
    ids = opened.renderer.prompt(messages)
    assert scope["asked"]["input_ids"][0].tolist() == ids
    assert isinstance(opened.model, LinearClassifier)
    ours = opened.model.class_logits([ids])[0]
    assert torch.allclose(scope["logits"].float(), ours, atol=1e-5) and scope["label"] == "good"


def test_the_head_is_scikit_learns_own(tiny_base: Path, tmp_path: Path) -> None:
    """On three labels: the states read again, standardised, and fitted with what the events say was best."""
    recipe = write_recipe(tmp_path, tiny_base, "classifier", labels=3)
    done = api.train(load_recipe(recipe), tmp_path / "run")
    tried = [event for event in read_events(done.run / "events.jsonl") if event["event"] == "fitted"]
    best = min((event for event in tried if event["loss"] is not None), key=lambda event: event["loss"])
    said = read_json(done.adapter / "classifier.json")
    assert said["features"] == best["features"] and len(tried) == 12
    opened = open_adapter(done.adapter, tiny_base, "float32", "cpu")
    record = read_adapter(done.adapter).record
    assert record is not None
    rows = evaluation_rows(record, None).train
    assert rows is not None and isinstance(opened.model, LinearClassifier)
    shown = [opened.renderer.render(row, "last") for row in rows]
    ids = [row.ids[: row.prompt] for row in shown]
    kind = said["features"]
    states = read_states(opened.model.base, True, ids, [kind], said["skipped"])[kind].double().numpy()
    standard = (states - states.mean(0)) / np.where(states.std(0) > 0, states.std(0), 1)
    targets = [record.task.labels.index(str(row.label)) for row in rows]
    expected = LogisticRegression(C=best["C"], max_iter=1000).fit(standard, targets).predict_proba(standard)
    # In chances: where a label is all but ruled out, its logit depends on where the fit stopped.
    assert np.allclose(opened.model.class_logits(ids).softmax(1).numpy(), expected, atol=2e-3)
    held_out = evaluation_rows(record, None).held_out
    asked = [opened.renderer.prompt(row.messages[:-1]) for row in held_out]  # the question alone, not its answer
    right = [record.task.labels.index(str(row.label)) for row in held_out]
    given = opened.model.class_logits(asked).log_softmax(1)[range(len(asked)), right]
    bits = api.evaluate(str(done.run)).contestants["adapter"].scores["bits_per_row"]
    assert bits == pytest.approx(-float(given.mean()) / np.log(2), rel=1e-3)


def test_a_classifier_reads_an_encoder(encoder_of: Callable[[str], Path], tmp_path: Path) -> None:
    done = api.train(load_recipe(write_recipe(tmp_path, encoder_of("bert"), "classifier")), tmp_path / "run")
    found = api.evaluate(str(done.run))
    assert found.contestants["adapter"].scores["accuracy"] == 1.0
    assert set(found.absent) == {"base", "few_shot"}


def test_no_other_method_goes_on_from_it(trained: api.Trained, tiny_base: Path, tmp_path: Path) -> None:
    recipe = write_recipe(tmp_path, tiny_base, "lora")
    with pytest.raises(AdapterError, match="only read the base"):
        api.plan(load_recipe(recipe, [f"adapter={trained.adapter}"]))


def test_the_end_of_a_run_tells_no_steps(method: str, tiny_base: Path, tmp_path: Path) -> None:
    recipe = write_recipe(tmp_path, tiny_base, method)
    told = CliRunner().invoke(app, ["train", str(recipe), "--output", str(tmp_path / "run")])
    assert told.exit_code == 0 and "step" not in told.output.rpartition("held-out rows:")[2], told.output
    assert {"prompt": "Chosen by 54 rows", "classifier": "Fitted by 54 rows"}[method] in told.output


def test_the_card_hands_over_the_tools_of_the_rows(tiny_base: Path, tmp_path: Path) -> None:
    recipe = write_recipe(tmp_path, tiny_base, "prompt")
    tools = [{"type": "function", "function": {"name": "look_up", "parameters": {"strict": True, "default": None}}}]
    said = [({"role": "user", "content": f"{i}"}, {"role": "assistant", "content": f"it is {i}"}) for i in range(40)]
    rows = [{"messages": turns, "tools": tools} for turns in said]
    (tmp_path / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    done = api.train(load_recipe(recipe), tmp_path / "run")
    [snippet] = re.findall(r"```python\n(.*?)```", (done.adapter / "README.md").read_text(), flags=re.S)
    scope: dict[str, Any] = {"BASE": str(tiny_base), "ADAPTER": str(done.adapter), "QUESTION": "7"}
    exec(snippet, scope)
    opened = open_adapter(done.adapter, tiny_base, "float32", "cpu")
    ours = opened.asked_by.prompt([{"role": "user", "content": "7"}], tools)
    assert scope["asked"]["input_ids"][0].tolist() == ours


# -- damage and refusals


def test_damage_is_named(trained: api.Trained, method: str, tiny_base: Path, tmp_path: Path) -> None:
    def codes(change: Any) -> set[str]:
        folder = tmp_path / "copy"
        shutil.rmtree(folder, ignore_errors=True)
        shutil.copytree(trained.adapter, folder)
        change(folder)
        return {p.code for p in verify_adapter(folder, identify_base(tiny_base), read_anatomy(tiny_base))}

    def other_method(folder: Path) -> None:
        record = read_json(folder / "rankwise.json")
        write_json(folder / "rankwise.json", {**record, "method": "lora"})

    assert codes(lambda folder: (folder / FILES[method][0]).write_text("{")) == {"adapter-config"}
    assert codes(lambda folder: (folder / FILES[method][0]).write_text('{"more": 1}')) >= {"adapter-config"}
    assert codes(lambda folder: (folder / "rankwise.json").unlink()) >= {"adapter-no-record"}
    assert codes(other_method) == {"adapter-method"}
    if method == "classifier":
        weights = "classifier.safetensors"

        def narrower(folder: Path) -> None:
            held = load_file(folder / weights)
            save_file({**held, "weight": held["weight"][:, 1:].contiguous()}, folder / weights)

        assert codes(narrower) == {"adapter-head"}
        assert codes(lambda folder: (folder / weights).write_bytes(b"")) == {"adapter-weights"}


@pytest.mark.parametrize(
    ("method", "more", "code"),
    [
        ("prompt", "lora: {r: 8}\n", "not-with-prompt"),
        ("prompt", "training: {learning_rate: 0.001}\n", "not-with-prompt"),
        ("prompt", "quantization: nf4\n", "not-with-prompt"),
        ("prompt", "shared_prefix: false\n", "not-with-prompt"),
        ("prompt", "prompt: {num_examples: 400}\n", "examples-too-long"),
        ("classifier", "training: {num_train_epochs: 2}\n", "not-with-classifier"),
        ("classifier", "prompt: {num_examples: 4}\n", "key-of-another-method"),
        ("prompt", "prefix: {num_virtual_tokens: 4}\n", "key-of-another-method"),
        ("classifier", "prefix: {init_weights: zero}\n", "key-of-another-method"),
        ("lora", "prompt: {num_examples: 4}\n", "key-of-another-method"),
    ],
)
def test_what_it_has_no_use_for_is_refused(method: str, more: str, code: str, tiny_base: Path, tmp_path: Path) -> None:
    with pytest.raises(RecipeError) as caught:
        api.plan(load_recipe(write_recipe(tmp_path, tiny_base, method, more)))
    assert code in {problem.code for problem in caught.value.problems}


def test_open_answers_have_no_classifier(tiny_base: Path, tmp_path: Path) -> None:
    recipe = write_recipe(tmp_path, tiny_base, "classifier")
    rows = [{"instruction": f"say {i}", "output": f"it is {i}"} for i in range(30)]
    (tmp_path / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    with pytest.raises(RecipeError, match="open answers"):
        api.plan(load_recipe(recipe))


def test_an_encoder_has_no_prompt(encoder_of: Callable[[str], Path], tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match="no worked examples"):
        api.plan(load_recipe(write_recipe(tmp_path, encoder_of("bert"), "prompt")))


def test_rows_with_several_labels_have_no_classifier(encoder_of: Callable[[str], Path], tmp_path: Path) -> None:
    recipe = write_recipe(tmp_path, encoder_of("bert"), "classifier")
    rows = [{"text": f"row {i}", "label": ["a", "b"][: i % 3]} for i in range(30)]
    (tmp_path / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    with pytest.raises(RecipeError, match="gives a text one label"):
        api.plan(load_recipe(recipe))
