"""A run is never lost: kill -9, a signal anywhere, a full disk, a step that is not finite."""

from __future__ import annotations

import json
import math
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from rankwise.data.render import Rendered
from rankwise.errors import TrainingError
from rankwise.events import EventLog, read_events
from rankwise.signals import stop_on_signals
from rankwise.train import state
from rankwise.train.loop import Finished, LoopSettings, train
from rankwise.train.optim import OptimSettings
from rankwise.train.state import committed, latest_checkpoint, snapshot

SCRIPT = Path(__file__).parents[2] / "benchmarks" / "reliability.py"
LOOP = LoopSettings(
    num_steps=6,
    step_rows=4,
    gradient_accumulation_steps=2,
    eval_steps=3,
    early_stopping_patience=None,
    save_steps=2,
    logging_steps=1,
    shared_prefix=True,
    seed=0,
)
OPTIM = OptimSettings("adamw_torch", 5e-3, 0.01, 0.9, 0.999, 1e-8, "cosine", 0.1, 1.0)
Rows = list[Rendered]
MakeModel = Callable[..., torch.nn.Module]


# -- kill -9


def count_survivals(kills: int, offsets: int) -> None:
    command = [sys.executable, "-W", "ignore", SCRIPT, "--kills", str(kills), "--offsets", str(offsets)]
    done = subprocess.run([*map(str, command)], capture_output=True, text=True, timeout=60 + 20 * kills)
    assert done.returncode == 0, done.stdout + done.stderr
    found = json.loads(done.stdout.splitlines()[-1])
    assert found["kills"] == kills and found["identical"] == found["runs"] >= kills / 5
    assert found["damage"]["well"] == found["damage"]["injected"] > 30
    assert found["calls"]["well"] == found["calls"]["injected"] > 60


def test_killed_runs_end_with_the_adapter_of_a_run_never_stopped() -> None:
    """Also: a disk call that fails, or is the last, at every place of a save; and every file damaged."""
    count_survivals(int(os.environ.get("RANKWISE_KILLS", "5")), offsets=3)


@pytest.mark.slow
def test_more_of_them() -> None:
    count_survivals(25, offsets=50)


# -- signals


def run(model: torch.nn.Module, rows: Rows, folder: Path, loop: LoopSettings = LOOP, resume: bool = False) -> Finished:
    folder.mkdir(exist_ok=True)
    log = EventLog(folder / "events.jsonl")
    checkpoints = folder / "checkpoints"
    start = latest_checkpoint(checkpoints)[0] if resume else None
    places = [f"rows.jsonl:{i + 1}" for i in range(8)]
    try:
        with stop_on_signals() as stop:
            return train(model, rows[:-3], rows[-3:], loop, OPTIM, log, checkpoints, start, stop, places=places)
    finally:
        log.close()


def equal(ours: dict[str, torch.Tensor], theirs: dict[str, torch.Tensor]) -> bool:
    return ours.keys() == theirs.keys() and all(torch.equal(ours[name], theirs[name]) for name in ours)


def terminate() -> None:
    os.kill(os.getpid(), signal.SIGTERM)


def at_forward(model: torch.nn.Module, number: int, training: bool) -> None:
    """SIGTERM within the `number`-th forward pass of training, or of evaluation."""
    seen = 0

    def count(module: torch.nn.Module, inputs: object) -> None:
        nonlocal seen
        seen += module.training is training
        if seen == number and module.training is training:
            terminate()

    model.get_submodule("base_model.model.model.layers.1").register_forward_pre_hook(count)


def at_backward(model: torch.nn.Module, number: int) -> None:
    seen = 0

    def count(gradient: torch.Tensor) -> None:
        nonlocal seen
        seen += 1
        if seen == number:
            terminate()

    next(p for p in model.parameters() if p.requires_grad).register_hook(count)


@pytest.mark.parametrize(
    ("where", "number", "step"),
    [
        ("step", 1, 0),  # the first forward pass of all
        ("step", 6, 2),  # within the third step, its first half already summed
        ("backward", 8, 3),
        ("evaluation", 1, 3),
        ("evaluation", 2, 3),
        ("evaluation", 3, 6),
    ],
)
def test_a_signal_discards_the_unfinished_part_and_leaves_no_trace(
    where: str, number: int, step: int, rows: Rows, make_model: MakeModel, tmp_path: Path
) -> None:
    straight = make_model(dropout=0.2)
    whole = run(straight, rows, tmp_path / "whole")
    model = make_model(dropout=0.2)
    if where == "backward":
        at_backward(model, number)
    else:
        at_forward(model, number, where == "step")
    stopped = run(model, rows, tmp_path / "run")
    assert (stopped.stopped_by, stopped.progress.step) == (signal.SIGTERM, step)
    assert committed(tmp_path / "run" / "checkpoints")[-1].name == f"step-{step:08d}"
    resumed = make_model(seed=5, dropout=0.2)
    done = run(resumed, rows, tmp_path / "run", resume=True)
    assert equal(snapshot(resumed), snapshot(straight))
    assert (done.progress.best_loss, done.progress.evaluations) == (whole.progress.best_loss, 2)


def test_a_signal_during_a_save_lets_it_be_completed(
    rows: Rows, make_model: MakeModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    straight = make_model(dropout=0.2)
    run(straight, rows, tmp_path / "whole")
    write = state.save_file

    def write_and_terminate(tensors: dict[str, torch.Tensor], file: Path) -> None:
        write(tensors, file)
        terminate()

    with monkeypatch.context() as patch:
        patch.setattr(state, "save_file", write_and_terminate)
        # A second signal, at the second file, is beyond the first one's handler: here it is ignored.
        before = signal.signal(signal.SIGTERM, signal.SIG_IGN)
        try:
            stopped = run(make_model(dropout=0.2), rows, tmp_path / "run")
        finally:
            signal.signal(signal.SIGTERM, before)
    assert (stopped.stopped_by, stopped.progress.step) == (signal.SIGTERM, 2)
    assert [path.name for path in (tmp_path / "run" / "checkpoints").iterdir()] == ["step-00000002"]
    resumed = make_model(dropout=0.2)
    run(resumed, rows, tmp_path / "run", resume=True)
    assert equal(snapshot(resumed), snapshot(straight))


def test_a_second_signal_during_a_save_stops_at_once_and_harms_nothing(
    rows: Rows, make_model: MakeModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    straight = make_model(dropout=0.2)
    run(straight, rows, tmp_path / "whole")
    write, written = state.save_file, list[str]()

    def write_and_interrupt(tensors: dict[str, torch.Tensor], file: Path) -> None:
        write(tensors, file)
        written.append(f"{file.parent.name}/{file.name}")
        os.kill(os.getpid(), signal.SIGINT)

    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background jobs ignore it
    try:
        with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
            patch.setattr(state, "save_file", write_and_interrupt)
            run(make_model(dropout=0.2), rows, tmp_path / "run")
    finally:
        signal.signal(signal.SIGINT, before)
    assert len(written) == 2  # the first signal lets the save go on, the second ends it
    assert committed(tmp_path / "run" / "checkpoints") == []
    resumed = make_model(dropout=0.2)
    run(resumed, rows, tmp_path / "run", resume=True)
    assert equal(snapshot(resumed), snapshot(straight))


def test_a_run_whose_last_state_is_committed_trains_nothing_again(
    rows: Rows, make_model: MakeModel, tmp_path: Path
) -> None:
    straight, again = make_model(), make_model(seed=5)
    run(straight, rows, tmp_path)
    run(again, rows, tmp_path, resume=True)
    assert equal(snapshot(again), snapshot(straight))
    assert [e["step"] for e in read_events(tmp_path / "events.jsonl") if e["event"] == "step"] == [1, 2, 3, 4, 5, 6]


# -- not finite


def poison(model: torch.nn.Module, row: Rendered) -> None:
    """A batch that holds `row` has a loss that is not a number."""
    end = row.ids[-8:-1]  # its answer, which no other row has

    def ruin(module: torch.nn.Module, arguments: object, named: dict, output):
        ids = tuple(named["input_ids"][0].tolist())
        if any(ids[i : i + len(end)] == end for i in range(len(ids))):
            output.last_hidden_state = output.last_hidden_state * math.nan
        return output

    model.get_base_model().base_model.register_forward_hook(ruin, with_kwargs=True)


@pytest.mark.parametrize("planted", range(8))
def test_a_loss_that_is_not_a_number_stops_within_its_step(
    planted: int, rows: Rows, make_model: MakeModel, tmp_path: Path
) -> None:
    model = make_model()
    poison(model, rows[planted])
    with pytest.raises(TrainingError, match=r"step [12]: the loss is nan") as caught:
        run(model, rows, tmp_path)
    assert f"rows.jsonl:{planted + 1}" in str(caught.value)
    assert committed(tmp_path / "checkpoints") == []
    assert all(p.isfinite().all() for p in snapshot(model).values())


def test_rolled_back_the_rows_are_left_out_and_the_rest_is_trained(
    rows: Rows, make_model: MakeModel, tmp_path: Path
) -> None:
    """Six steps are three passes, so that the row comes three times."""
    rollback = replace(LOOP, on_nonfinite="rollback")
    model = make_model(dropout=0.2)
    poison(model, rows[3])
    done = run(model, rows, tmp_path / "run", rollback)
    assert done.reason == "all steps done" and len(done.progress.left_out) == 3
    assert done.progress.rows == 3 * 4
    events = read_events(tmp_path / "run" / "events.jsonl")
    told = [e for e in events if e["event"] == "rollback"]
    assert [e["step"] for e in told] == done.progress.left_out
    assert all("rows.jsonl:4" in e["reason"] for e in told)
    assert all(p.isfinite().all() for p in snapshot(model).values())

    stopped = make_model(dropout=0.2)  # and a signal on the way changes nothing
    poison(stopped, rows[3])
    at_forward(stopped, 7, True)
    assert run(stopped, rows, tmp_path / "other", rollback).stopped_by == signal.SIGTERM
    resumed = make_model(dropout=0.2)
    poison(resumed, rows[3])
    assert run(resumed, rows, tmp_path / "other", rollback, resume=True).progress.left_out == done.progress.left_out
    assert equal(snapshot(resumed), snapshot(model))


def test_a_fourth_time_is_the_end(rows: Rows, make_model: MakeModel, tmp_path: Path) -> None:
    model = make_model()
    poison(model, rows[3])
    with pytest.raises(TrainingError, match=r"rows\.jsonl:4.*rolled back 3 times before"):
        run(model, rows, tmp_path, replace(LOOP, num_steps=8, on_nonfinite="rollback"))
    sound, damaged = latest_checkpoint(tmp_path / "checkpoints")
    assert sound is not None and damaged == {}
