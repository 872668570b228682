"""An ablation before it begins: which runs, of which plans, on how many rows, so that all fits into a budget."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from rankwise.experiment.bench import Bench, Counted, Run, Size, given_up
from rankwise.experiment.cells import Cell, Group, choose_cells
from rankwise.experiment.rows import draw_rows
from rankwise.plan import Plan
from rankwise.plan.advise import weigh

DEFAULT_SEEDS = 3
PROBE = (1 / 3, 1.0, 3.0)
"""Times the shared learning rate."""


@dataclass(frozen=True)
class Design:
    cells: tuple[Cell, ...]
    absent: Mapping[str, str]
    """Cells that are not run -> why."""
    learning_rate: float
    """The shared one; that of the first cell."""
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
    grids: Mapping[str, tuple[float, ...]] = field(default_factory=dict)
    """Of cells whose rates are their own: those to begin with, in rising order."""
    trials: int = 0
    """Of a search."""

    def cell(self, name: str) -> Cell:
        return next(cell for cell in self.cells if cell.name == name)

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
    grids = {name: tuple(grid) for name, grid in told["grids"].items()}
    return Design(**{**told, **lists, "cells": cells, "grids": grids, "size": Size(**told["size"])})


def design(bench: Bench, groups: Sequence[Group], seeds: int, rows: int | None, budget: float | None) -> Design:
    """The largest experiment that fits into `budget` seconds; None: no limit, all rows and steps.

    Raises PlanError where even the smallest takes longer, or where a budget is given and no speed is known.
    """
    situation = weigh(bench.asked, bench.prepared, bench.machine, bench.measured).situation
    found = choose_cells(groups, situation, bench.asked.recipe.doctrine)
    rate = bench.share_training(found.cells[0])
    wanted = wanted_size(bench, seeds, rows)
    drawn = draw_rows(bench.prepared, wanted.rows, wanted.held_out, bench.seed)
    cells, absent = bench.possible(found.cells, lambda cell: _whole_run(cell, rate, bench.seed, wanted), drawn)
    size, seconds = bench.fit(wanted, budget, lambda size: _counted(bench, cells, rate, size))
    drawn = draw_rows(bench.prepared, size.rows, size.held_out, bench.seed)
    plans = [bench.plan(cell, _whole_run(cell, rate, bench.seed, size), drawn) for cell in cells]
    return Design(
        cells=cells,
        absent={**found.absent, **absent},
        learning_rate=rate,
        size=size,
        gave_up=tuple(given_up(wanted, size)),
        runs=sum(one.count for one in _counted(bench, cells, rate, size)),
        seconds=seconds,
        disk_bytes=disk_needed(plans),
        undecided=undecided(bench, cells, plans),
        notes=tuple(_notes(bench, cells, plans)),
    )


def wanted_size(bench: Bench, seeds: int, rows: int | None) -> Size:
    """All that there is, of at most so many training rows."""
    corpus = bench.prepared.corpus
    return Size(min(rows or len(corpus.train), len(corpus.train)), len(corpus.held_out), 1.0, seeds, 1.0)


def disk_needed(plans: Sequence[Plan]) -> int:
    """Bytes of the largest checkpoint, while another is written."""
    return 2 * max(plan.on_disk().checkpoint for plan in plans)


def rates(shared: float) -> list[float]:
    """Those of a probe, in rising order."""
    return [float(f"{shared * times:.6g}") for times in PROBE]


def _whole_run(cell: Cell, rate: float, seed: int, size: Size) -> Run:
    return Run(cell.name, rate if cell.tuned else None, seed, size.share)


def _counts(cell: Cell, size: Size) -> tuple[int, int]:
    """Runs whose model is scored, and shorter ones that only probe a rate; at most."""
    if not cell.tuned:
        return size.seeds, 0
    if size.probe == 1:
        return size.seeds + (len(PROBE) - 1) + (size.seeds - 1), 0
    return 2 * size.seeds, len(PROBE)


def _counted(bench: Bench, cells: Sequence[Cell], rate: float, size: Size) -> list[Counted]:
    counted = []
    for cell in cells:
        run, (scored, probes) = _whole_run(cell, rate, bench.seed, size), _counts(cell, size)
        counted.append(Counted(cell, run, scored, scored=True))
        counted.append(Counted(cell, replace(run, share=size.share * size.probe), probes, scored=False))
    return counted


def _notes(bench: Bench, cells: Sequence[Cell], plans: Sequence[Plan]) -> Iterator[str]:
    varied = {override.partition("=")[0] for cell in cells if cell.tuned for override in cell.overrides}
    varied |= {"training.early_stopping_patience"} if varied else set()
    unused = sorted(varied & bench.asked.given)
    if unused:
        yield f"Of the recipe, {', '.join(unused)} is not used: each cell brings its own, and all take as many steps"
    if names := undecided(bench, cells, plans):
        yield (
            f"{', '.join(names)}: undecided on this base, whose weights were once rounded to 4 bits (Q4_1) already, so "
            "a second rounding loses less than it would elsewhere"
        )


def undecided(bench: Bench, cells: Sequence[Cell], plans: Sequence[Plan]) -> tuple[str, ...]:
    """Cells on a second rounding of weights that were rounded once already."""
    located = bench.prepared.located
    if located.kind != "embedded" or located.name != "smollm2-135m":
        return ()
    return tuple(cell.name for cell, plan in zip(cells, plans, strict=True) if plan["quantization"] != "none")
