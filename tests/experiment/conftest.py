"""A recipe on the tiny base, ready for an experiment."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from rankwise.events import ignore
from rankwise.experiment.bench import Bench
from rankwise.facts import Measurement, read_machine
from rankwise.plan import prepare
from rankwise.recipe import Asked, parse_recipe
from tests.model.conftest import base_of as base_of

RISKS = ("low", "medium", "high")
TRAINING = "training: {max_steps: 4, per_device_train_batch_size: 4, gradient_accumulation_steps: 1, bf16: false}\n"


def write_rows(path: Path, count: int, start: int = 0) -> None:
    """Label rows that no two of are equal."""
    rows = [
        {"text": f"clause {i} about payment and the {RISKS[i % 3]} risk of part {i % 7}", "label": RISKS[i % 3]}
        for i in range(start, start + count)
    ]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")


@pytest.fixture
def asked_for(tmp_path: Path, tiny_base: Path) -> Callable[..., Asked]:
    """A recipe of so many training and held-out rows, with more YAML below it."""

    def make(more: str = TRAINING, train: int = 48, held_out: int = 24, base: Path = tiny_base) -> Asked:
        write_rows(tmp_path / "train.jsonl", train)
        write_rows(tmp_path / "test.jsonl", held_out, start=10_000)
        text = f"model: {json.dumps(str(base))}\ndata: {{train: train.jsonl, held_out: test.jsonl}}\n{more}"
        return parse_recipe(text, "recipe.yaml", tmp_path)

    return make


def measured(tokens_per_second: float) -> Measurement:
    speed = {"float32": tokens_per_second, "bfloat16": tokens_per_second / 2}
    return Measurement("machine", "base", "2.13.0", 1, speed, speed, 0.0, "2026-01-01T00:00:00+00:00")


@pytest.fixture
def bench_of(asked_for: Callable[..., Asked]) -> Callable[..., Bench]:
    """A bench on which so many tokens a second are said to be measured; None: nothing is."""

    def make(more: str = TRAINING, speed: float | None = 1e6, **sizes: int) -> Bench:
        asked = asked_for(more, **sizes)
        prepared = prepare(asked, ignore, to_train=True)
        return Bench(asked, prepared, read_machine(), None if speed is None else measured(speed))

    return make
