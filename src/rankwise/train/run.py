"""One run: a plan and a corpus become an adapter folder, and everything on the way becomes files."""

from __future__ import annotations

import json
import resource
import sys
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

import torch
from peft import PeftConfig, PeftModel
from transformers import PreTrainedModel

from rankwise.catalog import write_card
from rankwise.data.corpus import Corpus
from rankwise.data.render import Rendered
from rankwise.data.split import spread
from rankwise.errors import RunError
from rankwise.events import EventLog, Observer
from rankwise.facts import (
    AdapterRecord,
    BaseIdentity,
    BaseRecord,
    DataRecord,
    TaskRecord,
    adapter_digest,
    read_adapter,
    read_machine,
    write_record,
)
from rankwise.files import clear_drafts, new_folder, read_json, write_json
from rankwise.model.adalora import Allocator, attach_adalora
from rankwise.model.attach import attach_existing, attach_new, require_trainable
from rankwise.model.classifier import load_classifier
from rankwise.model.load import TOLERANCE, load_base
from rankwise.model.loss import nothing
from rankwise.model.start import keep_start, start_of, subtract_start
from rankwise.plan import EVALUATION_ROWS, Plan
from rankwise.plan.quantization import CHANGE_BASE
from rankwise.signals import stop_on_signals
from rankwise.train.loop import LN2, Finished, train
from rankwise.train.settings import Settings, read_plan
from rankwise.train.state import latest_checkpoint

COMPARED_ROWS = 4
"""Rows by which an adapter that was rewritten is held against the model it was made from."""


@dataclass(frozen=True)
class BaseFolder:
    """The base a run trains on."""

    name: str
    path: Path
    identity: BaseIdentity


@dataclass(frozen=True)
class Trained:
    """A finished or stopped run."""

    finished: Finished
    adapter: Path
    peak_memory_bytes: int


def execute(plan: Plan, corpus: Corpus, base: BaseFolder, run: Path, observer: Observer, resume: bool) -> Trained:
    """Train as planned in the folder `run`; with `resume`, go on from its newest sound checkpoint."""
    settings = read_plan(plan, corpus)
    adapted = open_model(settings, plan, base)
    allocator = None if settings.schedule is None else Allocator(adapted, settings.schedule)
    start = start_of(adapted) if settings.lora.init_lora_weights in CHANGE_BASE else None
    if start is not None:
        keep_start(run / "start.safetensors", start, resume)
    log = EventLog(run / "events.jsonl", observer)
    try:
        with stop_on_signals() as stop:
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
            _write_adapter(adapted, plan, corpus, base, settings, run / "adapter", finished, start, allocator)
            log.write("adapter", {"path": "adapter", "digest": adapter_digest(run / "adapter")})
        return Trained(finished, run / "adapter", peak)
    finally:
        log.close()


def looked_at(corpus: Corpus) -> list[Rendered]:
    """The held-out rows that are evaluated during training. A head has no number for a label that no training row has:
    the plan has warned of such rows, and `rankwise evaluate` counts them as wrong."""
    rows = [row for row in corpus.held_out_rendered if row.label is None or row.label in corpus.labels]
    return spread(rows, EVALUATION_ROWS)


def _last_sound_checkpoint(run: Path, log: EventLog) -> Path | None:
    """Where the run goes on; None: at its start. What a killed process left half-made is cleared away."""
    for name in clear_drafts(run / "checkpoints", lambda name: name.startswith("step-")):
        log.write("draft_cleared", {"path": name})
    found, damaged = latest_checkpoint(run / "checkpoints")
    for path, reason in damaged.items():
        log.write("checkpoint_damaged", {"path": path.name, "reason": reason})
    log.write("resume", {"checkpoint": None if found is None else found.name, "damaged": len(damaged)})
    return found


def open_model(settings: Settings, plan: Plan, base: BaseFolder) -> PeftModel:
    """The base with the adapter that will be trained: a fresh one, or the one it continues from."""
    return attach_adapter(load_model(settings, base), settings, plan, base.name)


def load_model(settings: Settings, base: BaseFolder) -> PreTrainedModel:
    """The base as the plan keeps it, without an adapter."""
    torch.set_num_threads(settings.threads)
    model = _load(base, settings)
    if settings.gradient_checkpointing:
        model.gradient_checkpointing_enable({"use_reentrant": False})
    return model


def attach_adapter(model: PreTrainedModel, settings: Settings, plan: Plan, base_name: str) -> PeftModel:
    """The adapter that will be trained on a base that has none. PlanError unless what is trainable is as planned."""
    if settings.schedule is not None:
        lora = settings.lora
        targets = list(lora.target_modules)
        adapted = attach_adalora(
            model, targets, lora.lora_alpha, lora.lora_dropout, settings.schedule, settings.loop.seed
        )
    elif settings.adapter is None:
        adapted = attach_new(model, base_name, settings.lora, settings.loop.seed, settings.task)
    else:
        torch.manual_seed(settings.loop.seed)
        adapted = attach_existing(model, Path(settings.adapter), trainable=True)
    require_trainable(adapted, plan.trainable_parameters)
    return adapted


def _load(base: BaseFolder, settings: Settings) -> PreTrainedModel:
    device, kept = settings.device, settings.quantization
    if settings.task == "causal_lm":
        return load_base(base.path, settings.dtype, device, kept)
    return load_classifier(base.path, settings.labels, settings.dtype, device, settings.loop.seed, kept)


def _write_adapter(
    model: PeftModel,
    plan: Plan,
    corpus: Corpus,
    base: BaseFolder,
    settings: Settings,
    folder: Path,
    finished: Finished,
    start: dict[str, torch.Tensor] | None,
    allocator: Allocator | None,
) -> None:
    request, progress, machine = corpus.request, finished.progress, read_machine()
    parent = None if settings.adapter is None else adapter_digest(Path(settings.adapter))
    held_out_file = request.held_out if isinstance(request.held_out, str) else None
    with new_folder(folder) as draft:
        model.peft_config["default"].base_model_name_or_path = base.name
        model.save_pretrained(str(draft), save_embedding_layers=False)
        if allocator is not None:
            allocator.save_plain(draft)
            _require_same_losses(model, draft, corpus, base, settings)
        if start is not None:
            subtract_start(draft, start)
            _require_same_losses(model, draft, corpus, base, settings)
        _settle_config(draft / "adapter_config.json", model.peft_config["default"])
        record = AdapterRecord(
            name=settings.domain or Path(request.train).stem,
            domain=settings.domain,
            method=str(plan["method"]),
            base=BaseRecord(name=base.name, identity=base.identity, quantization=settings.quantization),  # type: ignore[arg-type]
            task=TaskRecord(
                kind="labels" if corpus.labels else "open",
                task=settings.task,
                scorer=settings.scorer,
                labels=corpus.labels,
                instruction=corpus.instruction,
                system=corpus.system,
                tools=corpus.tools,
                shape=corpus.shape,
                assistant_turns=request.assistant_turns,
            ),
            data=DataRecord(
                train=request.train,
                train_sha256=corpus.train_sha256,
                rows=len(corpus.train),
                held_out=held_out_file,
                held_out_sha256=corpus.held_out_sha256,
                held_out_rows=len(corpus.held_out),
                seed=request.seed,
                fraction=None if isinstance(request.held_out, str) else request.held_out,
                max_length=corpus.max_length,
                too_long=request.too_long,
            ),
            plan=plan.as_json(),
            plan_digest=plan.digest(),
            metrics={
                "held_out_loss": progress.best_loss,
                f"held_out_bits_per_{settings.objective.per}": (
                    None if progress.best_loss is None else progress.best_loss / LN2
                ),
                "best_step": progress.best_step,
                "steps": progress.step,
                "seconds": round(progress.seconds + progress.evaluation_seconds, 1),
            },
            versions=machine.versions,
            machine=json.loads(json.dumps({**asdict(machine), "versions": None})),
            created=datetime.now(UTC).isoformat(timespec="seconds"),
            parent=parent,
        )
        write_record(draft, record)
        write_card(draft, record, read_adapter(draft))


@torch.no_grad()
def _require_same_losses(
    trained: PeftModel, folder: Path, corpus: Corpus, base: BaseFolder, settings: Settings
) -> None:
    """RunError unless the adapter in `folder`, on the untouched base, gives the losses of the model it is from."""
    again = attach_existing(_load(base, settings), folder, trainable=False)
    rows = (looked_at(corpus) or corpus.train_rendered)[:COMPARED_ROWS]
    expected, got = (
        torch.tensor([settings.objective.mean_loss(model.eval(), [row], 1, nothing) for row in rows])
        for model in (trained, again)
    )
    difference = float((got - expected).norm() / expected.norm())
    if not difference <= TOLERANCE[settings.dtype]:
        raise RunError(
            f"{folder}: on the untouched base its losses differ by {difference:.1%} from the trained model's"
        )


def _settle_config(file: Path, made: PeftConfig) -> None:
    """PEFT writes its target sets in an order of the moment; sorted, one seed gives one file. Patterns it sorts, though
    the first that matches counts; they go back into the order in which they were trained."""
    config = read_json(file)
    for key in ("target_modules", "target_parameters"):
        config[key] = sorted(config[key]) if config.get(key) else config.get(key)
    if config.get("modules_to_save"):
        config["modules_to_save"] = sorted(set(config["modules_to_save"]))  # PEFT names a head again when it loads it
    for key in ("rank_pattern", "alpha_pattern"):
        config[key] = {pattern: config[key][pattern] for pattern in getattr(made, key) or ()}
    write_json(file, config)


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
