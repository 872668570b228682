"""An experiment before it begins: which runs, of which plans, on how many rows, so that all fits into a budget."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from math import ceil
from typing import Any

from rankwise.errors import PlanError, Problem, RankwiseError
from rankwise.experiment.cells import Cell, Group, choose_cells, overrides_of
from rankwise.experiment.rows import LabRows, draw_rows
from rankwise.facts import Machine, Measurement
from rankwise.plan import Plan, Prepared, advise, problems_of
from rankwise.plan.advise import weigh
from rankwise.plan.memory import run_disk_bytes
from rankwise.recipe import Asked, with_overrides

DEFAULT_SEEDS = 3
PROBE = (1 / 3, 1.0, 3.0)
"""Times the shared learning rate."""
LEAST_ROWS, LEAST_HELD_OUT = 200, 100
"""Fewer are not drawn to save time: a score of 50 rows is uncertain by 7 points and more."""
GENERATED = 8.0
"""Times as long as a token that is read takes one that is written, in batches. A custom, not a measurement."""

_EQUAL = (
    "training.per_device_train_batch_size",
    "training.gradient_accumulation_steps",
    "training.num_train_epochs",
    "training.weight_decay",
    "training.optim",
    "training.adam_beta1",
    "training.adam_beta2",
    "training.adam_epsilon",
    "training.lr_scheduler_type",
    "training.warmup_ratio",
    "training.max_grad_norm",
    "training.bf16",
)
"""What a doctrine might set by a cell's rank or layers; tuned cells all have it as the first cell's plan does."""


@dataclass(frozen=True)
class Run:
    """One training of one cell."""

    cell: str
    learning_rate: float | None
    """None: of the cell's own plan."""
    seed: int
    share: float
    """Of the plan's steps; under 1 only a probe of a rate, whose model is not scored."""

    @property
    def key(self) -> str:
        rate = "own" if self.learning_rate is None else f"{self.learning_rate:.6g}"
        return f"{self.cell} | {rate} | seed {self.seed} | {self.share:g}"


@dataclass(frozen=True)
class Size:
    """How much of everything."""

    rows: int
    held_out: int
    """Both halves."""
    share: float
    """Of the steps that the plans would take."""
    seeds: int
    probe: float
    """Part of those steps after which a probed rate is judged; 1: all, so that the run at the best rate is done."""


@dataclass(frozen=True)
class Design:
    cells: tuple[Cell, ...]
    absent: Mapping[str, str]
    """Cells that are not run -> why."""
    learning_rate: float
    """The shared one."""
    size: Size
    gave_up: tuple[str, ...]
    """What the budget left no room for."""
    runs: int
    """At most: a cell whose best rate is the shared one needs fewer."""
    seconds: float | None
    """Of all runs; None: this machine's speed on the base was not measured."""
    disk_bytes: int
    undecided: tuple[str, ...]
    """Cells of which this base can decide nothing, whatever is measured; `notes` say why."""
    notes: tuple[str, ...]

    def first_run(self, seed: int) -> Run:
        """Of the first cell, at the shared rate or its own."""
        return _whole_run(self.cells[0], self.learning_rate, seed, self.size)

    def as_json(self) -> dict[str, Any]:
        told: dict[str, Any] = json.loads(json.dumps(asdict(self)))
        return told


def read_design(told: Mapping[str, Any]) -> Design:
    """What `as_json` wrote."""
    cells = tuple(Cell(**{**cell, "overrides": tuple(cell["overrides"])}) for cell in told["cells"])
    lists = {key: tuple(told[key]) for key in ("gave_up", "undecided", "notes")}
    return Design(**{**told, **lists, "cells": cells, "size": Size(**told["size"])})


class Bench:
    """The recipe with its facts, from which every run's plan is made."""

    def __init__(self, asked: Asked, prepared: Prepared, machine: Machine, measured: Measurement | None) -> None:
        self.asked, self.prepared, self.machine, self.measured = asked, prepared, machine, measured
        self.seed = asked.recipe.training.seed
        self._equal: tuple[str, ...] = ()

    def share_training(self, first: Cell) -> float:
        """Let all tuned cells be trained as the plan of `first` is; returns its learning rate, the shared one."""
        made = advise(with_overrides(self.asked, first.overrides), self.prepared, self.machine, self.measured)
        rate = made["training.learning_rate"]
        assert isinstance(rate, int | float)
        self._equal = overrides_of({**{key: made[key] for key in _EQUAL}, "training.early_stopping_patience": None})
        return float(f"{rate:.6g}")

    def plan(self, cell: Cell, run: Run, rows: LabRows) -> Plan:
        """Raises RecipeError or PlanError where the cell cannot be planned on this base."""
        asked = [*cell.overrides, *(self._equal if cell.tuned else ()), f"training.seed={run.seed}"]
        if run.learning_rate is not None:
            asked.append(f"training.learning_rate={run.learning_rate:.6g}")
        made = self._advise(asked, rows.prepared)
        if run.share == 1:
            return made
        steps = made["training.max_steps"]
        assert isinstance(steps, int)
        return self._advise([*asked, f"training.max_steps={max(1, ceil(run.share * steps))}"], rows.prepared)

    def seconds(self, plan: Plan, rows: LabRows, scored: bool) -> float:
        """Of a run, its model scored or not. Only where the machine's speed is measured."""
        assert self.measured is not None and plan.seconds is not None
        return plan.seconds + (self._scoring_seconds(plan, rows) if scored else 0.0)

    def _scoring_seconds(self, plan: Plan, rows: LabRows) -> float:
        assert self.measured is not None
        labels, shown = len(self.prepared.corpus.labels), rows.scored_rendered
        answers = sum(row.num_supervised for row in shown)
        tokens = float(sum(len(row.ids) for row in shown))
        tokens += labels * max(0, answers - len(shown)) if labels else GENERATED * answers
        dtype = "bfloat16" if plan["training.bf16"] else "float32"
        return tokens / self.measured.forward_tokens_per_second[dtype]

    def _advise(self, overrides: Sequence[str], prepared: Prepared) -> Plan:
        return advise(with_overrides(self.asked, overrides), prepared, self.machine, self.measured)


def design(bench: Bench, groups: Sequence[Group], seeds: int, rows: int | None, budget: float | None) -> Design:
    """The largest experiment that fits into `budget` seconds; None: no limit, all rows and steps.

    Fewer rows come first, then fewer steps, fewer seeds, and last rates that are probed on a part of the steps.
    Raises PlanError where even the smallest takes longer, or where a budget is given and no speed is known.
    """
    situation = weigh(bench.asked, bench.prepared, bench.machine, bench.measured).situation
    found = choose_cells(groups, situation, bench.asked.recipe.doctrine)
    rate = bench.share_training(found.cells[0])
    corpus = bench.prepared.corpus
    wanted = Size(min(rows or len(corpus.train), len(corpus.train)), len(corpus.held_out), 1.0, seeds, 1.0)
    drawn = draw_rows(bench.prepared, wanted.rows, wanted.held_out, bench.seed)
    cells, absent = _possible(bench, found.cells, rate, drawn)
    absent = {**found.absent, **absent}
    if budget is not None and bench.measured is None:
        message = (
            "this machine's speed on this base is not measured, so nothing can be made to fit a budget; give --full, "
            "with --rows and --seeds if all would take too long"
        )
        raise PlanError(problems=[Problem("error", "speed-not-measured", "--budget", message)])
    size = wanted
    seconds: float | None = None
    if bench.measured is not None:
        for size in _sizes(wanted) if budget is not None else [wanted]:
            seconds = _total_seconds(bench, cells, rate, size)
            if budget is None or seconds <= budget:
                break
        else:
            assert budget is not None and seconds is not None
            raise _too_small(budget, seconds, size)
    drawn = draw_rows(bench.prepared, size.rows, size.held_out, bench.seed)
    plans = [bench.plan(cell, _whole_run(cell, rate, bench.seed, size), drawn) for cell in cells]
    return Design(
        cells=cells,
        absent=absent,
        learning_rate=rate,
        size=size,
        gave_up=tuple(_given_up(wanted, size)),
        runs=sum(sum(_counts(cell, size)) for cell in cells),
        seconds=seconds,
        disk_bytes=2 * max(run_disk_bytes(plan.trainable_parameters).checkpoint for plan in plans),
        undecided=_undecided(bench, cells, plans),
        notes=tuple(_notes(bench, cells, plans)),
    )


def rates(shared: float) -> list[float]:
    """Those of a probe, in rising order."""
    return [float(f"{shared * times:.6g}") for times in PROBE]


def _whole_run(cell: Cell, rate: float, seed: int, size: Size) -> Run:
    return Run(cell.name, rate if cell.tuned else None, seed, size.share)


def _possible(
    bench: Bench, cells: Sequence[Cell], rate: float, rows: LabRows
) -> tuple[tuple[Cell, ...], dict[str, str]]:
    """The cells that can be planned and that differ from all before them, and why the others are not run.

    Raises what planning the first raises: the others are held against it.
    """
    possible: list[Cell] = []
    absent: dict[str, str] = {}
    seen: list[tuple[str, Plan]] = []
    for cell in cells:
        try:
            made = bench.plan(cell, Run(cell.name, rate if cell.tuned else None, bench.seed, 1.0), rows)
        except RankwiseError as fault:
            if not possible:
                raise
            absent[cell.name] = "; ".join(p.message for p in problems_of(fault) if p.severity == "error")
            continue
        same = next((name for name, other in seen if _trains_alike(made, other)), None)
        if same is None:
            possible.append(cell)
            seen.append((cell.name, made))
        else:
            absent[cell.name] = f"on this base it trains just what {same} trains"
    return tuple(possible), absent


def _trains_alike(one: Plan, other: Plan) -> bool:
    """Biases of a base that has none, and the name of a doctrine, change nothing."""
    values = [{k: v for k, v in plan.values().items() if k not in ("lora.bias", "doctrine")} for plan in (one, other)]
    return values[0] == values[1] and one.trainable_parameters == other.trainable_parameters


def _counts(cell: Cell, size: Size) -> tuple[int, int]:
    """Runs whose model is scored, and shorter ones that only probe a rate; at most."""
    if not cell.tuned:
        return size.seeds, 0
    if size.probe == 1:
        return size.seeds + (len(PROBE) - 1) + (size.seeds - 1), 0
    return 2 * size.seeds, len(PROBE)


def _total_seconds(bench: Bench, cells: Sequence[Cell], rate: float, size: Size) -> float:
    rows = draw_rows(bench.prepared, size.rows, size.held_out, bench.seed)
    total = 0.0
    for cell in cells:
        run = _whole_run(cell, rate, bench.seed, size)
        scored, probes = _counts(cell, size)
        total += scored * bench.seconds(bench.plan(cell, run, rows), rows, scored=True)
        if probes:
            probe = bench.plan(cell, replace(run, share=size.share * size.probe), rows)
            total += probes * bench.seconds(probe, rows, scored=False)
    return total


def _sizes(wanted: Size) -> Iterator[Size]:
    """From all that is wanted down: rows, then steps, then seeds, then the length of a probe."""
    size = wanted
    yield size
    while size.rows > LEAST_ROWS or size.held_out > LEAST_HELD_OUT:
        rows, held_out = (
            min(count, max(least, int(0.8 * count)))
            for count, least in ((size.rows, LEAST_ROWS), (size.held_out, LEAST_HELD_OUT))
        )
        size = replace(size, rows=rows, held_out=held_out)
        yield size
    for share in (0.75, 0.5, 0.35, 0.25):
        size = replace(size, share=share)
        yield size
    for seeds in range(wanted.seeds - 1, 0, -1):
        size = replace(size, seeds=seeds)
        yield size
    for probe in (0.5, 0.25):
        size = replace(size, probe=probe)
        yield size


def _given_up(wanted: Size, size: Size) -> Iterator[str]:
    if size.rows < wanted.rows:
        yield f"rows: {size.rows} of {wanted.rows} training rows"
    if size.held_out < wanted.held_out:
        yield f"rows: {size.held_out} of {wanted.held_out} held-out rows"
    if size.share < wanted.share:
        yield f"steps: {size.share:.0%} of those planned"
    if size.seeds < wanted.seeds:
        yield f"seeds: {size.seeds} of {wanted.seeds}"
    if size.probe < wanted.probe:
        yield f"probes: a learning rate is judged after {size.probe:.0%} of the steps"


def _too_small(budget: float, needed: float, size: Size) -> PlanError:
    message = (
        f"{budget / 60:.1f} minutes, and the smallest form of this experiment takes about {ceil(needed / 60)} (1 seed, "
        f"{size.rows} rows, {size.share:.0%} of the steps); give --budget {ceil(needed / 60)}m, a smaller base, or "
        "fewer groups of cells"
    )
    return PlanError(problems=[Problem("error", "budget-too-small", "--budget", message)])


def _notes(bench: Bench, cells: Sequence[Cell], plans: Sequence[Plan]) -> Iterator[str]:
    varied = {override.partition("=")[0] for cell in cells if cell.tuned for override in cell.overrides}
    varied |= {"training.early_stopping_patience"} if varied else set()
    unused = sorted(varied & bench.asked.given)
    if unused:
        yield f"Of the recipe, {', '.join(unused)} is not used: each cell brings its own, and all take as many steps"
    if names := _undecided(bench, cells, plans):
        yield (
            f"{', '.join(names)}: undecided on this base, whose weights were once rounded to 4 bits (Q4_1) already, so "
            "a second rounding loses less than it would elsewhere"
        )


def _undecided(bench: Bench, cells: Sequence[Cell], plans: Sequence[Plan]) -> tuple[str, ...]:
    located = bench.prepared.located
    if located.kind != "embedded" or located.name != "smollm2-135m":
        return ()
    return tuple(cell.name for cell, plan in zip(cells, plans, strict=True) if plan["quantization"] != "none")
