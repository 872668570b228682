"""Checkpoints: all that a run needs to go on as if it had never stopped, committed whole or absent.

    checkpoints/step-00000120/
        adapter.safetensors    trainable parameters, by name
        best.safetensors       the same, at the best held-out evaluation so far
        optimizer.safetensors  Adam's two moments of each, and the random state
        state.json             step and best evaluation
        manifest.json          sha256 of each of the above, written last

A checkpoint is written to a sibling folder, fsynced and renamed. The order of rows is a function of the seed and the
step, so no position in the data needs saving.
"""

from __future__ import annotations

import json
import shutil
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file

from rankwise.errors import RunError
from rankwise.files import new_folder, read_json, sha256_file

KEPT = 2


@dataclass
class Progress:
    """Where a run stands, after `step` completed optimizer steps."""

    step: int = 0
    best_step: int = 0
    best_loss: float | None = None
    evaluations_since_best: int = 0
    rows: int = 0
    tokens: int = 0
    seconds: float = 0.0
    """Of the steps alone."""
    evaluations: int = 0
    evaluation_seconds: float = 0.0


def trainable(model: torch.nn.Module) -> dict[str, torch.nn.Parameter]:
    return {name: p for name, p in model.named_parameters() if p.requires_grad}


def snapshot(model: torch.nn.Module) -> dict[str, torch.Tensor]:
    """A copy of every trainable parameter."""
    return {name: p.detach().clone() for name, p in trainable(model).items()}


def restore(model: torch.nn.Module, weights: dict[str, torch.Tensor]) -> None:
    parameters = trainable(model)
    if parameters.keys() != weights.keys():
        raise RunError("the checkpoint's parameters are not this plan's; was the plan in the run folder edited?")
    with torch.no_grad():
        for name, p in parameters.items():
            p.copy_(weights[name])


def save_checkpoint(
    folder: Path,
    model: torch.nn.Module,
    optimizer: torch.optim.Optimizer,
    progress: Progress,
    best: dict[str, torch.Tensor] | None,
) -> Path:
    """Commit `step-N` under `folder`; keep it and the one before, drop all others."""
    target = folder / f"step-{progress.step:08d}"
    moments = {"rng.cpu": torch.get_rng_state()}
    if torch.cuda.is_available():
        moments["rng.cuda"] = torch.cuda.get_rng_state()
    for name, p in trainable(model).items():
        for key, value in optimizer.state.get(p, {}).items():
            moments[f"{key}:{name}"] = value
    with new_folder(target) as draft:
        save_file(snapshot(model), draft / "adapter.safetensors")
        save_file(moments, draft / "optimizer.safetensors")
        if best is not None:
            save_file(best, draft / "best.safetensors")
        (draft / "state.json").write_text(json.dumps(asdict(progress)))
        manifest = {file.name: sha256_file(file) for file in sorted(draft.iterdir())}
        (draft / "manifest.json").write_text(json.dumps(manifest))
    done = committed(folder)
    here = done.index(target) + 1
    for old in done[: max(0, here - KEPT)] + done[here:]:  # later ones were found damaged when the run was resumed
        shutil.rmtree(old)
    return target


def committed(folder: Path) -> list[Path]:
    """Checkpoints that were committed, oldest first."""
    return sorted(path for path in folder.glob("step-*") if (path / "manifest.json").is_file())


def latest_checkpoint(folder: Path) -> tuple[Path | None, list[Path]]:
    """The newest checkpoint whose files still have their digests, and the newer ones that do not."""
    damaged: list[Path] = []
    for path in reversed(committed(folder)):
        try:
            manifest = read_json(path / "manifest.json")
            if all(sha256_file(path / name) == digest for name, digest in manifest.items()):
                return path, damaged
        except (OSError, ValueError, AttributeError):
            pass
        damaged.append(path)
    return None, damaged


def load_checkpoint(
    path: Path, model: torch.nn.Module, optimizer: torch.optim.Optimizer
) -> tuple[Progress, dict[str, torch.Tensor] | None]:
    """Put model, optimizer and random state back; returns progress and the best weights so far."""
    restore(model, load_file(path / "adapter.safetensors"))
    moments = load_file(path / "optimizer.safetensors")
    torch.set_rng_state(moments.pop("rng.cpu"))
    cuda = moments.pop("rng.cuda", None)
    if cuda is not None and torch.cuda.is_available():
        torch.cuda.set_rng_state(cuda)
    parameters = trainable(model)
    fused = bool(optimizer.defaults["fused"])
    for key, value in moments.items():
        field, name = key.split(":", 1)
        parameter = parameters[name]
        # AdamW counts its steps on the host, unless it is the fused one.
        optimizer.state[parameter][field] = value.to(parameter.device) if fused or field != "step" else value
    best = path / "best.safetensors"
    progress = Progress(**json.loads((path / "state.json").read_text()))
    return progress, load_file(best) if best.is_file() else None
