"""A rehearsal counts what the run will do, and measures it in a process of its own."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import fields
from pathlib import Path

import pytest

from rankwise.data.batch import pack, split_evenly, steps
from rankwise.data.corpus import Corpus
from rankwise.events import read_events
from rankwise.facts import identify_base
from rankwise.files import write_json
from rankwise.plan.rehearsal import Rehearsal, predict
from rankwise.train.rehearse import MOST_STEPS, rehearse
from rankwise.train.settings import BaseFolder
from tests.train.test_run import corpus as corpus
from tests.train.test_run import make_plan, train


@pytest.mark.parametrize(("max_steps", "eval_steps", "save_steps"), [(6, 2, 2), (7, 3, 2), (5, 5, 4), (1, 9, 9)])
def test_it_counts_what_the_run_then_does(
    tiny_base: Path, corpus: Corpus, tmp_path: Path, max_steps: int, eval_steps: int, save_steps: int
) -> None:
    lengths = {
        "training__max_steps": max_steps,
        "training__eval_steps": eval_steps,
        "training__save_steps": save_steps,
    }
    base = BaseFolder("tiny", tiny_base, identify_base(tiny_base))
    made = rehearse(make_plan(tiny_base, corpus, **lengths), corpus, base, 0.0)
    train(tiny_base, corpus, tmp_path / "run", **lengths)
    events = [event["event"] for event in read_events(tmp_path / "run" / "events.jsonl")]
    assert made.evaluations == events.count("held_out")
    assert made.saves == events.count("checkpoint")
    rows = corpus.train_rendered
    tokens = [
        sum(len(pack([rows[i] for i in part], True).ids) for part in split_evenly(chosen, 2))
        for chosen in steps(len(rows), 4, 0, 0, max_steps)
    ]
    assert made.run_tokens == sum(tokens)
    assert len(made.step_tokens) == len(made.step_seconds) >= 4
    assert set(made.step_tokens) <= set(tokens)


def test_it_times_as_many_steps_as_its_time_allows(tiny_base: Path, corpus: Corpus) -> None:
    base = BaseFolder("tiny", tiny_base, identify_base(tiny_base))
    plan = make_plan(tiny_base, corpus, training__max_steps=100)
    assert len(rehearse(plan, corpus, base, 0.0).step_seconds) == 4
    assert len(rehearse(plan, corpus, base, 600.0).step_seconds) == MOST_STEPS


def test_in_a_process_of_its_own_it_prints_its_fields(tiny_base: Path, corpus: Corpus, tmp_path: Path) -> None:
    write_json(tmp_path / "plan.json", make_plan(tiny_base, corpus).as_json())
    write_json(tmp_path / "data.json", corpus.request.as_json())
    command = [sys.executable, "-m", "rankwise.train.rehearse", str(tmp_path), str(tiny_base), "0"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    printed = json.loads(done.stdout)
    assert printed.keys() == {field.name for field in fields(Rehearsal)}
    made = predict(Rehearsal(**printed))
    assert made.seconds.low <= made.seconds.value <= made.seconds.high
    assert made.memory_bytes.value > 100 << 20  # torch alone takes more
