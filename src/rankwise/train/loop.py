"""The training loop. It reads top to bottom; what varies is passed in."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

import torch

from rankwise.data.batch import split_evenly, steps
from rankwise.data.render import Rendered
from rankwise.errors import TrainingError
from rankwise.events import EventLog
from rankwise.model.loss import mean_loss
from rankwise.train.objectives import backward_sft
from rankwise.train.optim import OptimSettings, learning_rate_at, make_optimizer
from rankwise.train.state import Progress, load_checkpoint, restore, save_checkpoint, snapshot

LN2 = 0.6931471805599453


@dataclass(frozen=True)
class LoopSettings:
    """Counts in optimizer steps and rows."""

    num_steps: int
    step_rows: int
    gradient_accumulation_steps: int
    eval_steps: int
    early_stopping_patience: int | None
    save_steps: int
    logging_steps: int
    shared_prefix: bool
    seed: int

    @property
    def micro_rows(self) -> int:
        """Most rows in one forward pass."""
        return -(-self.step_rows // self.gradient_accumulation_steps)


@dataclass(frozen=True)
class Finished:
    progress: Progress
    stopped_by: int | None
    """The signal that ended the run early, its last completed step committed; None: the run is complete."""
    reason: str
    """`all steps done`, `no improvement`, or the signal."""


def train(
    model: torch.nn.Module,
    rows: Sequence[Rendered],
    held_out: Sequence[Rendered],
    settings: LoopSettings,
    optim: OptimSettings,
    log: EventLog,
    checkpoints: Path,
    resume_from: Path | None,
    stop_signal: Callable[[], int | None],
    evaluate_start: bool = False,
) -> Finished:
    """Train `model` in place and leave it with the weights of its best held-out evaluation.

    With `evaluate_start` the weights that a new run begins with are evaluated too, so that a trained adapter that
    gets no better is kept as it was; a fresh adapter, which does nothing yet, needs no look.
    """
    optimizer = make_optimizer((p for p in model.parameters() if p.requires_grad), optim)
    progress, best = Progress(), None
    if resume_from is not None:
        progress, best = load_checkpoint(resume_from, model, optimizer)
        log.write("resumed", {"step": progress.step, "checkpoint": resume_from.name})
    parameters = [p for p in model.parameters() if p.requires_grad]
    log.write("train_begin", {"steps": settings.num_steps, "step": progress.step, "rows": len(rows)})

    def evaluate() -> None:
        nonlocal best
        began = time.perf_counter()
        model.eval()
        with _memory_advice(f"the held-out evaluation after step {progress.step}"):
            loss = mean_loss(model, held_out, settings.micro_rows, settings.shared_prefix)
        if not math.isfinite(loss) and progress.step == 0:
            raise TrainingError(
                f"the adapter that this run continues from has a held-out loss of {loss}; nothing was trained. "
                "Continue from another adapter, or set training.bf16: false"
            )
        if not math.isfinite(loss):
            raise TrainingError(
                f"step {progress.step}: the held-out loss after it is {loss}, so the step ruined the weights; nothing "
                "was saved since the last checkpoint. Lower training.learning_rate and train again"
            )
        better = progress.best_loss is None or loss < progress.best_loss
        if better:
            progress.best_loss, progress.best_step, progress.evaluations_since_best = loss, progress.step, 0
            best = snapshot(model)
        else:
            progress.evaluations_since_best += 1
        progress.evaluations += 1
        progress.evaluation_seconds += time.perf_counter() - began
        log.write(
            "held_out",
            {"step": progress.step, "loss": loss, "bits_per_token": loss / LN2, "best": better, "rows": len(held_out)},
        )

    def out_of_patience() -> bool:
        patience = settings.early_stopping_patience
        return patience is not None and progress.evaluations_since_best >= patience

    if evaluate_start and resume_from is None:
        evaluate()
    reason, stopped_by = "all steps done", None
    todo = steps(len(rows), settings.step_rows, settings.seed, progress.step, settings.num_steps)
    for step, chosen in enumerate(todo, start=progress.step):
        stopped_by = stop_signal()
        if stopped_by is not None or out_of_patience():
            reason = "no improvement" if stopped_by is None else f"signal {stopped_by}"
            break
        began = time.perf_counter()
        rate = learning_rate_at(step, settings.num_steps, optim)
        for group in optimizer.param_groups:
            group["lr"] = rate
        model.train()
        micro_batches = split_evenly(chosen, settings.gradient_accumulation_steps)
        with _memory_advice(f"step {step + 1}"):
            loss = backward_sft(model, [[rows[i] for i in part] for part in micro_batches], settings.shared_prefix)
        norm = torch.nn.utils.clip_grad_norm_(parameters, optim.max_grad_norm)
        if not (torch.isfinite(loss) and torch.isfinite(norm)):
            raise TrainingError(
                f"step {step + 1}: the loss is {float(loss)} and the gradient norm {float(norm)}, which is not finite; "
                f"rows of this step: {sorted(chosen)}. The step was not taken. Lower training.learning_rate, or set "
                "training.bf16: false, and train again"
            )
        with _memory_advice(f"step {step + 1}"):
            optimizer.step()
        optimizer.zero_grad(set_to_none=True)

        seconds = time.perf_counter() - began
        tokens = sum(len(rows[i].ids) for i in chosen)
        progress.step, progress.rows = step + 1, progress.rows + len(chosen)
        progress.tokens, progress.seconds = progress.tokens + tokens, progress.seconds + seconds
        if progress.step % settings.logging_steps == 0 or progress.step == settings.num_steps:
            log.write(
                "step",
                {
                    "step": progress.step,
                    "steps": settings.num_steps,
                    "epoch": progress.rows / len(rows),
                    "loss": float(loss),
                    "learning_rate": rate,
                    "grad_norm": float(norm),
                    "tokens_per_second": tokens / seconds,
                    "rows_per_second": len(chosen) / seconds,
                    "seconds_left": _seconds_left(progress, settings),
                },
            )
        if progress.step % settings.eval_steps == 0 or progress.step == settings.num_steps:
            evaluate()
        if progress.step % settings.save_steps == 0 and progress.step < settings.num_steps:
            saved = save_checkpoint(checkpoints, model, optimizer, progress, best)
            log.write("checkpoint", {"step": progress.step, "path": saved.name})

    if stopped_by is not None:
        saved = save_checkpoint(checkpoints, model, optimizer, progress, best)
        log.write("stopped", {"step": progress.step, "signal": stopped_by, "checkpoint": saved.name})
        return Finished(progress, stopped_by, reason)
    if best is not None:
        restore(model, best)
    model.eval()
    log.write("train_end", {"reason": reason, **asdict(progress)})
    return Finished(progress, None, reason)


def _seconds_left(progress: Progress, settings: LoopSettings) -> float:
    """Steps and held-out evaluations still to come, that of this step among them, each at the mean so far."""
    all_evaluations = -(-settings.num_steps // settings.eval_steps)
    evaluations = all_evaluations - (progress.step - 1) // settings.eval_steps
    return (
        progress.seconds / progress.step * (settings.num_steps - progress.step)
        + progress.evaluation_seconds / max(1, progress.evaluations) * evaluations
    )


@contextmanager
def _memory_advice(doing: str) -> Iterator[None]:
    """TrainingError that says what to change where the accelerator's memory does not suffice."""
    try:
        yield
    except torch.OutOfMemoryError as fault:
        reason = str(fault).partition("\n")[0]
        raise TrainingError(
            f"{doing}: out of memory ({reason}). Lower training.per_device_train_batch_size and raise "
            "training.gradient_accumulation_steps by as much, which gives the same result, and train again"
        ) from None
