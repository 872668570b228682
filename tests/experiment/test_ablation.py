"""An ablation on the tiny base, end to end: what is kept, what is repeated, and what is not."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from rankwise.errors import RecipeError, RunError
from rankwise.events import Event
from rankwise.experiment import ablate
from rankwise.experiment.results import Results
from rankwise.facts.lock import LOCK
from rankwise.recipe import Asked, with_overrides

AskedFor = Callable[..., Asked]
FILES = {"experiment.json", "results.jsonl", "report.md", "report.csv", "report.html"}


def begun(events: list[Event]) -> list[str]:
    return [event["cell"] for event in events if event["event"] == "experiment"]


def test_end_to_end_and_again(asked_for: AskedFor, tmp_path: Path):
    asked, events, folder = asked_for(), list[Event](), tmp_path / "lab"
    report, where = ablate(asked, folder, ["dropout"], seeds=2, budget=None, observer=events.append)
    assert where == folder and {file.name for file in folder.iterdir()} == FILES | {LOCK}
    names = ["Default", "dropout 0", "dropout 0.05", "dropout 0.3"]
    assert [line.cell for line in report.lines if line.at == "the shared rate"] == names
    assert {line.cell for line in report.lines if line.at == "its best rate"} == set(names)
    assert not report.failed and not report.left_out and report.scored_rows == 12
    assert all(line.score.seeds == 2 and line.bits is not None and line.rows_per_second > 0 for line in report.lines)
    ran = begun(events)
    assert len(ran) == len(set(ran)) <= report.design.runs
    lines = (folder / "results.jsonl").read_text().splitlines()
    assert len(lines) == len(ran)

    events.clear()
    again, _ = ablate(asked, folder, ["dropout"], seeds=2, budget=None, observer=events.append)
    assert begun(events) == [] and (folder / "results.jsonl").read_text().splitlines() == lines
    assert again.lines == report.lines


def test_after_a_kill_only_what_is_not_finished_is_run(asked_for: AskedFor, tmp_path: Path):
    """A torn last line is a run that was not finished; what it gives when repeated is what it gave before."""
    asked, events, folder = asked_for(), list[Event](), tmp_path / "lab"
    whole, _ = ablate(asked, folder, ["alpha"], seeds=1, budget=None)
    file = folder / "results.jsonl"
    lines = file.read_text().splitlines(keepends=True)
    file.write_text("".join(lines[:-1]) + lines[-1][: len(lines[-1]) // 2])
    again, _ = ablate(asked, folder, ["alpha"], seeds=1, budget=None, observer=events.append)
    assert len(begun(events)) == 1
    assert [line.score for line in again.lines] == [line.score for line in whole.lines]
    assert [line.bits for line in again.lines] == [line.bits for line in whole.lines]


def test_no_cell_changes_what_another_gives(asked_for: AskedFor, tmp_path: Path):
    """The same runs, after other cells: none leaves anything behind on the base."""
    asked = asked_for()
    ablate(asked, tmp_path / "many", ["targets"], seeds=1, budget=None)
    ablate(asked, tmp_path / "one", ["alpha"], seeds=1, budget=None)
    many, one = (Results(tmp_path / name).found for name in ("many", "one"))
    common = many.keys() & one.keys()
    assert len(common) == 3  # Default at three rates
    for key in common:
        assert (many[key].loss, many[key].bits, many[key].answers) == (one[key].loss, one[key].bits, one[key].answers)


def test_another_experiment_is_not_overwritten(asked_for: AskedFor, tmp_path: Path):
    asked, folder = asked_for(), tmp_path / "lab"
    ablate(asked, folder, ["alpha"], seeds=1, budget=None)
    with pytest.raises(RunError, match=r"another experiment.*it differs in overrides"):
        ablate(with_overrides(asked, ["training.seed=1"]), folder, ["alpha"], seeds=1, budget=None)
    (folder / "experiment.json").write_text("{")
    with pytest.raises(RunError, match=r"experiment\.json cannot be read"):
        ablate(asked, folder, ["alpha"], seeds=1, budget=None)


def test_a_cell_that_fails_is_named_and_the_others_are_run(asked_for: AskedFor, tmp_path: Path):
    more = (
        "training: {max_steps: 4, per_device_train_batch_size: 4, gradient_accumulation_steps: 1, bf16: false, "
        "learning_rate: 1.0e+30, max_grad_norm: 1.0e+30}\n"
    )
    report, _ = ablate(asked_for(more), tmp_path / "lab", ["alpha"], seeds=1, budget=None)
    assert set(report.failed) and not report.lines and (tmp_path / "lab" / "report.html").is_file()


def test_an_adapter_to_continue_from_is_refused(asked_for: AskedFor, tmp_path: Path):
    asked = asked_for("adapter: somewhere\n")
    with pytest.raises(RecipeError, match="compares fresh adapters"):
        ablate(asked, tmp_path / "lab")


@pytest.mark.parametrize("objective", ["dpo", "grpo"])
def test_what_the_laboratory_does_not_train_is_refused(asked_for: AskedFor, tmp_path: Path, objective: str):
    with pytest.raises(RecipeError, match=f"not for {objective}"):
        ablate(asked_for(f"objective: {objective}\n"), tmp_path / "lab")
    assert not (tmp_path / "lab").exists()


def test_results_are_json_lines(asked_for: AskedFor, tmp_path: Path):
    report, folder = ablate(asked_for(), tmp_path / "lab", ["alpha"], seeds=1, budget=None)
    for line in (folder / "results.jsonl").read_text().splitlines():
        done = json.loads(line)
        assert done["event"] == "run" and done["run"]["cell"] and done["failed"] is None
        assert len(done["answers"]) == report.scored_rows
    assert json.loads(json.dumps(report.as_json(), allow_nan=False))["lines"]
