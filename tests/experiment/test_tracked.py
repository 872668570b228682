"""What `train` and experiments write goes to the recipe's tracker too, and changes nothing."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from rankwise import runs
from rankwise.events import read_events
from rankwise.experiment import ablate
from rankwise.files import sha256_file
from rankwise.recipe import Asked

from .conftest import TRAINING

pytest.importorskip("tensorboard")
AskedFor = Callable[..., Asked]


def losses(folder: Path) -> list[tuple[int, float]]:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    return [(one.step, one.value) for one in EventAccumulator(str(folder)).Reload().Scalars("step/loss")]


def test_train_sends_what_it_writes(asked_for: AskedFor, tmp_path: Path):
    tracked = runs.train(asked_for(f"tracking: tensorboard\n{TRAINING}"), tmp_path / "tracked").run
    plain = runs.train(asked_for(TRAINING), tmp_path / "plain").run
    told = [event for event in read_events(tracked / "events.jsonl") if event["event"] == "step"]
    assert losses(tracked / "tensorboard" / "tracked") == [
        (event["step"], pytest.approx(event["loss"])) for event in told
    ]
    weights = [sha256_file(run / "adapter" / "adapter_model.safetensors") for run in (tracked, plain)]
    assert weights[0] == weights[1]
    assert not (plain / "tensorboard").exists()


def test_every_run_of_an_experiment_is_one_of_the_trackers(asked_for: AskedFor, tmp_path: Path):
    asked, folder = asked_for(f"tracking: tensorboard\n{TRAINING}"), tmp_path / "lab"
    ablate(asked, folder, ["alpha"], seeds=1, budget=None)
    done = (folder / "results.jsonl").read_text().splitlines()
    sent = list((folder / "tensorboard").iterdir())
    assert len(sent) == len(done) and all(losses(one) for one in sent)
