"""Regret on the tiny base, end to end, and what follows from results made by hand."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from rankwise.events import Event, ignore
from rankwise.experiment import measure_regret
from rankwise.experiment.bench import Bench, Run
from rankwise.experiment.curves import FULL, PLAN, Curves, design_curves, grid
from rankwise.experiment.regret import _leaves, _report
from rankwise.experiment.results import Result, Results
from rankwise.experiment.rows import draw_rows
from rankwise.experiment.session import Session
from rankwise.recipe import Asked

AskedFor = Callable[..., Asked]
BenchOf = Callable[..., Bench]
EPOCHS = (
    "training: {num_train_epochs: 2, per_device_train_batch_size: 4, gradient_accumulation_steps: 1, bf16: false}\n"
)


def test_end_to_end_and_again(asked_for: AskedFor, tmp_path: Path):
    asked, events, folder = asked_for(), list[Event](), tmp_path / "lab"
    report, _ = measure_regret(asked, folder, seeds=1, budget=None, observer=events.append)
    assert {line.cell for line in report.lines} == {"r=1", "r=4", "r=16", "r=64", FULL}
    assert report.plan is not None and not report.failed and not report.left_out
    assert [one.against for one in report.regrets] == ["adapters", "full fine-tuning"]
    assert {gap.cell for gap in report.gaps} == {"r=16", "r=64"}
    assert all(line.gap is not None and line.loss.value > 0 for line in report.lines if line.cell != FULL)
    ran = [event["cell"] for event in events if event["event"] == "experiment"]
    assert len(ran) == len(set(ran)) <= report.design.runs
    for name in ("report.md", "report.csv", "report.html"):
        assert (folder / name).read_text()
    assert json.loads(json.dumps(report.as_json(), allow_nan=False))["sentences"]
    assert "equal" not in (folder / "report.md").read_text()

    events.clear()
    again, _ = measure_regret(asked, folder, seeds=1, budget=None, observer=events.append)
    assert not [event for event in events if event["event"] == "experiment"]
    assert again.lines == report.lines and again.regrets == report.regrets


def test_the_grid_is_around_what_the_doctrine_gives_for_each_rank(bench_of: BenchOf):
    made = design_curves(bench_of(), 3, None, None)
    centers = {name: rates[2] for name, rates in made.grids.items()}
    assert centers["r=4"] == pytest.approx(2 * centers["r=16"], rel=0.05)  # the square root of the ranks' ratio
    assert grid(9e-4) == (1e-4, 3e-4, 9e-4, 2.7e-3, 8.1e-3)
    assert made.cells[0].name == PLAN


def test_the_larger_batch_sees_as_many_rows(bench_of: BenchOf):
    for training in (
        EPOCHS,
        "training: {max_steps: 8, per_device_train_batch_size: 4, gradient_accumulation_steps: 1}\n",
    ):
        bench = bench_of(training)
        made = design_curves(bench, 1, None, None)
        rows = draw_rows(bench.prepared, made.size.rows, made.size.held_out, 0)
        small, large = (
            bench.plan(made.cell(name), Run(name, 1e-3, 0, 1.0), rows) for name in ("full", "full, batch x4")
        )
        assert large["training.gradient_accumulation_steps"] == 4
        assert large["training.max_steps"] * 4 == small["training.max_steps"]
        assert large["method"] == "full" and large["training.bf16"] is False


def test_keys_of_lora_in_the_recipe_do_not_stop_the_reference(bench_of: BenchOf):
    made = design_curves(bench_of(f"lora: {{r: 8, lora_alpha: 16, layers_to_transform: [0]}}\n{EPOCHS}"), 1, None, None)
    assert FULL in [cell.name for cell in made.cells] and not made.absent


def test_a_budget_gives_up_ranks_last(bench_of: BenchOf):
    bench = bench_of(EPOCHS, train=400, held_out=200)
    whole = design_curves(bench, 3, None, None)
    assert whole.seconds is not None
    small = design_curves(bench, 3, None, 0.1 * whole.seconds)
    assert small.seconds is not None and small.seconds <= 0.1 * whole.seconds
    order = ["rows", "steps", "seeds", "probes", "ranks", "batches"]
    told = [what.partition(":")[0].partition(" ")[0] for what in small.gave_up]
    assert told == sorted(told, key=order.index) and {"rows", "steps", "seeds", "batches"} <= set(told)


# -- by hand

ROWS = 100


def done(cell: str, rate: float | None, seed: int, bits: float, looks: tuple[tuple[int, float], ...] = ()) -> Result:
    nats = bits * 0.6931471805599453
    losses = tuple((nats + 0.01 * (i % 2), 1) for i in range(ROWS))
    trained = 7e-4 if rate is None else rate
    run = Run(cell, rate, seed, 1.0)
    return Result(run, trained, nats, 4, 9.0, None, 100, 1.0, 1.0, bits, None, None, looks, losses)


def session_of(bench: Bench, folder: Path, results: list[Result]) -> tuple[Session, Curves]:
    folder.mkdir()
    made = design_curves(bench, 3, None, None)
    kept = Results(folder)
    for result in results:
        kept.add(result)
    rows = draw_rows(bench.prepared, made.size.rows, made.size.held_out, 0)
    at_work = Session("regret", bench, folder, made, rows, kept, None, ignore)
    return at_work, Curves(made, kept, 0)


def test_the_best_is_chosen_and_the_regret_is_its_distance(bench_of: BenchOf, tmp_path: Path):
    bench = bench_of()
    rates = design_curves(bench, 3, None, None).grids["r=16"]
    results = [done(PLAN, None, seed, 1.5) for seed in range(3)]
    for place, rate in enumerate(rates):
        results += [
            done("r=16", rate, seed, 1.0 + 0.1 * abs(place - 2)) for seed in range(3 if place in (1, 2, 3) else 1)
        ]
    at_work, curves = session_of(bench, tmp_path / "lab", results)
    assert curves.best("r=16") == rates[2] and curves.around("r=16") == list(rates[1:4])
    report = _report(at_work, curves, [])
    [regret] = report.regrets
    assert (regret.best, regret.rate) == ("r=16", rates[2])
    assert regret.found.value == pytest.approx(0.5) and regret.share == pytest.approx(0.5, abs=0.01)
    assert any(told.startswith("The plan loses against r=16") for told in report.sentences())
    [line] = report.lines
    assert line.optimum is not None and line.optimum.learning_rate == pytest.approx(rates[2])


def test_a_plan_that_is_best_has_no_regret(bench_of: BenchOf, tmp_path: Path):
    bench = bench_of()
    rate = design_curves(bench, 3, None, None).grids["r=16"][2]
    results = [done(PLAN, None, seed, 1.0) for seed in range(3)] + [done("r=16", rate, seed, 1.2) for seed in range(3)]
    report = _report(*session_of(bench, tmp_path / "lab", results), [])
    assert [one.best for one in report.regrets] == [PLAN]
    assert any("No regret seen" in told for told in report.sentences())


def test_while_the_best_is_at_an_end_one_more_is_tried(bench_of: BenchOf, tmp_path: Path):
    bench = bench_of()
    rates = design_curves(bench, 1, None, None).grids["r=16"]
    results = [done("r=16", rate, 0, 1.0 + place) for place, rate in enumerate(rates)]
    _, curves = session_of(bench, tmp_path / "lab", results)
    asked = [run.learning_rate for run in curves.runs() if run.cell == "r=16"]
    assert asked[5] == pytest.approx(rates[0] / 3, rel=1e-5)


def test_where_a_low_rank_leaves_the_curve():
    low = {s: done("r=1", 1e-3, s, 1.0, ((2, 0.9), (4, 0.8), (6, 0.7))) for s in range(2)}
    full = {s: done(FULL, 1e-4, s, 1.0, ((2, 0.95), (4, 0.7), (6, 0.5))) for s in range(2)}
    assert _leaves(low, full) == 4
    assert _leaves(full, low) is None
