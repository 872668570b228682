"""What a finished run leaves: the adapter folder, with its record and card, verified where it was rewritten."""

from __future__ import annotations

import json
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path

import torch
from peft import PeftConfig, PeftModel

from rankwise.catalog import write_card
from rankwise.data.corpus import Corpus
from rankwise.data.render import Rendered
from rankwise.data.split import spread
from rankwise.errors import RunError
from rankwise.facts import (
    AdapterRecord,
    BaseRecord,
    DataRecord,
    TaskRecord,
    adapter_digest,
    read_adapter,
    read_anatomy,
    read_machine,
    write_record,
)
from rankwise.facts.base import Task as TaskName
from rankwise.files import new_folder, read_json, write_json
from rankwise.model.adalora import Allocator
from rankwise.model.attach import attach_existing
from rankwise.model.full import add_delta, save_delta
from rankwise.model.load import TOLERANCE
from rankwise.model.loss import nothing
from rankwise.model.start import subtract_start
from rankwise.plan import EVALUATION_ROWS, Plan
from rankwise.recipe.schema import ProblemType
from rankwise.train.loop import LN2, Finished
from rankwise.train.opened import Trainable, load_planned
from rankwise.train.settings import BaseFolder, Settings

COMPARED_ROWS = 4
"""Rows by which an adapter that was rewritten is held against the model it was made from."""
NAT = 1.0
"""Loss of a row that differences are held against, where the row's own is below it."""


def looked_at(corpus: Corpus) -> list[Rendered]:
    """The held-out rows that are evaluated during training. A head has no number for a label that no training row has:
    the plan has warned of such rows, and `rankwise evaluate` counts them as wrong."""
    rows = [row for row in corpus.held_out_rendered if row.told_by(corpus.labels)]
    return spread(rows, EVALUATION_ROWS)


def write_adapter(
    model: Trainable,
    plan: Plan,
    corpus: Corpus,
    base: BaseFolder,
    settings: Settings,
    folder: Path,
    finished: Finished,
    start: dict[str, torch.Tensor] | None,
    allocator: Allocator | None,
) -> None:
    with new_folder(folder) as draft:
        if isinstance(model, PeftModel):
            _write_peft(model, draft, base, start, allocator)
            if allocator is not None or start is not None:
                again = attach_existing(load_planned(base, settings), draft, trainable=False)
                _require_same_losses(model, again, draft, corpus, settings)
        else:
            untouched = load_planned(base, settings)
            save_delta(model, untouched, draft)
            _require_same_losses(model, add_delta(untouched, draft), draft, corpus, settings)
        record = _record(plan, corpus, base, settings, finished)
        write_record(draft, record)
        write_card(draft, record, read_adapter(draft))


def _write_peft(
    model: PeftModel,
    draft: Path,
    base: BaseFolder,
    start: dict[str, torch.Tensor] | None,
    allocator: Allocator | None,
) -> None:
    model.peft_config["default"].base_model_name_or_path = base.name
    model.save_pretrained(str(draft), save_embedding_layers=False)
    if allocator is not None:
        allocator.save_plain(draft)
    if start is not None:
        subtract_start(draft, start)
    _settle_config(draft / "adapter_config.json", model.peft_config["default"])


def _record(plan: Plan, corpus: Corpus, base: BaseFolder, settings: Settings, finished: Finished) -> AdapterRecord:
    kept = BaseRecord(
        name=base.name,
        identity=base.identity,
        quantization=settings.quantization,  # type: ignore[arg-type]
        dtype=read_anatomy(base.path).dtype if settings.every_weight else None,
    )
    problem_type = settings.problem_type if settings.task == "seq_cls" else None
    parent = None if settings.adapter is None else adapter_digest(Path(settings.adapter))
    return make_record(plan, corpus, kept, settings.task, problem_type, settings.objective.per, finished, parent)


def make_record(
    plan: Plan,
    corpus: Corpus,
    base: BaseRecord,
    task: TaskName,
    problem_type: ProblemType | None,
    per: str,
    finished: Finished,
    parent: str | None,
) -> AdapterRecord:
    """`per`: what the loss of `finished` is a mean over."""
    request, progress, machine = corpus.request, finished.progress, read_machine()
    held_out_file = request.held_out if isinstance(request.held_out, str) else None
    domain = None if plan["domain"] is None else str(plan["domain"])
    return AdapterRecord(
        name=domain or Path(request.train).stem,
        domain=domain,
        method=str(plan["method"]),
        objective=str(plan["objective"]),  # type: ignore[arg-type]
        base=base,
        task=TaskRecord(
            kind="labels" if corpus.labels else "open",
            task=task,
            problem_type=problem_type,
            scorer=str(plan["scorer"]),
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
            f"held_out_bits_per_{per}": None if progress.best_loss is None else progress.best_loss / LN2,
            **finished.metrics,
            "best_step": progress.best_step,
            "steps": progress.step,
            "seconds": round(progress.seconds + progress.evaluation_seconds, 1),
        },
        versions=machine.versions,
        machine=json.loads(json.dumps({**asdict(machine), "versions": None})),
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        parent=parent,
    )


@torch.no_grad()
def _require_same_losses(
    trained: Trainable, again: Trainable, folder: Path, corpus: Corpus, settings: Settings
) -> None:
    """RunError unless `again`, the adapter in `folder` on the untouched base, gives the losses of the model it is
    from."""
    rows = (looked_at(corpus) or corpus.train_rendered)[:COMPARED_ROWS]
    expected, got = (
        torch.tensor([settings.objective.mean_loss(model.eval(), [row], 1, nothing) for row in rows])
        for model in (trained, again)
    )
    # Of rows that are learnt, whose loss is next to nothing, rounding is a large part; a wrong adapter is off by nats.
    difference = float((got - expected).norm() / max(float(expected.norm()), NAT * len(rows) ** 0.5))
    if not difference <= TOLERANCE[settings.dtype]:
        raise RunError(
            f"{folder}: on the untouched base its losses differ by {difference:.1%} from the trained model's"
        )


def _settle_config(file: Path, made: PeftConfig) -> None:
    """PEFT writes its target sets in an order of the moment; sorted, one seed gives one file. Patterns it sorts, though
    the first that matches counts; they go back into the order in which they were trained."""
    config = read_json(file)
    for key in ("target_modules", "target_parameters"):
        if config.get(key):
            config[key] = sorted(config[key])
    if config.get("modules_to_save"):
        config["modules_to_save"] = sorted(set(config["modules_to_save"]))  # PEFT names a head again when it loads it
    for key in ("rank_pattern", "alpha_pattern"):
        trained, written = getattr(made, key, None) or {}, config.get(key) or {}
        if trained and trained.keys() == written.keys():  # AdaLoRA's are made from what was left of each layer
            config[key] = {pattern: written[pattern] for pattern in trained}
    write_json(file, config)
