"""A run's numbers sent to a tracker as well: TensorBoard, MLflow, Weights & Biases or trackio.

The run folder stays the truth. What a tracker cannot take is said once, and the run goes on without it.
"""

from __future__ import annotations

import os
import re
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from rankwise.doctrine import Value
from rankwise.events import Event, Observer
from rankwise.files import sha256_json

PROJECT = "rankwise"
"""Under which MLflow, W&B and trackio list the runs."""
NUMBERS: Mapping[str, tuple[str, ...]] = {
    "step": ("loss", "learning_rate", "grad_norm", "rows_per_second", "tokens_per_second", "reward", "accuracy"),
    "held_out": ("loss", "bits_per_token", "bits_per_row"),
    "preferences": ("held_out_accuracy",),
}
"""Event -> what of it is sent, under the event's name: `held_out/loss`."""

Send = Callable[[Mapping[str, float], int], None]
"""Numbers by name, and the step they are of."""


@contextmanager
def tracked(
    tracker: str | None, folder: Path, name: str, plan: Mapping[str, Value], observer: Observer
) -> Iterator[Observer]:
    """`observer`, with the numbers of every event from `train_begin` on sent to `tracker` too; None: to none.

    `folder`: where a tracker that writes files does. `name`: of the run; the same name in the same folder is the same
    run, which is gone on with.
    """
    if tracker is None:
        yield observer
        return
    send: Send | None = None
    opened = ExitStack()

    def failed(fault: Exception) -> None:
        nonlocal send
        send = None
        told = {"tracker": tracker, "reason": f"{type(fault).__name__}: {fault}"}
        observer({"event": "tracking_failed", "time": time.time(), **told})

    def both(event: Event) -> None:
        nonlocal send
        observer(event)
        try:
            if event["event"] == "train_begin":
                send = opened.enter_context(_OPENED[tracker](folder, name, plan, event["step"]))
            elif send is not None and (numbers := numbers_of(event)):
                send(numbers, event["step"])
        except Exception as fault:  # whatever a tracker's network or disk does, training goes on
            failed(fault)

    try:
        yield both
    finally:
        try:
            opened.close()
        except Exception as fault:
            failed(fault)


def numbers_of(event: Event) -> dict[str, float]:
    """What is sent of an event."""
    kind = event["event"]
    return {f"{kind}/{key}": float(event[key]) for key in NUMBERS.get(kind, ()) if event.get(key) is not None}


@contextmanager
def _tensorboard(folder: Path, name: str, plan: Mapping[str, Value], begin: int) -> Iterator[Send]:
    from torch.utils.tensorboard import SummaryWriter

    # purge_step: what a run that is gone on with had sent of later steps is taken back.
    writer = SummaryWriter(folder / "tensorboard" / _plain(name), purge_step=begin + 1 if begin else None)
    if not begin:
        writer.add_text("plan", "\n".join(f"    {key}: {value}" for key, value in plan.items()))

    def send(numbers: Mapping[str, float], step: int) -> None:
        for key, value in numbers.items():
            writer.add_scalar(key, value, step)
        writer.flush()

    try:
        yield send
    finally:
        writer.close()


@contextmanager
def _mlflow(folder: Path, name: str, plan: Mapping[str, Value], begin: int) -> Iterator[Send]:
    """Where MLFLOW_TRACKING_URI says, else a database in the folder."""
    from mlflow import MlflowClient

    folder.mkdir(parents=True, exist_ok=True)
    client = MlflowClient(os.environ.get("MLFLOW_TRACKING_URI") or f"sqlite:///{folder.absolute() / 'mlflow.db'}")
    known = client.get_experiment_by_name(PROJECT)
    experiment = client.create_experiment(PROJECT) if known is None else known.experiment_id
    own = _identity(folder, name)
    earlier = client.search_runs([experiment], f"tags.rankwise = '{own}'")
    if earlier:
        run = earlier[0].info.run_id
        client.update_run(run, status="RUNNING")
    else:
        run = client.create_run(experiment, run_name=name, tags={"rankwise": own}).info.run_id
        for key, value in plan.items():
            client.log_param(run, key, str(value)[:6000])  # its longest parameter

    def send(numbers: Mapping[str, float], step: int) -> None:
        for key, value in numbers.items():
            client.log_metric(run, key, value, step=step)

    try:
        yield send
    finally:
        client.set_terminated(run)


@contextmanager
def _wandb(folder: Path, name: str, plan: Mapping[str, Value], begin: int) -> Iterator[Send]:
    """To the account that WANDB_API_KEY names; without one, offline in the folder (`wandb sync` sends it later)."""
    import wandb

    folder.mkdir(parents=True, exist_ok=True)
    mode: Any = os.environ.get("WANDB_MODE") or ("online" if os.environ.get("WANDB_API_KEY") else "offline")
    own = _identity(folder, name)
    run = wandb.init(
        project=PROJECT,
        name=name,
        id=own,
        resume="allow",
        dir=str(folder),
        config=dict(plan),
        mode=mode,
        reinit="finish_previous",
        settings=wandb.Settings(silent=True),
    )
    run.define_metric("trained")
    run.define_metric("*", step_metric="trained")
    try:
        yield lambda numbers, step: run.log({**numbers, "trained": step})
    finally:
        run.finish()


@contextmanager
def _trackio(folder: Path, name: str, plan: Mapping[str, Value], begin: int) -> Iterator[Send]:
    """Where TRACKIO_DIR says, else trackio's own place, so that `trackio show` finds it."""
    import trackio

    own = f"{_plain(name)}-{_identity(folder, name)[:6]}"
    run = trackio.init(PROJECT, name=own, config=dict(plan), resume="allow", embed=False)
    try:
        yield lambda numbers, step: run.log(dict(numbers), step=step)
    finally:
        run.finish()


_OPENED = {"tensorboard": _tensorboard, "mlflow": _mlflow, "wandb": _wandb, "trackio": _trackio}


def _identity(folder: Path, name: str) -> str:
    return sha256_json([str(folder.absolute()), name])[:12]


def _plain(name: str) -> str:
    """A name that is one folder everywhere."""
    return re.sub(r"[^\w.=-]+", "-", name).strip("-")
