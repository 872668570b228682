"""What TRL's trainers share here: the plan's optimizer and schedule, our events, checkpoints and signals.

TRL brings the loss, the reference and the writing of answers. Rows come to it as our renderer's tokens. A checkpoint is
TRL's folder `checkpoint-N`, with the adapter's weights, the optimizer's state and that of the random generators as
safetensors and JSON, for no pickle is ever read, and a manifest that is written last: without it, or with another
digest, the folder does not count.
"""

from __future__ import annotations

import json
import math
import time
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import torch
from peft import PeftModel
from safetensors.torch import load_file, save_file
from transformers import PrinterCallback, TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from rankwise.errors import TrainingError
from rankwise.events import EventLog
from rankwise.files import fsync_dir, remove_folder
from rankwise.signals import Stop
from rankwise.train.generators import read_generators, set_generators
from rankwise.train.loop import Finished
from rankwise.train.optim import OptimSettings, learning_rate_at, make_optimizer
from rankwise.train.settings import Settings
from rankwise.train.state import (
    KEPT,
    MOMENTS,
    WEIGHTS,
    Progress,
    moments_of,
    put_moments,
    restore,
    snapshot,
    trainable,
    unlike_manifest,
    write_manifest,
)

REFERENCE = "ref"
"""TRL's name for the frozen copy of the adapter."""
PROGRESS, GENERATORS = "progress.json", "generators.safetensors"


def shared_arguments(settings: Settings, checkpoints: Path) -> dict[str, Any]:
    """The plan's values under the names of `TrainingArguments`; optimizer and schedule are our own."""
    loop, optim = settings.loop, settings.optim
    return {
        "output_dir": str(checkpoints),
        "max_steps": loop.num_steps,
        "per_device_train_batch_size": loop.micro_rows,
        "per_device_eval_batch_size": loop.micro_rows,
        "gradient_accumulation_steps": loop.gradient_accumulation_steps,
        "learning_rate": optim.learning_rate,
        "max_grad_norm": optim.max_grad_norm,
        "logging_strategy": "steps",
        "logging_steps": loop.logging_steps,
        "save_strategy": "steps",
        "save_steps": loop.save_steps,
        "save_total_limit": KEPT,
        "seed": loop.seed,
        "data_seed": loop.seed,
        "gradient_checkpointing": settings.gradient_checkpointing,
        "bf16": False,  # the base is loaded in the plan's dtype, the adapter is float32; nothing is cast on the way
        "disable_dropout": False,  # the plan's lora_dropout holds
        "use_cpu": settings.device == "cpu",
        "dataloader_pin_memory": False,
        "logging_nan_inf_filter": False,
        "disable_tqdm": True,
        "report_to": "none",
        "log_level": "error",
    }


def optimizer_and_schedule(
    model: PeftModel, optim: OptimSettings, num_steps: int
) -> tuple[torch.optim.Optimizer, torch.optim.lr_scheduler.LambdaLR]:
    """As in a supervised run: AdamW with the plan's values, and the same rate at the same step."""
    optimizer = make_optimizer(trainable(model), optim)

    def share(step: int) -> float:
        return learning_rate_at(min(step, num_steps - 1), num_steps, optim) / optim.learning_rate

    return optimizer, torch.optim.lr_scheduler.LambdaLR(optimizer, share)


class OwnCheckpoints:
    """For a trainer of TRL: all that goes on after a stop is saved and put back by us, and nothing is sent or written
    beside. transformers would put back the reference alone, as it lies in a folder below, and pickle the rest."""

    model: PeftModel
    optimizer: torch.optim.Optimizer
    lr_scheduler: torch.optim.lr_scheduler.LambdaLR

    def _save(self, output_dir: str | None = None, state_dict: dict[str, Any] | None = None) -> None:
        assert output_dir is not None
        Path(output_dir).mkdir(parents=True, exist_ok=True)
        save_file(snapshot(self.model), Path(output_dir) / WEIGHTS)

    def _load_from_checkpoint(self, resume_from_checkpoint: str, model: torch.nn.Module | None = None) -> None:
        restore(self.model, load_file(Path(resume_from_checkpoint) / WEIGHTS))

    def _save_optimizer_and_scheduler(self, output_dir: str) -> None:
        save_file(moments_of(self.model, self.optimizer), Path(output_dir) / MOMENTS)

    def _load_optimizer_and_scheduler(self, checkpoint: str | None) -> None:
        """The rate is a function of the step, which transformers reads from its own JSON before this."""
        if checkpoint is None:
            return
        put_moments(load_file(Path(checkpoint) / MOMENTS), self.model, self.optimizer)
        schedule, step = self.lr_scheduler, _read_progress(Path(checkpoint)).step
        schedule.last_epoch, schedule._step_count = step, step + 1
        rates = [rate * share(step) for rate, share in zip(schedule.base_lrs, schedule.lr_lambdas, strict=True)]
        schedule._last_lr = rates
        for group, rate in zip(self.optimizer.param_groups, rates, strict=True):
            group["lr"] = rate

    def _save_rng_state(self, output_dir: str) -> None:
        save_file(read_generators(), Path(output_dir) / GENERATORS)

    def _load_rng_state(self, checkpoint: str | None) -> None:
        if checkpoint is not None:
            set_generators(load_file(Path(checkpoint) / GENERATORS))

    def create_model_card(
        self, model_name: str | None = None, dataset_name: str | None = None, tags: list[str] | None = None
    ) -> None:
        """The run's card is written with its adapter."""

    def _send_telemetry(self) -> None:
        """Nothing leaves the machine."""


def run(trainer: Any, resume_from: Path | None) -> None:
    """Train to the end, or from a checkpoint on, and print nothing."""
    trainer.remove_callback(PrinterCallback)
    trainer.train(resume_from_checkpoint=None if resume_from is None else str(resume_from))


class Watch(TrainerCallback):
    """Events, checkpoints and signals of a run that TRL trains."""

    def __init__(self, settings: Settings, rows: int, log: EventLog, stop: Stop, checkpoint: Path | None) -> None:
        self.settings, self.rows, self.log, self.stop = settings, rows, log, stop
        self.progress = Progress() if checkpoint is None else _read_progress(checkpoint)
        self.metrics: dict[str, float] = {}
        """The newest of each that is named in `MEASURES`."""
        self.looked_at_step: int | None = None
        self._began = 0.0
        self._tokens = 0.0
        self._logged = self.progress

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        self._tokens = float(state.num_input_tokens_seen)  # of grpo, also what earlier parts of the run saw
        told = {"steps": self.settings.loop.num_steps, "step": state.global_step, "rows": self.rows}
        self.log.write("train_begin", told)

    def on_step_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        self._began = time.perf_counter()

    def on_step_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any) -> None:
        seconds, step_rows = time.perf_counter() - self._began, self.settings.loop.step_rows
        old = self.progress
        self.progress = replace(
            old,
            step=state.global_step,
            best_step=state.global_step,
            rows=old.rows + step_rows,
            seconds=old.seconds + seconds,
        )
        if self.stop.number is not None:
            control.should_save = control.should_training_stop = True

    def on_log(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        logs: dict[str, Any] | None = None,
        **kwargs: Any,
    ) -> None:
        logs = logs or {}
        self.metrics |= {name: float(logs[key]) for key, name in MEASURES.items() if logs.get(key) is not None}
        if "eval_loss" in logs:
            self.looked_at_step = state.global_step
            told: dict[str, Any] = {
                name: float(logs[key]) for key, name in MEASURES.items() if key in logs and key.startswith("eval_")
            }
            self.log.write("preferences", {"step": state.global_step, "loss": float(logs["eval_loss"]), **told})
        elif "loss" in logs and "learning_rate" in logs:
            self._log_step(state.global_step, logs)

    def on_save(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any) -> None:
        folder = Path(str(args.output_dir)) / f"checkpoint-{state.global_step}"
        seal(folder, self.progress)
        self.log.write("checkpoint", {"step": state.global_step, "path": folder.name})
        self.log.sync()

    def _log_step(self, step: int, logs: dict[str, Any]) -> None:
        loss, norm = float(logs["loss"]), float(logs.get("grad_norm", 0.0))
        if not (math.isfinite(loss) and math.isfinite(norm)):
            raise TrainingError(
                f"step {step}: the loss is {loss} and the gradient norm {norm}, which is not finite. Lower "
                "training.learning_rate, or set training.bf16: false, and train again"
            )
        now, before, settings = self.progress, self._logged, self.settings.loop
        tokens = float(logs.get("num_tokens", 0.0))
        seconds = max(now.seconds - before.seconds, 1e-9)
        new = max(0.0, tokens - self._tokens)
        self.progress = replace(now, tokens=now.tokens + int(new))
        self._tokens, self._logged = tokens, self.progress
        told: dict[str, Any] = {name: self.metrics[name] for name in ("reward", "accuracy") if name in self.metrics}
        self.log.write(
            "step",
            {
                "step": step,
                "steps": settings.num_steps,
                "epoch": float(logs.get("epoch", 0.0)),
                "loss": loss,
                **told,
                "learning_rate": float(logs["learning_rate"]),
                "grad_norm": norm,
                "tokens_per_second": new / seconds,
                "rows_per_second": (now.rows - before.rows) / seconds,
                "seconds_left": now.seconds / max(1, now.step) * (settings.num_steps - now.step),
            },
        )


MEASURES = {
    "reward": "reward",
    "rewards/accuracies": "accuracy",
    "eval_rewards/accuracies": "held_out_accuracy",
    "eval_rewards/margins": "held_out_margin",
}
"""TRL's names -> ours. Reward: the mean of the answers since the last log. Accuracy: the share of pairs whose chosen
answer gained more than the rejected one, against the reference."""


def finish(watch: Watch, model: PeftModel) -> Finished:
    """The end of a run, or what a signal left of it; the reference is taken off the model."""
    steps, number = watch.settings.loop.num_steps, watch.stop.number
    if watch.progress.step < steps and number is not None:
        told = {"step": watch.progress.step, "signal": number, "checkpoint": f"checkpoint-{watch.progress.step}"}
        watch.log.write("stopped", told)
        return Finished(watch.progress, number, f"signal {number}")
    if REFERENCE in model.peft_config:
        model.delete_adapter(REFERENCE)
    model.eval()
    reason = "all steps done"
    watch.log.write("train_end", {"reason": reason, **asdict(watch.progress)})
    return Finished(watch.progress, None, reason, watch.metrics)


def seal(folder: Path, progress: Progress) -> None:
    """Make the checkpoint count: progress, every file durable, then the digest of each.

    Raises TrainingError, and leaves the folder unsealed, where the weights are not finite.
    """
    weights = load_file(folder / WEIGHTS)
    if not all(bool(torch.isfinite(value).all()) for value in weights.values()):
        raise TrainingError(
            f"step {progress.step}: the weights after it are not finite; the checkpoint before it is kept. Lower "
            "training.learning_rate and train again"
        )
    (folder / PROGRESS).write_text(json.dumps(asdict(progress)), encoding="utf-8")
    write_manifest(folder)
    fsync_dir(folder)
    fsync_dir(folder.parent)


def last_sealed(checkpoints: Path, log: EventLog) -> Path | None:
    """Where the run goes on; None: at its start. Later folders, unsealed or damaged, are removed."""
    found, damaged = None, 0
    every = sorted(checkpoints.glob("checkpoint-*"), key=lambda path: int(path.name.rpartition("-")[2]))
    for path in reversed(every):
        reason = damage(path)
        if reason is None:
            found = path
            break
        damaged += 1
        log.write("checkpoint_damaged", {"path": path.name, "reason": reason})
        remove_folder(path)
    log.write("resume", {"checkpoint": None if found is None else found.name, "damaged": damaged})
    return found


def damage(folder: Path) -> str | None:
    """What distinguishes the checkpoint from the one that was sealed; None: nothing."""
    return unlike_manifest(folder, {WEIGHTS, MOMENTS, GENERATORS, PROGRESS})


def _read_progress(checkpoint: Path) -> Progress:
    return Progress(**json.loads((checkpoint / PROGRESS).read_text(encoding="utf-8")))
