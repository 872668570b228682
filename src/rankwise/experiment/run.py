"""The runs of an experiment, one after the other in this process, each finished one kept and never done again."""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, cast

from rankwise.data.render import Rendered
from rankwise.errors import RankwiseError
from rankwise.evaluate.judge import BATCH_ROWS, Judge
from rankwise.evaluate.task import Task
from rankwise.events import Event, EventLog, ignore
from rankwise.experiment.bench import Bench, Run
from rankwise.experiment.cells import Cell
from rankwise.experiment.design import Design, rates
from rankwise.experiment.results import Losses, Result, Results
from rankwise.experiment.session import Session
from rankwise.facts import identify_base
from rankwise.model.attach import Biases, detach, own_biases
from rankwise.model.loss import nothing, row_losses
from rankwise.plan import Plan
from rankwise.signals import stop_on_signals
from rankwise.train.kept import looked_at
from rankwise.train.loop import LN2, train
from rankwise.train.opened import Trainable, attach_adapter, load_model, make_allocator
from rankwise.train.run import peak_memory_bytes, reset_peak_memory
from rankwise.train.settings import BaseFolder, Settings, read_plan
from rankwise.train.state import Progress
from rankwise.train.tracking import tracked

if TYPE_CHECKING:
    from peft import PeftModel
    from transformers import PreTrainedModel


WORK = "work"
"""Folder of the run that is going on: its events and its one checkpoint."""


class Laboratory:
    """Runs what a design says."""

    def __init__(self, at_work: Session) -> None:
        self.bench, self.design, self.rows = at_work.bench, at_work.design, at_work.rows
        self.results, self.budget, self.observer = at_work.results, at_work.budget, at_work.observer
        self.foreign = at_work.foreign
        prepared = self.bench.prepared
        self._base = LoadedBase(BaseFolder(prepared.located.name, prepared.path, identify_base(prepared.path)))

    def do(self, runs: Iterable[Run], reserved: float = 0.0) -> tuple[Run, ...]:
        """Every run that is not done yet, and once more what failed in an earlier call; returns those for which the
        budget had no time left. What matters most comes first: a budget may end too early, and of it `reserved` seconds
        are for what comes after these runs.

        `runs` may follow from the results so far. Raises Interrupted after a signal; what is finished is kept.
        """
        tried = set[str]()
        left_out = list[Run]()
        for run in runs:
            known = self.results.found.get(run.key)
            if run.key in tried or (known is not None and known.failed is None):
                continue
            tried.add(run.key)
            expected = self._expected(run)
            if self._is_too_late(expected, reserved):
                left_out.append(run)
                continue
            self.results.add(self._one(run, expected))
        return tuple(left_out)

    def _expected(self, run: Run) -> float | None:
        if self.bench.measured is None:
            return None
        return self.bench.seconds(self._plan(run), self.rows, scored=run.share == self.design.size.share)

    def _is_too_late(self, expected: float | None, reserved: float) -> bool:
        if self.budget is None or expected is None:
            return False
        return self.results.seconds + (expected + reserved) * self._slower() > self.budget

    def _slower(self) -> float:
        """Times as long as expected that runs have taken so far."""
        done = [result for result in self.results.found.values() if result.expected_seconds and not result.failed]
        expected = sum(result.expected_seconds or 0.0 for result in done)
        return sum(result.seconds for result in done) / expected if expected else 1.0

    def _plan(self, run: Run) -> Plan:
        return self.bench.plan(self.design.cell(run.cell), run, self.rows)

    def _one(self, run: Run, expected: float | None) -> Result:
        plan, began = self._plan(run), time.perf_counter()
        told = {"done": len(self.results.found), "of": self.design.runs, "cell": run.key, "time": time.time()}
        self.observer({"event": "experiment", **told})
        rate = plan["training.learning_rate"]
        assert isinstance(rate, int | float)
        nothing = Result(run, rate, None, 0, 0.0, None, plan.trainable_parameters, 0.0, expected, None, None, None)
        try:
            done = self._trained(run, plan, nothing)
        except RankwiseError as fault:
            done = replace(nothing, failed=str(fault))
        return replace(done, seconds=time.perf_counter() - began)

    def _trained(self, run: Run, plan: Plan, result: Result) -> Result:
        settings = read_plan(plan, self.rows.prepared.corpus)
        own_peak = reset_peak_memory(settings.device)
        with self._base.adapted(settings, plan) as model, _emptied(self.results.folder / WORK) as folder:
            if run.share == 0:
                model.eval()
                return self._scored(model, settings, result)
            looks = list[tuple[int, float]]()
            progress = self._train(model, settings, plan, run.key, folder, looks)
            result = replace(
                result,
                loss=progress.best_loss,
                steps=progress.step,
                rows_per_second=progress.rows / (progress.seconds or 1e-9),
                peak_memory_bytes=peak_memory_bytes(settings.device) if own_peak else None,
                looks=tuple(looks),
            )
            return self._scored(model, settings, result) if run.share == self.design.size.share else result

    def _train(
        self, model: Trainable, settings: Settings, plan: Plan, name: str, folder: Path, looks: list[tuple[int, float]]
    ) -> Progress:
        """To the end, the best weights then in the model; `looks` gets each held-out evaluation. Interrupted after a
        signal."""

        def seen(event: Event) -> None:
            if event["event"] in ("step", "tracking_failed"):  # of a run's events what is shown
                self.observer(event)
            elif event["event"] == "held_out":
                looks.append((event["step"], event["loss"]))

        corpus = self.rows.prepared.corpus
        sent = tracked(settings.tracking, self.results.folder, name, plan.values(), seen)
        with sent as told, closing(EventLog(folder / "events.jsonl", told)) as log, stop_on_signals() as stop:
            finished = train(
                model,
                corpus.train_rendered,
                looked_at(corpus),
                replace(settings.loop, save_steps=settings.loop.num_steps),  # none of its checkpoints is kept
                settings.optim,
                log,
                folder / "checkpoints",
                None,
                stop,
                places=[row.where for row in corpus.train],
                objective=settings.objective,
                allocator=make_allocator(model, settings),
            )
            stop.check()  # also for one that came after the last step
        return finished.progress

    def _scored(self, model: Trainable, settings: Settings, result: Result) -> Result:
        prepared = self.bench.prepared
        losses = losses_of_rows(model, self.rows.scored_rendered, settings)
        result = replace(result, losses=losses, bits=sum(nats for nats, _ in losses) / LN2 / sum(n for _, n in losses))
        if self.foreign:
            result = replace(result, foreign=losses_of_rows(model, self.foreign, settings))
        if not self.bench.answers:
            return result
        task = task_of(settings.scorer, self.bench)
        judge = Judge(model, prepared.renderer, prepared.anatomy.max_length, task, ignore)
        judged = judge.adapter(self.rows.scored)
        answers = tuple((answer.text, answer.truncated, answer.error) for answer in judged.answers)
        return replace(result, answers=answers)


def losses_of_rows(model: Trainable, rows: Sequence[Rendered], settings: Settings) -> Losses:
    """Of each row whose label the head knows, and of every row of a base that writes."""
    if settings.task == "causal_lm":
        return tuple(row_losses(model, rows, BATCH_ROWS, settings.loop.shared_prefix))
    mean_loss, known = settings.objective.mean_loss, [row for row in rows if row.told_by(settings.labels)]
    counts = [1 if settings.task == "seq_cls" else row.num_supervised for row in known]
    return tuple((mean_loss(model, [row], 1, nothing) * count, count) for row, count in zip(known, counts, strict=True))


def best_rate(cell: Cell, design: Design, results: Results, seed: int) -> float | None:
    """The probed rate with the least loss on the half by which is chosen; None until all are probed."""
    share = design.size.share * design.size.probe
    found = [results.found.get(Run(cell.name, rate, seed, share).key) for rate in rates(design.learning_rate)]
    if any(result is None for result in found):
        return None
    losses = [(result.loss, result.run.learning_rate) for result in found if result and result.loss is not None]
    return min(losses)[1] if losses else None


def task_of(scorer: str, bench: Bench) -> Task:
    corpus = bench.prepared.corpus
    encoder, lists = bench.prepared.anatomy.kind == "encoder", corpus.shape == "label_lists"
    return Task(corpus.labels, corpus.request.assistant_turns, scorer, encoder, lists)


class LoadedBase:
    """One base in memory, on which adapters come and go; loaded anew where the next one needs it kept otherwise."""

    def __init__(self, base: BaseFolder) -> None:
        self._base = base
        self._model: PreTrainedModel | None = None
        self._kept: tuple[str, str, bool] | None = None
        """dtype, quantisation and checkpointing of what is loaded."""
        self._biases: Biases = {}

    @contextmanager
    def adapted(self, settings: Settings, plan: Plan) -> Iterator[Trainable]:
        """The base under a fresh adapter for the block; its seed is set before the adapter is drawn."""
        wanted = (settings.dtype, settings.quantization, settings.gradient_checkpointing)
        if self._kept != wanted or self._model is None:
            self._model = None  # before the next one is loaded, so that there is never room for two
            self._model = load_model(settings, self._base)
            self._biases, self._kept = own_biases(self._model), wanted
        model, self._model = self._model, None
        adapted = attach_adapter(model, settings, plan, self._base.name)
        try:
            yield adapted
        finally:
            if _leaves_base_alone(settings):
                self._model = detach(cast("PeftModel", adapted), self._biases)


def _leaves_base_alone(settings: Settings) -> bool:
    """Not so a head that is trained whole, ranks that are pruned, wrappers around fused experts, and starts that write
    into the base's weights; nor what is no LoRA, which PEFT takes off otherwise."""
    lora = settings.lora
    plain = lora is not None and not lora.target_parameters and settings.schedule is None
    return settings.task == "causal_lm" and plain and not settings.changes_base


@contextmanager
def _emptied(folder: Path) -> Iterator[Path]:
    """A folder for the block; of one that a killed process left, and of this one at the end, nothing stays."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
