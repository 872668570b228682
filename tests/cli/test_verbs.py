"""Every verb as a user runs it, on a tiny random base: exit codes, streams, and the keys of `--json`."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from rankwise.recipe import load_recipe

Trained = dict[str, Any]


# -- init


def test_init_prints_a_recipe_that_is_valid(cli, tmp_path: Path):
    result = cli("init", "--domain", "legal", cwd=tmp_path)
    assert result.code == 0 and result.err == ""
    (tmp_path / "recipe.yaml").write_text(result.out)
    assert load_recipe(tmp_path / "recipe.yaml").recipe.domain == "legal"


def test_init_never_overwrites(cli, tmp_path: Path):
    first = cli("init", "--output", "recipe.yaml", "--json", cwd=tmp_path)
    assert first.code == 0
    assert (tmp_path / "recipe.yaml").read_text() == first.json["recipe"]
    (tmp_path / "recipe.yaml").write_text("domain: legal\n")
    second = cli("init", "--output", "recipe.yaml", "--json", cwd=tmp_path)
    assert second.code == 2
    assert second.codes == ["file-exists"]
    assert (tmp_path / "recipe.yaml").read_text() == "domain: legal\n"


def test_init_lists_the_domains(cli, tmp_path: Path):
    domains = cli("init", "--list", "--json", cwd=tmp_path).json["domains"]
    assert len(domains) == 12
    assert {"financial", "legal", "healthcare", "manufacturing"} <= {d["name"] for d in domains if d["sample_rows"]}


def test_init_names_the_nearest_domain(cli, tmp_path: Path):
    result = cli("init", "--domain", "leagl", cwd=tmp_path)
    assert result.code == 2
    assert "did you mean legal?" in result.err and result.out == ""


# -- check


def test_check_reports_rows_and_marks_what_is_trained_on(cli, project: Path):
    result = cli("check", "recipe.yaml", cwd=project)
    assert result.code == 0, result.err
    assert "48 training rows, 12 held out (labels)." in result.out
    assert "[[low<|im_end|>]]" in result.out
    assert "[[<|im_start|>user" not in result.out


def test_check_in_json(cli, project: Path):
    answer = cli("check", "recipe.yaml", "--json", cwd=project).json
    assert answer["ok"] is True
    assert answer["inspection"]["rows"] == {"train": 48, "held_out": 12}
    trained_on = [run["text"] for run in answer["preview"][0] if run["supervised"]]
    assert "".join(trained_on).strip() == "low<|im_end|>"


def test_check_finds_every_fault_of_the_data_with_its_line(cli, project: Path, tmp_path: Path):
    (tmp_path / "bad.jsonl").write_text('{"text": "a", "label": "x"}\n{"text": "b"\n{"text": "c", "label": ""}\n')
    overrides = ("--set", f"data.train={tmp_path / 'bad.jsonl'}", "--set", "data.held_out=0.5")
    result = cli("check", "recipe.yaml", *overrides, "--json", cwd=project)
    assert result.code == 2
    errors = [p for p in result.json["problems"] if p["severity"] == "error"]
    assert [p["where"].rpartition(":")[2] for p in errors] == ["2", "3"]
    assert all(p["message"] in result.err for p in errors)


def test_check_finds_every_fault_of_the_recipe(cli, tmp_path: Path):
    (tmp_path / "recipe.yaml").write_text("model: x\nlora:\n  rnak: 4\n  lora_alpha: -1\n")
    result = cli("check", "recipe.yaml", "--json", cwd=tmp_path)
    assert result.code == 2
    assert {p["where"] for p in result.json["problems"]} >= {"recipe.yaml:3", "recipe.yaml:4"}
    assert result.out.count("\n{") == 0


def test_data_cannot_steer_the_terminal(cli, project: Path, tmp_path: Path):
    rows = [{"text": f"row {i} \x1b[2J of clause {i * i}", "label": "ab"[i % 2]} for i in range(40)]
    (tmp_path / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    overrides = ("--set", f"data.train={tmp_path / 'rows.jsonl'}", "--set", "data.held_out=0.2")
    result = cli("check", "recipe.yaml", *overrides, cwd=project)
    assert result.code == 0, result.err
    assert "\x1b" not in result.out and "\\x1b" in result.out


# -- plan


def test_plan_in_json(cli, project: Path):
    result = cli("plan", "recipe.yaml", "--set", "lora.r=3", "--json", cwd=project)
    assert result.code == 0, result.err
    answer = result.json
    assert answer.keys() >= {
        *("decisions", "trainable_parameters", "total_parameters", "capacity", "memory_bytes", "seconds", "problems")
    }
    assert answer["capacity"].keys() >= {"status", "message", "capacity_bits", "required_bits", "suggested_rank"}
    assert answer["decisions"]["lora.r"]["value"] == 3
    assert answer["decisions"]["lora.r"]["source"] == "--set lora.r=3"
    for decision in answer["decisions"].values():
        assert decision.keys() == {"value", "reason", "source", "kind", "alternatives"}
        assert decision["reason"] and decision["source"]


def test_plan_shows_every_value_with_its_reason(cli, project: Path):
    decisions = cli("plan", "recipe.yaml", "--json", cwd=project).json["decisions"]
    result = cli("plan", "recipe.yaml", cwd=project)
    assert result.code == 0
    assert len(decisions) > 20
    assert [key for key in decisions if key not in result.out] == []


def test_plan_without_a_recipe(cli, project: Path, tiny_base: Path):
    result = cli("plan", "--domain", "legal", "--model", tiny_base, "--json", cwd=project)
    assert result.code == 0, result.err
    assert result.json["decisions"]["domain"]["value"] == "legal"


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        ([], "recipe-missing"),
        (["absent.yaml"], "recipe-missing"),
        (["recipe.yaml", "--domain", "legal"], "recipe-and-domain"),
        (["recipe.yaml", "--set", "domain=leagl"], "unknown-domain"),
        (["--domain", "legal", "--model", "smollm"], "unknown-base"),
        (["recipe.yaml", "--set", "lora.rank=3"], "unknown-key"),
    ],
)
def test_plan_refuses(cli, project: Path, arguments: list[str], code: str):
    result = cli("plan", *arguments, "--json", cwd=project)
    assert result.code == 2
    assert result.codes == [code]
    assert f"[{code}]" in result.err


# -- train


def test_train_in_json(trained: Trained, project: Path):
    assert trained.keys() >= {
        *("run", "adapter", "steps", "rows", "seconds", "rows_per_second", "tokens_per_second"),
        *("peak_memory_bytes", "held_out"),
    }
    assert (trained["run"], trained["adapter"], trained["steps"], trained["rows"]) == ("run", "run/adapter", 4, 16)
    assert (project / "run" / "adapter" / "adapter_model.safetensors").is_file()
    assert (project / "run" / "recipe.yaml").read_text() == (project / "recipe.yaml").read_text()


def test_train_does_not_train_into_a_run(cli, trained: Trained, project: Path):
    result = cli("train", "recipe.yaml", "--output", "run", cwd=project)
    assert result.code == 2
    assert "--resume run" in result.err


def test_a_finished_run_resumes_to_the_same_answer(cli, trained: Trained, project: Path):
    result = cli("train", "--resume", "run", "--json", cwd=project)
    assert result.code == 0, result.err
    assert result.json == trained


@pytest.mark.parametrize(
    "arguments",
    [
        ["train"],
        ["train", "recipe.yaml", "--resume", "run"],
        ["train", "--resume", "run", "--output", "b"],
        ["train", "--resume", "run", "--set", "lora.r=3"],
        ["train", "--resume", "."],
        ["train", "absent.yaml"],
    ],
    ids=" ".join,
)
def test_train_refuses(cli, trained: Trained, project: Path, arguments: list[str]):
    result = cli(*arguments, "--json", cwd=project)
    assert result.code == 2
    assert result.json.keys() == {"problems"}
    assert not (project / "b").exists()


# -- evaluate


@pytest.fixture(scope="module")
def judged(cli, trained: Trained, project: Path) -> Any:
    result = cli("evaluate", "run", "--json", cwd=project)
    assert result.code == 0, result.err
    return result.json


def test_evaluate_in_json(judged: dict[str, Any]):
    assert judged["rows"] == 12
    assert judged["difference"].keys() >= {"metric", "value", "interval", "p"}
    assert judged.keys() >= {"flips", "verdict", "absent"}
    for name in ("base", "few_shot", "baseline", "adapter"):
        assert judged[name].keys() >= {"accuracy", "macro_f1", "counts"}, name
        assert sum(judged[name]["counts"].values()) == 12
        assert ("bits_per_token" in judged[name]) == (name != "baseline")
    told = judged["adapter"]["accuracy"] - judged["base"]["accuracy"]
    assert judged["difference"]["value"] == pytest.approx(told)


def test_evaluate_shows_the_four_side_by_side(cli, judged: dict[str, Any], project: Path):
    result = cli("evaluate", "run/adapter", "--data", "train.jsonl", cwd=project)
    assert result.code == 0, result.err
    head = next(line for line in result.out.splitlines() if "few-shot base" in line and "cheap baseline" in line)
    assert head.split("  ") and [name for name in ("base", "few-shot base", "adapter") if name not in head] == []
    assert "95% interval" in result.out and "48 held-out rows" in result.out
    assert result.out.startswith(("The ", "No difference seen"))  # the verdict comes before the table


# -- chat


def test_chat_answers_one_prompt(cli, trained: Trained, project: Path):
    result = cli("chat", "run", "--prompt", "clause 3 about the low risk", "--json", cwd=project)
    assert result.code == 0, result.err
    (reply,) = result.json["replies"]
    assert reply["prompt"] == "clause 3 about the low risk"
    for side in ("base", "adapter"):
        assert reply[side]["text"] in ("low", "medium", "high")
        assert 1 / 3 <= reply[side]["probability"] <= 1


def test_chat_answers_every_line_until_the_end(cli, trained: Trained, project: Path):
    result = cli("chat", "run", cwd=project, stdin="first clause\n\nsecond clause")
    assert result.code == 0, result.err
    assert [line for line in result.out.splitlines() if line.endswith("clause")] == ["first clause", "second clause"]


@pytest.mark.parametrize("verb", ["evaluate", "chat", "adapters show", "adapters verify"])
def test_an_unknown_adapter_is_the_users_mistake(cli, trained: Trained, project: Path, verb: str):
    result = cli(*verb.split(), "nothing", "--json", cwd=project)
    assert result.code == 2
    assert result.codes == ["unknown-adapter"]


# -- adapters


def test_a_trained_adapter_is_in_the_catalogue(cli, trained: Trained, project: Path):
    listed = cli("adapters", "list", "--json", cwd=project).json["adapters"]
    (entry,) = [e for e in listed if e["id"] == trained["catalogue"]["id"]]
    assert entry["r"] == 2
    shown = cli("adapters", "show", entry["id"], "--json", cwd=project).json
    assert (shown["r"], shown["digest"], shown["parameters"]) == (2, entry["digest"], entry["parameters"])
    again = cli("adapters", "rebuild", "--json", cwd=project)
    assert again.code == 0
    assert entry in again.json["adapters"] and again.json["problems"] == []


@pytest.mark.parametrize("reference", ["run", "run/adapter"])
def test_verify_says_yes(cli, trained: Trained, project: Path, reference: str):
    result = cli("adapters", "verify", reference, "--json", cwd=project)
    assert (result.code, result.json["ok"], result.json["problems"]) == (0, True, [])


def test_verify_says_no_to_a_torn_file(cli, trained: Trained, project: Path, tmp_path: Path):
    shutil.copytree(project / "run" / "adapter", tmp_path / "torn")
    weights = tmp_path / "torn" / "adapter_model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-100])
    result = cli("adapters", "verify", "torn", "--json", cwd=tmp_path)
    assert (result.code, result.json["ok"]) == (1, False)
    assert result.codes == ["adapter-weights"]


def test_verify_says_no_to_another_base(cli, trained: Trained, project: Path, tmp_path: Path):
    shutil.copytree(project / "run" / "adapter", tmp_path / "moved")
    record = json.loads((tmp_path / "moved" / "rankwise.json").read_text())
    record["base"]["identity"]["weights"] = "sha256:" + "0" * 64
    (tmp_path / "moved" / "rankwise.json").write_text(json.dumps(record))
    result = cli("adapters", "verify", "moved", "--json", cwd=tmp_path)
    assert (result.code, result.json["ok"]) == (1, False)
    assert len(result.codes) == 1


def test_a_home_that_cannot_be_written_is_no_traceback(cli, tmp_path: Path):
    (tmp_path / "file").write_text("")
    result = cli("adapters", "rebuild", "--json", cwd=tmp_path, RANKWISE_HOME=str(tmp_path / "file" / "home"))
    assert result.code == 2
    assert result.codes == ["os-error"] and str(tmp_path / "file") in result.json["problems"][0]["where"]


# -- models


def test_models_lists_what_is_embedded(cli, tmp_path: Path):
    listed = cli("models", "list", "--json", cwd=tmp_path).json["models"]
    assert {"smollm2-135m", "minilm-l6"} <= {model["name"] for model in listed}


def test_models_show_and_fetch_a_folder(cli, tiny_base: Path, tmp_path: Path):
    shown = cli("models", "show", tiny_base, "--json", cwd=tmp_path).json
    assert (shown["architecture"], shown["num_layers"], shown["hidden_size"]) == ("LlamaForCausalLM", 2, 32)
    assert all(digest.startswith("sha256:") for digest in shown["identity"].values())
    assert cli("models", "fetch", tiny_base, "--json", cwd=tmp_path).json["path"] == str(tiny_base)


def test_models_show_needs_no_weights(cli, tiny_base: Path, tmp_path: Path):
    (tmp_path / "base").mkdir()
    shutil.copy(tiny_base / "config.json", tmp_path / "base")
    alone = cli("models", "show", "./base", "--json", cwd=tmp_path).json
    whole = cli("models", "show", tiny_base, "--json", cwd=tmp_path).json
    assert alone["total_parameters"] == whole["total_parameters"]
    assert (alone["source"], alone["identity"], whole["source"]) == ("config", None, "headers")
    assert "config.json alone" in cli("models", "show", "./base", cwd=tmp_path).out


@pytest.mark.parametrize("verb", ["fetch", "show"])
def test_an_unknown_base_is_the_users_mistake(cli, tmp_path: Path, verb: str):
    result = cli("models", verb, "smollm2-135n", "--json", cwd=tmp_path)
    assert result.code == 2
    assert result.codes == ["unknown-base"]
    assert 'did you mean "smollm2-135m"?' in result.err


# -- demo


def test_demo_goes_the_whole_way(cli, project: Path, tiny_base: Path, tmp_path: Path):
    overrides = ("--set", f"model={tiny_base}", "--set", "training.max_steps=2")
    result = cli("demo", *overrides, "--json", cwd=tmp_path)
    assert result.code == 0, result.err
    answer = result.json
    assert answer.keys() == {"check", "plan", "train", "evaluate", "chat", "seconds"}
    assert answer["train"]["steps"] == 2
    assert (tmp_path / answer["train"]["adapter"] / "rankwise.json").is_file()
    recipe = (tmp_path / answer["train"]["run"] / "recipe.yaml").read_text()
    assert recipe.endswith(f"\n# --set model={tiny_base}\n# --set training.max_steps=2\n")
    assert all(answer["evaluate"][name] for name in ("base", "few_shot", "baseline", "adapter"))
    assert answer["chat"]["base"]["text"] and answer["chat"]["adapter"]["text"]


# -- the program itself


@pytest.mark.parametrize("arguments", [[], ["trian"], ["check"], ["check", "--jsn"], ["adapters"], ["models", "fetch"]])
def test_wrong_usage_ends_with_2(cli, tmp_path: Path, arguments: list[str]):
    result = cli(*arguments, cwd=tmp_path)
    assert result.code == 2
    assert "Usage: rankwise" in result.out + result.err
