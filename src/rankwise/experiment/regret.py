"""`rankwise experiment regret`: what the plan loses against the best learning rate and rank that can be found here.

Rates, ranks and steps are chosen on one half of the held-out rows and scored on the other, so that the best of many is
not rewarded for luck.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import mean

from rankwise.events import Observer, ignore
from rankwise.experiment.bench import Run
from rankwise.experiment.curves import FULL, LARGE, PLAN, Curves, design_curves
from rankwise.experiment.design import DEFAULT_SEEDS
from rankwise.experiment.optimum import Optimum, optimum, ratio
from rankwise.experiment.regret_report import Against, Gap, Line, Point, Ratios, Regret, RegretReport
from rankwise.experiment.results import Result
from rankwise.experiment.run import Laboratory, task_of
from rankwise.experiment.session import DEFAULT_BUDGET, Session, open_bench, session, write_reports
from rankwise.experiment.statistics import Estimate, Tallies, contrast, difference, estimate, holm
from rankwise.recipe import Asked
from rankwise.train.loop import LN2


def measure_regret(
    asked: Asked,
    output: Path | None = None,
    seeds: int = DEFAULT_SEEDS,
    rows: int | None = None,
    budget: float | None = DEFAULT_BUDGET,
    observer: Observer = ignore,
) -> tuple[RegretReport, Path]:
    """Plan the experiment, do every run that is not done yet, and write the report; returns it and its folder.

    `rows`: training rows at most. `budget`: seconds for all runs; None: no limit. The same call again goes on where an
    earlier one was stopped. Raises what `ablate` raises.
    """
    bench = open_bench(asked, "regret", observer, answers=False)
    options = {"seeds": seeds, "rows": rows}
    with session(
        "regret", bench, options, lambda: design_curves(bench, seeds, rows, budget), output, budget, observer
    ) as at_work:
        curves = Curves(at_work.design, at_work.results, bench.seed)
        left_out = Laboratory(at_work).do(curves.runs())
        report = _report(at_work, curves, left_out)
        write_reports(at_work.folder, report.document(), report.plain())
    return report, at_work.folder


@dataclass(frozen=True)
class Found:
    """A cell at the rate that is chosen for it."""

    name: str
    rate: float | None
    results: Mapping[int, Result]

    @property
    def losses(self) -> Tallies:
        return tallies(self.results)


def tallies(results: Mapping[int, Result]) -> Tallies:
    """Seed -> the loss of a run whose model was scored."""
    told = {seed: result.loss_tally() for seed, result in results.items()}
    return {seed: tally for seed, tally in told.items() if tally is not None}


def _report(at_work: Session, curves: Curves, left_out: Sequence[Run]) -> RegretReport:
    bench, made, results = at_work.bench, at_work.design, at_work.results
    corpus = bench.prepared.corpus
    found = _found(curves)
    plan = found.pop(PLAN, None)
    regrets = [] if plan is None else list(_regrets(plan, found))
    lines = [_line(one, curves, found.get(FULL)) for name, one in found.items() if not name.endswith(LARGE)]
    gaps = list(_batch_gaps(found))
    differences = [one.found for one in regrets] + [one.gap for one in lines if one.gap] + [one.found for one in gaps]
    corrected = iter(holm([one.p for one in differences]))
    regrets = [replace(one, p=next(corrected)) for one in regrets]
    lines = [replace(one, p=next(corrected)) if one.gap else one for one in lines]
    gaps = [replace(one, p=next(corrected)) for one in gaps]
    rows = at_work.rows
    return RegretReport(
        data=Path(corpus.request.train).name,
        base=bench.prepared.located.name,
        machine=bench.machine.cpu,
        bits_per=task_of("auto", bench).bits.removeprefix("bits_per_"),
        train_rows=len(rows.prepared.corpus.train),
        scored_rows=len(rows.scored),
        design=made,
        plan=None if plan is None else _plan_line(plan),
        regrets=tuple(regrets),
        lines=tuple(lines),
        ratios=tuple(_ratios(curves, [line.cell for line in lines])),
        gaps=tuple(gaps),
        points=tuple(_points(curves)),
        looks={name: _mean_looks(one.results) for name, one in found.items() if not name.endswith(LARGE)},
        failed={result.run.key: result.failed for result in results.found.values() if result.failed is not None},
        left_out=tuple(run.key for run in left_out),
        problems=corpus.problems,
        seconds=results.seconds,
        budget=at_work.budget,
    )


def _found(curves: Curves) -> dict[str, Found]:
    """Every cell of which a whole run is there, at its chosen rate."""
    found = {}
    for cell in curves.design.cells:
        rate = None if cell.name == PLAN else curves.chosen(cell.name)
        results = curves.at(cell.name, rate) if cell.name == PLAN or rate is not None else {}
        if results:
            found[cell.name] = Found(cell.name, rate, results)
    return found


def _chosen_by(one: Found) -> float:
    """The mean loss by which is chosen."""
    return mean(result.loss or 0.0 for result in one.results.values())


def _regrets(plan: Found, found: Mapping[str, Found]) -> Iterator[Regret]:
    """The plan against the best adapter at its batch, and against all weights trained."""
    kinds: tuple[tuple[Against, list[Found]], ...] = (
        ("adapters", [one for name, one in found.items() if name != FULL and not name.endswith(LARGE)]),
        ("full fine-tuning", [found[FULL]] if FULL in found else []),
    )
    for against, candidates in kinds:
        common = [one for one in candidates if one.results.keys() >= plan.results.keys()]
        if not common:
            continue
        best = min(common, key=_chosen_by)
        if against == "adapters" and _chosen_by(plan) <= _chosen_by(best):
            best = plan
        apart = difference(plan.losses, best.losses)
        share = apart.value / estimate(best.losses).value
        yield Regret(against, best.name, best.rate, apart, share, None, len(common))


def _plan_line(plan: Found) -> Line:
    return _bare_line(plan, None, None, None, None)


def _line(one: Found, curves: Curves, full: Found | None) -> Line:
    gap = leaves = None
    if full is not None and one.name != FULL:
        gap = difference(one.losses, full.losses) if one.results.keys() & full.results.keys() else None
        leaves = _leaves(one.results, full.results)
    advised = curves.design.grids[one.name][len(curves.design.grids[one.name]) // 2]
    return _bare_line(one, advised, _optimum(curves, one.name), gap, leaves)


def _bare_line(
    one: Found, advised: float | None, best: Optimum | None, gap: Estimate | None, leaves: int | None
) -> Line:
    first = next(iter(one.results.values()))
    return Line(
        cell=one.name,
        advised_rate=advised,
        learning_rate=first.learning_rate or 0.0,
        optimum=best,
        loss=estimate(one.losses),
        gap=gap,
        p=None,
        leaves_at=leaves,
        steps=first.steps,
        trainable_parameters=first.trainable_parameters,
    )


def _triple(curves: Curves, name: str) -> tuple[list[float], list[Tallies]] | None:
    """Three rates around the best and the losses of the seeds that all of them have."""
    rates = curves.around(name)
    whole = [curves.at(name, rate) for rate in rates]
    common = set.intersection(*map(set, whole)) if len(whole) == 3 else set()
    if not common:
        return None
    return rates, [tallies({seed: found[seed] for seed in sorted(common)}) for found in whole]


def _optimum(curves: Curves, name: str) -> Optimum | None:
    around = _triple(curves, name)
    return None if around is None else optimum(*around)


def _ratios(curves: Curves, names: Sequence[str]) -> Iterator[Ratios]:
    full = _triple(curves, FULL)
    for name in names:
        around = None if name == FULL else _triple(curves, name)
        found = None if full is None or around is None else ratio(around, full)
        if found is not None:
            yield Ratios(name, found)


def _leaves(low: Mapping[int, Result], reference: Mapping[int, Result]) -> int | None:
    """The first look from which on the loss is above the reference's in every seed, to the end; None: there is none."""
    apart = [
        dict(low[seed].looks).keys() & dict(reference[seed].looks).keys() for seed in low.keys() & reference.keys()
    ]
    steps = sorted(set.intersection(*apart)) if apart else []
    left: int | None = None
    for step in reversed(steps):
        pairs = [(dict(low[s].looks)[step], dict(reference[s].looks)[step]) for s in low.keys() & reference.keys()]
        if not all(mine > other for mine, other in pairs):
            break
        left = step
    return left


def _batch_gaps(found: Mapping[str, Found]) -> Iterator[Gap]:
    """How much farther an adapter is from full fine-tuning at the larger batch than at the plan's."""
    full, full_large = found.get(FULL), found.get(f"{FULL}{LARGE}")
    if full is None or full_large is None:
        return
    for name, large in found.items():
        small = found.get(name.removesuffix(LARGE))
        if not name.endswith(LARGE) or large is full_large or small is None:
            continue
        four = [(1.0, large), (-1.0, full_large), (-1.0, small), (1.0, full)]
        if set.intersection(*(set(one.results) for _, one in four)):
            widened = contrast([(weight, one.losses) for weight, one in four])
            yield Gap(small.name, difference(large.losses, full_large.losses), widened, None)


def _points(curves: Curves) -> Iterator[Point]:
    for cell in curves.design.cells:
        for rate in curves.rates(cell.name) if cell.tuned else [None]:
            found = curves.at(cell.name, rate)
            if found:
                chosen = mean(result.loss or 0.0 for result in found.values()) / LN2
                trained = next(iter(found.values())).learning_rate or 0.0
                yield Point(cell.name, trained, chosen, estimate(tallies(found)))


def _mean_looks(results: Mapping[int, Result]) -> tuple[tuple[float, float], ...]:
    """Step and mean loss over seeds, in bits, at the looks that all had."""
    common = set.intersection(*(set(dict(result.looks)) for result in results.values()))
    return tuple((step, mean(dict(result.looks)[step] for result in results.values()) / LN2) for step in sorted(common))
