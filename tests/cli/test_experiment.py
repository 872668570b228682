"""`rankwise experiment` as a user types it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from pathlib import Path

import pytest

from .conftest import PROGRAM, Cli


def test_ablation_from_recipe_to_report(cli: Cli, project: Path, tmp_path: Path):
    lab = tmp_path / "lab"
    arguments = ("experiment", "ablation", project / "recipe.yaml", "--alpha", "--seeds", "1", "--full")
    first = cli(*arguments, "--output", lab, "--json", cwd=tmp_path)
    assert first.code == 0, first.err
    assert first.json["folder"] == str(lab) and {line["cell"] for line in first.json["lines"]} >= {
        "Default",
        "alpha = r",
    }
    assert "runs at most" in first.err and "lora.r is not used" in str(first.json["design"]["notes"])
    again = cli(*arguments, "--output", lab, cwd=tmp_path)
    assert again.code == 0 and "Default" in again.out and "report.html" in again.out
    assert (lab / "report.html").is_file()


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (("--budget", "soon"), "bad-budget"),
        (("--budget", "0m"), "bad-budget"),
        (("--budget", "40m", "--full"), "budget-or-full"),
        (("--budget", "0.1s"), "budget-too-small"),
        (("--set", "lora.r=none-such"), None),
    ],
)
def test_what_cannot_work_is_said_before_anything_runs(
    cli: Cli, project: Path, tmp_path: Path, arguments: tuple[str, ...], code: str | None
):
    result = cli("experiment", "ablation", project / "recipe.yaml", *arguments, "--json", cwd=tmp_path)
    assert result.code == 2 and (code is None or result.codes == [code])
    assert not list(tmp_path.rglob("results.jsonl"))


@pytest.mark.parametrize("kind", ["regret", "claims", "search"])
def test_every_kind_has_its_budget_and_refuses_what_takes_no_steps(
    cli: Cli, project: Path, tiny_base: Path, tmp_path: Path, kind: str
):
    pytest.importorskip("optuna")
    lab = ("experiment", kind, project / "recipe.yaml", "--output", tmp_path / "lab", "--json")
    assert cli(*lab, "--budget", "0.01s", cwd=tmp_path).codes == ["budget-too-small"]
    recipe = tmp_path / "prompt.yaml"
    recipe.write_text(f"model: {json.dumps(str(tiny_base))}\ndata: {{train: {project}/train.jsonl}}\nmethod: prompt\n")
    result = cli("experiment", kind, recipe, "--full", "--json", cwd=tmp_path)
    assert result.code == 2 and result.codes == ["experiment-method"]
    assert not list(tmp_path.rglob("results.jsonl"))


def test_a_signal_ends_it_and_the_same_command_goes_on(project: Path, home: Path, tmp_path: Path):
    lab = tmp_path / "lab"
    command = [PROGRAM, "experiment", "ablation", project / "recipe.yaml", "--dropout", "--seeds", "1", "--full"]
    environment = {**os.environ, "RANKWISE_HOME": str(home), "OMP_NUM_THREADS": "1"}
    started = subprocess.Popen(
        [*command, "--output", lab, "--set", "training.max_steps=40"],
        env=environment,
        stderr=subprocess.PIPE,
        text=True,
    )
    deadline = time.monotonic() + 120
    while not (lab / "results.jsonl").is_file() or not (lab / "results.jsonl").read_text():
        assert started.poll() is None and time.monotonic() < deadline
        time.sleep(0.05)
    started.send_signal(signal.SIGTERM)
    _, told = started.communicate(timeout=120)
    assert started.returncode == 143 and "the same command again goes on" in told, told
    done = (lab / "results.jsonl").read_text().splitlines()
    finished = subprocess.run(
        [*command, "--output", lab, "--set", "training.max_steps=40"], env=environment, capture_output=True, text=True
    )
    assert finished.returncode == 0, finished.stderr
    assert (lab / "results.jsonl").read_text().splitlines()[: len(done)] == done
