"""What the command line does, as functions: check, plan, train, resume, evaluate, chat."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from rankwise import api, catalog, runs
from rankwise.data.corpus import Corpus, CorpusRequest, build_corpus
from rankwise.data.render import Renderer
from rankwise.errors import AdapterError, DataError, PlanError, RankwiseError, RecipeError, RunError
from rankwise.events import Event, ignore, read_events
from rankwise.facts import adapter_digest, identify_base, read_adapter
from rankwise.files import read_json, write_json
from rankwise.plan import Decision, Plan
from rankwise.recipe import load_recipe, parse_recipe

STEPS = 6


def write_labels(file: Path, count: int = 40, first: int = 0) -> Path:
    """Rows whose first word gives the label away."""
    words = ("losses", "profit")
    rows = [
        {"text": f"{words[i % 2]} in month {i}", "label": "good" if i % 2 else "bad"}
        for i in range(first, first + count)
    ]
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return file


def write_recipe(folder: Path, base: Path, data: str = "{train: rows.jsonl}", more: str = "") -> Path:
    file = folder / "recipe.yaml"
    file.write_text(
        f"model: {base}\ndata: {data}\n{more}"
        f"training: {{max_steps: {STEPS}, eval_steps: 3, save_steps: 2, per_device_train_batch_size: 4}}\n"
    )
    return file


def train(recipe: Path, run: Path, *overrides: str) -> api.Trained:
    return api.train(load_recipe(recipe, overrides), run)


@pytest.fixture(scope="module")
def base(tiny_base: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the tiny base in a folder of this file's own."""
    return Path(shutil.copytree(tiny_base, tmp_path_factory.mktemp("bases") / "api-llama"))


@pytest.fixture(scope="module")
def trained(base: Path, tmp_path_factory: pytest.TempPathFactory) -> api.Trained:
    """A run on text/label rows that nobody changes."""
    folder = tmp_path_factory.mktemp("trained")
    write_labels(folder / "rows.jsonl")
    return train(write_recipe(folder, base, more="lora: {r: 4}\n"), folder / "run")


# -- check


def test_check_of_a_sound_recipe(base: Path, tmp_path: Path) -> None:
    write_labels(tmp_path / "rows.jsonl")
    found = api.check(load_recipe(write_recipe(tmp_path, base)))
    assert found.ok and found.inspection is not None
    first = found.preview[0]
    assert "".join(text for text, on in first if on) in ("good<|im_end|>", "bad<|im_end|>")
    assert json.loads(json.dumps(found.as_json()))["ok"] is True


def test_check_raises_nothing_and_carries_the_problems_of_base_domain_data_and_doctrine(tmp_path: Path) -> None:
    (tmp_path / "rows.jsonl").write_text('{"text": "a", "label": "x"}\n{"text": "b"}\nnot json\n')
    (tmp_path / "held.jsonl").write_text('{"text": 3, "label": "x"}\n')
    recipe = "model: ./nowhere\ndomain: financal\ndoctrine: rankwize\ndata: {train: rows.jsonl, held_out: held.jsonl}\n"
    found = api.check(parse_recipe(recipe, "recipe.yaml", tmp_path))
    assert not found.ok and found.inspection is None and found.preview == []
    codes = [problem.code for problem in found.problems]
    assert {"unknown-base", "unknown-domain", "unknown-doctrine"} <= set(codes)
    places = {problem.where for problem in found.problems}
    assert {"rows.jsonl:2", "rows.jsonl:3", "held.jsonl:1"} <= places
    with pytest.raises(RankwiseError) as caught:
        api.plan(parse_recipe(recipe, "recipe.yaml", tmp_path))
    assert caught.value.problems == found.problems


@pytest.mark.parametrize("recipe", ["doctrine: rankwize\n", "lora: {target_modules: [nowhere]}\n"])
def test_check_of_what_cannot_be_planned_still_shows_the_rows(base: Path, tmp_path: Path, recipe: str) -> None:
    write_labels(tmp_path / "rows.jsonl")
    found = api.check(load_recipe(write_recipe(tmp_path, base, more=recipe)))
    assert not found.ok and found.inspection is not None and found.preview


@pytest.mark.parametrize(
    "rows", ["", "[]", '{"text": "a", "label": "x"}\n', '{"a": 1}\n', '{"text": "", "label": ""}\n', "\x00", "[" * 9999]
)
def test_check_of_broken_rows_is_a_list_of_problems(base: Path, tmp_path: Path, rows: str) -> None:
    (tmp_path / "rows.jsonl").write_text(rows)
    found = api.check(load_recipe(write_recipe(tmp_path, base)))
    assert not found.ok
    assert all(problem.message and problem.code for problem in found.problems)


def test_check_of_a_base_without_a_tokenizer_names_the_file(base: Path, tmp_path: Path) -> None:
    broken = Path(shutil.copytree(base, tmp_path / "broken"))
    (broken / "tokenizer.json").unlink()
    write_labels(tmp_path / "rows.jsonl")
    [problem] = api.check(load_recipe(write_recipe(tmp_path, broken))).problems
    assert problem.code == "base-error" and "no tokenizer.json" in problem.message


def test_a_domain_whose_labels_are_others_lends_no_prompt(base: Path, tmp_path: Path) -> None:
    write_labels(tmp_path / "rows.jsonl")
    recipe = write_recipe(tmp_path, base, more="domain: legal\n")
    made = api.plan(load_recipe(recipe))
    assert made["data.instruction"] == "Classify the text. Answer with one of: bad, good."
    assert "domain-labels" in [problem.code for problem in made.problems]
    own = api.plan(load_recipe(recipe, ["data.instruction=Judge it."]))
    assert own["data.instruction"] == "Judge it."
    assert "domain-labels" not in [problem.code for problem in own.problems]


# -- plan and train


def test_one_machine_plans_alike_and_measures_once(base: Path, tmp_path: Path, trained: api.Trained) -> None:
    write_labels(tmp_path / "rows.jsonl")
    events: list[Event] = []
    asked = load_recipe(write_recipe(tmp_path, base))
    first, second = api.plan(asked, events.append), api.plan(asked, events.append)
    assert first == second and first.seconds is not None
    assert not [event for event in events if event["event"] == "measure"]  # the run before did


def test_a_run_folder_holds_all_that_happened(trained: api.Trained, base: Path) -> None:
    run = trained.run
    assert trained.adapter == run / "adapter" and trained.steps == STEPS and trained.rows == 4 * STEPS
    assert (run / "recipe.yaml").read_text() == (run.parent / "recipe.yaml").read_text()
    made = Plan.model_validate(read_json(run / "plan.json"))
    record = read_adapter(trained.adapter).record
    assert record is not None and record.plan_digest == made.digest()
    assert record.base.identity == identify_base(base)
    kinds = [event["event"] for event in read_events(run / "events.jsonl")]
    assert kinds[0] == "train_begin" and kinds[-1] == "adapter" and kinds.count("step") == STEPS
    assert trained.held_out["step"] in (3, 6)
    answer = trained.as_json()
    keys = ("run", "adapter", "steps", "rows", "seconds", "rows_per_second", "tokens_per_second", "held_out")
    assert all(key in answer for key in (*keys, "peak_memory_bytes"))
    json.dumps(answer)


def test_the_adapter_is_in_the_catalogue(trained: api.Trained) -> None:
    entry = catalog.find_entry(trained.entry.id)
    assert entry == trained.entry and entry.r == 4
    assert entry.path != trained.adapter and entry.digest == adapter_digest(trained.adapter)


def test_an_existing_run_is_refused_at_once(trained: api.Trained, base: Path) -> None:
    before = (trained.run / "plan.json").read_bytes()
    with pytest.raises(RunError, match="holds a run already; resume it"):
        train(trained.run.parent / "recipe.yaml", trained.run)
    assert (trained.run / "plan.json").read_bytes() == before


@pytest.mark.parametrize("name", [name for name in api.RUN_FILES if name != "plan.json"])
def test_nothing_of_the_users_is_overwritten(name: str, trained: api.Trained, tmp_path: Path) -> None:
    (tmp_path / "rows").mkdir()  # is in nobody's way
    (tmp_path / name).write_text("mine")
    with pytest.raises(RunError, match=rf"holds {name}, which the run would overwrite"):
        train(trained.run.parent / "recipe.yaml", tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(["rows", name])
    assert (tmp_path / name).read_text() == "mine"


def test_the_overrides_stand_below_the_recipe_as_comments(tmp_path: Path) -> None:
    text = "domain: legal\nlora: {r: 3}"
    asked = parse_recipe(text, "recipe.yaml", tmp_path, ["lora.r=4", 'data.instruction="One.\n\nTwo."'])
    noted = runs._with_overrides(asked)
    assert noted.startswith(text + "\n# --set lora.r=4\n# --set data.instruction=")
    assert parse_recipe(noted, "recipe.yaml", tmp_path).recipe == parse_recipe(text, "", tmp_path).recipe
    assert runs._with_overrides(parse_recipe(text, "recipe.yaml", tmp_path)) == text


def test_an_output_that_is_a_file_is_refused(base: Path, tmp_path: Path) -> None:
    rows = write_labels(tmp_path / "rows.jsonl")
    recipe = write_recipe(tmp_path, base)
    for output in (rows, rows / "run"):
        with pytest.raises(RunError, match="give another --output"):
            train(recipe, output)


def corpus_and_base(run: Path, base: Path) -> tuple[Corpus, object]:
    from rankwise.train.settings import BaseFolder

    corpus = build_corpus(CorpusRequest(**read_json(run / "data.json")), Renderer(base), 2048)
    return corpus, BaseFolder("tiny", base / "not-there", identify_base(base))


@pytest.mark.parametrize("change", ["added", "removed", "retyped"])
def test_a_plan_with_a_key_too_many_or_too_few_fails_before_a_base_is_loaded(
    change: str, trained: api.Trained, base: Path, tmp_path: Path
) -> None:
    from rankwise.train.run import execute

    made = Plan.model_validate(read_json(trained.run / "plan.json"))
    decisions = dict(made.decisions)
    if change == "added":
        decisions["training.sparkle"] = Decision(value=1, reason="", source="")
        message = "nothing in this build reads training.sparkle"
    elif change == "removed":
        del decisions["training.weight_decay"]
        message = "the plan has no training.weight_decay"
    else:
        decisions["lora.r"] = Decision(value="4", reason="", source="")
        message = "lora.r: expected int"
    corpus, folder = corpus_and_base(trained.run, base)
    with pytest.raises(PlanError, match=message):
        execute(made.model_copy(update={"decisions": decisions}), corpus, folder, tmp_path, ignore, False)  # type: ignore[arg-type]
    assert list(tmp_path.iterdir()) == []


def test_every_key_of_a_plan_is_missed_when_it_is_gone(trained: api.Trained, base: Path) -> None:
    from rankwise.train.settings import read_plan

    made = Plan.model_validate(read_json(trained.run / "plan.json"))
    corpus, _ = corpus_and_base(trained.run, base)
    for key in made.decisions:
        less = {other: decision for other, decision in made.decisions.items() if other != key}
        with pytest.raises(PlanError, match=f"the plan has no {key}"):
            read_plan(made.model_copy(update={"decisions": less}), corpus)


@pytest.mark.parametrize(
    ("key", "value"), [("method", "other"), ("quantization", "nf4"), ("data.max_length", 7), ("data.too_long", "drop")]
)
def test_what_is_not_as_planned_is_not_trained(trained: api.Trained, base: Path, key: str, value: str | int) -> None:
    from rankwise.train.settings import read_plan

    made = Plan.model_validate(read_json(trained.run / "plan.json"))
    corpus, _ = corpus_and_base(trained.run, base)
    changed = {**made.decisions, key: Decision(value=value, reason="", source="")}
    with pytest.raises(PlanError, match=f"not as planned.*{value}"):
        read_plan(made.model_copy(update={"decisions": changed}), corpus)


# -- stop and resume

STOPPED_RUN = """\
import json, os, signal, sys
from pathlib import Path

recipe, run = map(Path, sys.argv[1:])
seen = {}

class Watch:
    def find_spec(self, name, path=None, target=None):
        if name in ("torch", "transformers", "peft"):
            files = ("recipe.yaml", "plan.json", "data.json", "digests.json")
            seen.setdefault(name, [(run / file).is_file() for file in files])

sys.meta_path.insert(0, Watch())
from rankwise import api
from rankwise.recipe import load_recipe

def observer(event):
    if event["event"] == "step" and event["step"] == 3:
        os.kill(os.getpid(), signal.SIGTERM)

assert "torch" not in sys.modules
try:
    api.train(load_recipe(recipe), run, observer)
except api.Stopped as stop:
    print(json.dumps({"signal": stop.signal, "run": str(stop.run), "message": str(stop), "seen": seen}))
    sys.exit(128 + stop.signal)
"""


def test_a_stopped_run_goes_on_as_if_it_had_not_stopped(trained: api.Trained, base: Path, tmp_path: Path) -> None:
    """And its recipe and plan are on disk before torch is imported."""
    write_labels(tmp_path / "rows.jsonl")
    recipe = write_recipe(tmp_path, base, more="lora: {r: 4, lora_dropout: 0.1}\n")
    run = tmp_path / "run"
    command = [sys.executable, "-c", STOPPED_RUN, str(recipe), str(run)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert done.returncode == 143, done.stderr
    told = json.loads(done.stdout.splitlines()[-1])
    assert (told["signal"], told["run"]) == (15, str(run)) and f"--resume {run}" in told["message"]
    assert told["seen"]["torch"] == [True, True, True, True]
    assert all(all(files) for files in told["seen"].values())
    assert (run / "checkpoints" / "step-00000003" / "manifest.json").is_file()
    assert not (run / "adapter").exists()
    with pytest.raises(RunError, match=f"finish it with: rankwise train --resume {run}"):
        api.evaluate(str(run))

    resumed = api.resume(run)
    never_stopped = train(recipe, tmp_path / "other")
    name = "adapter_model.safetensors"
    assert (resumed.adapter / name).read_bytes() == (never_stopped.adapter / name).read_bytes()
    assert resumed.entry.digest == never_stopped.entry.digest
    assert resumed.held_out == never_stopped.held_out
    assert (resumed.steps, resumed.rows) == (never_stopped.steps, never_stopped.rows)


def test_a_finished_run_resumes_to_itself(trained: api.Trained) -> None:
    events: list[Event] = []
    assert api.resume(trained.run, events.append) == trained
    assert events == []


@pytest.fixture
def unfinished(trained: api.Trained, tmp_path: Path) -> Path:
    """A run that was killed before its adapter was written, with data and base of its own."""
    folder = tmp_path / "unfinished"
    shutil.copytree(trained.run, folder)
    shutil.rmtree(folder / "adapter")
    (folder / "result.json").unlink()
    return folder


def test_a_run_without_a_result_is_finished_to_the_same_adapter(unfinished: Path, trained: api.Trained) -> None:
    assert api.resume(unfinished).entry.digest == trained.entry.digest


def test_an_edited_plan_is_not_resumed(unfinished: Path) -> None:
    made = read_json(unfinished / "plan.json")
    made["decisions"]["training.learning_rate"]["value"] = 1e-5
    write_json(unfinished / "plan.json", made)
    with pytest.raises(RunError, match="changed since it began: the plan;"):
        api.resume(unfinished)


def test_changed_rows_are_not_resumed_with(unfinished: Path, tmp_path: Path) -> None:
    request = read_json(unfinished / "data.json")
    write_json(unfinished / "data.json", request | {"train": str(write_labels(tmp_path / "other.jsonl", 41))})
    with pytest.raises(RunError, match="changed since it began: the training rows, the held-out rows;"):
        api.resume(unfinished)


@pytest.mark.parametrize("file", ["plan.json", "data.json", "digests.json"])
@pytest.mark.parametrize("content", [None, "", "{", "[]", '{"decisions": 3}'])
def test_what_is_no_run_is_refused(unfinished: Path, file: str, content: str | None) -> None:
    if content is None:
        (unfinished / file).unlink()
    else:
        (unfinished / file).write_text(content)
    if content is None or (file, content) not in {("digests.json", "[]"), ("digests.json", '{"decisions": 3}')}:
        with pytest.raises(RunError, match="not a run that can be resumed"):
            api.resume(unfinished)
    else:
        with pytest.raises(RunError, match="changed since it began"):
            api.resume(unfinished)


def test_a_folder_that_is_not_there_is_no_run(tmp_path: Path) -> None:
    with pytest.raises(RunError, match="not a run that can be resumed"):
        api.resume(tmp_path / "nothing")


# -- evaluate and chat


def test_evaluate_by_run_folder_adapter_folder_and_name(trained: api.Trained) -> None:
    found = [api.evaluate(target) for target in (str(trained.run), str(trained.adapter), trained.entry.id)]
    for each in found:
        assert (each.rows, each.metric) == (4, "accuracy")
        assert set(each.contestants) == {"base", "few_shot", "baseline", "adapter"}
        assert all(sum(contestant.counts.values()) == 4 for contestant in each.contestants.values())
        bits = {name: contestant.scores.get("bits_per_token") for name, contestant in each.contestants.items()}
        assert bits["adapter"] == pytest.approx(trained.held_out["bits_per_token"], rel=1e-4)  # as training saw it
        assert bits["base"] != pytest.approx(bits["adapter"], rel=1e-3)
    assert len({each.verdict for each in found}) == 1
    assert read_json(trained.run / "evaluation.json")["verdict"] == found[0].verdict


def test_other_rows_leave_the_runs_own_evaluation_alone(trained: api.Trained, tmp_path: Path) -> None:
    api.evaluate(str(trained.run))
    before = (trained.run / "evaluation.json").read_bytes()
    found = api.evaluate(str(trained.run), write_labels(tmp_path / "more.jsonl", 7, first=100))
    assert (found.rows, found.held_out) == (7, str(tmp_path / "more.jsonl"))
    assert (trained.run / "evaluation.json").read_bytes() == before


def test_held_out_rows_of_a_file_and_open_answers(base: Path, tmp_path: Path) -> None:
    for name, numbers in (("rows", range(12)), ("test", range(20, 25))):
        rows = [{"instruction": "Sum up.", "input": f"clause {i}", "output": f"note {i}"} for i in numbers]
        (tmp_path / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    recipe = write_recipe(tmp_path, base, "{train: rows.jsonl, held_out: test.jsonl}", "lora: {r: 2}\n")
    trained = train(recipe, tmp_path / "run")
    found = api.evaluate(str(trained.run))
    assert (found.rows, found.metric, found.held_out) == (5, "exact_match", str(tmp_path / "test.jsonl"))
    assert all(sum(contestant.counts.values()) == 5 for contestant in found.contestants.values())
    replies = api.chat(str(trained.run)).ask("clause 30")
    assert set(replies) == {"base", "adapter"} and replies["base"].probability is None

    (tmp_path / "test.jsonl").write_text("{}")
    with pytest.raises(DataError, match=r"test\.jsonl: changed since training"):
        api.evaluate(str(trained.run))


def test_chat_answers_with_a_label_and_its_probability(trained: api.Trained) -> None:
    replies = api.chat(trained.entry.id).ask("profit in month 77")
    for reply in replies.values():
        assert reply.text in ("bad", "good") and reply.probability is not None
        assert 0.5 <= reply.probability <= 1


def test_a_prompt_over_the_context_is_refused_with_both_numbers(trained: api.Trained) -> None:
    with pytest.raises(DataError, match=r"\d{4} tokens and \d for the answer, over the 2048 the base takes"):
        api.chat(trained.entry.id).ask("profit " * 2048)


def test_long_rows_and_system_messages_are_as_they_were_in_training(base: Path, tmp_path: Path) -> None:
    rows = []
    for i in range(20):
        question = f"clause {i}" + " and so on" * (40 * (i % 4 == 1))
        turns = (("system", "Be brief."), ("user", question), ("assistant", f"note {i}"))
        rows.append({"messages": [{"role": role, "content": content} for role, content in turns]})
    (tmp_path / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    data = "{train: rows.jsonl, held_out: 0.5, max_length: 100, too_long: drop}"
    trained = train(write_recipe(tmp_path, base, data, "lora: {r: 2}\n"), tmp_path / "run", "training.max_steps=1")
    record = read_adapter(trained.adapter).record
    assert record is not None and record.task.system == "Be brief." and record.task.tools is None
    assert (record.data.max_length, record.data.too_long) == (100, "drop")
    assert record.data.rows + record.data.held_out_rows == 15
    assert api.evaluate(str(trained.run)).rows == record.data.held_out_rows


def test_examples_that_do_not_fit_the_context_leave_few_shot_out(base: Path, tmp_path: Path) -> None:
    write_labels(tmp_path / "rows.jsonl")
    checked = api.check(load_recipe(write_recipe(tmp_path, base)))
    assert checked.inspection is not None
    narrow = Path(shutil.copytree(base, tmp_path / "narrow"))
    config = read_json(narrow / "config.json")
    longest = checked.inspection.train_lengths.max + 1
    write_json(narrow / "config.json", config | {"max_position_embeddings": longest})
    trained = train(write_recipe(tmp_path, narrow, more="lora: {r: 2}\n"), tmp_path / "run", "training.max_steps=1")
    found = api.evaluate(str(trained.run))
    assert set(found.contestants) == {"base", "baseline", "adapter"}
    assert "not one example fits" in found.absent["few_shot"]
    assert found.as_json()["few_shot"] is None


def test_another_base_of_the_same_shape_is_refused_by_name(trained: api.Trained, base: Path, tmp_path: Path) -> None:
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    own = Path(shutil.copytree(base, tmp_path / "own"))
    write_labels(tmp_path / "rows.jsonl")
    run = train(write_recipe(tmp_path, own, more="lora: {r: 2}\n"), tmp_path / "run", "training.max_steps=1").run
    torch.manual_seed(7)
    LlamaForCausalLM(LlamaConfig.from_pretrained(own)).save_pretrained(tmp_path / "other")
    shutil.copy(tmp_path / "other" / "model.safetensors", own)
    with pytest.raises(AdapterError) as caught:
        api.evaluate(str(run))
    [problem] = [problem for problem in caught.value.problems if problem.severity == "error"]
    assert problem.code == "base-weights-differs" and "trained on" in problem.message
    (run / "result.json").unlink()
    with pytest.raises(RunError, match="changed since it began: the base's weights"):
        api.resume(run)


@pytest.mark.parametrize(
    ("target", "message"),
    [("no-such-adapter", "no adapter is called so"), (".", "neither a run nor an adapter folder")],
)
def test_what_is_no_adapter_is_refused(target: str, message: str, tmp_path: Path) -> None:
    where = os.getcwd()
    os.chdir(tmp_path)
    try:
        with pytest.raises(AdapterError, match=message):
            api.evaluate(target)
    finally:
        os.chdir(where)


def test_an_adapter_with_a_broken_record_is_refused(trained: api.Trained, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(trained.adapter, tmp_path / "adapter"))
    record = read_json(folder / "rankwise.json")
    write_json(folder / "rankwise.json", record | {"plan": {}})
    with pytest.raises(AdapterError, match="was it edited"):
        api.evaluate(str(folder))
    (folder / "rankwise.json").unlink()
    with pytest.raises(AdapterError, match=r"no rankwise\.json"):
        api.chat(str(folder))


# -- continue from an adapter


def continuing(folder: Path, base: Path, adapter: object, lora: Sequence[str] = ()) -> Path:
    write_labels(folder / "rows.jsonl", 24, first=200)
    more = f"adapter: {adapter}\n" + (f"lora: {{{', '.join(lora)}}}\n" if lora else "")
    return write_recipe(folder, base, more=more)


def test_training_continues_from_an_adapter(trained: api.Trained, base: Path, tmp_path: Path) -> None:
    from safetensors.numpy import load_file

    recipe = continuing(tmp_path, base, trained.run)
    made = api.plan(load_recipe(recipe))
    assert (made["lora.r"], made.decisions["lora.r"].source) == (4, "the adapter it continues from")
    assert (made["lora.lora_alpha"], made["adapter"]) == (8, str(trained.adapter))
    small = train(recipe, tmp_path / "run", "training.max_steps=1", "training.learning_rate=1e-4")
    record = read_adapter(small.adapter).record
    assert record is not None and record.parent == trained.entry.digest == small.entry.parent
    before, after = (load_file(x / "adapter_model.safetensors") for x in (trained.adapter, small.adapter))
    assert before.keys() == after.keys()
    for name, value in before.items():
        assert abs(value - after[name]).max() < 2e-4, name  # one small step from where it stood
    assert any(value.any() for name, value in after.items() if "lora_B" in name)


def test_an_adapter_is_found_beside_the_recipe_or_in_the_catalogue(
    trained: api.Trained, base: Path, tmp_path: Path
) -> None:
    shutil.copytree(trained.adapter, tmp_path / "mine")
    assert api.plan(load_recipe(continuing(tmp_path, base, "mine")))["adapter"] == str(tmp_path / "mine")
    named = api.plan(load_recipe(continuing(tmp_path, base, trained.entry.id)))
    assert named["adapter"] == str(trained.entry.path)


def test_a_rank_that_disagrees_with_the_adapter_is_refused(trained: api.Trained, base: Path, tmp_path: Path) -> None:
    recipe = continuing(tmp_path, base, trained.adapter, ["r: 8"])
    with pytest.raises(RecipeError) as caught:
        train(recipe, tmp_path / "run")
    [problem] = [problem for problem in caught.value.problems if problem.severity == "error"]
    assert (problem.code, problem.where) == ("adapter-disagrees", f"{recipe}:4")
    assert not (tmp_path / "run").exists()
    assert api.plan(load_recipe(recipe, ["lora.r=4"]))["lora.r"] == 4


def test_an_adapter_that_is_not_there_is_a_problem_of_check(base: Path, tmp_path: Path) -> None:
    found = api.check(load_recipe(continuing(tmp_path, base, "nowhere-at-all")))
    assert [problem.code for problem in found.problems if problem.severity == "error"] == ["unknown-adapter"]


def test_a_run_that_continues_notices_a_changed_adapter(trained: api.Trained, base: Path, tmp_path: Path) -> None:
    adapter = Path(shutil.copytree(trained.adapter, tmp_path / "mine"))
    run = train(continuing(tmp_path, base, "mine"), tmp_path / "run", "training.max_steps=1").run
    (run / "result.json").unlink()
    config = read_json(adapter / "adapter_config.json")
    write_json(adapter / "adapter_config.json", config | {"lora_alpha": 3})
    with pytest.raises(RunError, match="changed since it began: the adapter it continues from;"):
        api.resume(run)
