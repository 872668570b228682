"""`rankwise experiment ablation`: what rank, layers, alpha, dropout, biases or a doctrine are worth on these rows."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from rankwise.evaluate.compare import METRICS
from rankwise.events import Observer, ignore
from rankwise.experiment.bench import Bench, Run
from rankwise.experiment.cells import Group
from rankwise.experiment.design import DEFAULT_SEEDS, Design, design, rates
from rankwise.experiment.report import Report, edge_remarks, make_lines
from rankwise.experiment.results import Results
from rankwise.experiment.rows import LabRows
from rankwise.experiment.run import Laboratory, best_rate, task_of
from rankwise.experiment.session import DEFAULT_BUDGET, Session, open_bench, session, write_reports
from rankwise.recipe import Asked


def ablate(
    asked: Asked,
    output: Path | None = None,
    groups: Sequence[Group] = (),
    seeds: int = DEFAULT_SEEDS,
    rows: int | None = None,
    budget: float | None = DEFAULT_BUDGET,
    observer: Observer = ignore,
) -> tuple[Report, Path]:
    """Plan the experiment, do every run that is not done yet, and write the report; returns it and its folder.

    `groups`: what is varied instead of the guide's six rows. `rows`: training rows at most. `budget`: seconds for all
    runs; None: no limit. The same call again goes on where an earlier one was stopped. Raises RecipeError, DataError,
    PlanError as planning does, RunError if `output` holds another experiment, and Interrupted after a signal.
    """
    bench = open_bench(asked, "an ablation", observer, own_plan=False)
    options = {"groups": list(groups), "seeds": seeds, "rows": rows}
    with session(
        "ablation", bench, options, lambda: design(bench, groups, seeds, rows, budget), output, budget, observer
    ) as at_work:
        report = _run(at_work)
        write_reports(at_work.folder, report.document(), report.plain())
    return report, at_work.folder


def _run(at_work: Session) -> Report:
    bench, made, drawn, results = at_work.bench, at_work.design, at_work.rows, at_work.results
    left_out = Laboratory(at_work).do(_runs(bench, made, results))
    prepared, corpus = bench.prepared, bench.prepared.corpus
    task, references = task_of(str(_scorer(bench, made, drawn)), bench), [row.answer for row in drawn.scored]
    best = {cell.name: best_rate(cell, made, results, bench.seed) for cell in made.cells if cell.tuned}
    train_rows = len(drawn.prepared.corpus.train)
    seeds = range(bench.seed, bench.seed + made.size.seeds)
    total = prepared.anatomy.total_parameters
    lines = make_lines(made, results.found, best, task, references, seeds, train_rows, total)
    return Report(
        kind="ablation",
        metric=METRICS[task.metric(references)],
        bits_per=task.bits.removeprefix("bits_per_"),
        data=Path(corpus.request.train).name,
        base=prepared.located.name,
        machine=bench.machine.cpu,
        train_rows=train_rows,
        scored_rows=len(drawn.scored),
        design=made,
        lines=lines,
        failed={result.run.key: result.failed for result in results.found.values() if result.failed is not None},
        left_out=tuple(run.key for run in left_out),
        remarks=tuple(edge_remarks(made, best)),
        problems=corpus.problems,
        seconds=results.seconds,
        budget=at_work.budget,
    )


def _runs(bench: Bench, design: Design, results: Results) -> Iterator[Run]:
    """One seed of every cell at the shared rate, the other seeds, the probes, and last the best rate of each cell, so
    that a budget that ends too early leaves whole columns."""
    size, first = design.size, bench.seed
    seeds = range(first, first + size.seeds)
    for seed in seeds:
        for cell in design.cells:
            yield Run(cell.name, design.learning_rate if cell.tuned else None, seed, size.share)
    tuned = [cell for cell in design.cells if cell.tuned]
    for cell in tuned:
        yield from (Run(cell.name, rate, first, size.share * size.probe) for rate in rates(design.learning_rate))
    for seed in seeds:
        for cell in tuned:
            best = best_rate(cell, design, results, first)
            if best is not None:
                yield replace(design.first_run(seed), cell=cell.name, learning_rate=best)


def _scorer(bench: Bench, made: Design, drawn: LabRows) -> object:
    """How open answers are scored: by rows and domain, so the same for every cell."""
    return bench.plan(made.cells[0], made.first_run(bench.seed), drawn)["scorer"]
