"""Checkpoints that TRL makes count once they are sealed; needs no TRL."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from rankwise.errors import TrainingError
from rankwise.events import EventLog, read_events
from rankwise.train.by_trl import GENERATORS, damage, last_sealed, optimizer_and_schedule, seal
from rankwise.train.optim import OptimSettings, learning_rate_at
from rankwise.train.state import MANIFEST, MOMENTS, WEIGHTS, Progress

OPTIM = OptimSettings("adamw_torch", 0.01, 0.0, 0.9, 0.999, 1e-8, "linear", 0.2, 1.0, loraplus_lr_ratio=4.0)


def checkpoint(folder: Path, step: int, value: float = 1.0, sealed: bool = True) -> Path:
    made = folder / f"checkpoint-{step}"
    made.mkdir(parents=True)
    save_file({"a": torch.full((2,), value)}, made / WEIGHTS)
    for name in (MOMENTS, GENERATORS):
        save_file({"a": torch.zeros(1)}, made / name)
    (made / "trainer_state.json").write_text("{}")
    if sealed:
        seal(made, Progress(step=step))
    return made


def test_a_sealed_checkpoint_is_found_and_what_came_later_is_removed(tmp_path: Path) -> None:
    checkpoints, log = tmp_path / "checkpoints", EventLog(tmp_path / "events.jsonl")
    checkpoint(checkpoints, 9)
    newest = checkpoint(checkpoints, 10)
    unsealed = checkpoint(checkpoints, 100, sealed=False)
    assert last_sealed(checkpoints, log) == newest
    assert not unsealed.exists()
    log.close()
    assert [event["event"] for event in read_events(tmp_path / "events.jsonl")] == ["checkpoint_damaged", "resume"]


def test_none_is_left(tmp_path: Path) -> None:
    log = EventLog(tmp_path / "events.jsonl")
    assert last_sealed(tmp_path / "checkpoints", log) is None
    log.close()


@pytest.mark.parametrize("what", ["changed", "missing", "added", "linked", "manifest"])
def test_damage_is_seen(tmp_path: Path, what: str) -> None:
    made = checkpoint(tmp_path, 3)
    assert damage(made) is None
    if what == "changed":
        (made / "trainer_state.json").write_text("[]")
    elif what == "missing":
        (made / "trainer_state.json").unlink()
    elif what == "linked":
        (made / "trainer_state.json").rename(tmp_path / "elsewhere")
        (made / "trainer_state.json").symlink_to(tmp_path / "elsewhere")
    elif what == "manifest":
        (made / MANIFEST).write_text((made / MANIFEST).read_text() + " ")
    else:
        (made / "more").write_text("")
    assert damage(made) is not None


def test_weights_that_are_not_finite_are_not_sealed(tmp_path: Path) -> None:
    made = checkpoint(tmp_path, 3, float("nan"), sealed=False)
    with pytest.raises(TrainingError, match="not finite"):
        seal(made, Progress(step=3))
    assert damage(made) is not None


def test_rates_are_those_of_a_supervised_run(make_model) -> None:
    optimizer, schedule = optimizer_and_schedule(make_model(), OPTIM, 10)
    for step in range(10):
        rate = learning_rate_at(step, 10, OPTIM)
        assert [group["lr"] for group in optimizer.param_groups] == pytest.approx([rate, 4 * rate])
        optimizer.step()
        schedule.step()
