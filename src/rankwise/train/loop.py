"""The training loop. It reads top to bottom; what varies is passed in."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Literal

import torch

from rankwise.data.batch import split_evenly, steps
from rankwise.data.render import Rendered
from rankwise.errors import TrainingError
from rankwise.events import EventLog
from rankwise.model.adalora import Allocator
from rankwise.signals import Interrupted, Stop
from rankwise.train.objectives import Objective, writing
from rankwise.train.optim import OptimSettings, learning_rate_at, make_optimizer, set_learning_rate
from rankwise.train.state import (
    Progress,
    latest_checkpoint,
    load_checkpoint,
    random_state,
    restore,
    save_checkpoint,
    set_random_state,
    snapshot,
    trainable,
)

LN2 = 0.6931471805599453
MOST_ROLLBACKS = 3


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
    on_nonfinite: Literal["stop", "rollback"] = "stop"
    """What follows on a loss, gradient or weight that is not finite."""

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
    metrics: Mapping[str, float] = field(default_factory=dict)
    """Of preferences or rewards, where those were learnt from."""


def train(
    model: torch.nn.Module,
    rows: Sequence[Rendered],
    held_out: Sequence[Rendered],
    settings: LoopSettings,
    optim: OptimSettings,
    log: EventLog,
    checkpoints: Path,
    resume_from: Path | None,
    stop: Stop,
    evaluate_start: bool = False,
    places: Sequence[str] = (),
    objective: Objective | None = None,
    allocator: Allocator | None = None,
) -> Finished:
    """Train `model` in place and leave it with the weights of its best held-out evaluation.

    With `evaluate_start` the weights that a new run begins with are evaluated too, so that a trained adapter that
    gets no better is kept as it was; a fresh adapter, which does nothing yet, needs no look. `places`: where each row
    was written, to name the rows of a step that ruins the run. `objective`: supervised fine-tuning, if left out.
    `allocator`: of AdaLoRA, which prunes ranks on the way.
    """
    objective = writing(settings.shared_prefix) if objective is None else objective
    loop = _Loop(model, rows, held_out, settings, optim, log, checkpoints, stop, places, objective, allocator)
    loop.begin(resume_from, evaluate_start)
    try:
        while (reason := loop.reason_to_end()) is None:
            stop.check()
            try:
                loop.evaluate() if loop.progress.evaluation_due else loop.step()
            except NonFinite as fault:
                loop.roll_back(fault)
            loop.save_if_due()
    except Interrupted as interrupted:
        return loop.stopped(interrupted.number)
    return loop.end(reason)


class NonFinite(TrainingError):
    """A step whose loss, gradient or weights are not finite, or whose weights give such a held-out loss."""

    def __init__(self, step: int, message: str) -> None:
        self.step = step
        """Counted from 1; 0: what the run began with."""
        super().__init__(message)


class _Loop:
    """The state of a run, and what is done to it. Between two calls it is always that of a completed step."""

    def __init__(
        self,
        model: torch.nn.Module,
        rows: Sequence[Rendered],
        held_out: Sequence[Rendered],
        settings: LoopSettings,
        optim: OptimSettings,
        log: EventLog,
        checkpoints: Path,
        stop: Stop,
        places: Sequence[str],
        objective: Objective,
        allocator: Allocator | None,
    ) -> None:
        self.model, self.rows, self.held_out = model, rows, held_out
        self.settings, self.optim, self.log, self.checkpoints = settings, optim, log, checkpoints
        self.stop, self.places, self.objective, self.allocator = stop, places, objective, allocator
        self.parameters = [p for p in model.parameters() if p.requires_grad]
        self.optimizer = make_optimizer(trainable(model), optim)
        self.progress = Progress()
        self.best: dict[str, torch.Tensor] | None = None
        self.saved: Path | None = None
        """The checkpoint that holds this very state; None: there is none yet."""

    def begin(self, resume_from: Path | None, evaluate_start: bool) -> None:
        if resume_from is not None:
            self._load(resume_from)
            self.log.write("resumed", {"step": self.progress.step, "checkpoint": resume_from.name})
        else:
            self.progress.evaluation_due = evaluate_start
        progress, settings = self.progress, self.settings
        self.log.write("train_begin", {"steps": settings.num_steps, "step": progress.step, "rows": len(self.rows)})
        if resume_from is None and settings.on_nonfinite == "rollback":
            self._save()  # what a step that comes to ruin before the first checkpoint is rolled back to

    def reason_to_end(self) -> str | None:
        progress, patience = self.progress, self.settings.early_stopping_patience
        if progress.evaluation_due:
            return None
        if progress.step >= self.settings.num_steps:
            return "all steps done"
        tired = patience is not None and progress.evaluations_since_best >= patience
        return "no improvement" if tired else None

    def step(self) -> None:
        """One optimizer step, or, if its rows are to be left out, only its place in the schedule."""
        number, settings, optim = self.progress.step + 1, self.settings, self.optim
        chosen = next(steps(len(self.rows), settings.step_rows, settings.seed, number - 1, number))
        if number in self.progress.left_out:
            self._completed(number)
            self.log.write("left_out", {"step": number, "rows": sorted(chosen)})
            return
        began = time.perf_counter()
        rate = learning_rate_at(number - 1, settings.num_steps, optim)
        set_learning_rate(self.optimizer, rate)
        self.model.train()
        parts = split_evenly(chosen, settings.gradient_accumulation_steps)
        batches = [[self.rows[i] for i in part] for part in parts]
        with self._undone_if_stopped(), _memory_advice(f"step {number}"):
            loss = self.objective.backward(self.model, batches, self.stop.check)
            if self.allocator is not None:
                self.allocator.regularise()
            norm = torch.nn.utils.clip_grad_norm_(self.parameters, optim.max_grad_norm)
        if not (torch.isfinite(loss) and torch.isfinite(norm)):
            raise NonFinite(
                number,
                f"step {number}: the loss is {float(loss)} and the gradient norm {float(norm)}, which is not finite; "
                f"rows of this step: {self._named(chosen)}. The step was not taken. Look at these rows, lower "
                "training.learning_rate, or set training.bf16: false, and train again; training.on_nonfinite: rollback "
                "leaves them out",
            )
        with _memory_advice(f"step {number}"):
            self.optimizer.step()
        if self.allocator is not None:
            self.allocator.stepped(number)
        self.optimizer.zero_grad(set_to_none=True)
        if not torch.isfinite(torch.nn.utils.get_total_norm(self.parameters)):
            raise NonFinite(
                number,
                f"step {number}: the weights after it are not finite; rows of this step: {self._named(chosen)}. "
                "Nothing was saved since the last checkpoint. Lower training.learning_rate and train again",
            )
        seconds = time.perf_counter() - began
        tokens = sum(len(self.rows[i].ids) for i in chosen)
        self._completed(number, len(chosen), tokens, seconds)
        if number % settings.logging_steps == 0 or number == settings.num_steps:
            self._log_step(float(loss), rate, float(norm), len(chosen), tokens, seconds)

    def evaluate(self) -> None:
        """The held-out loss after this step; the best weights so far are kept."""
        progress, settings = self.progress, self.settings
        began = time.perf_counter()
        self.model.eval()
        doing = f"the held-out evaluation after step {progress.step}"
        with self._undone_if_stopped(), _memory_advice(doing):
            loss = self.objective.mean_loss(self.model, self.held_out, settings.micro_rows, self.stop.check)
        if not math.isfinite(loss) and progress.step == 0:
            raise TrainingError(
                f"the adapter that this run continues from has a held-out loss of {loss}; nothing was trained. "
                "Continue from another adapter, or set training.bf16: false"
            )
        if not math.isfinite(loss):
            raise NonFinite(
                progress.step,
                f"step {progress.step}: the held-out loss after it is {loss}, so the step ruined the weights; nothing "
                "was saved since the last checkpoint. Lower training.learning_rate and train again",
            )
        keepable = self.allocator is None or self.allocator.is_final
        better = keepable and (progress.best_loss is None or loss < progress.best_loss)
        if better:
            progress.best_loss, progress.best_step, progress.evaluations_since_best = loss, progress.step, 0
            self.best = snapshot(self.model)
        elif keepable:
            progress.evaluations_since_best += 1
        progress.evaluations += 1
        progress.evaluation_seconds += time.perf_counter() - began
        progress.evaluation_due, self.saved = False, None
        told = {"step": progress.step, "loss": loss, f"bits_per_{self.objective.per}": loss / LN2, "best": better}
        self.log.write("held_out", {**told, "rows": len(self.held_out)})

    def save_if_due(self) -> None:
        progress = self.progress
        if progress.step and progress.step % self.settings.save_steps == 0 and not progress.evaluation_due:
            self._save_once()

    def roll_back(self, fault: NonFinite) -> None:
        """Go back to the last checkpoint and leave out the rows of the step at fault; raises it where that is no use.

        The way from that checkpoint is gone again, and so is the same, up to that step.
        """
        left_out = [*self.progress.left_out, fault.step]
        if self.settings.on_nonfinite == "stop":
            raise fault
        if len(left_out) > MOST_ROLLBACKS or fault.step in self.progress.left_out:
            done = ", ".join(map(str, self.progress.left_out))
            raise TrainingError(f"{fault} (rolled back {len(left_out) - 1} times before, at step {done})") from None
        start, _ = latest_checkpoint(self.checkpoints, before=fault.step)
        if start is None:
            raise TrainingError(f"{fault} (there is no sound checkpoint to roll back to)") from None
        self._load(start)
        self.progress.left_out = left_out
        told = {"step": fault.step, "to": self.progress.step, "checkpoint": start.name, "reason": str(fault)}
        self.log.write("rollback", {**told, "rollbacks": len(left_out), "of": MOST_ROLLBACKS})

    def stopped(self, number: int) -> Finished:
        """What a signal leaves: the last completed step, committed."""
        saved = self.saved or self._save()
        self.log.write("stopped", {"step": self.progress.step, "signal": number, "checkpoint": saved.name})
        return Finished(self.progress, number, f"signal {number}")

    def end(self, reason: str) -> Finished:
        """The last state is committed too, so that a run killed from here on has nothing to train again."""
        self._save_once()
        if self.best is not None:
            restore(self.model, self.best)
        self.model.eval()
        self.log.write("train_end", {"reason": reason, **asdict(self.progress)})
        return Finished(self.progress, None, reason)

    def _completed(self, number: int, rows: int = 0, tokens: int = 0, seconds: float = 0.0) -> None:
        settings, old = self.settings, self.progress
        due = number % settings.eval_steps == 0 or number == settings.num_steps
        # One assignment, so that there is no moment in which a step is half counted.
        self.progress = replace(
            old,
            step=number,
            rows=old.rows + rows,
            tokens=old.tokens + tokens,
            seconds=old.seconds + seconds,
            evaluation_due=due,
        )
        self.saved = None

    def _log_step(self, loss: float, rate: float, norm: float, rows: int, tokens: int, seconds: float) -> None:
        progress, settings = self.progress, self.settings
        self.log.write(
            "step",
            {
                "step": progress.step,
                "steps": settings.num_steps,
                "epoch": progress.rows / len(self.rows),
                "loss": loss,
                "learning_rate": rate,
                "grad_norm": norm,
                "tokens_per_second": tokens / seconds,
                "rows_per_second": rows / seconds,
                "seconds_left": _seconds_left(progress, settings),
            },
        )

    @contextmanager
    def _undone_if_stopped(self) -> Iterator[None]:
        """A signal interrupts the block anywhere; random state and gradients are then as they were before it."""
        before = random_state()
        try:
            with self.stop.at_once():
                yield
        except Interrupted:
            set_random_state(before)
            self.optimizer.zero_grad(set_to_none=True)
            raise

    def _load(self, checkpoint: Path) -> None:
        self.progress, self.best, more = load_checkpoint(checkpoint, self.model, self.optimizer)
        if self.allocator is not None:
            self.allocator.load(more)
        self.saved = checkpoint

    def _save_once(self) -> None:
        if self.saved is None:
            saved = self._save()
            self.log.write("checkpoint", {"step": self.progress.step, "path": saved.name})

    def _save(self) -> Path:
        more = {} if self.allocator is None else self.allocator.state()
        self.saved = save_checkpoint(self.checkpoints, self.model, self.optimizer, self.progress, self.best, more)
        self.log.sync()
        return self.saved

    def _named(self, chosen: Sequence[int]) -> str:
        """Row numbers, and where these rows were written."""
        numbers = sorted(chosen)
        written = ", ".join(self.places[i] for i in numbers if i < len(self.places))
        return f"{numbers} ({written})" if written else str(numbers)


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
