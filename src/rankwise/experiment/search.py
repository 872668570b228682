"""`rankwise experiment search`: Optuna from the plan on, poor trials stopped early, the best few trained whole.

A trial is trained on a ninth of the steps, which see a part of the rows in the seed's order; if it is among the best
third so far, on a third of them. The best few and the plan are trained on all rows with all seeds. What wins is chosen
on one half of the held-out rows and scored on the other.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from statistics import mean
from typing import TYPE_CHECKING

from rankwise.errors import PlanError, Problem, RankwiseError
from rankwise.events import Observer, ignore
from rankwise.experiment.bench import Bench, Counted, Run, Size, given_up
from rankwise.experiment.cells import Cell
from rankwise.experiment.curves import PLAN
from rankwise.experiment.design import DEFAULT_SEEDS, Design, disk_needed, wanted_size
from rankwise.experiment.results import Result
from rankwise.experiment.rows import draw_rows
from rankwise.experiment.run import Laboratory, task_of
from rankwise.experiment.search_report import Finalist, SearchReport, Tried, advise_by_guide
from rankwise.experiment.session import DEFAULT_BUDGET, Session, open_bench, session, write_reports
from rankwise.experiment.space import Choice, Space
from rankwise.experiment.statistics import Tallies, difference, estimate
from rankwise.files import write_text
from rankwise.plan.advise import weigh
from rankwise.recipe import Asked
from rankwise.recipe.keys import LEAVES
from rankwise.recipe.write import Chosen, commented_recipe

if TYPE_CHECKING:
    from optuna import Study

TRIALS = (40, 24, 12, 6)
"""So many, or as many as the budget lets."""
FINALISTS = 3
RUNGS = (1 / 9, 1 / 3)
"""Shares of the steps; from one to the next the best third go on."""
WINNER = "winner.yaml"


def search_recipes(
    asked: Asked,
    output: Path | None = None,
    seeds: int = DEFAULT_SEEDS,
    rows: int | None = None,
    budget: float | None = DEFAULT_BUDGET,
    observer: Observer = ignore,
) -> tuple[SearchReport, Path]:
    """Plan the search, do every run that is not done yet, write the report and the winner's recipe; returns the report
    and its folder.

    `rows`: training rows at most. `budget`: seconds for all runs; None: no limit. The same call again goes on where an
    earlier one was stopped. Raises what `ablate` raises, and PlanError without Optuna.
    """
    study = _study(asked.recipe.training.seed)
    bench = open_bench(asked, "search", observer, answers=False)
    options = {"seeds": seeds, "rows": rows}
    with session(
        "search", bench, options, lambda: design_search(bench, seeds, rows, budget), output, budget, observer
    ) as at_work:
        hunt = _Hunt(at_work, study)
        hunt.run()
        report = hunt.report()
        if report.winner is not None:
            write_text(at_work.folder / WINNER, hunt.recipe(report))
        write_reports(at_work.folder, report.document(), report.plain())
    return report, at_work.folder


def design_search(bench: Bench, seeds: int, rows: int | None, budget: float | None) -> Design:
    """The largest search that fits into `budget` seconds: rows, steps, seeds, and last trials are given up."""
    made = Cell(PLAN, (), tuned=False)
    rate = bench.share_training(made)
    wanted = wanted_size(bench, seeds, rows)
    for number, trials in enumerate(TRIALS):
        runs_of = partial(_counted, made, bench.seed, trials)
        try:
            size, seconds = bench.fit(wanted, budget, runs_of)
            break
        except PlanError as fault:
            small = fault.problems and fault.problems[0].code == "budget-too-small"
            if not small or number == len(TRIALS) - 1:
                raise
    drawn = draw_rows(bench.prepared, size.rows, size.held_out, bench.seed)
    lost = [] if trials == TRIALS[0] else [f"trials: {trials} of {TRIALS[0]}"]
    return Design(
        cells=(made,),
        absent={},
        learning_rate=rate,
        size=size,
        gave_up=(*given_up(replace(wanted, probe=size.probe), size), *lost),
        runs=sum(one.count for one in runs_of(size)),
        seconds=seconds,
        disk_bytes=disk_needed([bench.plan(made, Run(PLAN, None, bench.seed, size.share), drawn)]),
        undecided=(),
        notes=(),
        trials=trials,
    )


def _counted(made: Cell, seed: int, trials: int, size: Size) -> list[Counted]:
    """As if every trial cost what the plan costs."""
    run = Run(PLAN, None, seed, size.share)
    promoted = -(-trials // 3)
    return [
        Counted(made, run, size.seeds * (FINALISTS + 1), scored=True),
        Counted(made, replace(run, share=size.share * RUNGS[0]), trials, scored=False),
        Counted(made, replace(run, share=size.share * RUNGS[1]), promoted, scored=False),
    ]


def _study(seed: int) -> Study:
    try:
        import optuna
    except ImportError:
        message = "search needs Optuna, which is not installed: pip install 'rankwise[experiment]'"
        raise PlanError(problems=[Problem("error", "optuna-missing", "experiment search", message)]) from None
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    return optuna.create_study(direction="minimize", sampler=optuna.samplers.TPESampler(seed=seed))


class _Hunt:
    """One search. The study is told the same values in the same order when it is gone on with, so it asks for the same
    trials, and those that are done are read and not run."""

    def __init__(self, at_work: Session, study: Study) -> None:
        self.at_work, self.bench, self.study = at_work, at_work.bench, study
        made, _, situation, _ = weigh(self.bench.asked, self.bench.prepared, self.bench.machine, self.bench.measured)
        self.space = Space(made, situation, batches=self.bench.asked.recipe.training.max_steps is None)
        self.tried: list[Tried] = []
        self.left_out: list[Run] = []
        self.cells: dict[str, tuple[Cell, Choice]] = {}

    def run(self) -> None:
        design, seeds = self.at_work.design, self._seeds()
        laboratory = Laboratory(self.at_work)
        self.left_out += laboratory.do(Run(PLAN, None, seed, design.size.share) for seed in seeds)
        self.space.seed(self.study)
        for _ in range(design.trials):
            trial = self.study.ask()
            tried = self._try(laboratory, self.space.choose(trial))
            self.tried.append(tried)
            if tried.loss is None:
                self.study.tell(trial, state=_failed())
            else:
                self.study.tell(trial, tried.loss)
        for choice in self._finalists():
            cell = self._known(laboratory, choice)
            whole = (Run(cell.name, choice.learning_rate, seed, design.size.share) for seed in seeds)
            self.left_out += laboratory.do(whole)

    def _seeds(self) -> range:
        return range(self.bench.seed, self.bench.seed + self.at_work.design.size.seeds)

    def _try(self, laboratory: Laboratory, choice: Choice) -> Tried:
        """On the first rung, and on the next where it is among the best third there."""
        cell, size, found = self._known(laboratory, choice), self.at_work.design.size, list[Result]()
        for number, rung in enumerate(RUNGS):
            run = Run(cell.name, choice.learning_rate, self.bench.seed, size.share * rung)
            try:
                self.left_out += laboratory.do([run], self._reserved())
            except RankwiseError as fault:
                return Tried(choice, 0, None, None, str(fault))
            result = self.at_work.results.found.get(run.key)
            if result is None or result.loss is None:
                break
            found.append(result)
            others = sorted(one.rungs[number] for one in self.tried if one.rungs and len(one.rungs) > number)
            if result.loss > (others[len(others) // 3] if len(others) >= 3 else float("inf")):
                break
        rungs = tuple(result.loss for result in found if result.loss is not None)
        failed = None if found else "not run, or its loss was not finite"
        parameters = found[0].trainable_parameters if found else 0
        return Tried(choice, parameters, rungs[-1] if rungs else None, rungs or None, failed)

    def _reserved(self) -> float:
        """Seconds that the finalists will take, at most."""
        plan = Run(PLAN, None, self.bench.seed, self.at_work.design.size.share)
        if self.bench.measured is None:
            return 0.0
        made = self.bench.plan(self.at_work.design.cell(PLAN), plan, self.at_work.rows)
        one = self.bench.seconds(made, self.at_work.rows, scored=True)
        return FINALISTS * len(self._seeds()) * one

    def _known(self, laboratory: Laboratory, choice: Choice) -> Cell:
        cell = self.space.cell(choice)
        self.cells[cell.name] = (cell, choice)
        design = self.at_work.design
        laboratory.design = replace(design, cells=(*design.cells, *(cell for cell, _ in self.cells.values())))
        return cell

    def _finalists(self) -> list[Choice]:
        """Of those that came farthest, the ones with the least loss there."""
        done = [one for one in self.tried if one.rungs]
        ordered = sorted(done, key=lambda one: (-len(one.rungs or ()), one.loss))
        return list({one.choice: None for one in ordered})[:FINALISTS]

    def _whole(self, name: str, rate: float | None) -> Mapping[int, Result]:
        share = self.at_work.design.size.share
        found = {s: self.at_work.results.found.get(Run(name, rate, s, share).key) for s in self._seeds()}
        return {seed: result for seed, result in found.items() if result is not None and result.losses is not None}

    def report(self) -> SearchReport:
        bench, design, results = self.bench, self.at_work.design, self.at_work.results
        plan = self._whole(PLAN, None)
        finalists = list(self._scored(plan))
        entered = [one for one in finalists if one.loss.seeds == len(self._seeds())] or finalists
        best = min(entered, key=lambda one: one.chosen_loss, default=None)
        if best is not None and plan and mean(r.loss or 0.0 for r in plan.values()) <= best.chosen_loss:
            best = None
        return SearchReport(
            data=Path(bench.prepared.corpus.request.train).name,
            base=bench.prepared.located.name,
            machine=bench.machine.cpu,
            bits_per=task_of("auto", bench).bits.removeprefix("bits_per_"),
            train_rows=len(self.at_work.rows.prepared.corpus.train),
            scored_rows=len(self.at_work.rows.scored),
            design=design,
            plan=estimate(_tallies(plan)) if plan else None,
            plans_own=self.space.plans_own,
            tried=tuple(self.tried),
            finalists=tuple(finalists),
            winner=best,
            advice=tuple(advise_by_guide(self.tried, best, self.space.plans_own)),
            recipe=None if best is None else WINNER,
            failed={result.run.key: result.failed for result in results.found.values() if result.failed is not None},
            left_out=tuple(run.key for run in self.left_out),
            problems=bench.prepared.corpus.problems,
            seconds=results.seconds,
            budget=self.at_work.budget,
        )

    def _scored(self, plan: Mapping[int, Result]) -> Iterator[Finalist]:
        for choice in self._finalists():
            found = self._whole(self.space.cell(choice).name, choice.learning_rate)
            if found:
                loss, common = _tallies(found), found.keys() & plan.keys()
                regret = difference(_tallies(plan), loss) if common else None
                chosen = mean(result.loss or 0.0 for result in found.values())
                first = next(iter(found.values()))
                yield Finalist(choice, first.trainable_parameters, chosen, estimate(loss), regret)

    def recipe(self, report: SearchReport) -> str:
        """The winner's, with all that the user's own says beside it; paths are written whole."""
        assert report.winner is not None
        asked, choice = self.bench.asked, report.winner.choice
        why = f"the best of {len(report.tried)} trials"
        chosen = {key: Chosen(_value(asked, key), "yours") for key in LEAVES if key in asked.given}
        chosen |= {key: Chosen(value, why) for key, value in self.space.values(choice).items()}
        chosen["training.learning_rate"] = Chosen(choice.learning_rate, why)
        request = self.bench.prepared.corpus.request
        chosen["data.train"] = Chosen(request.train, "yours" if "data.train" in asked.given else "the domain's rows")
        if isinstance(request.held_out, str):
            chosen["data.held_out"] = Chosen(request.held_out, "yours" if "data.held_out" in asked.given else "its own")
        if self.bench.prepared.located.kind == "folder":
            chosen["model"] = Chosen(str(self.bench.prepared.path.absolute()), "yours")
        remarks = [f"Found by rankwise experiment search; {report.design.size.rows} training rows."]
        return commented_recipe(chosen, remarks)


def _value(asked: Asked, key: str) -> object:
    """Of a dotted key of the recipe."""
    value: object = asked.recipe
    for part in key.split("."):
        value = getattr(value, part)
    return value


def _failed() -> object:
    from optuna.trial import TrialState

    return TrialState.FAIL


def _tallies(results: Mapping[int, Result]) -> Tallies:
    told = {seed: result.loss_tally() for seed, result in results.items()}
    return {seed: tally for seed, tally in told.items() if tally is not None}
