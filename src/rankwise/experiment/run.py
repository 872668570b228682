"""The runs of an experiment, one after the other in this process, each finished one kept and never done again.

What matters most comes first, so that a budget that ends too early leaves whole columns: one seed of every cell at the
shared rate, the other seeds, the probes, and last the best rate of each cell.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from rankwise.errors import RankwiseError
from rankwise.evaluate.judge import Judge
from rankwise.evaluate.task import Task
from rankwise.events import Event, EventLog, Observer, ignore
from rankwise.experiment.cells import Cell
from rankwise.experiment.design import Bench, Design, Run, rates
from rankwise.experiment.results import Result, Results
from rankwise.experiment.rows import LabRows
from rankwise.facts import identify_base
from rankwise.model.adalora import Allocator
from rankwise.model.attach import Biases, detach, own_biases
from rankwise.plan import Plan
from rankwise.plan.quantization import CHANGE_BASE
from rankwise.signals import stop_on_signals
from rankwise.train.kept import looked_at
from rankwise.train.loop import train
from rankwise.train.opened import attach_adapter, load_model
from rankwise.train.run import peak_memory_bytes, reset_peak_memory
from rankwise.train.settings import BaseFolder, Settings, read_plan
from rankwise.train.state import Progress

if TYPE_CHECKING:
    from peft import PeftModel
    from transformers import PreTrainedModel


WORK = "work"
"""Folder of the run that is going on: its events and its one checkpoint."""


class Laboratory:
    """Runs what a design says."""

    def __init__(
        self, bench: Bench, design: Design, rows: LabRows, results: Results, budget: float | None, observer: Observer
    ) -> None:
        self.bench, self.design, self.rows, self.results = bench, design, rows, results
        self.budget, self.observer = budget, observer
        prepared = bench.prepared
        self._base = LoadedBase(BaseFolder(prepared.located.name, prepared.path, identify_base(prepared.path)))

    def run(self) -> tuple[Run, ...]:
        """Every run of the design that is not done yet, and once more what failed in an earlier call; returns those for
        which the budget had no time left.

        Raises Interrupted after a signal; what is finished is kept.
        """
        tried = set[str]()
        left_out = list[Run]()
        for run in self._runs():
            known = self.results.found.get(run.key)
            if run.key in tried or (known is not None and known.failed is None):
                continue
            tried.add(run.key)
            expected = self._expected(run)
            if self._is_too_late(expected):
                left_out.append(run)
                continue
            self.results.add(self._one(run, expected))
        return tuple(left_out)

    def _runs(self) -> Iterator[Run]:
        """In the order of what they are worth; the last ones depend on what the probes found."""
        design, size, first = self.design, self.design.size, self.bench.seed
        seeds = range(first, first + size.seeds)
        for seed in seeds:
            for cell in design.cells:
                yield Run(cell.name, design.learning_rate if cell.tuned else None, seed, size.share)
        tuned = [cell for cell in design.cells if cell.tuned]
        for cell in tuned:
            yield from (Run(cell.name, rate, first, size.share * size.probe) for rate in rates(design.learning_rate))
        for seed in seeds:
            for cell in tuned:
                best = best_rate(cell, design, self.results, first)
                if best is not None:
                    yield Run(cell.name, best, seed, size.share)

    def _expected(self, run: Run) -> float | None:
        if self.bench.measured is None:
            return None
        return self.bench.seconds(self._plan(run), self.rows, scored=run.share == self.design.size.share)

    def _is_too_late(self, expected: float | None) -> bool:
        if self.budget is None or expected is None:
            return False
        return self.results.seconds + expected * self._slower() > self.budget

    def _slower(self) -> float:
        """Times as long as expected that runs have taken so far."""
        done = [result for result in self.results.found.values() if result.expected_seconds and not result.failed]
        expected = sum(result.expected_seconds or 0.0 for result in done)
        return sum(result.seconds for result in done) / expected if expected else 1.0

    def _plan(self, run: Run) -> Plan:
        cell = next(cell for cell in self.design.cells if cell.name == run.cell)
        return self.bench.plan(cell, run, self.rows)

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
            progress = self._train(model, settings, folder)
            result = replace(
                result,
                loss=progress.best_loss,
                steps=progress.step,
                rows_per_second=progress.rows / (progress.seconds or 1e-9),
                peak_memory_bytes=peak_memory_bytes(settings.device) if own_peak else None,
            )
            return self._scored(model, settings, result) if run.share == self.design.size.share else result

    def _train(self, model: PeftModel, settings: Settings, folder: Path) -> Progress:
        """To the end, the best weights then in the model; Interrupted after a signal."""
        corpus, log = self.rows.prepared.corpus, EventLog(folder / "events.jsonl", self._steps_alone)
        try:
            with stop_on_signals() as stop:
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
                    allocator=None if settings.schedule is None else Allocator(model, settings.schedule),
                )
                stop.check()  # also for one that came after the last step
        finally:
            log.close()
        return finished.progress

    def _scored(self, model: PeftModel, settings: Settings, result: Result) -> Result:
        prepared = self.bench.prepared
        task = task_of(settings.scorer, self.bench)
        judge = Judge(model, prepared.renderer, prepared.anatomy.max_length, task, ignore)
        judged = judge.adapter(self.rows.scored)
        bits = judged.scores["bits_per_row" if task.classifies else "bits_per_token"]
        answers = tuple((answer.text, answer.truncated, answer.error) for answer in judged.answers)
        return replace(result, bits=bits, answers=answers)

    def _steps_alone(self, event: Event) -> None:
        """Of a run's events the one that moves its bar."""
        if event["event"] == "step":
            self.observer(event)


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
    return Task(corpus.labels, corpus.request.assistant_turns, scorer, bench.prepared.anatomy.kind == "encoder")


class LoadedBase:
    """One base in memory, on which adapters come and go; loaded anew where the next one needs it kept otherwise."""

    def __init__(self, base: BaseFolder) -> None:
        self._base = base
        self._model: PreTrainedModel | None = None
        self._kept: tuple[str, str, bool] | None = None
        """dtype, quantisation and checkpointing of what is loaded."""
        self._biases: Biases = {}

    @contextmanager
    def adapted(self, settings: Settings, plan: Plan) -> Iterator[PeftModel]:
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
                self._model = detach(adapted, self._biases)


def _leaves_base_alone(settings: Settings) -> bool:
    """Not so a head that is trained whole, ranks that are pruned, wrappers around fused experts, and starts that write
    into the base's weights."""
    start = settings.lora.init_lora_weights in CHANGE_BASE
    plain = settings.schedule is None and not settings.lora.target_parameters and not start
    return settings.task == "causal_lm" and plain


@contextmanager
def _emptied(folder: Path) -> Iterator[Path]:
    """A folder for the block; of one that a killed process left, and of this one at the end, nothing stays."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
