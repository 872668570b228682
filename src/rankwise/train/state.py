"""Checkpoints: all that a run needs to go on as if it had never stopped.

A checkpoint is a folder `step-N`, committed whole or not there: written beside, every file fsynced, its manifest with
the digest of every file last, then renamed. The order of rows is a function of the seed and the step, so no position
in the data needs saving.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Set
from dataclasses import asdict, dataclass, field
from pathlib import Path
from types import MappingProxyType

import torch
from safetensors.torch import load_file, save_file

from rankwise.errors import RunError
from rankwise.files import fsync_file, new_folder, remove_folder, sha256_file

KEPT = 2
MANIFEST = "manifest.json"
MORE = "more."
WEIGHTS, MOMENTS, BEST, STATE = "adapter.safetensors", "optimizer.safetensors", "best.safetensors", "state.json"


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
    evaluation_due: bool = False
    """The held-out evaluation that belongs after `step` is still to come."""
    left_out: list[int] = field(default_factory=list)
    """Steps, counted from 1, whose rows are passed over: they made loss, gradient or weights non-finite."""


@dataclass(frozen=True)
class Random:
    """The state of every random generator that training draws from: dropout is all that is random in it."""

    cpu: torch.Tensor
    cuda: torch.Tensor | None


def random_state() -> Random:
    return Random(torch.get_rng_state(), torch.cuda.get_rng_state() if torch.cuda.is_available() else None)


def set_random_state(state: Random) -> None:
    torch.set_rng_state(state.cpu)
    if state.cuda is not None and torch.cuda.is_available():
        torch.cuda.set_rng_state(state.cuda)


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


def moments_of(model: torch.nn.Module, optimizer: torch.optim.Optimizer) -> dict[str, torch.Tensor]:
    """The optimizer's state of every trainable parameter that has one, as `moment:parameter`."""
    return {
        f"{key}:{name}": value
        for name, p in trainable(model).items()
        for key, value in optimizer.state.get(p, {}).items()
    }


def put_moments(moments: Mapping[str, torch.Tensor], model: torch.nn.Module, optimizer: torch.optim.Optimizer) -> None:
    """Put back what `moments_of` gave."""
    parameters = trainable(model)
    fused = bool(optimizer.defaults["fused"])
    optimizer.zero_grad(set_to_none=True)
    optimizer.state.clear()
    for key, value in moments.items():
        name_of_moment, name = key.split(":", 1)
        parameter = parameters[name]
        # AdamW counts its steps on the host, unless it is the fused one.
        on_device = fused or name_of_moment != "step"
        optimizer.state[parameter][name_of_moment] = value.to(parameter.device) if on_device else value


def save_checkpoint(
    folder: Path,
    model: torch.nn.Module,
    optimizer: torch.optim.Optimizer,
    progress: Progress,
    best: dict[str, torch.Tensor] | None,
    more: Mapping[str, torch.Tensor] = MappingProxyType({}),
) -> Path:
    """Commit `step-N` under `folder`; keep it and the one before, drop all others.

    `more`: what a method remembers beside weights and moments.
    """
    target = folder / _name(progress.step)
    random = random_state()
    moments = {"rng.cpu": random.cpu}
    if random.cuda is not None:
        moments["rng.cuda"] = random.cuda
    moments |= {f"{MORE}{name}": value for name, value in more.items()} | moments_of(model, optimizer)
    with new_folder(target) as draft:
        save_file(snapshot(model), draft / WEIGHTS)
        save_file(moments, draft / MOMENTS)
        if best is not None:
            save_file(best, draft / BEST)
        (draft / STATE).write_text(json.dumps(asdict(progress)), encoding="utf-8")
        write_manifest(draft)
    done = committed(folder)
    here = done.index(target) + 1
    for old in done[: max(0, here - KEPT)] + done[here:]:  # later ones were found damaged, or were rolled back
        remove_folder(old)
    return target


def write_manifest(draft: Path) -> None:
    """The digest of every file; last, so that a manifest on disk says that all it names is on disk too."""
    manifest = {}
    for file in sorted(draft.iterdir()):
        fsync_file(file)
        manifest[file.name] = sha256_file(file)
    (draft / MANIFEST).write_text(json.dumps(manifest), encoding="utf-8")
    fsync_file(draft / MANIFEST)


def _name(step: int) -> str:
    return f"step-{step:08d}"


def committed(folder: Path) -> list[Path]:
    """Checkpoints that were committed, oldest first; drafts of killed runs begin with a dot and are not seen."""
    return sorted(folder.glob("step-*"))


def latest_checkpoint(folder: Path, before: int | None = None) -> tuple[Path | None, dict[Path, str]]:
    """The newest checkpoint that is as it was committed; and the newer ones that are not, with what is wrong.

    `before`: only those of an earlier step than this.
    """
    damaged: dict[Path, str] = {}
    for path in reversed(committed(folder)):
        if before is not None and path.name >= _name(before):
            continue
        fault = damage(path)
        if fault is None:
            return path, damaged
        damaged[path] = fault
    return None, damaged


def damage(path: Path) -> str | None:
    """What distinguishes the checkpoint from the one that was committed; None: nothing, to the last bit."""

    def of_another_step() -> str | None:
        step = json.loads((path / STATE).read_text(encoding="utf-8"))["step"]
        return None if path.name == _name(step) else "it is of another step than its name says"

    return unlike_manifest(path, {WEIGHTS, MOMENTS, STATE}, of_another_step)


def unlike_manifest(path: Path, needed: Set[str], further: Callable[[], str | None] = lambda: None) -> str | None:
    """How the folder differs from what `write_manifest` saw, or what it lacks of the files `needed`; then `further`."""
    try:
        manifest = _read_manifest(path / MANIFEST)
        if manifest is None:
            return f"{MANIFEST} is not as it was written"
        # Names are compared with those of the folder's own files, so none in the manifest can lead out of it.
        there = {file.name for file in path.iterdir()} - {MANIFEST}
        if not needed <= manifest.keys() or there != manifest.keys():
            odd = sorted((there ^ manifest.keys()) | (needed - manifest.keys()))
            return f"its files are not those of its manifest: {', '.join(odd)}"
        for name, digest in manifest.items():
            if (path / name).is_symlink() or sha256_file(path / name) != digest:
                return f"{name} has another digest than its manifest says"
        return further()
    except FileNotFoundError as fault:
        return f"{Path(str(fault.filename)).name} is missing"
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as fault:
        return f"it cannot be read ({fault})"


def _read_manifest(file: Path) -> dict[str, str] | None:
    """The digests; None if a byte of the file was added, lost or changed in such a way that it shows."""
    try:
        text = file.read_text(encoding="utf-8")
        manifest = json.loads(text)
    except ValueError:
        return None
    return manifest if isinstance(manifest, dict) and json.dumps(manifest) == text else None


def load_checkpoint(
    path: Path, model: torch.nn.Module, optimizer: torch.optim.Optimizer
) -> tuple[Progress, dict[str, torch.Tensor] | None, dict[str, torch.Tensor]]:
    """Put model, optimizer and random state back; returns progress, the best weights so far, and what else was kept."""
    restore(model, load_file(path / WEIGHTS))
    moments = load_file(path / MOMENTS)
    set_random_state(Random(moments.pop("rng.cpu"), moments.pop("rng.cuda", None)))
    more = {key.removeprefix(MORE): moments.pop(key) for key in list(moments) if key.startswith(MORE)}
    put_moments(moments, model, optimizer)
    best = path / BEST
    progress = Progress(**json.loads((path / STATE).read_text(encoding="utf-8")))
    return progress, load_file(best) if best.is_file() else None, more
