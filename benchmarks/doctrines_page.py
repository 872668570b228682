"""docs/evidence/doctrines.md, out of the runs that benchmarks/doctrines.py has kept.

Of every set at every size: what the `rankwise` plan loses against the best of the grid (chosen on the one part of the
held-out rows, scored on the other) and against every other doctrine, paired by row and seed. Then the two constants
that a grid can fit, the factor on the rate and the rank, fitted on all sets but one and held against the one left out.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date
from math import log
from pathlib import Path
from statistics import mean, median

import numpy as np

from rankwise.experiment.results import Result, Results
from rankwise.experiment.statistics import Estimate, Tallies, difference, estimate, holm
from rankwise.facts import read_machine

OWN = "rankwise"
RANKS = 3
"""Of a grid."""
FACTORS = (0.25, 0.35, 0.5, 0.7, 1.0, 1.4, 2.0, 2.8, 4.0)
"""On the rate, among which the fit chooses."""
GOAL_MEDIAN, GOAL_WORST = 0.02, 0.05


@dataclass(frozen=True)
class Found:
    """What is known of one set at one size."""

    name: str
    results: Mapping[str, Result]

    @property
    def set_name(self) -> str:
        return self.name.rpartition("-")[0]

    @property
    def own_rates(self) -> dict[str, float]:
        """Of each rank's cell the rate in the middle of the three that its grid began with."""
        rates: dict[str, list[float]] = {}
        for one in self.results.values():  # in the order in which they were done
            if one.run.learning_rate is not None and one.run.seed == 0:
                rates.setdefault(one.run.cell, []).append(one.run.learning_rate)
        return {cell: each[1] for cell, each in rates.items() if len(each) >= 3}

    @property
    def is_whole(self) -> bool:
        """The plan and every rank's first three rates are there."""
        return OWN in self.doctrines() and len(self.own_rates) == RANKS

    def doctrines(self) -> dict[str, dict[int, Result]]:
        """Name -> seed -> result."""
        found: dict[str, dict[int, Result]] = {}
        for one in self.results.values():
            if one.run.learning_rate is None and one.losses is not None:
                found.setdefault(one.run.cell, {})[one.run.seed] = one
        return found

    def grid(self) -> list[Result]:
        return [
            one for one in self.results.values()
            if one.run.learning_rate is not None and one.run.seed == 0 and one.losses is not None
        ]  # fmt: skip

    def best(self) -> dict[int, Result]:
        """The cell and rate of the grid with the least loss on the choosing rows: seed -> result."""
        best = min(self.grid(), key=lambda one: one.loss or 0.0, default=None)
        if best is None:
            return {}
        same = [r for r in self.results.values() if replace(r.run, seed=0) == best.run and r.losses is not None]
        return {one.run.seed: one for one in same}


def write_page(page: Path, folder: Path) -> None:
    found = [read(path.parent) for path in sorted(folder.glob("*/results.jsonl"))]
    found = [
        one for one in found if OWN in one.doctrines() and len(one.own_rates) == len({r.run.cell for r in one.grid()})
    ]
    if not found:
        return
    rows = [row for one in found for row in comparisons(one)]
    corrected = holm([row.found.p for row in rows if row.doctrine is not None])
    told = iter(corrected)
    rows = [row if row.doctrine is None else replace(row, p=next(told)) for row in rows]
    parts = [opening(found), summary(rows), regret_table(found, rows), doctrine_table(rows), fit_section(found)]
    page.write_text("\n\n".join(parts) + "\n", encoding="utf-8")


def read(folder: Path) -> Found:
    results = Results(folder)
    results.close()
    return Found(folder.name, results.found)


@dataclass(frozen=True)
class Comparison:
    """`rankwise` minus another, in bits a token."""

    case: str
    doctrine: str | None
    """None: the best of the grid."""
    found: Estimate
    other: float
    """The other's loss."""
    what: str
    p: float | None = None

    @property
    def share(self) -> float:
        return self.found.value / self.other


def comparisons(found: Found) -> Iterator[Comparison]:
    doctrines, best = found.doctrines(), found.best()
    own = doctrines[OWN]
    chosen = mean(one.loss or 0.0 for one in own.values())
    if best:
        winner = own if chosen <= mean(one.loss or 0.0 for one in best.values()) else best
        yield compare(found.name, None, own, winner, "the plan" if winner is own else name_of(best[0]))
    for name, results in doctrines.items():
        if name != OWN:
            yield compare(found.name, name, own, results, name)


def compare(
    case: str, doctrine: str | None, own: Mapping[int, Result], other: Mapping[int, Result], what: str
) -> Comparison:
    common = own.keys() & other.keys()
    losses = tallies({seed: other[seed] for seed in common})
    return Comparison(case, doctrine, difference(tallies(own), losses), estimate(losses).value, what)


def tallies(results: Mapping[int, Result]) -> Tallies:
    told = {seed: one.loss_tally() for seed, one in results.items()}
    return {seed: tally for seed, tally in told.items() if tally is not None}


def name_of(one: Result) -> str:
    return f"{one.run.cell} at {one.run.learning_rate:.2g}"


def opening(found: Sequence[Found]) -> str:
    runs = [one for case in found for one in case.results.values()]
    hours = sum(one.seconds for one in runs) / 3600
    return f"""# Doctrines

Made by `python benchmarks/doctrines.py DATA`; {read_machine().cpu}, 2 cores, float32; {len(runs)} runs, {hours:.1f}
hours of one core or two; the page {date.today()}. The base is smollm2-135m. Loss is bits a supervised token on the
scored part of the held-out rows; steps, rank and rate are chosen on the other part. Differences are paired by row and
seed, with 95% intervals over rows and, where there are several, seeds; p is corrected for all comparisons of the page
(Holm). Every doctrine's whole plan is trained: its own rank, layers, rate, batch, schedule and passes. A doctrine that
would train just what another does is left out. The grid is ranks 4, 16 and 64 at half, once and twice the rate that
`rankwise` gives for the rank, and on while the best is the last."""


def summary(rows: Sequence[Comparison]) -> str:
    shares = [row.share for row in rows if row.doctrine is None]
    worse = [row for row in rows if row.doctrine and row.p is not None and row.p < 0.05 and row.found.value > 0]
    better = [row for row in rows if row.doctrine and row.p is not None and row.p < 0.05 and row.found.value < 0]
    if not shares:
        return "No grid is whole yet."
    lines = [
        f"- Median regret {median(shares):.1%} of held-out loss (goal at most {GOAL_MEDIAN:.0%}), at worst "
        f"{max(shares):.1%} (goal at most {GOAL_WORST:.0%}), over {len(shares)} sets and sizes.",
        f"- Of {sum(row.doctrine is not None for row in rows)} comparisons with another doctrine `rankwise` is "
        f"significantly worse in {len(worse)} (goal none) and significantly better in {len(better)}.",
    ]
    lines += [f"  - worse than {row.doctrine} on {row.case}: {row.share:+.1%}" for row in worse]
    return "\n".join(lines)


def regret_table(found: Sequence[Found], rows: Sequence[Comparison]) -> str:
    lines = [
        "## Regret: against the best of the grid",
        "",
        "| set and rows | loss of the plan | best of the grid | its loss | regret (95%) | of its loss | seeds |",
        "|---|---|---|---|---|---|---|",
    ]
    own = {case.name: case.doctrines()[OWN] for case in found}
    for row in rows:
        if row.doctrine is None:
            low, high = row.found.interval
            lines.append(
                f"| {row.case} | {estimate(tallies(own[row.case])).value:.3f} | {row.what} | {row.other:.3f} | "
                f"{row.found.value:+.3f} ({low:+.3f} to {high:+.3f}) | {row.share:+.1%} "
                f"({low / row.other:+.1%} to {high / row.other:+.1%}) | {row.found.seeds} |"
            )
    return "\n".join(lines)


def doctrine_table(rows: Sequence[Comparison]) -> str:
    """What each doctrine's loss is above that of `rankwise`, by case."""
    cases = list(dict.fromkeys(row.case for row in rows))
    names = list(dict.fromkeys(row.doctrine for row in rows if row.doctrine))
    lines = [
        "## Every other doctrine",
        "",
        "Its loss against the plan's: above 0% the plan is better. A star: corrected p under 0.05.",
        "",
        "| doctrine | " + " | ".join(cases) + " |",
        "|---" * (len(cases) + 1) + "|",
    ]
    told = {(row.doctrine, row.case): row for row in rows}
    for name in names:
        cells = []
        for case in cases:
            row = told.get((name, case))
            star = "*" if row is not None and row.p is not None and row.p < 0.05 else ""
            cells.append("" if row is None else f"{-row.found.value / (row.other + row.found.value):+.1%}{star}")
        lines.append(f"| {name} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def fit_section(found: Sequence[Found]) -> str:
    """Of the factor on the rate and of the rank: the least mean regret over all sets but one, and what it leaves on
    that one."""
    sets = sorted({case.set_name for case in found})
    if len(sets) < 3:
        return "## The constants, refitted\n\nToo few sets are whole yet."
    lines = [
        "## The constants, refitted",
        "",
        "A factor on the plan's rate and a rank, chosen for the least mean regret on all sets but one, out of "
        f"{len(FACTORS)} factors and the grid's ranks; losses between two rates of the grid are interpolated in the "
        "rate's logarithm. Beside it what the constants of today (factor 1, rank 16) leave on the same set.",
        "",
        "| left out | factor | rank | regret left there | today's |",
        "|---|---|---|---|---|",
    ]
    left = []
    for name in sets:
        factor, cell = fitted([case for case in found if case.set_name != name])
        mine = [case for case in found if case.set_name == name]
        new, today = mean_regret(mine, factor, cell), mean_regret(mine, 1.0, "r=16")
        left.append((new, today))
        lines.append(f"| {name} | {factor:g} | {cell.removeprefix('r=')} | {new:+.1%} | {today:+.1%} |")
    factor, cell = fitted(found)
    lines += [
        "",
        f"Median over the sets left out: {median(new for new, _ in left):+.1%}, with today's constants "
        f"{median(today for _, today in left):+.1%}. On all sets: factor {factor:g}, rank {cell.removeprefix('r=')}.",
    ]
    return "\n".join(lines)


def fitted(cases: Sequence[Found]) -> tuple[float, str]:
    choices = [(factor, cell) for factor in FACTORS for cell in cases[0].own_rates]
    return min(choices, key=lambda choice: (mean_regret(cases, *choice), abs(log(choice[0]))))


def mean_regret(cases: Sequence[Found], factor: float, cell: str) -> float:
    return mean(regret_at(case, factor, cell) for case in cases)


def regret_at(case: Found, factor: float, cell: str) -> float:
    """On the scored rows, of one seed, against the best that the choosing rows name."""
    points = sorted((one.run.learning_rate or 0.0, one.bits or 0.0) for one in case.grid() if one.run.cell == cell)
    logs, bits = [log(rate) for rate, _ in points], [value for _, value in points]
    least = case.best()[0].bits or 0.0
    return float(np.interp(log(case.own_rates[cell] * factor), logs, bits)) / least - 1
