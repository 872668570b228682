"""A search on the tiny base: from the plan on, the same again, with a recipe that can be trained."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from rankwise.errors import PlanError
from rankwise.events import Event, ignore
from rankwise.experiment import search_recipes
from rankwise.experiment.bench import Bench, Run
from rankwise.experiment.rows import draw_rows
from rankwise.experiment.search import TRIALS, design_search
from rankwise.experiment.search_report import Finalist, Tried, advise_by_guide
from rankwise.experiment.space import Choice, Space
from rankwise.experiment.statistics import Estimate
from rankwise.plan import prepare
from rankwise.plan.advise import weigh
from rankwise.recipe import Asked, load_recipe

pytest.importorskip("optuna")
AskedFor = Callable[..., Asked]
BenchOf = Callable[..., Bench]
EPOCHS = "training: {num_train_epochs: 2, per_device_train_batch_size: 4, bf16: false}\n"


def begun(events: list[Event]) -> list[str]:
    return [event["cell"] for event in events if event["event"] == "experiment"]


def test_end_to_end_after_a_kill_and_again(asked_for: AskedFor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("rankwise.experiment.search.TRIALS", (6,))
    asked, events, folder = asked_for(), list[Event](), tmp_path / "lab"
    report, _ = search_recipes(asked, folder, seeds=2, budget=None, observer=events.append)
    assert len(report.tried) == 6 and 1 <= len(report.finalists) <= 3 and not report.left_out
    assert report.tried[0].choice == report.plans_own
    assert report.plan is not None and all(one.loss.seeds == 2 for one in report.finalists)
    assert json.loads(json.dumps(report.as_json(), allow_nan=False))["sentences"]
    for name in ("report.md", "report.csv", "report.html"):
        assert (folder / name).read_text()
    ran = begun(events)
    assert len(ran) == len(set(ran))

    file = folder / "results.jsonl"
    lines = file.read_text().splitlines(keepends=True)
    file.write_text("".join(lines[:-2]))
    events.clear()
    again, _ = search_recipes(asked, folder, seeds=2, budget=None, observer=events.append)
    assert begun(events) == ran[-2:]
    assert [one.choice for one in again.tried] == [one.choice for one in report.tried]
    assert [one.loss for one in again.finalists] == [one.loss for one in report.finalists]

    if report.winner is not None:
        winner = load_recipe(folder / "winner.yaml")
        assert winner.recipe.lora.r == report.winner.choice.r
        assert winner.recipe.training.learning_rate == report.winner.choice.learning_rate
        assert prepare(winner, ignore, to_train=True).corpus.train_sha256


def test_the_winners_recipe_keeps_what_is_yours(bench_of: BenchOf):
    from rankwise.experiment.search import _value

    bench = bench_of()
    assert {key: _value(bench.asked, key) for key in ("training.max_steps", "data.train")} == {
        "training.max_steps": 4,
        "data.train": "train.jsonl",
    }


def test_the_plans_own_values_are_in_the_space(bench_of: BenchOf):
    bench = bench_of("lora: {r: 12, lora_alpha: 18, target_modules: [q_proj]}\n" + EPOCHS)
    plan, _, situation, _ = weigh(bench.asked, bench.prepared, bench.machine, bench.measured)
    space = Space(plan, situation)
    assert space.plans_own == Choice(12, 1.5, 0.0, "the plan's", 4, plan["training.learning_rate"])
    values = space.values(space.plans_own)
    assert values["lora.target_modules"] == ["q_proj"] and values["lora.lora_alpha"] == 18
    assert 12 in space.ranks and 1.5 in space.scales and 4 in space.batches


@pytest.mark.parametrize("method", ["full", "prefix", "adalora"])
def test_of_another_method_lora_is_searched(bench_of: BenchOf, method: str):
    bench = bench_of(f"method: {method}\n" + EPOCHS)
    plan, _, situation, _ = weigh(bench.asked, bench.prepared, bench.machine, bench.measured)
    space = Space(plan, situation)
    assert space.values(space.plans_own)["method"] == "lora"
    bench.plan(space.cell(space.plans_own), Run("x", 1e-3, 0, 1.0), draw_rows(bench.prepared, 48, 24, 0))


def test_a_budget_gives_up_trials_last(bench_of: BenchOf):
    bench = bench_of(EPOCHS, train=400, held_out=200)
    whole = design_search(bench, 3, None, None)
    assert whole.trials == TRIALS[0] and whole.seconds is not None
    for share in (0.2, 0.1, 0.07, 0.05, 0.04, 0.03):
        try:
            small = design_search(bench, 3, None, share * whole.seconds)
        except PlanError:
            break
        assert small.seconds is not None and small.seconds <= share * whole.seconds
        if small.trials < TRIALS[0]:
            assert small.size.seeds == 1 and small.size.rows == 200
            assert small.gave_up[-1] == f"trials: {small.trials} of {TRIALS[0]}"


def test_the_guides_advice_is_held_against_what_was_seen():
    own = Choice(16, 2.0, 0.0, "all projections", 16, 1e-3)
    small = replace(own, r=4, targets="attention")
    tried = [Tried(own, 1000, 0.500, (0.6, 0.500), None), Tried(small, 100, 0.505, (0.6, 0.505), None)]
    said = list(advise_by_guide(tried, None, own))
    assert len(said) == 1 and "10% of the best trial's parameters and +1.0% of its loss" in said[0]
    far = [tried[0], Tried(small, 100, 0.6, (0.6, 0.6), None)]
    assert "no smaller trial came within 2%" in next(advise_by_guide(far, None, own))
    found = Estimate(0.5, (0.4, 0.6), 3, 0.01)
    won = Finalist(replace(own, r=32), 2000, 0.4, found, found)
    assert "a higher rank (32; the plan: 16)" in list(advise_by_guide(tried, won, own))[1]
