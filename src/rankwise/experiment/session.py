"""What all experiments do alike: read the recipe, take up or begin a folder, and keep what was found in it."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rankwise.data.render import Rendered
from rankwise.errors import Problem, RecipeError
from rankwise.events import Observer
from rankwise.experiment.bench import Bench
from rankwise.experiment.design import Design
from rankwise.experiment.document import Document, Plain, csv_of, markdown
from rankwise.experiment.html import html
from rankwise.experiment.results import Results, begin
from rankwise.experiment.rows import LabRows, draw_rows
from rankwise.facts import identify_base, read_machine
from rankwise.facts.counts import UNATTACHED
from rankwise.facts.lock import owned
from rankwise.files import sha256_json, write_text
from rankwise.measure import measure_speed
from rankwise.plan import advise, prepare
from rankwise.recipe import Asked

DEFAULT_BUDGET = 40 * 60.0
"""Seconds."""


@dataclass(frozen=True)
class Session:
    """An experiment that is going on in a folder of its own."""

    kind: str
    bench: Bench
    folder: Path
    design: Design
    rows: LabRows
    results: Results
    budget: float | None
    observer: Observer
    foreign: tuple[Rendered, ...] = ()
    """Rows of other domains, on which every finished model is looked at too."""


def open_bench(asked: Asked, kind: str, observer: Observer, answers: bool = True, own_plan: bool = True) -> Bench:
    """The recipe with its facts. Raises RecipeError for what no experiment trains; `own_plan`: the recipe's own plan is
    trained too, not its cells alone."""
    if asked.recipe.adapter is not None:
        message = f"{kind} compares fresh adapters, which differ in rank and layers; leave adapter out"
        raise RecipeError(problems=[Problem("error", "experiment-continues", asked.where("adapter"), message)])
    if asked.recipe.objective != "sft":
        message = f"{kind} trains on the rows' answers (objective: sft), not for {asked.recipe.objective}"
        raise RecipeError(problems=[Problem("error", "experiment-objective", asked.where("objective"), message)])
    prepared = prepare(asked, observer, to_train=True)
    bench = Bench(asked, prepared, read_machine(), measure_speed(prepared, observer), answers)
    if own_plan:
        method = advise(asked, prepared, bench.machine, bench.measured)["method"]
        if method in UNATTACHED:
            message = f"{kind} trains the recipe's own plan, and method {method} takes no steps; write lora"
            raise RecipeError(problems=[Problem("error", "experiment-method", asked.where("method"), message)])
    return bench


@contextmanager
def session(
    kind: str,
    bench: Bench,
    options: Mapping[str, Any],
    make: Callable[[], Design],
    output: Path | None,
    budget: float | None,
    observer: Observer,
) -> Iterator[Session]:
    """An experiment in its folder, this process's own for the block: begun by `make`, or gone on with.

    `options`: what was asked for beside recipe and rows. Raises RunError if the folder holds another experiment.
    """
    request = {"kind": kind, **_request(bench), **options, "budget": budget}
    name = bench.asked.recipe.domain or Path(bench.prepared.corpus.request.train).stem
    folder = output or Path("experiments") / f"{kind}-{name}-{sha256_json(request)[:8]}"
    folder.mkdir(parents=True, exist_ok=True)
    with owned(folder):
        made = begin(folder, request, make)
        told = {"runs": made.runs, "seconds": made.seconds, "disk_bytes": made.disk_bytes}
        observer({"event": "experiment_plan", "time": time.time(), **told, "gave_up": list(made.gave_up)})
        bench.share_training(made.cells[0])
        drawn = draw_rows(bench.prepared, made.size.rows, made.size.held_out, bench.seed)
        results = Results(folder)
        try:
            yield Session(kind, bench, folder, made, drawn, results, budget, observer)
        finally:
            results.close()


def write_reports(folder: Path, document: Document, plain: Plain) -> None:
    """report.md, report.csv and report.html, each whole or as it was."""
    write_text(folder / "report.md", markdown(document))
    write_text(folder / "report.csv", csv_of(plain))
    write_text(folder / "report.html", html(document))


def _request(bench: Bench) -> dict[str, Any]:
    """All of recipe, rows and base that an experiment follows from."""
    asked, corpus = bench.asked, bench.prepared.corpus
    return {
        "recipe": asked.text,
        "overrides": [place for place in dict.fromkeys(asked.lines.values()) if place.startswith("--set ")],
        "training rows": corpus.train_sha256,
        "held-out rows": corpus.held_out_sha256,
        "base": identify_base(bench.prepared.path).as_json(),
    }
