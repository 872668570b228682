"""`rankwise experiment claims`: every checkable sentence of the five documents with a verdict on these rows.

Each cell is trained at the one rate that fits its rank (the `rankwise` doctrine's), with the same seeds and rows for
all. A verdict takes three seeds, an interval that excludes the opposite, and a p that holds after correction for all
claims that were measured.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from math import isfinite, sqrt
from pathlib import Path

import numpy as np

from rankwise.data.corpus import asked as with_prompt
from rankwise.data.read import read_table
from rankwise.data.render import Rendered
from rankwise.data.split import spread
from rankwise.errors import DataError, PlanError, RankwiseError
from rankwise.events import Observer, ignore
from rankwise.experiment.arithmetic import Numbers, compute
from rankwise.experiment.bench import Bench, Counted, Run, Size, given_up
from rankwise.experiment.cells import DEFAULT, Cell
from rankwise.experiment.claims_cells import BASE, TENTH, claim_cells, large_cells, missing
from rankwise.experiment.claims_list import CLAIMS, Claim, Compared, Computed, Measure
from rankwise.experiment.claims_report import ClaimsReport, Judged
from rankwise.experiment.curves import FULL, LARGE
from rankwise.experiment.design import DEFAULT_SEEDS, Design, disk_needed, undecided, wanted_size
from rankwise.experiment.results import Result
from rankwise.experiment.rows import draw_rows
from rankwise.experiment.run import Laboratory, task_of
from rankwise.experiment.session import DEFAULT_BUDGET, Session, open_bench, session, write_reports
from rankwise.experiment.statistics import LEAST_SEEDS, LEVEL, Estimate, Tallies, contrast, holm
from rankwise.plan import Plan
from rankwise.plan.advise import weigh
from rankwise.plan.method import weigh_methods
from rankwise.recipe import Asked
from rankwise.recipe.domains import DOMAINS

FOREIGN_ROWS = 6
"""Of each other domain, on which forgetting shows."""
_FORMS = ("", LARGE, FULL, "prefix", "AdaLoRA", "DoRA", "r=64")
"""Cells that a small budget gives up, in this order."""


def check_claims(
    asked: Asked,
    output: Path | None = None,
    seeds: int = DEFAULT_SEEDS,
    rows: int | None = None,
    budget: float | None = DEFAULT_BUDGET,
    observer: Observer = ignore,
) -> tuple[ClaimsReport, Path]:
    """Plan the experiment, do every run that is not done yet, and write the report; returns it and its folder.

    `rows`: training rows at most. `budget`: seconds for all runs; None: no limit. The same call again goes on where an
    earlier one was stopped. Raises what `ablate` raises.
    """
    bench = open_bench(asked, "claims", observer)
    options = {"seeds": seeds, "rows": rows}
    with session(
        "claims", bench, options, lambda: design_claims(bench, seeds, rows, budget), output, budget, observer
    ) as begun:
        at_work = replace(begun, foreign=tuple(foreign_rows(bench)))
        left_out = Laboratory(at_work).do(_runs(at_work))
        report = _report(at_work, left_out)
        write_reports(at_work.folder, report.document(), report.plain())
    return report, at_work.folder


def design_claims(bench: Bench, seeds: int, rows: int | None, budget: float | None) -> Design:
    """The largest experiment that fits into `budget` seconds: rows, steps, seeds, and last whole cells are given up."""
    situation = weigh(bench.asked, bench.prepared, bench.machine, bench.measured).situation
    cells, absent = claim_cells(bench, situation)
    rate = bench.share_training(cells[0])
    wanted = wanted_size(bench, seeds, rows)
    drawn = draw_rows(bench.prepared, wanted.rows, wanted.held_out, bench.seed)
    cells = [*cells, *large_cells(cells, bench, bench.plan(cells[0], Run(DEFAULT, rate, bench.seed, 1.0), drawn))]
    own = {cell.name: _rate(bench, cell, rate) for cell in cells}
    found, impossible = bench.possible(cells, lambda cell: Run(cell.name, own[cell.name], bench.seed, 1.0), drawn)
    left, lost = list(found), list[str]()
    for number, form in enumerate(_FORMS):
        gone = [cell.name for cell in left if form and (cell.name.endswith(form) or cell.name == form)]
        left, lost = [cell for cell in left if cell.name not in gone], [*lost, *gone]
        runs_of = partial(_counted, tuple(left), own, bench.seed)
        try:
            size, seconds = bench.fit(wanted, budget, runs_of)
            break
        except PlanError as fault:
            small = fault.problems and fault.problems[0].code == "budget-too-small"
            if not small or number == len(_FORMS) - 1:
                raise
    drawn = draw_rows(bench.prepared, size.rows, size.held_out, bench.seed)
    plans = [bench.plan(cell, Run(cell.name, own[cell.name], bench.seed, size.share), drawn) for cell in left]
    return Design(
        cells=tuple(left),
        absent={**absent, **impossible},
        learning_rate=rate,
        size=size,
        gave_up=(*given_up(replace(wanted, probe=size.probe), size), *(f"cell: {name}" for name in lost)),
        runs=sum(one.count for one in runs_of(size)),
        seconds=seconds,
        disk_bytes=disk_needed(plans),
        undecided=undecided(bench, left, plans),
        notes=(),
        grids={cell.name: (own[cell.name],) for cell in left},
    )


def foreign_rows(bench: Bench) -> Iterator[Rendered]:
    """A few held-out sample rows of every other domain, under its own prompt; none for an encoder."""
    renderer, limit = bench.prepared.renderer, bench.prepared.anatomy.max_length
    if bench.prepared.anatomy.kind == "encoder":
        return
    for domain in DOMAINS.values():
        if domain.name == bench.asked.recipe.domain or domain.held_out is None:
            continue
        for row in spread(read_table(domain.held_out).rows, FOREIGN_ROWS):
            try:
                shown = renderer.render(with_prompt(row, domain.instruction), "last")
            except DataError:
                continue  # a template that has no room for such a row tells nothing about forgetting
            if len(shown.ids) <= limit:
                yield shown


def _rate(bench: Bench, cell: Cell, shared: float) -> float:
    """That of the Default where alpha or the rate is what varies, else what fits the cell."""
    if cell.name == TENTH:
        return float(f"{shared / 10:.6g}")
    if cell.name.startswith(("alpha", "dropout", DEFAULT)):
        return shared
    try:
        return bench.advised_rate(replace(cell, overrides=(*cell.overrides, "doctrine=rankwise")))
    except RankwiseError:
        return shared  # what is wrong with the cell is told where it is planned


def _counted(cells: Sequence[Cell], own: Mapping[str, float], seed: int, size: Size) -> list[Counted]:
    return [Counted(cell, Run(cell.name, own[cell.name], seed, size.share), size.seeds, scored=True) for cell in cells]


def _seeds(at_work: Session) -> range:
    return range(at_work.bench.seed, at_work.bench.seed + at_work.design.size.seeds)


def _base(at_work: Session) -> Run:
    """The Default before its first step, whose B is zero: the base itself."""
    return Run(DEFAULT, at_work.design.learning_rate, at_work.bench.seed, 0.0)


def _runs(at_work: Session) -> Iterator[Run]:
    """The base, then every cell with one seed, then with the others."""
    design = at_work.design
    if at_work.bench.prepared.anatomy.kind != "encoder":  # whose head is untrained
        yield _base(at_work)
    for seed in _seeds(at_work):
        yield from (Run(cell.name, design.grids[cell.name][0], seed, design.size.share) for cell in design.cells)


def _found(at_work: Session) -> dict[str, dict[int, Result]]:
    """Cell -> seed -> result; the base is the same for every seed."""
    design, results = at_work.design, at_work.results.found
    found: dict[str, dict[int, Result]] = {}
    for cell in design.cells:
        runs = {seed: Run(cell.name, design.grids[cell.name][0], seed, design.size.share) for seed in _seeds(at_work)}
        found[cell.name] = {s: results[r.key] for s, r in runs.items() if r.key in results}
    base = results.get(_base(at_work).key)
    found[BASE] = {} if base is None else dict.fromkeys(_seeds(at_work), base)
    return {name: {s: r for s, r in of.items() if r.losses is not None} for name, of in found.items()}


def _report(at_work: Session, left_out: Sequence[Run]) -> ClaimsReport:
    bench, design, results = at_work.bench, at_work.design, at_work.results
    numbers, found = _numbers(at_work), _found(at_work)
    judged = [_judge(claim, numbers, found, at_work) for claim in CLAIMS]
    measured = [one for one in judged if one.p is not None]
    corrected = iter(holm([one.p or 0.0 for one in measured]))
    judged = [_decided(one, next(corrected), design) if one.p is not None else one for one in judged]
    return ClaimsReport(
        data=Path(bench.prepared.corpus.request.train).name,
        base=bench.prepared.located.name,
        machine=bench.machine.cpu,
        train_rows=len(at_work.rows.prepared.corpus.train),
        scored_rows=len(at_work.rows.scored),
        foreign_rows=len(at_work.foreign),
        design=design,
        judged=tuple(judged),
        failed={result.run.key: result.failed for result in results.found.values() if result.failed is not None},
        left_out=tuple(run.key for run in left_out),
        problems=bench.prepared.corpus.problems,
        seconds=results.seconds,
        budget=at_work.budget,
    )


def _numbers(at_work: Session) -> Numbers:
    """What is computed with: plans of all rows, also of cells that this machine has no room to train."""
    bench, prepared = at_work.bench, at_work.bench.prepared
    made, _, situation, anatomy = weigh(bench.asked, prepared, bench.machine, bench.measured)
    plans: dict[str, Plan] = {}
    whole = draw_rows(prepared, len(prepared.corpus.train), len(prepared.corpus.held_out), bench.seed)
    for cell in claim_cells(bench, situation)[0]:
        try:
            plans[cell.name] = bench.plan(cell, Run(cell.name, 1e-4, bench.seed, 1.0), whole)
        except RankwiseError:
            continue
    times = {m.name: m.time for m in weigh_methods(made, situation, anatomy, prepared.corpus, bench.machine)}
    return Numbers(anatomy, situation, made, plans, times["full"])


def _judge(claim: Claim, numbers: Numbers, found: Mapping[str, Mapping[int, Result]], at_work: Session) -> Judged:
    """With the p of a measured claim not corrected yet, and its verdict still open."""
    test = claim.test
    if isinstance(test, Computed):
        told = compute(test.function, numbers)
        return Judged(claim, "by arithmetic", told.verdict, told.evidence)
    if not isinstance(test, Compared):
        return Judged(claim, "not here", "undecided here", f"it needs {test.needs}")
    absent = missing(claim, list(found))
    if absent:
        why = {name: at_work.design.absent.get(name, "the budget had no room for it") for name in absent}
        return Judged(claim, "not here", "undecided here", "; ".join(f"{name}: {told}" for name, told in why.items()))
    try:
        return _measured(claim, test, found, at_work)
    except ValueError:
        return Judged(claim, "not here", "undecided here", "its runs are not all done, or failed")


def _measured(claim: Claim, test: Compared, found: Mapping[str, Mapping[int, Result]], at_work: Session) -> Judged:
    """Raises ValueError where no seed has all that is compared."""
    if test.measure == "time saved":
        value = _time_saved(*(found[name] for _, name in test.terms))
        inside, p = _against(value, test.low, test.high, lambda bound: _time_saved_p(value, bound))
        return Judged(claim, "measured here", "undecided here", "", value, test.low, test.high, inside, p)
    terms = [(weight, _tallies(found[name], test.measure, at_work)) for weight, name in test.terms]
    value = contrast(terms)
    low, high = test.low, test.high
    if test.relative:
        of = sum(tally.value for tally in terms[-1][1].values()) / len(terms[-1][1])
        low, high = low * of, high * of
    inside, p = _against(value, low, high, lambda bound: contrast(terms, bound).p)
    return Judged(claim, "measured here", "undecided here", "", value, low, high, inside, p)


def _decided(one: Judged, corrected: float, design: Design) -> Judged:
    """The claim holds if its interval lies between the bounds, and is contradicted if it lies beyond one."""
    assert one.value is not None
    (low, high), known = one.value.interval, replace(one, p=corrected)
    clear = (one.low <= low and high <= one.high) if one.inside else (high < one.low or low > one.high)
    cells = [name for _, name in one.claim.test.terms] if isinstance(one.claim.test, Compared) else []
    odd = [name for name in cells if name in design.undecided]
    if odd:
        return replace(known, evidence=f"this base's weights were rounded to 4 bits before, so {odd[0]} loses less")
    if one.value.seeds < LEAST_SEEDS:
        return replace(known, evidence=f"a verdict needs {LEAST_SEEDS} seeds")
    if not clear or corrected >= LEVEL:
        return replace(known, evidence="no difference seen: more rows or seeds would decide it")
    return replace(known, verdict="holds here" if one.inside else "contradicted here")


def _against(value: Estimate, low: float, high: float, p_at: object) -> tuple[bool, float]:
    """Whether the value lies between the bounds, and the p of the opposite."""
    assert callable(p_at)
    inside = low <= value.value <= high
    if inside:
        return True, max(p_at(bound) for bound in (low, high) if isfinite(bound))
    return False, p_at(low if value.value < low else high)


def _tallies(results: Mapping[int, Result], measure: Measure, at_work: Session) -> Tallies:
    if measure == "score":
        bench, references = at_work.bench, [row.answer for row in at_work.rows.scored]
        cell = at_work.design.cells[0]
        run = Run(cell.name, at_work.design.learning_rate, bench.seed, at_work.design.size.share)
        task = task_of(str(bench.plan(cell, run, at_work.rows)["scorer"]), bench)
        told = {seed: result.tally(task, references) for seed, result in results.items()}
    else:
        told = {seed: result.loss_tally(foreign=measure == "forgetting") for seed, result in results.items()}
    return {seed: tally for seed, tally in told.items() if tally is not None}


def _time_saved(first: Mapping[int, Result], second: Mapping[int, Result]) -> Estimate:
    """Of the second's time for as many rows; Student's interval over seeds, which is all that varies."""
    seeds = sorted(first.keys() & second.keys())
    if not seeds:
        raise ValueError("no seed in common")
    saved = np.array([1 - second[seed].rows_per_second / first[seed].rows_per_second for seed in seeds])
    value = float(saved.mean())
    half = _student(len(seeds)) * float(saved.std(ddof=1)) / sqrt(len(seeds)) if len(seeds) > 1 else float("inf")
    half = half if isfinite(half) else abs(value) + 1.0
    return Estimate(value, (value - half, value + half), len(seeds), 1.0)


def _student(count: int) -> float:
    from scipy.stats import t  # type: ignore[import-untyped]

    return float(t.ppf(0.975, count - 1))


def _time_saved_p(value: Estimate, bound: float) -> float:
    from scipy.stats import t

    if value.seeds < 2:
        return 1.0
    error = (value.interval[1] - value.value) / _student(value.seeds)
    return float(2 * t.sf(abs(value.value - bound) / error, value.seeds - 1)) if error > 0 else 0.0
