"""The bench of an experiment: the recipe with its facts, from which every run is planned, and how all fits a budget."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from math import ceil

from rankwise.errors import PlanError, Problem, RankwiseError
from rankwise.experiment.cells import Cell, overrides_of
from rankwise.experiment.rows import LabRows, draw_rows
from rankwise.facts import Machine, Measurement
from rankwise.plan import Plan, Prepared, advise, problems_of
from rankwise.recipe import Asked, with_overrides

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
"""What a doctrine might set by a cell's rank or layers; tuned cells all have it as the first cell's plan does, but for
what they vary themselves."""


@dataclass(frozen=True)
class Run:
    """One training of one cell."""

    cell: str
    learning_rate: float | None
    """None: of the cell's own plan."""
    seed: int
    share: float
    """Of the plan's steps; under the design's only a probe, whose model is not scored; 0: scored as it begins."""

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
class Counted:
    """So many runs that cost as much as this one."""

    cell: Cell
    run: Run
    count: int
    scored: bool


class Bench:
    """The recipe with its facts, from which every run's plan is made."""

    def __init__(
        self,
        asked: Asked,
        prepared: Prepared,
        machine: Machine,
        measured: Measurement | None,
        answers: bool = True,
    ) -> None:
        """`answers`: whether a finished model is asked for its answers, beside the loss it has on the given ones."""
        self.asked, self.prepared, self.machine, self.measured = asked, prepared, machine, measured
        self.answers = answers
        self.seed = asked.recipe.training.seed
        self._equal: tuple[str, ...] = ()

    def share_training(self, first: Cell) -> float:
        """Let all tuned cells be trained as the plan of `first` is; returns its learning rate, the shared one."""
        made = self._advise(first.overrides, self.prepared)
        self._equal = overrides_of({**{key: made[key] for key in _EQUAL}, "training.early_stopping_patience": None})
        return rate_of(made)

    def advised_rate(self, cell: Cell) -> float:
        """The learning rate that the recipe's doctrine would give this cell."""
        return rate_of(self._advise([*self._asked(cell), "training.learning_rate=auto"], self.prepared))

    def plan(self, cell: Cell, run: Run, rows: LabRows) -> Plan:
        """Raises RecipeError or PlanError where the cell cannot be planned on this base."""
        asked = [*self._asked(cell), f"training.seed={run.seed}"]
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

    def possible(
        self, cells: Sequence[Cell], run_of: Callable[[Cell], Run], rows: LabRows
    ) -> tuple[tuple[Cell, ...], dict[str, str]]:
        """The cells that can be planned, fit this machine's memory and differ from all before them, and why the others
        are not run.

        Raises what planning the first raises: the others are held against it.
        """
        found: list[Cell] = []
        absent: dict[str, str] = {}
        seen: list[tuple[str, Plan]] = []
        for cell in cells:
            try:
                made = self.plan(cell, run_of(cell), rows)
            except RankwiseError as fault:
                if not found:
                    raise
                absent[cell.name] = "; ".join(p.message for p in problems_of(fault) if p.severity == "error")
                continue
            same = next((name for name, other in seen if _trains_alike(made, other)), None)
            if same is not None:
                absent[cell.name] = f"on this base it trains just what {same} trains"
            elif found and made.memory_bytes > self.machine.training_bytes:
                absent[cell.name] = _no_room(made, self.machine)
            else:
                found.append(cell)
                seen.append((cell.name, made))
        return tuple(found), absent

    def fit(
        self, wanted: Size, budget: float | None, runs_of: Callable[[Size], Sequence[Counted]]
    ) -> tuple[Size, float | None]:
        """The largest size whose runs fit into `budget` seconds, and what they take; None: no limit, or no known speed.

        Fewer rows come first, then fewer steps, fewer seeds, and last probes on a part of the steps. Raises PlanError
        where even the smallest takes longer, or where a budget is given and no speed is known.
        """
        if budget is None:
            return wanted, None if self.measured is None else self._total_seconds(wanted, runs_of(wanted))
        if self.measured is None:
            message = (
                "this machine's speed on this base is not measured, so nothing can be made to fit a budget; give "
                "--full, with --rows and --seeds if all would take too long"
            )
            raise PlanError(problems=[Problem("error", "speed-not-measured", "--budget", message)])
        sizes = list(_sizes(wanted))
        seconds = {len(sizes) - 1: self._total_seconds(sizes[-1], runs_of(sizes[-1]))}
        fits, exceeds = len(sizes) - 1, -1
        if seconds[fits] > budget:
            raise _too_small(budget, seconds[fits], sizes[fits])
        while fits - exceeds > 1:
            middle = (fits + exceeds) // 2
            seconds[middle] = self._total_seconds(sizes[middle], runs_of(sizes[middle]))
            fits, exceeds = (middle, exceeds) if seconds[middle] <= budget else (fits, middle)
        return sizes[fits], seconds[fits]

    def _total_seconds(self, size: Size, runs: Sequence[Counted]) -> float:
        rows = draw_rows(self.prepared, size.rows, size.held_out, self.seed)
        return sum(
            one.count * self.seconds(self.plan(one.cell, one.run, rows), rows, one.scored) for one in runs if one.count
        )

    def _scoring_seconds(self, plan: Plan, rows: LabRows) -> float:
        assert self.measured is not None
        labels, shown = len(self.prepared.corpus.labels), rows.scored_rendered
        answers = sum(row.num_supervised for row in shown)
        tokens = float(sum(len(row.ids) for row in shown))
        if self.answers:
            tokens *= 2  # the loss of the given answers, and what it answers itself
            tokens += labels * max(0, answers - len(shown)) if labels else GENERATED * answers
        dtype = "bfloat16" if plan["training.bf16"] else "float32"
        return tokens / self.measured.forward_tokens_per_second[dtype]

    def _asked(self, cell: Cell) -> list[str]:
        """The later of two for one key counts, so what a cell varies is its own."""
        return [*(self._equal if cell.tuned else ()), *cell.overrides]

    def _advise(self, overrides: Sequence[str], prepared: Prepared) -> Plan:
        last = {override.partition("=")[0]: override for override in overrides}
        return advise(with_overrides(self.asked, [*last.values()]), prepared, self.machine, self.measured)


def rate_of(plan: Plan) -> float:
    rate = plan["training.learning_rate"]
    assert isinstance(rate, int | float)
    return float(f"{rate:.6g}")


def given_up(wanted: Size, size: Size) -> Iterator[str]:
    """What the budget left no room for."""
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


def _trains_alike(one: Plan, other: Plan) -> bool:
    """Biases of a base that has none, and the name of a doctrine, change nothing."""
    values = [{k: v for k, v in plan.values().items() if k not in ("lora.bias", "doctrine")} for plan in (one, other)]
    return values[0] == values[1] and one.trainable_parameters == other.trainable_parameters


def _no_room(plan: Plan, machine: Machine) -> str:
    needed, there = plan.memory_bytes / 1e9, machine.training_bytes / 1e9
    return f"it needs about {needed:.1f} GB of memory to train, and this machine has {there:.1f}"


def _too_small(budget: float, needed: float, size: Size) -> PlanError:
    seeds = "1 seed" if size.seeds == 1 else f"{size.seeds} seeds"
    message = (
        f"{budget / 60:.1f} minutes, and the smallest form of this experiment takes about {ceil(needed / 60)} "
        f"({seeds}, {size.rows} rows, {size.share:.0%} of the steps); give --budget {ceil(needed / 60)}m, a smaller "
        "base, or less to compare"
    )
    return PlanError(problems=[Problem("error", "budget-too-small", "--budget", message)])
