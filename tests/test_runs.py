"""Runs as others meet them: in use, on a full disk, half-way at the very end."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from rankwise import runs
from rankwise.errors import RunError
from rankwise.events import Event, Observer, ignore, read_events
from rankwise.facts.lock import owned
from rankwise.files import is_disk_full, sha256_file
from rankwise.recipe import load_recipe

STEPS = 6


@pytest.fixture(scope="module")
def recipe(tiny_base: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("project")
    rows = [{"text": f"revenue of month {i}", "label": ("bad", "good")[i % 2]} for i in range(40)]
    (folder / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    file = folder / "recipe.yaml"
    file.write_text(
        f"model: {tiny_base}\ndata: {{train: rows.jsonl}}\nlora: {{r: 4, lora_dropout: 0.1}}\n"
        f"training: {{max_steps: {STEPS}, eval_steps: 3, save_steps: 2, per_device_train_batch_size: 4}}\n"
    )
    return file


def train(recipe: Path, run: Path, observer: Observer = ignore) -> runs.Trained:
    return runs.train(load_recipe(recipe), run, observer)


def digest(run: Path) -> str:
    return sha256_file(run / "adapter" / "adapter_model.safetensors")


@pytest.fixture(scope="module")
def whole(recipe: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run that was never stopped, and that nobody changes."""
    return train(recipe, tmp_path_factory.mktemp("whole") / "run").run


@pytest.fixture
def copy(whole: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(whole, tmp_path / "run"))


# -- in use


def test_a_run_that_another_process_is_at_work_in_is_refused(recipe: Path, copy: Path, tmp_path: Path) -> None:
    (copy / "result.json").unlink()
    (tmp_path / "new").mkdir()
    with owned(copy), owned(tmp_path / "new"):
        with pytest.raises(RunError, match="another process"):
            runs.resume(copy)
        with pytest.raises(RunError, match="another process"):
            train(recipe, tmp_path / "new")
    assert not (tmp_path / "new" / "plan.json").exists()


# -- half-way


def test_a_run_killed_before_its_plan_was_written_can_be_begun_again(recipe: Path, whole: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    run.mkdir()
    for name in ("recipe.yaml", "data.json", ".lock"):
        shutil.copy(whole / name, run / name)
    (run / ".digests.json.abcd1234").write_text("{")
    with pytest.raises(RunError, match="stopped before its plan was written"):
        runs.resume(run)
    assert digest(train(recipe, run).run) == digest(whole)
    assert not list(run.glob(".digests*"))


@pytest.mark.parametrize("kept", [(), ("adapter",), ("adapter", ".adapter.abcd1234", ".result.json.abcd1234")])
def test_a_run_killed_while_it_ends_is_ended(kept: tuple[str, ...], whole: Path, copy: Path) -> None:
    (copy / "result.json").unlink()
    if "adapter" not in kept:
        shutil.rmtree(copy / "adapter")
    if ".adapter.abcd1234" in kept:
        shutil.copytree(copy / "adapter", copy / ".adapter.abcd1234")
        (copy / ".result.json.abcd1234").write_text('{"steps"')
    resumed = runs.resume(copy)
    assert digest(copy) == digest(whole) and resumed.steps == STEPS
    steps = [event["step"] for event in read_events(copy / "events.jsonl") if event["event"] == "step"]
    assert steps == list(range(1, STEPS + 1)), "a step was taken again"
    assert not list(copy.glob(".adapter.*")) and not list(copy.glob(".result*"))
    assert runs.resume(copy) == resumed


def test_damage_is_told_of_and_the_checkpoint_before_is_taken(whole: Path, copy: Path) -> None:
    (copy / "result.json").unlink()
    (copy / "checkpoints" / f"step-{STEPS:08d}" / "best.safetensors").unlink()
    told: list[Event] = []
    runs.resume(copy, told.append)
    [damaged] = [event for event in told if event["event"] == "checkpoint_damaged"]
    assert damaged["path"] == f"step-{STEPS:08d}" and "best.safetensors" in damaged["reason"]
    assert [event["step"] for event in told if event["event"] == "resumed"] == [4]
    assert digest(copy) == digest(whole)


def test_with_every_checkpoint_damaged_it_starts_over(whole: Path, copy: Path) -> None:
    (copy / "result.json").unlink()
    for manifest in copy.glob("checkpoints/*/manifest.json"):
        manifest.write_text("{}")
    told: list[Event] = []
    runs.resume(copy, told.append)
    assert [event["damaged"] for event in told if event["event"] == "resume"] == [2]
    assert digest(copy) == digest(whole)


# -- a full disk


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 16 MB; skips where none can be mounted."""
    folder = tmp_path / "small"
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=16m", "tmpfs", str(folder)]
    if shutil.which("mount") is None or subprocess.run(command, capture_output=True).returncode != 0:
        pytest.skip("a small file system cannot be mounted here: that needs root")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)


def fill(disk: Path, left: int) -> Path:
    """Take up all of the disk but `left` bytes."""
    filler = disk / "filler"
    free = shutil.disk_usage(disk).free
    filler.write_bytes(b"\0" * max(0, free - left))
    return filler


def filling_at(disk: Path, left: int, kind: str, step: int) -> Callable[[Event], None]:
    def watch(event: Event) -> None:
        if event["event"] == kind and event.get("step", step) == step and not (disk / "filler").exists():
            fill(disk, left)

    return watch


@pytest.mark.parametrize("left", [0, 8 << 10, 20 << 10, 40 << 10, 70 << 10, 100 << 10, 160 << 10])
@pytest.mark.parametrize(("kind", "step"), [("train_begin", 0), ("step", 3)])
def test_on_a_full_disk_it_stops_with_numbers_and_goes_on_when_there_is_room(
    left: int, kind: str, step: int, recipe: Path, whole: Path, small_disk: Path
) -> None:
    run = small_disk / "run"
    with pytest.raises(RunError) as caught:
        train(recipe, run, filling_at(small_disk, left, kind, step))
    [problem] = caught.value.problems
    assert problem.code == "disk-full" and "MB free" in problem.message and "--resume" in problem.message
    assert all(json.loads(line) for line in (run / "events.jsonl").read_text().splitlines())
    assert step < 3 or (run / "checkpoints" / "step-00000002" / "manifest.json").is_file()
    with pytest.raises(RunError) as caught:
        runs.resume(run)  # before anything is done, as the disk is still full
    assert [problem.code for problem in caught.value.problems] == ["disk-full"]
    (small_disk / "filler").unlink()
    runs.resume(run)
    assert digest(run) == digest(whole)


@pytest.mark.parametrize("left", [0, 12 << 10, 40 << 10])
def test_the_catalogue_may_be_what_has_no_room(
    left: int, home: Path, recipe: Path, whole: Path, small_disk: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for there in home.iterdir():
        if there.name in ("models", "machine"):
            (small_disk / there.name).symlink_to(there)
    monkeypatch.setenv("RANKWISE_HOME", str(small_disk))
    run = tmp_path / "run"
    with pytest.raises(RunError) as caught:
        train(recipe, run, filling_at(small_disk, left, "adapter", 0))
    [problem] = caught.value.problems
    assert problem.code == "disk-full" and str(small_disk) in problem.message
    (small_disk / "filler").unlink()
    assert runs.resume(run).entry.path.is_dir()
    assert digest(run) == digest(whole)
    assert not list(small_disk.glob("adapters/*/.*"))


def test_what_is_no_full_disk_is_not_called_so() -> None:
    assert not is_disk_full(RunError("the plan was edited"))


# -- signals before there is anything to save

BEFORE_TRAINING = """\
import os, signal, sys

module, number = sys.argv[1], int(sys.argv[2])

class Watch:
    def find_spec(self, name, path=None, target=None):
        if name == module:
            os.kill(os.getpid(), number)

sys.meta_path.insert(0, Watch())
sys.argv = ["rankwise", *sys.argv[3:]]
from rankwise.cli import app
app()
"""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("module", ["rankwise.api", "rankwise.measure", "torch", "peft"])
def test_a_signal_while_it_plans_or_loads_ends_it_with_the_right_code(
    number: signal.Signals, module: str, recipe: Path, whole: Path, tmp_path: Path
) -> None:
    command = [sys.executable, "-c", BEFORE_TRAINING, module, str(int(number)), "train", str(recipe)]
    command += ["--output", str(tmp_path / "run"), "--json"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, env=environment)
    assert done.returncode == 128 + number, done.stderr
    assert "Traceback" not in done.stderr
    begun = module in ("torch", "peft")
    told = {"run": str(tmp_path / "run") if begun else None, "stopped": number.name}
    assert json.loads(done.stdout) == told
    if begun:
        runs.resume(tmp_path / "run")
        assert digest(tmp_path / "run") == digest(whole)
    else:
        assert not (tmp_path / "run").exists()
