"""`rankwise experiment ablation`: what rank, layers, alpha, dropout, biases or a doctrine are worth on these rows."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rankwise.errors import Problem, RecipeError
from rankwise.evaluate.compare import METRICS
from rankwise.events import Observer, ignore
from rankwise.experiment.cells import Group
from rankwise.experiment.design import DEFAULT_SEEDS, Bench, Design, design
from rankwise.experiment.html import html
from rankwise.experiment.report import Report, csv_text, edge_remarks, make_lines, markdown
from rankwise.experiment.results import Results, begin
from rankwise.experiment.rows import LabRows, draw_rows
from rankwise.experiment.run import Laboratory, best_rate, task_of
from rankwise.facts import identify_base, read_machine
from rankwise.facts.lock import owned
from rankwise.files import sha256_json, write_text
from rankwise.measure import measure_speed
from rankwise.plan import prepare
from rankwise.recipe import Asked

DEFAULT_BUDGET = 40 * 60.0
"""Seconds."""


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
    if asked.recipe.adapter is not None:
        message = "an ablation compares fresh adapters, which differ in rank and layers; leave adapter out"
        raise RecipeError(problems=[Problem("error", "experiment-continues", asked.where("adapter"), message)])
    if asked.recipe.objective != "sft":
        message = f"an ablation trains on the rows' answers (objective: sft), not for {asked.recipe.objective}"
        raise RecipeError(problems=[Problem("error", "experiment-objective", asked.where("objective"), message)])
    prepared = prepare(asked, observer, to_train=True)
    bench = Bench(asked, prepared, read_machine(), measure_speed(prepared, observer))
    request = _request(bench, groups, seeds, rows, budget)
    name = asked.recipe.domain or Path(prepared.corpus.request.train).stem
    folder = output or Path("experiments") / f"ablation-{name}-{sha256_json(request)[:8]}"
    folder.mkdir(parents=True, exist_ok=True)
    with owned(folder):
        made = begin(folder, request, lambda: design(bench, groups, seeds, rows, budget))
        bench.share_training(made.cells[0])
        drawn = draw_rows(prepared, made.size.rows, made.size.held_out, bench.seed)
        results = Results(folder)
        try:
            report = _run(bench, made, drawn, results, budget, observer)
        finally:
            results.close()
        write_text(folder / "report.md", markdown(report))
        write_text(folder / "report.csv", csv_text(report))
        write_text(folder / "report.html", html(report))
    return report, folder


def _request(
    bench: Bench, groups: Sequence[Group], seeds: int, rows: int | None, budget: float | None
) -> dict[str, Any]:
    """All that an experiment follows from."""
    asked, corpus = bench.asked, bench.prepared.corpus
    overrides = [place for place in dict.fromkeys(asked.lines.values()) if place.startswith("--set ")]
    return {
        "kind": "ablation",
        "recipe": asked.text,
        "overrides": overrides,
        "groups": list(groups),
        "seeds": seeds,
        "rows": rows,
        "budget": budget,
        "training rows": corpus.train_sha256,
        "held-out rows": corpus.held_out_sha256,
        "base": identify_base(bench.prepared.path).as_json(),
    }


def _run(
    bench: Bench, made: Design, drawn: LabRows, results: Results, budget: float | None, observer: Observer
) -> Report:
    told = {"runs": made.runs, "seconds": made.seconds, "disk_bytes": made.disk_bytes, "gave_up": list(made.gave_up)}
    observer({"event": "experiment_plan", "time": time.time(), **told})
    left_out = Laboratory(bench, made, drawn, results, budget, observer).run()
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
        bits_per="row" if task.classifies else "token",
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
        budget=budget,
    )


def _scorer(bench: Bench, made: Design, drawn: LabRows) -> object:
    """How open answers are scored: by rows and domain, so the same for every cell."""
    return bench.plan(made.cells[0], made.first_run(bench.seed), drawn)["scorer"]
