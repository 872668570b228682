"""A run's numbers in each tracker, read back from what the real library wrote on this machine."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest

from rankwise.errors import RecipeError
from rankwise.events import Event
from rankwise.plan.objective import require_tracker
from rankwise.train import tracking
from rankwise.train.tracking import numbers_of, tracked

PLAN = {"lora.r": 16, "lora.target_modules": ["q_proj"], "domain": None}


def events(steps: range, begin: int = 0) -> Iterator[Event]:
    yield {"event": "train_begin", "time": 1.0, "step": begin, "steps": steps.stop - 1, "rows": 8}
    for step in steps:
        rest = {"learning_rate": 1e-3, "grad_norm": 1.0, "rows_per_second": 2.0, "tokens_per_second": 9.0}
        yield {"event": "step", "time": 1.0, "step": step, "loss": 1.0 / step, **rest}
    yield {"event": "held_out", "time": 1.0, "step": steps.stop - 1, "loss": 0.5, "bits_per_token": 0.7, "best": True}
    yield {"event": "train_end", "time": 1.0, "reason": "all steps done"}


def send(tracker: str, folder: Path, steps: range = range(1, 5), begin: int = 0) -> list[Event]:
    seen = list[Event]()
    with tracked(tracker, folder, "run", PLAN, seen.append) as told:
        for event in events(steps, begin):
            told(event)
    return seen


def scalars(folder: Path) -> dict[str, list[tuple[int, float]]]:
    """Of all event files, as TensorBoard itself reads them."""
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    read = EventAccumulator(str(folder / "tensorboard" / "run")).Reload()
    return {tag: [(one.step, one.value) for one in read.Scalars(tag)] for tag in read.Tags()["scalars"]}


def test_numbers_are_sent_under_their_events_name():
    step, *_ = [event for event in events(range(1, 2)) if event["event"] == "step"]
    assert numbers_of(step)["step/loss"] == 1.0 and "step/step" not in numbers_of(step)
    assert numbers_of({"event": "train_end", "time": 1.0, "reason": "x"}) == {}


def test_without_a_tracker_events_go_by_as_they_are(tmp_path: Path):
    seen = list[Event]()
    with tracked(None, tmp_path, "run", PLAN, seen.append) as told:
        assert told == seen.append


def test_tensorboard_has_every_number_and_the_plan(tmp_path: Path):
    pytest.importorskip("tensorboard")
    seen = send("tensorboard", tmp_path)
    assert [event["event"] for event in seen] == ["train_begin", *["step"] * 4, "held_out", "train_end"]
    found = scalars(tmp_path)
    assert found["step/loss"] == [(s, pytest.approx(1 / s)) for s in range(1, 5)]
    assert found["held_out/loss"] == [(4, 0.5)]
    assert set(found) >= {"step/learning_rate", "step/grad_norm", "held_out/bits_per_token"}


def test_tensorboard_takes_back_what_a_run_did_after_its_checkpoint(tmp_path: Path):
    pytest.importorskip("tensorboard")
    send("tensorboard", tmp_path)
    send("tensorboard", tmp_path, range(3, 7), begin=2)
    assert [step for step, _ in scalars(tmp_path)["step/loss"]] == [1, 2, 3, 4, 5, 6]


def test_mlflow_has_one_run_also_after_it_was_gone_on_with(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    mlflow = pytest.importorskip("mlflow")
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    assert not [e for e in send("mlflow", tmp_path) if e["event"] == "tracking_failed"]
    send("mlflow", tmp_path, range(5, 7), begin=4)
    client = mlflow.MlflowClient(f"sqlite:///{tmp_path / 'mlflow.db'}")
    [run] = client.search_runs([client.get_experiment_by_name("rankwise").experiment_id])
    assert run.data.params["lora.r"] == "16" and run.info.status == "FINISHED"
    history = client.get_metric_history(run.info.run_id, "step/loss")
    assert sorted((one.step, one.value) for one in history) == [(s, pytest.approx(1 / s)) for s in range(1, 7)]


def test_wandb_writes_offline_without_an_account(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    wandb = pytest.importorskip("wandb")
    for name in ("WANDB_API_KEY", "WANDB_MODE"):
        monkeypatch.delenv(name, raising=False)
    seen = list[Event]()
    with tracked("wandb", tmp_path, "run", PLAN, seen.append) as told:
        for event in events(range(1, 5)):
            told(event)
        run = wandb.run
        assert (run.settings.mode, run.config["lora.r"]) == ("offline", 16)
        assert (run.summary["step/loss"], run.summary["held_out/loss"], run.summary["trained"]) == (0.25, 0.5, 4)
    assert "tracking_failed" not in [event["event"] for event in seen]
    assert [file.stat().st_size > 0 for file in (tmp_path / "wandb").glob("offline-run-*/*.wandb")] == [True]


def test_trackio_writes_where_it_shows_from(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("TRACKIO_DIR", str(tmp_path))
    trackio = pytest.importorskip("trackio")

    assert not [e for e in send("trackio", tmp_path) if e["event"] == "tracking_failed"]
    with sqlite3.connect(trackio.utils.TRACKIO_DIR / "rankwise.db") as kept:
        rows = kept.execute("select step, metrics from metrics where run_name like 'run-%'").fetchall()
    assert {step for step, _ in rows} >= {1, 2, 3, 4} and "step/loss" in str(rows)


def test_a_tracker_that_fails_is_said_once_and_the_run_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(tracking._OPENED, "tensorboard", _broken)
    kinds = [event["event"] for event in send("tensorboard", tmp_path)]
    assert kinds.count("tracking_failed") == 1 and kinds.count("step") == 4


def _broken(*_: object) -> object:
    raise OSError("no room")


def test_a_tracker_that_is_not_there_is_an_error_of_the_plan(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("rankwise.plan.objective.find_spec", lambda name: None)
    with pytest.raises(RecipeError, match=r"wandb is not installed; pip install 'rankwise\[wandb\]'"):
        require_tracker("wandb", "recipe.yaml:3")
    require_tracker(None, "recipe.yaml")
