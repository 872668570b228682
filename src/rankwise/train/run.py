"""One run: a plan and a corpus become an adapter folder, and everything on the way becomes files."""

from __future__ import annotations

import resource
import sys
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import torch
from peft import PeftModel

from rankwise.data.corpus import Corpus
from rankwise.events import EventLog, Observer
from rankwise.facts import adapter_digest, read_machine
from rankwise.facts.counts import UNATTACHED
from rankwise.files import clear_drafts
from rankwise.model.start import keep_start, start_of
from rankwise.plan import Plan
from rankwise.signals import Stop, stop_on_signals
from rankwise.train.kept import looked_at, write_adapter
from rankwise.train.loop import Finished, train
from rankwise.train.opened import make_allocator, open_model
from rankwise.train.settings import BaseFolder, Settings, read_plan
from rankwise.train.state import latest_checkpoint
from rankwise.train.tracking import tracked


@dataclass(frozen=True)
class Trained:
    """A finished or stopped run."""

    finished: Finished
    adapter: Path
    peak_memory_bytes: int


def execute(plan: Plan, corpus: Corpus, base: BaseFolder, run: Path, observer: Observer, resume: bool) -> Trained:
    """Train as planned in the folder `run`; with `resume`, go on from its newest sound checkpoint.

    What takes no steps has no checkpoints, and begins anew.
    """
    if plan["method"] in UNATTACHED:
        return _execute_unattached(plan, corpus, base, run, observer)
    settings = read_plan(plan, corpus)
    adapted = open_model(settings, plan, base)
    allocator = make_allocator(adapted, settings)
    start = start_of(adapted) if settings.changes_base else None
    if start is not None:
        keep_start(run / "start.safetensors", start, resume)
    sent = tracked(settings.tracking, run, run.absolute().name, plan.values(), observer)
    with sent as told, closing(EventLog(run / "events.jsonl", told)) as log:
        with stop_on_signals() as stop:
            if settings.trained_by_trl and isinstance(adapted, PeftModel):
                finished = _train_by_trl(adapted, corpus, base, settings, log, run / "checkpoints", resume, stop)
            else:
                finished = train(
                    adapted,
                    corpus.train_rendered,
                    looked_at(corpus),
                    settings.loop,
                    settings.optim,
                    log,
                    run / "checkpoints",
                    _last_sound_checkpoint(run, log) if resume else None,
                    stop,
                    evaluate_start=settings.adapter is not None,
                    places=[row.where for row in corpus.train],
                    objective=settings.objective,
                    allocator=allocator,
                )
        peak = peak_memory_bytes(settings.device)
        if finished.stopped_by is None:
            write_adapter(adapted, plan, corpus, base, settings, run / "adapter", finished, start, allocator)
            log.write("adapter", {"path": "adapter", "digest": adapter_digest(run / "adapter")})
        return Trained(finished, run / "adapter", peak)


def _execute_unattached(plan: Plan, corpus: Corpus, base: BaseFolder, run: Path, observer: Observer) -> Trained:
    from rankwise.train.unattached import make_unattached  # and scikit-learn, which no other method needs

    log = EventLog(run / "events.jsonl", observer)
    try:
        finished = make_unattached(plan, corpus, base, run / "adapter", log, observer)
        peak = peak_memory_bytes(read_machine().device)
        if finished.stopped_by is None:
            log.write("adapter", {"path": "adapter", "digest": adapter_digest(run / "adapter")})
        return Trained(finished, run / "adapter", peak)
    finally:
        log.close()


def _train_by_trl(
    adapted: PeftModel,
    corpus: Corpus,
    base: BaseFolder,
    settings: Settings,
    log: EventLog,
    checkpoints: Path,
    resume: bool,
    stop: Stop,
) -> Finished:
    """Preferences or rewards; TRL, an extra, is imported here and nowhere else."""
    from rankwise.train.by_trl import last_sealed

    start, rows = last_sealed(checkpoints, log) if resume else None, corpus.train_rendered
    if settings.preference is not None:
        from rankwise.train.preference import train_on_preferences

        held_out = looked_at(corpus)
        return train_on_preferences(adapted, base.path, rows, held_out, settings, log, checkpoints, start, stop)
    from rankwise.train.reward import train_on_rewards

    answers = [row.answer for row in corpus.train]
    return train_on_rewards(adapted, base.path, rows, answers, settings, log, checkpoints, start, stop)


def _last_sound_checkpoint(run: Path, log: EventLog) -> Path | None:
    """Where the run goes on; None: at its start. What a killed process left half-made is cleared away."""
    for name in clear_drafts(run / "checkpoints", lambda name: name.startswith("step-")):
        log.write("draft_cleared", {"path": name})
    found, damaged = latest_checkpoint(run / "checkpoints")
    for path, reason in damaged.items():
        log.write("checkpoint_damaged", {"path": path.name, "reason": reason})
    log.write("resume", {"checkpoint": None if found is None else found.name, "damaged": len(damaged)})
    return found


def peak_memory_bytes(device: str) -> int:
    """So far; of the accelerator where there is one, else of this process."""
    if device == "cuda":
        return int(torch.cuda.max_memory_allocated())
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def reset_peak_memory(device: str) -> bool:
    """Let `peak_memory_bytes` count from here on; False where the system cannot, so that the peak is of all so far."""
    if device == "cuda":
        torch.cuda.reset_peak_memory_stats()
        return True
    try:
        Path("/proc/self/clear_refs").write_text("5")  # Linux: the peak of the resident set starts again
    except OSError:
        return False
    return True
