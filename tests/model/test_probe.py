"""What is measured: the dtypes that fit, each told by itself."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from rankwise.data.batch import Batch
from rankwise.facts import Machine, read_machine
from rankwise.facts.machine import Gpu
from rankwise.model import probe
from rankwise.model.probe import fitting_dtypes as fitting
from rankwise.model.probe import measure
from rankwise.plan.memory import PROCESS

BILLION = 10**9


def on_cpu(memory: int) -> Machine:
    return replace(read_machine(), gpus=(), memory_bytes=memory)


def test_a_dtype_fits_where_there_is_a_quarter_more_than_its_weights() -> None:
    room = PROCESS + 5 * BILLION
    assert fitting(BILLION, on_cpu(room)) == ["bfloat16", "float32"]
    assert fitting(BILLION, on_cpu(room - 1)) == ["bfloat16"]
    assert fitting(2 * BILLION, on_cpu(room)) == ["bfloat16"]
    assert fitting(2 * BILLION, on_cpu(room - 1)) == []
    assert fitting(2 * BILLION, on_cpu(0)) == []


def test_on_a_gpu_it_must_fit_into_both_memories() -> None:
    machine = replace(on_cpu(1 << 40), versions={"torch": "2.13.0"}, gpus=(Gpu("a GPU", 4 * BILLION),))
    assert machine.device == "cuda"
    assert fitting(BILLION, machine) == ["bfloat16"]
    assert fitting(BILLION, replace(machine, memory_bytes=PROCESS + BILLION)) == []


@pytest.mark.parametrize("dtype", ["bfloat16", "float32"])
def test_a_dtype_is_measured(dtype: str, base_of: Callable[[str], Path]) -> None:
    found = json.loads(json.dumps(measure(base_of("llama"), ["q_proj", "down_proj"], dtype, on_cpu(1 << 40))))
    assert (found.pop("dtype"), found.pop("threads")) == (dtype, torch.get_num_threads())
    assert found.keys() == {"load_seconds", "train_tokens_per_second", "forward_tokens_per_second"}
    assert all(value > 0 for value in found.values())


def test_a_slow_dtype_is_measured_in_fewer_and_shorter_steps(
    base_of: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    rows: list[int] = []
    monkeypatch.setattr(probe, "STEP_SECONDS", 0.0)
    monkeypatch.setattr(probe, "ENOUGH", 0.0)
    made = probe._batch

    def counted(vocabulary: int, count: int) -> Batch:
        rows.append(count)
        return made(vocabulary, count)

    monkeypatch.setattr(probe, "_batch", counted)
    measure(base_of("llama"), ["q_proj"], "float32", on_cpu(1 << 40))
    assert rows == [1, 1, 1]
