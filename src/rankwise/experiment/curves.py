"""Loss against learning rate for several ranks and for full fine-tuning: what is run, and on which rates next.

Every rank is trained on a grid of rates around the one that the recipe's doctrine gives for it, as is the whole base.
While the best of a grid is its first or last, one more is tried beyond it. The best and its neighbours get all seeds.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from math import ceil, inf

from rankwise.errors import PlanError
from rankwise.experiment.bench import Bench, Counted, Run, Size, given_up
from rankwise.experiment.cells import Cell, overrides_of
from rankwise.experiment.design import Design, disk_needed, wanted_size
from rankwise.experiment.results import Result, Results
from rankwise.experiment.rows import draw_rows
from rankwise.plan import Plan
from rankwise.recipe.keys import LEAVES

PLAN, FULL = "the plan", "full"
FACTOR = 3.0
"""Between two rates of a grid."""
STEPS = (-2, -1, 0, 1, 2)
"""Of a grid, as powers of FACTOR times the rate that the doctrine gives."""
BEYOND = 2
"""Rates that are tried beyond a grid, at most."""
BATCH_TIMES = 4
LARGE = f", batch x{BATCH_TIMES}"
_FORMS: tuple[tuple[tuple[int, ...], bool], ...] = (
    ((1, 4, 16, 64), True),
    ((1, 4, 16, 64), False),
    ((4, 16), False),
    ((16,), False),
)
"""Ranks, and whether larger batches are tried as well: the first that fits the budget."""


def rank_name(r: int) -> str:
    return f"r={r}"


def design_curves(bench: Bench, seeds: int, rows: int | None, budget: float | None) -> Design:
    """The largest experiment that fits into `budget` seconds: rows, steps, seeds, probes, and last ranks are given up.

    Raises PlanError where even the smallest takes longer, or where a budget is given and no speed is known.
    """
    for number, (ranks, large) in enumerate(_FORMS):
        try:
            made = _design(bench, ranks, large, seeds, rows, budget)
        except PlanError as fault:
            small = fault.problems and fault.problems[0].code == "budget-too-small"
            if not small or number == len(_FORMS) - 1:
                raise
            continue
        lost = [f"ranks: only {', '.join(map(str, ranks))}"] if ranks != _FORMS[0][0] else []
        lost += [] if large else [f"batches {BATCH_TIMES} times as large"]
        return replace(made, gave_up=(*made.gave_up, *lost))
    raise AssertionError("unreachable: the last form raises")


def _design(
    bench: Bench, ranks: Sequence[int], large: bool, seeds: int, rows: int | None, budget: float | None
) -> Design:
    plan_cell = Cell(PLAN, (), tuned=False)
    rate = bench.share_training(plan_cell)
    wanted = wanted_size(bench, seeds, rows)
    drawn = draw_rows(bench.prepared, wanted.rows, wanted.held_out, bench.seed)
    planned = bench.plan(plan_cell, Run(PLAN, None, bench.seed, 1.0), drawn)
    cells = [plan_cell, *(_rank_cell(r, planned) for r in ranks), full_cell(bench)]
    if large:
        cells += [large_cell(cell, bench, planned) for cell in (cells[-3], cells[-2], cells[-1])]
    rates = {cell.name: None if cell is plan_cell else bench.advised_rate(cell) for cell in cells}

    def run_of(cell: Cell) -> Run:
        return Run(cell.name, rates[cell.name], bench.seed, 1.0)

    # A cell differs from the plan by its rate at least, so the plan is held against none of them.
    possible, absent = bench.possible(cells[1:], run_of, drawn)
    cells = [plan_cell, *possible]
    size, seconds = bench.fit(wanted, budget, lambda size: _counted(cells, run_of, size))
    drawn = draw_rows(bench.prepared, size.rows, size.held_out, bench.seed)
    grids = {cell.name: grid(own) for cell in cells if (own := rates[cell.name]) and not cell.name.endswith(LARGE)}
    plans = [bench.plan(cell, replace(run_of(cell), share=size.share), drawn) for cell in cells]
    return Design(
        cells=tuple(cells),
        absent=absent,
        learning_rate=rate,
        size=size,
        gave_up=tuple(given_up(wanted, size)),
        runs=sum(one.count for one in _counted(cells, run_of, size)),
        seconds=seconds,
        disk_bytes=disk_needed(plans),
        undecided=(),
        notes=(),
        grids=grids,
    )


def grid(center: float) -> tuple[float, ...]:
    return tuple(_rounded(center * FACTOR**step) for step in STEPS)


def full_cell(bench: Bench) -> Cell:
    """Every weight trained, whatever the recipe says of adapters."""
    given = [key for key in LEAVES if key.startswith("lora.") and key in bench.asked.given]
    values: dict[str, object] = {key: LEAVES[key].default for key in given}
    values |= {"method": "full", "quantization": "none", "training.bf16": "auto", "training.loraplus_lr_ratio": 1}
    return Cell(FULL, overrides_of(values))


def _rank_cell(r: int, planned: Plan) -> Cell:
    method, kept = planned["method"], planned["quantization"]
    if method not in ("lora", "qlora", "dora"):
        method, kept = "lora", "none"
    values = {
        "method": method,
        "quantization": kept,
        "lora.r": r,
        "lora.rank_pattern": None,
        "lora.alpha_pattern": None,
    }
    return Cell(rank_name(r), overrides_of(values))


def large_cell(cell: Cell, bench: Bench, planned: Plan) -> Cell:
    """The same at larger batches, over as many rows."""
    accumulation, steps = planned["training.gradient_accumulation_steps"], bench.asked.recipe.training.max_steps
    assert isinstance(accumulation, int)
    values: dict[str, object] = {"training.gradient_accumulation_steps": BATCH_TIMES * accumulation}
    if steps is not None:
        values["training.max_steps"] = ceil(steps / BATCH_TIMES)
    return Cell(f"{cell.name}{LARGE}", (*cell.overrides, *overrides_of(values)))


def _counted(cells: Sequence[Cell], run_of: Callable[[Cell], Run], size: Size) -> list[Counted]:
    counted = []
    for cell in cells:
        run = replace(run_of(cell), share=size.share)
        scored, probes = size.seeds, 0
        if cell.name.endswith(LARGE):
            scored = 2 * size.seeds
        elif cell.tuned and size.probe == 1:
            scored = len(STEPS) + BEYOND + 3 * (size.seeds - 1)
        elif cell.tuned:
            scored, probes = 3 * size.seeds, len(STEPS) + BEYOND
        counted.append(Counted(cell, run, scored, scored=True))
        counted.append(Counted(cell, replace(run, share=size.share * size.probe), probes, scored=False))
    return counted


def _rounded(rate: float) -> float:
    return float(f"{rate:.6g}")


class Curves:
    """What was found so far of each cell's rates, and which run comes next."""

    def __init__(self, design: Design, results: Results, first_seed: int) -> None:
        self.design, self._results = design, results
        self.seeds = range(first_seed, first_seed + design.size.seeds)

    def runs(self) -> Iterator[Run]:
        """The plan, the grids, what lies beyond them, all seeds around each best rate, and larger batches."""
        size, cells = self.design.size, self.design.grids
        yield from (Run(PLAN, None, seed, size.share) for seed in self.seeds)
        for name, rates in cells.items():
            yield from (self._probe(name, rate) for rate in rates)
        for name in cells:
            for _ in range(BEYOND):
                rate = self._beyond(name)
                if rate is not None:
                    yield self._probe(name, rate)
        for seed in self.seeds:
            for name in cells:
                yield from (Run(name, rate, seed, size.share) for rate in self.around(name))
        large = [cell.name for cell in self.design.cells if cell.name.endswith(LARGE)]
        for seed in self.seeds:
            for name in large:
                best = self.best(name.removesuffix(LARGE))
                if best is not None:
                    yield from (Run(name, _rounded(best * times), seed, size.share) for times in (1.0, FACTOR))

    def probed(self, name: str) -> dict[float, float]:
        """Rate -> loss on the half by which is chosen, of the first seed; infinite where training came to ruin."""
        share = self.design.size.share * self.design.size.probe
        found = [r for r in self._results.found.values() if (r.run.cell, r.run.seed) == (name, self.seeds[0])]
        told = {r.run.learning_rate: r.loss for r in found if r.run.share == share}
        return {rate: inf if loss is None else loss for rate, loss in sorted(told.items()) if rate is not None}

    def best(self, name: str) -> float | None:
        """Of the probed rates."""
        losses = self.probed(name)
        rate = min(losses, key=losses.__getitem__, default=None)
        return None if rate is None or losses[rate] == inf else rate

    def around(self, name: str) -> list[float]:
        """The best rate and those beside it, in rising order."""
        rates, best = list(self.probed(name)), self.best(name)
        if best is None:
            return []
        place = rates.index(best)
        return rates[max(0, place - 1) : place + 2]

    def at(self, name: str, rate: float | None) -> dict[int, Result]:
        """Seed -> whole run that succeeded."""
        keys = {seed: Run(name, rate, seed, self.design.size.share).key for seed in self.seeds}
        found = {seed: self._results.found.get(key) for seed, key in keys.items()}
        return {seed: result for seed, result in found.items() if result is not None and result.losses is not None}

    def chosen(self, name: str) -> float | None:
        """The rate with the least mean loss on the half by which is chosen, of those that have the most seeds."""
        whole = {rate: self.at(name, rate) for rate in self.rates(name)}
        most = max(map(len, whole.values()), default=0)
        losses = {
            rate: sum(result.loss or 0.0 for result in found.values()) / most
            for rate, found in whole.items()
            if most and len(found) == most
        }
        return min(losses, key=losses.__getitem__, default=None)

    def rates(self, name: str) -> list[float]:
        """All that were tried, in rising order."""
        tried = {r.run.learning_rate for r in self._results.found.values() if r.run.cell == name}
        return sorted(rate for rate in tried if rate is not None)

    def _probe(self, name: str, rate: float) -> Run:
        return Run(name, rate, self.seeds[0], self.design.size.share * self.design.size.probe)

    def _beyond(self, name: str) -> float | None:
        rates, best = list(self.probed(name)), self.best(name)
        if best is None or len(rates) >= len(self.design.grids[name]) + BEYOND:
            return None
        if best == rates[0]:
            return _rounded(best / FACTOR)
        return _rounded(best * FACTOR) if best == rates[-1] else None
