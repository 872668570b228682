"""The `rankwise` plan against every other doctrine and the best of a grid, on real sets: docs/evidence/doctrines.md.

    python benchmarks/doctrines.py DATA_DIR [--sets NAME ...] [--sizes N ...] [--minutes M] [--plan] [--page]

DATA_DIR holds the public sets, each as train.jsonl and test.jsonl. On each set, at each number of rows: every
doctrine's whole plan (its own rank, rate, batch, passes), and ranks times learning rates around what `rankwise` gives
for each rank, all of float32 and one seed; then two seeds more of what is near. Of the test rows one part chooses
(steps, rank, rate), the other is scored. Every finished run is one line under docs/evidence/doctrines/ and is never
done again, so the hours may be spent in pieces: `--minutes` begins no run after so many, and two calls with other
`--sets` may work side by side. `--plan` says what is left; `--page` only writes the page.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import mean

from rankwise.data.split import split_rows
from rankwise.data.table import Row
from rankwise.doctrine import DOCTRINES
from rankwise.events import Event, Observer, ignore
from rankwise.experiment.bench import Bench, Run, Size
from rankwise.experiment.cells import Cell, overrides_of
from rankwise.experiment.design import Design
from rankwise.experiment.results import Result, Results
from rankwise.experiment.rows import LabRows, draw_rows
from rankwise.experiment.run import Laboratory
from rankwise.experiment.session import Session
from rankwise.facts import read_machine
from rankwise.facts.lock import owned
from rankwise.plan import prepare
from rankwise.recipe import parse_recipe

SETS = (
    "sst2_sentences",
    "product_reviews_cr",
    "banking77",
    "financial_phrasebank",
    "maintenance_extract",
    "legal_cuad_clauses",
)
"""Those with the shortest rows first."""
SIZES = (600, 2400)
CHOOSING, SCORED = 120, 380
"""Held-out rows by which is chosen, and others that are scored."""
RANKS = (4, 16, 64)
TIMES = (0.5, 1.0, 2.0)
"""Learning rates of a grid, as multiples of the one that `rankwise` gives for the rank; while the best is the first or
the last, one more beyond it is tried."""
BEYOND = 2
NEAR = 1.05
"""Doctrines whose loss is within this many times the least get two seeds more."""
MORE_SEEDS = (1, 2)
OWN = "rankwise"
FOLDER = Path("docs/evidence/doctrines")
RECIPE = """\
model: smollm2-135m
data: {{train: {train}, held_out: {test}}}
training: {{bf16: false}}
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("--sets", nargs="+", choices=SETS, default=SETS)
    parser.add_argument("--sizes", nargs="+", type=int, default=SIZES)
    parser.add_argument("--minutes", type=float, default=float("inf"))
    parser.add_argument("--plan", action="store_true")
    parser.add_argument("--page", action="store_true")
    options = parser.parse_args()
    ends = time.monotonic() + 60 * options.minutes
    if not options.page:
        for size in options.sizes:
            for name in options.sets:
                case = open_case(options.data / name, size)
                with owned(case.folder):
                    print_left(case) if options.plan else work(case, ends)
    if not options.plan:
        from doctrines_page import write_page

        write_page(Path("docs/evidence/doctrines.md"), FOLDER)


@dataclass(frozen=True)
class Case:
    """One set at one number of rows."""

    name: str
    folder: Path
    bench: Bench
    rows: LabRows
    cells: tuple[Cell, ...]
    rates: dict[str, float]
    """Of each rank's cell: what `rankwise` gives for it."""
    absent: dict[str, str]


def open_case(data: Path, size: int) -> Case:
    text = RECIPE.format(train=data.absolute() / "train.jsonl", test=data.absolute() / "test.jsonl")
    asked = parse_recipe(text, f"{data.name}.yaml", data)
    # Doctrines ask for batches and passes that only fast machines can afford; none is asked to fit this one's time.
    bench = Bench(asked, prepare(asked, ignore, to_train=True), read_machine(), None, answers=False)
    drawn = draw_rows(bench.prepared, size, len(bench.prepared.corpus.held_out), bench.seed)
    rows = parted(drawn, bench.seed)
    doctrines = [Cell(name, (f"doctrine={name}",), tuned=False) for name in DOCTRINES]
    bench.share_training(doctrines[0])
    grid = [Cell(f"r={rank}", overrides_of({"doctrine": OWN, "lora.r": rank})) for rank in RANKS]
    possible, absent = bench.possible(doctrines, lambda cell: Run(cell.name, None, bench.seed, 1.0), rows)
    rates = {cell.name: bench.advised_rate(cell) for cell in grid}
    folder = FOLDER / f"{data.name}-{size}"
    folder.mkdir(parents=True, exist_ok=True)
    return Case(f"{data.name}, {size} rows", folder, bench, rows, (*possible, *grid), rates, absent)


def parted(drawn: LabRows, seed: int) -> LabRows:
    """Few rows to choose by, which every look of every run reads; more to score on."""
    corpus = drawn.prepared.corpus
    choosing, scored = few(corpus.held_out, CHOOSING, seed), few(drawn.scored, SCORED, seed)
    shown = {id(row): rendered for row, rendered in zip(corpus.held_out, corpus.held_out_rendered, strict=True)}
    told = {id(row): rendered for row, rendered in zip(drawn.scored, drawn.scored_rendered, strict=True)}
    smaller = replace(corpus, held_out=tuple(choosing), held_out_rendered=tuple(shown[id(row)] for row in choosing))
    prepared = replace(drawn.prepared, corpus=smaller)
    return LabRows(prepared, tuple(scored), tuple(told[id(row)] for row in scored))


def few(rows: Sequence[Row], count: int, seed: int) -> list[Row]:
    """About `count` of them, each label in proportion."""
    return list(rows) if count >= len(rows) else split_rows(rows, 1 - count / len(rows), seed)[0]


class Kept(Results):
    """Losses of rows to four digits: the lines are committed."""

    def add(self, result: Result) -> None:
        losses = None if result.losses is None else tuple((round(nats, 4), n) for nats, n in result.losses)
        super().add(replace(result, losses=losses))


def work(case: Case, ends: float) -> None:
    """Every run that is not done yet, until time is up."""
    results = Kept(case.folder)
    size = Size(len(case.rows.prepared.corpus.train), CHOOSING + SCORED, 1.0, 1 + len(MORE_SEEDS), 1.0)
    design = Design(case.cells, case.absent, case.rates[f"r={RANKS[1]}"], size, (), 0, None, 0, (), ())
    at_work = Session("doctrines", case.bench, case.folder, design, case.rows, results, None, told(case))
    began = time.monotonic()

    def in_time() -> Iterator[Run]:
        for run in runs(case, results):
            if run.key not in results.found and time.monotonic() > ends:
                return
            yield run

    try:
        Laboratory(at_work).do(in_time())
    finally:
        results.close()
    print(f"{case.name}: {len(results.found)} runs, {(time.monotonic() - began) / 60:.0f} minutes now", flush=True)


def told(case: Case) -> Observer:
    def tell(event: Event) -> None:
        if event["event"] == "experiment":
            print(f"{time.strftime('%H:%M:%S')} {case.name}: {event['cell']}", flush=True)

    return tell


def runs(case: Case, results: Results) -> Iterator[Run]:
    """Doctrines, grids, and other seeds of what is near; what comes later follows from what is found."""
    seed, doctrines = case.bench.seed, [cell.name for cell in case.cells if not cell.tuned]
    yield from (Run(name, None, seed, 1.0) for name in doctrines)
    for name, rate in case.rates.items():
        yield from (grid_run(name, rate * times, seed) for times in TIMES)
        for _ in range(BEYOND):
            further = beyond(name, results)
            if further is not None:
                yield grid_run(name, further, seed)
    near = near_doctrines(doctrines, results, seed)
    for more in MORE_SEEDS:
        yield from (Run(name, None, more, 1.0) for name in near)
        best = best_of_grid(results)
        if best is not None:
            yield replace(best.run, seed=more)


def grid_run(name: str, rate: float, seed: int) -> Run:
    return Run(name, float(f"{rate:.6g}"), seed, 1.0)


def on_grid(results: Results, seed: int = 0) -> list[Result]:
    """Of all ranks and rates, in rising order of rate."""
    found = [one for one in results.found.values() if one.run.learning_rate is not None and one.run.seed == seed]
    return sorted((one for one in found if one.loss is not None), key=lambda one: one.run.learning_rate or 0.0)


def beyond(name: str, results: Results) -> float | None:
    """The next rate past a grid's end, where that is its best."""
    found = [one for one in on_grid(results) if one.run.cell == name]
    if len(found) < len(TIMES):
        return None
    best = min(found, key=lambda one: one.loss or 0.0)
    step = TIMES[1] / TIMES[0]
    if best is found[0]:
        return (best.run.learning_rate or 0.0) / step
    return (best.run.learning_rate or 0.0) * step if best is found[-1] else None


def best_of_grid(results: Results) -> Result | None:
    """By the rows by which is chosen."""
    return min(on_grid(results), key=lambda one: one.loss or 0.0, default=None)


def near_doctrines(names: list[str], results: Results, seed: int) -> list[str]:
    """`rankwise`, and those whose loss on the choosing rows is near the least."""
    found = {name: results.found.get(Run(name, None, seed, 1.0).key) for name in names}
    losses = {name: one.loss for name, one in found.items() if one is not None and one.loss is not None}
    least = min(losses.values(), default=0.0)
    return [name for name in names if name == OWN or losses.get(name, float("inf")) <= NEAR * least]


def print_left(case: Case) -> None:
    """How much is done, and what a run has taken so far; what is left depends on what is found."""
    results = Kept(case.folder)
    results.close()
    done = [one.seconds for one in results.found.values()]
    doctrines = len(case.cells) - len(RANKS)
    most = doctrines + len(RANKS) * (len(TIMES) + BEYOND) + len(MORE_SEEDS) * (doctrines + 1)
    each = f", {mean(done) / 60:.1f} minutes each" if done else ""
    print(f"{case.name}: {len(done)} runs of at most {most}{each}")


if __name__ == "__main__":
    main()
