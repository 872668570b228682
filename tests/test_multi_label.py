"""A head for any number of labels from recipe to reload: planned = trained, stopped = never stopped, saved = loaded."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
import torch
from safetensors import safe_open

from rankwise import api, catalog
from rankwise.errors import AdapterError, DataError, PlanError, RecipeError
from rankwise.events import Event, read_events
from rankwise.facts import identify_base, read_adapter, read_anatomy, verify_adapter
from rankwise.files import read_json, sha256_file
from rankwise.recipe import load_recipe

EncoderOf = Callable[[str], Path]
STEPS = 60
WEIGHTS = "adapter_model.safetensors"
MORE = "lora: {r: 4, lora_dropout: 0.1, target_modules: [query, value]}\n"
TOLERANCE = 1e-5
"""Largest difference of logits (float32, logits of about 1)."""
SETS: Sequence[Sequence[str]] = ((), ("up",), ("down",), ("down", "up"))


def write_rows(file: Path, count: int = 80, first: int = 0) -> Path:
    """Rows in which `rose` gives the label up and `fell` the label down; some have both, and some neither."""
    words = {"down": "costs fell", "up": "revenue rose"}
    rows = []
    for i in range(first, first + count):
        labels = SETS[i % 4]
        text = " and ".join([words[label] for label in labels] or ["nothing moved"])
        rows.append({"text": f"{text} in month {i}", "label": list(reversed(labels))})
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return file


def write_recipe(folder: Path, base: Path | str, more: str = MORE, data: str = "{train: rows.jsonl}") -> Path:
    file = folder / "recipe.yaml"
    file.write_text(
        f"model: {base}\ndata: {data}\n{more}training: {{max_steps: {STEPS}, eval_steps: 20, save_steps: 4, "
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


def test_the_plan_says_what_the_rows_ask_for_and_the_folder_holds_it(trained: api.Trained, base: Path) -> None:
    made = read_json(trained.run / "plan.json")
    decision = made["decisions"]["problem_type"]
    assert decision["value"] == "multi_label_classification" and decision["source"] == "rankwise"
    assert "BCEWithLogitsLoss" in decision["reason"] and "over 0.5" in decision["reason"]
    assert made["decisions"]["scorer"]["value"] == "micro_f1"
    adapter, head = 4 * 2 * 2 * (32 + 32), (32 + 1) * 2
    assert made["trainable_parameters"] == adapter + head
    assert made["capacity"]["required_bits"] == 2 * 72  # a bit for each of two labels of 72 training rows
    with safe_open(trained.adapter / WEIGHTS, "pt") as file:
        assert file.get_slice("base_model.model.classifier.weight").get_shape() == [2, 32]
    assert verify_adapter(trained.adapter, identify_base(base), read_anatomy(base)) == []


def test_the_record_and_the_card_say_how_it_answers(trained: api.Trained) -> None:
    record = read_adapter(trained.adapter).record
    assert record is not None
    task = record.task
    assert (task.kind, task.task, task.labels, task.shape) == ("labels", "seq_cls", ("down", "up"), "label_lists")
    assert task.problem_type == "multi_label_classification"
    card = (trained.adapter / "README.md").read_text()
    assert 'problem_type="multi_label_classification"' in card and "over 0.5" in card
    assert catalog.find_entry(trained.entry.id).digest == trained.entry.digest


def test_the_loss_is_a_mean_over_labels_in_the_log_and_in_the_evaluation(trained: api.Trained) -> None:
    events = [e for e in read_events(trained.run / "events.jsonl") if e["event"] == "held_out"]
    best = min(events, key=lambda event: event["loss"])
    assert trained.held_out["bits_per_label"] == best["bits_per_label"]
    scores = api.evaluate(str(trained.run)).contestants["adapter"].scores
    assert scores["bits_per_label"] == pytest.approx(best["bits_per_label"], rel=1e-4)


def test_a_stopped_run_goes_on_as_if_it_had_not_stopped(trained: api.Trained, base: Path, tmp_path: Path) -> None:
    write_rows(tmp_path / "rows.jsonl")
    recipe = load_recipe(write_recipe(tmp_path, base))

    def interrupt(event: Event) -> None:
        if event["event"] == "step" and event["step"] == 30:
            os.kill(os.getpid(), signal.SIGTERM)

    with pytest.raises(api.Stopped):
        api.train(recipe, tmp_path / "run", interrupt)
    resumed = api.resume(tmp_path / "run")
    assert sha256_file(resumed.adapter / WEIGHTS) == sha256_file(trained.adapter / WEIGHTS)
    assert resumed.held_out == trained.held_out and resumed.steps == trained.steps


def test_how_a_step_is_cut_changes_neither_loss_nor_gradient(base: Path) -> None:
    from rankwise.data.render import Rendered
    from rankwise.model.attach import LoraSettings, attach_new
    from rankwise.model.classifier import load_classifier
    from rankwise.train.objectives import labelling

    kind = "multi_label_classification"
    model = load_classifier(base, ("down", "up"), "float32", "cpu", 0, problem_type=kind)
    adapted = attach_new(model, "base", LoraSettings(4, 8, 0.0, ["query"], "none", False, True), 0, "seq_cls").eval()
    objective = labelling(("down", "up"), kind)
    rows = [
        Rendered((2, *range(5, 6 + n), 3), (False,) * (2 + n) + (True,), 3 + n, True, "", tuple(SETS[n % 4]))
        for n in range(8)
    ]
    found = []
    for parts in ([rows], [rows[:2], rows[2:5], rows[5:]], [[row] for row in rows]):
        adapted.zero_grad()
        loss = objective.backward(adapted, parts, lambda: None)
        grads = torch.cat([p.grad.flatten() for p in adapted.parameters() if p.grad is not None])
        found.append((float(loss), grads))
    for loss, grads in found[1:]:
        assert loss == pytest.approx(found[0][0], rel=1e-6)
        assert float((grads - found[0][1]).norm()) < 1e-5 * float(found[0][1].norm())
    assert objective.mean_loss(adapted, rows, 3, lambda: None) == pytest.approx(found[0][0], rel=1e-6)


def test_the_loss_is_transformers_own(base: Path) -> None:
    from rankwise.data.render import Rendered
    from rankwise.model.classifier import class_losses, load_classifier

    kind = "multi_label_classification"
    model = load_classifier(base, ("down", "up"), "float32", "cpu", 0, problem_type=kind)
    assert model.config.problem_type == kind
    rows = [Rendered((2, 5 + n, 9, 3), (False,) * 3 + (True,), 4, True, "", tuple(SETS[n])) for n in range(4)]
    with torch.no_grad():
        ours = class_losses(model, rows, {"down": 0, "up": 1}, kind).mean()
        ids = torch.tensor([row.ids for row in rows])
        there = torch.tensor([[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]])
        theirs = model(input_ids=ids, attention_mask=torch.ones_like(ids), labels=there).loss
    assert float(ours) == pytest.approx(float(theirs), rel=1e-6)


# -- reload


def test_reloaded_it_answers_as_it_did(trained: api.Trained) -> None:
    found = [api.evaluate(target) for target in (str(trained.run), str(trained.adapter), trained.entry.id)]
    scores = [each.contestants["adapter"].scores for each in found]
    assert scores[0] == scores[1] == scores[2]
    assert set(scores[0]) == {"micro_f1", "macro_f1", "exact_match", "bits_per_label"}
    assert (scores[0]["micro_f1"] or 0) > 0.8
    told = read_json(trained.run / "evaluation.json")
    assert set(told["adapter"]["label_f1"]) == {"down", "up"} == set(told["label_differences"]["baseline"])
    assert set(told["other_differences"]) == {"macro_f1", "exact_match"}
    assert told["differences"]["baseline"]["metric"] == "micro_f1" == told["metric"]
    assert told["base"] is None and "random numbers" in told["absent"]["base"]
    assert "one text" in told["absent"]["few_shot"]
    assert catalog.find_entry(trained.entry.id).metrics["adapter"]["micro_f1"] == scores[0]["micro_f1"]


def test_plain_transformers_and_peft_give_the_same_logits(trained: api.Trained, base: Path, tmp_path: Path) -> None:
    """By the card's own snippet, in a process without rankwise."""
    from rankwise.model.classifier import class_logits
    from rankwise.model.open import open_adapter

    opened = open_adapter(trained.adapter, base, "float32", "cpu")
    texts = ["revenue rose in May", "nothing moved", "costs fell and revenue rose in the month of June"]
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
        "print(json.dumps([logits.tolist(), base.config.problem_type]))\n"
    )
    command = [sys.executable, "-c", script, str(base), str(trained.adapter), json.dumps(texts)]
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    theirs, problem_type = json.loads(done.stdout.splitlines()[-1])
    assert float((ours - torch.tensor(theirs)).abs().max()) < TOLERANCE
    assert problem_type == "multi_label_classification"


def test_rows_of_ones_own_are_scored(trained: api.Trained, tmp_path: Path) -> None:
    write_rows(tmp_path / "more.jsonl", 8, first=200)
    judged = api.evaluate(str(trained.run), tmp_path / "more.jsonl").contestants["adapter"]
    assert sum(judged.counts.values()) == 8
    assert all(json.loads(answer.text) == sorted(json.loads(answer.text)) for answer in judged.answers)
    with (tmp_path / "more.jsonl").open("a") as file:
        file.write(json.dumps({"text": "revenue stood still", "label": ["flat", "up"]}) + "\n")
    with pytest.raises(DataError, match=r'more.jsonl:9: .*"flat" is no label of the adapter'):
        api.evaluate(str(trained.run), tmp_path / "more.jsonl")
    (tmp_path / "single.jsonl").write_text('{"text": "revenue rose", "label": "up"}\n')
    with pytest.raises(DataError, match="each with a list of them"):
        api.evaluate(str(trained.run), tmp_path / "single.jsonl")


def test_it_goes_on_from_an_adapter_of_its_kind_alone(trained: api.Trained, base: Path, tmp_path: Path) -> None:
    write_rows(tmp_path / "rows.jsonl")
    more = f"adapter: {trained.adapter}\n"
    done = train(write_recipe(tmp_path, base, more), tmp_path / "run", "training.max_steps=2")
    opening = next(e["loss"] for e in read_events(done.run / "events.jsonl") if e["event"] == "held_out")
    assert opening == pytest.approx(trained.held_out["loss"], rel=1e-4)
    rows = [{"text": f"revenue rose in month {i}", "label": ("down", "up")[i % 2]} for i in range(20)]
    (tmp_path / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    with pytest.raises(AdapterError, match="any number of labels and these rows have one each"):
        train(write_recipe(tmp_path, base, more), tmp_path / "other")


def test_one_label_that_is_there_or_not(base: Path, tmp_path: Path) -> None:
    rows = [{"text": f"revenue {('fell', 'rose')[i % 2]} in month {i}", "label": ["up"] * (i % 2)} for i in range(40)]
    (tmp_path / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    done = train(write_recipe(tmp_path, base), tmp_path / "run")
    assert api.evaluate(str(done.run)).contestants["adapter"].scores["exact_match"] == 1.0


def test_a_held_out_label_that_is_never_trained_on_is_missed(base: Path, tmp_path: Path) -> None:
    write_rows(tmp_path / "rows.jsonl", 40)
    write_rows(tmp_path / "test.jsonl", 8, first=100)
    with (tmp_path / "test.jsonl").open("a") as file:
        file.write(json.dumps({"text": "revenue rose", "label": ["up", "never"]}) + "\n")
    recipe = write_recipe(tmp_path, base, data="{train: rows.jsonl, held_out: test.jsonl}")
    assert "unseen-label" in {problem.code for problem in api.plan(load_recipe(recipe)).problems}
    done = train(recipe, tmp_path / "run", "training.max_steps=4")
    assert {e["rows"] for e in read_events(done.run / "events.jsonl") if e["event"] == "held_out"} == {8}
    assert api.evaluate(str(done.run)).contestants["adapter"].label_f1["never"] == 0.0


# -- what does not fit


def test_a_causal_base_has_no_head_for_lists(tiny_base: Path, tmp_path: Path) -> None:
    write_rows(tmp_path / "rows.jsonl")
    with pytest.raises(RecipeError, match=r"rows.jsonl:\d+: .*no head that gives several.*minilm-l6"):
        api.plan(load_recipe(write_recipe(tmp_path, tiny_base)))
    checked = api.check(load_recipe(write_recipe(tmp_path, tiny_base)))
    assert not checked.ok and "label-lists-without-head" in {problem.code for problem in checked.problems}


def test_problem_type_is_of_classifiers(tiny_base: Path, tmp_path: Path) -> None:
    (tmp_path / "rows.jsonl").write_text(
        "".join(json.dumps({"text": f"month {i}", "label": str(i % 2)}) + "\n" for i in range(20))
    )
    recipe = write_recipe(tmp_path, tiny_base, "problem_type: single_label_classification\n")
    with pytest.raises(RecipeError, match=r"recipe.yaml:3: .*it is of task seq_cls.*leave it out"):
        api.plan(load_recipe(recipe))


@pytest.mark.parametrize(
    ("label", "asked", "message"),
    [
        (["up"], "single_label_classification", "every row has a list of labels"),
        ("up", "multi_label_classification", "every row has one label"),
    ],
)
def test_problem_type_is_that_of_the_rows(
    label: str | list[str], asked: str, message: str, base: Path, tmp_path: Path
) -> None:
    other = ["down"] if isinstance(label, list) else "down"
    rows = [{"text": f"revenue in month {i}", "label": (label, other)[i % 2]} for i in range(20)]
    (tmp_path / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    with pytest.raises(RecipeError, match=rf"recipe.yaml:3: .*{message} \(rows.jsonl:\d+\)"):
        api.plan(load_recipe(write_recipe(tmp_path, base, f"problem_type: {asked}\n")))


def test_rows_without_any_label_are_refused(base: Path, tmp_path: Path) -> None:
    (tmp_path / "rows.jsonl").write_text(
        "".join(json.dumps({"text": f"month {i}", "label": []}) + "\n" for i in range(20))
    )
    with pytest.raises(DataError, match="lists of labels are all empty"):
        api.plan(load_recipe(write_recipe(tmp_path, base)))


def test_a_plan_of_another_kind_is_not_trained(trained: api.Trained, base: Path, tmp_path: Path) -> None:
    from rankwise.data.corpus import CorpusRequest, build_corpus
    from rankwise.data.plain import make_renderer
    from rankwise.plan import Plan
    from rankwise.train.settings import read_plan

    plan = Plan.model_validate(read_json(trained.run / "plan.json"))
    decision = plan.decisions["problem_type"].model_copy(update={"value": "single_label_classification"})
    edited = plan.model_copy(update={"decisions": {**plan.decisions, "problem_type": decision}})
    rows = str(write_rows(tmp_path / "rows.jsonl"))
    corpus = build_corpus(CorpusRequest(rows, 0.1, None, None, "error", "all", 0), make_renderer(base, "encoder"), 64)
    with pytest.raises(PlanError, match="problem_type"):
        read_plan(edited, corpus)
