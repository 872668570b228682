"""What is run, what is not and why, and what a budget leaves."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from rankwise.errors import PlanError
from rankwise.experiment.bench import Bench, Run
from rankwise.experiment.cells import DEFAULT
from rankwise.experiment.design import design, rates, read_design
from rankwise.experiment.rows import draw_rows

BenchOf = Callable[..., Bench]
EPOCHS = (
    "training: {num_train_epochs: 2, per_device_train_batch_size: 4, gradient_accumulation_steps: 1, bf16: false}\n"
)


def test_the_guides_rows_stand_on_its_base(bench_of: BenchOf):
    bench = bench_of()
    made = design(bench, [], 3, None, None)
    names = [cell.name for cell in made.cells]
    assert names == [DEFAULT, "Low Rank (r=4)", "High Rank (r=32)", "Query-Only", "QLoRA"]
    assert made.absent == {"With Bias Training": "on this base it trains just what Default trains"}
    rows = draw_rows(bench.prepared, 48, 24, 0)
    plans = {cell.name: bench.plan(cell, Run(cell.name, 1e-3, 0, 1.0), rows) for cell in made.cells}
    for plan in plans.values():
        assert plan["lora.lora_alpha"] == 2 * plan["lora.r"] and plan["lora.lora_dropout"] == 0.1
    assert {plan["lora.r"] for plan in plans.values()} == {4, 16, 32}
    assert set(plans[DEFAULT]["lora.target_modules"]) == {"q_proj", "k_proj", "v_proj", "o_proj"}
    assert plans["Query-Only"]["lora.target_modules"] == ["q_proj"]
    assert (plans["QLoRA"]["method"], plans["QLoRA"]["quantization"]) == ("qlora", "nf4")


def test_cells_differ_in_their_own_values_alone(bench_of: BenchOf):
    """Whatever a doctrine would set by rank or layers; and all take as many steps."""
    bench = bench_of(EPOCHS)
    made = design(bench, [], 3, None, None)
    rows = draw_rows(bench.prepared, 48, 24, 0)
    own = {"method", "quantization", "lora.r", "lora.lora_alpha", "lora.target_modules"}
    first, *others = [bench.plan(cell, Run(cell.name, 1e-3, 5, 1.0), rows).values() for cell in made.cells]
    assert first["training.max_steps"] == 24 and first["training.seed"] == 5
    for other in others:
        assert {key for key in first if first[key] != other[key]} <= own


def test_a_base_with_biases_has_a_cell_that_trains_them(bench_of: BenchOf, base_of: Callable[[str], Path]):
    made = design(bench_of(base=base_of("qwen2")), [], 1, None, None)
    assert "With Bias Training" in [cell.name for cell in made.cells] and not made.absent


def test_the_mlp_alone_has_as_many_parameters_as_attention(bench_of: BenchOf):
    """As nearly as a whole rank allows; a tied head is no cell."""
    bench = bench_of()
    made = design(bench, ["layers"], 1, None, None)
    rows = draw_rows(bench.prepared, 48, 24, 0)
    counts = {
        cell.name: bench.plan(cell, Run(cell.name, 1e-3, 0, 1.0), rows).trainable_parameters for cell in made.cells
    }
    [mlp] = [name for name in counts if name.startswith("MLP only")]
    per_rank = 2 * 3 * (32 + 64)  # two layers of gate, up and down
    assert abs(counts[mlp] - counts[DEFAULT]) <= per_rank / 2
    assert "tied" in made.absent["Attention + MLP + head"]


def test_what_the_recipe_says_and_no_cell_uses_is_told(bench_of: BenchOf):
    made = design(bench_of(f"lora: {{r: 8}}\n{EPOCHS}"), [], 1, None, None)
    assert any("lora.r is not used" in note for note in made.notes)


def test_every_doctrine_is_held_against_the_recipes_own(bench_of: BenchOf):
    from rankwise.doctrine import DOCTRINES

    made = design(bench_of("doctrine: without-regret\n"), ["doctrines"], 2, None, None)
    names = [cell.name for cell in made.cells]
    assert names[0] == "without-regret" and {*names, *made.absent} == set(DOCTRINES)
    assert not any(cell.tuned for cell in made.cells) and made.runs == 2 * len(names)


def test_runs_are_counted(bench_of: BenchOf):
    """Seeds at the shared rate, two more rates, and the other seeds at the best of the three."""
    made = design(bench_of(), [], 3, None, None)
    assert made.runs == 5 * (3 + 2 + 2)
    assert design(bench_of(), [], 1, None, None).runs == 5 * 3


def test_a_budget_takes_rows_then_steps_then_seeds_then_probes(bench_of: BenchOf):
    bench = bench_of(EPOCHS, train=600, held_out=300)
    full = design(bench, [], 3, None, None)
    assert full.seconds is not None and not full.gave_up
    seen = []
    for share in (1.01, 0.6, 0.3, 0.2, 0.12, 0.05, 0.03):
        try:
            made = design(bench, [], 3, None, share * full.seconds)
        except PlanError:
            break
        assert made.seconds is not None and made.seconds <= share * full.seconds
        seen.append((made.size, [told.partition(":")[0] for told in made.gave_up]))
    assert seen[0][0] == full.size and len(seen) >= 4
    for size, gave_up in seen:
        assert gave_up == sorted(gave_up, key=["rows", "steps", "seeds", "probes"].index)
        if size.share < 1:
            assert size.rows == 200
        if size.seeds < 3:
            assert size.share == 0.25
        if size.probe < 1:
            assert size.seeds == 1


def test_a_budget_that_is_too_small_names_one_that_is_not(bench_of: BenchOf):
    with pytest.raises(PlanError) as caught:
        design(bench_of(EPOCHS, speed=10.0), [], 3, None, 60.0)
    [problem] = caught.value.problems
    assert problem.code == "budget-too-small"
    minutes = int(problem.message.partition("--budget ")[2].partition("m")[0])
    assert design(bench_of(EPOCHS, speed=10.0), [], 3, None, 60.0 * minutes).size.seeds == 1


def test_without_a_known_speed_there_is_no_budget(bench_of: BenchOf):
    with pytest.raises(PlanError, match="not measured"):
        design(bench_of(speed=None), [], 3, None, 60.0)
    assert design(bench_of(speed=None), [], 3, None, None).seconds is None


def test_a_design_is_read_as_it_was_written(bench_of: BenchOf):
    made = design(bench_of(), [], 3, 30, None)
    assert made.size == replace(made.size, rows=30)
    assert read_design(made.as_json()) == made


def test_rates_are_three_around_the_shared_one():
    assert rates(3e-4) == [1e-4, 3e-4, 9e-4]
