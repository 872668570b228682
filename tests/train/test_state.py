"""Checkpoints: whole or absent, two kept, and never the damaged ones over the sound."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from rankwise.errors import RunError
from rankwise.train.optim import OptimSettings, make_optimizer
from rankwise.train.state import (
    Progress,
    committed,
    latest_checkpoint,
    load_checkpoint,
    restore,
    save_checkpoint,
    snapshot,
    trainable,
)

OPTIM = OptimSettings("adamw_torch", 1e-2, 0.0, 0.9, 0.999, 1e-8, "constant", 0.0, 1.0)
MakeModel = Callable[..., torch.nn.Module]


def stepped(model: torch.nn.Module, optim: OptimSettings = OPTIM) -> torch.optim.AdamW:
    optimizer = make_optimizer(trainable(model), optim)
    for p in trainable(model).values():
        p.grad = torch.randn_like(p)
    optimizer.step()
    return optimizer


def save(folder: Path, model: torch.nn.Module, optimizer: torch.optim.Optimizer, *steps: int) -> None:
    for step in steps:
        save_checkpoint(folder, model, optimizer, Progress(step=step), None)


def names(folder: Path) -> list[int]:
    return [int(path.name.removeprefix("step-")) for path in committed(folder)]


@pytest.mark.parametrize("optim", ["adamw_torch", "adamw_torch_fused"])
def test_everything_comes_back(optim: str, make_model: MakeModel, tmp_path: Path) -> None:
    model = make_model()
    optimizer = stepped(model, replace(OPTIM, optim=optim))
    progress = Progress(7, 5, 0.25, 1, 28, 999, 1.5)
    best = {name: p + 1 for name, p in snapshot(model).items()}
    path = save_checkpoint(tmp_path, model, optimizer, progress, best)
    drawn = torch.rand(3)

    other = make_model(seed=1)
    fresh = make_optimizer(trainable(other), replace(OPTIM, optim=optim))
    got, got_best, _ = load_checkpoint(path, other, fresh)
    assert got == progress
    assert torch.equal(torch.rand(3), drawn)
    assert got_best is not None and all(torch.equal(got_best[name], best[name]) for name in best)
    for (name, p), (other_name, q) in zip(trainable(model).items(), trainable(other).items(), strict=True):
        assert name == other_name and torch.equal(p, q)
        for key in ("step", "exp_avg", "exp_avg_sq"):
            assert torch.equal(optimizer.state[p][key], fresh.state[q][key])
    assert sorted(file.name for file in path.iterdir()) == [
        "adapter.safetensors",
        "best.safetensors",
        "manifest.json",
        "optimizer.safetensors",
        "state.json",
    ]


def test_a_checkpoint_from_before_evaluations_were_timed_loads(make_model: MakeModel, tmp_path: Path) -> None:
    model = make_model()
    optimizer = stepped(model)
    path = save_checkpoint(tmp_path, model, optimizer, Progress(step=7, seconds=1.5), None)
    state = json.loads((path / "state.json").read_text())
    del state["evaluations"], state["evaluation_seconds"]
    (path / "state.json").write_text(json.dumps(state))
    assert load_checkpoint(path, model, optimizer)[0] == Progress(step=7, seconds=1.5)


def test_two_are_kept(make_model: MakeModel, tmp_path: Path) -> None:
    model = make_model()
    save(tmp_path, model, stepped(model), 2, 4, 6, 100)
    assert names(tmp_path) == [6, 100]
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith(".")] == []


def damage(folder: Path, step: int, file: str) -> None:
    path = folder / f"step-{step:08d}" / file
    path.write_bytes(path.read_bytes()[:-1])


@pytest.mark.parametrize("file", ["adapter.safetensors", "optimizer.safetensors", "state.json", "manifest.json"])
def test_the_newest_sound_one_is_found(file: str, make_model: MakeModel, tmp_path: Path) -> None:
    model = make_model()
    save(tmp_path, model, stepped(model), 2, 4)
    assert latest_checkpoint(tmp_path) == (tmp_path / "step-00000004", {})
    damage(tmp_path, 4, file)
    sound, damaged = latest_checkpoint(tmp_path)
    assert (sound, list(damaged)) == (tmp_path / "step-00000002", [tmp_path / "step-00000004"])
    assert file in damaged[tmp_path / "step-00000004"]
    (tmp_path / "step-00000002" / file).unlink()
    sound, _ = latest_checkpoint(tmp_path)
    assert sound is None


def test_after_damage_a_new_checkpoint_is_kept_over_the_damaged_later_ones(
    make_model: MakeModel, tmp_path: Path
) -> None:
    model = make_model()
    optimizer = stepped(model)
    save(tmp_path, model, optimizer, 4, 6)
    damage(tmp_path, 4, "state.json")
    damage(tmp_path, 6, "state.json")
    save(tmp_path, model, optimizer, 2)  # begun anew
    assert latest_checkpoint(tmp_path) == (tmp_path / "step-00000002", {})
    save(tmp_path, model, optimizer, 4)
    assert names(tmp_path) == [2, 4]
    assert latest_checkpoint(tmp_path) == (tmp_path / "step-00000004", {})


def test_a_folder_without_checkpoints(tmp_path: Path) -> None:
    assert latest_checkpoint(tmp_path / "absent") == (None, {})
    (tmp_path / ".step-00000002.abcdefgh").mkdir()  # never committed
    assert latest_checkpoint(tmp_path) == (None, {})
    (tmp_path / "step-00000002").mkdir()  # no commit leaves this
    assert latest_checkpoint(tmp_path) == (None, {tmp_path / "step-00000002": "manifest.json is missing"})


def test_the_manifest_is_written_last_and_names_every_file(make_model: MakeModel, tmp_path: Path) -> None:
    model = make_model()
    path = save_checkpoint(tmp_path, model, stepped(model), Progress(step=1), None)
    assert sorted(json.loads((path / "manifest.json").read_text())) == [
        "adapter.safetensors",
        "optimizer.safetensors",
        "state.json",
    ]


def test_weights_of_another_plan_are_refused(make_model: MakeModel) -> None:
    model = make_model()
    weights = snapshot(model)
    weights.pop(next(iter(weights)))
    with pytest.raises(RunError, match="not this plan's"):
        restore(model, weights)
