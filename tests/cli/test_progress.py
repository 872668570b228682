"""Every event has a reading, on a terminal and elsewhere."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from rankwise.cli.progress import LINES_PER_BAR, Advance, read_event, watch

STEP = {
    "event": "step",
    "step": 5,
    "steps": 50,
    "epoch": 0.3,
    "loss": 1.25,
    "learning_rate": 1e-3,
    "grad_norm": 0.5,
    "tokens_per_second": 812.4,
    "rows_per_second": 4.0,
    "seconds_left": 75.0,
}
EVENTS = [
    {"event": "fetch", "base": "b", "stage": "download", "done": 5_000_000, "of": 90_000_000},
    {"event": "fetch", "base": "b", "stage": "convert", "done": 0, "of": 1},
    {"event": "measure", "stage": "speed"},
    {"event": "train_begin", "steps": 50, "step": 0, "rows": 40},
    STEP,
    {"event": "held_out", "step": 5, "loss": 0.6, "bits_per_token": 0.866, "best": True, "rows": 10},
    {"event": "held_out", "step": 6, "loss": 0.5, "bits_per_row": 0.721, "best": True, "rows": 10},
    {"event": "checkpoint", "step": 5, "path": "step-5"},
    {"event": "checkpoint_damaged", "path": "step-7", "reason": "state.json is missing"},
    {"event": "resume", "checkpoint": None, "damaged": 1},
    {"event": "resumed", "step": 5},
    {"event": "rollback", "step": 6, "to": 4, "reason": "the loss is nan", "rollbacks": 1, "of": 3},
    {"event": "stopped", "step": 7, "signal": 15},
    {"event": "train_end", "reason": "no improvement"},
    {"event": "experiment_plan", "runs": 42, "seconds": 1500.0, "disk_bytes": 9_000_000, "gave_up": ["seeds: 2 of 3"]},
    {"event": "experiment", "done": 21, "of": 42, "cell": "Query-Only | 0.001 | seed 0 | 1"},
    {"event": "contestant_begin", "contestant": "few_shot", "rows": 10},
    {"event": "contestant_progress", "contestant": "few_shot", "done": 4, "rows": 10},
    {
        "event": "contestant_end",
        "contestant": "few_shot",
        "scores": {"accuracy": 0.5, "field_f1": None},
        "seconds": 3.0,
    },
]


def watched(events: list[dict], terminal: bool) -> str:
    stream = io.StringIO()
    console = Console(file=stream, force_terminal=terminal, width=160, markup=False, highlight=False)
    with watch(console) as observer:
        for event in events:
            observer(event)
    return stream.getvalue()


@pytest.mark.parametrize("terminal", [True, False])
def test_every_event_can_be_watched(terminal: bool):
    shown = watched(EVENTS, terminal)
    for told in (
        *("loss 1.250", "812 tokens/s", "1:15 left", "0.866 bits/token", "0.721 bits/row"),
        "few-shot base: accuracy 0.500",
        *("42 runs at most, about 25:00, 9 MB of disk", "given up for the budget: seeds: 2 of 3", "Query-Only"),
        "checkpoint step-7 is damaged and passed over: state.json is missing",
        *("starting over", "the loss is nan", "rolled back to step 4 (1 of at most 3 times)"),
    ):
        assert told in shown


def test_a_step_says_how_far_it_is():
    read = read_event(STEP)
    assert isinstance(read, Advance)
    assert (read.title, read.done, read.of, read.count) == ("train", 5, 50, "5/50 steps")


def test_an_event_of_no_interest_is_passed_over():
    assert read_event({"event": "something_new"}) is None


@pytest.mark.parametrize("steps", [3, 10, 137, 5000])
def test_lines_are_few_and_the_last_is_among_them(steps: int):
    events = [{**STEP, "step": step, "steps": steps} for step in range(1, steps + 1)]
    lines = watched(events, terminal=False).splitlines()
    assert len(lines) == min(steps, LINES_PER_BAR)
    assert f"{steps}/{steps} steps" in lines[-1]


def test_a_fact_stays_until_it_is_replaced():
    begun = {"event": "train_begin", "steps": 50, "step": 0, "rows": 40}
    lines = watched([begun, STEP, {**STEP, "step": 50, "loss": 0.5}], terminal=False).splitlines()
    assert len(lines) == 2
    assert "loss 1.250" in lines[0] and "loss 0.500" in lines[1] and "loss 1.250" not in lines[1]
