"""How fast one base trains and reads on this machine, in bfloat16 and float32. Run in a process of its own:

    python -m rankwise.model.probe FOLDER TARGET...

prints one JSON object a line for each dtype in which the base fits, as soon as it is measured: dtype, threads,
load_seconds, train_tokens_per_second, forward_tokens_per_second.
"""

from __future__ import annotations

import json
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path

import torch

from rankwise.data.batch import Batch
from rankwise.errors import BaseError
from rankwise.facts import Machine, read_anatomy, read_machine
from rankwise.model.attach import LoraSettings, attach_new
from rankwise.model.load import load_base
from rankwise.model.loss import target_losses
from rankwise.plan.memory import BYTES, PROCESS

ROWS, ROW_TOKENS, SUPERVISED = 16, 64, 8
REPEATS = 3
STEP_SECONDS = 15.0
"""A step that would take longer has fewer rows: without bfloat16 in the processor it is forty times slower."""
ENOUGH = 20.0
"""Seconds after which nothing is repeated again."""
ROOM = 1.25
"""Memory that a base needs to be measured, as a multiple of its weights."""


def fitting_dtypes(parameters: int, machine: Machine) -> list[str]:
    """The dtypes in which a base of so many parameters fits into memory, the smaller first.

    It is read into the host's memory before it goes to a GPU, so it must fit into both.
    """
    memory = machine.memory_bytes - PROCESS
    if machine.device == "cuda":
        memory = min(memory, machine.gpus[0].memory_bytes)
    return [dtype for dtype in ("bfloat16", "float32") if ROOM * parameters * BYTES[dtype] <= memory]


def measure(folder: Path, targets: list[str], dtype: str, machine: Machine) -> dict[str, object]:
    """Median of three steps of 16 rows of 64 tokens, r=16 on `targets`, after one that is not counted; fewer rows
    and repeats where those would take minutes."""
    began = time.perf_counter()
    model = load_base(folder, dtype, machine.device)
    load_seconds = time.perf_counter() - began
    settings = LoraSettings(16, 32, 0.0, targets, "none", False, True)
    adapted = attach_new(model, folder.name, settings, seed=0)
    vocabulary = model.config.get_text_config().vocab_size
    parameters = [p for p in adapted.parameters() if p.requires_grad]

    def step(batch: Batch) -> None:
        target_losses(adapted, batch).mean().backward()
        for p in parameters:
            p.grad = None

    @torch.no_grad()
    def read(batch: Batch) -> None:
        target_losses(adapted, batch)

    def seconds(work: Callable[[Batch], None], rows: int) -> float:
        batch = _batch(vocabulary, rows)
        return _median_seconds(lambda: work(batch), machine.device)

    rows = ROWS
    if machine.device == "cpu":  # elsewhere the first step is mostly kernels that are compiled
        began = time.perf_counter()
        step(_batch(vocabulary, 1))
        rows = max(1, min(ROWS, int(STEP_SECONDS / (time.perf_counter() - began))))
    return {
        "dtype": dtype,
        "threads": torch.get_num_threads(),
        "load_seconds": load_seconds,
        "train_tokens_per_second": rows * ROW_TOKENS / seconds(step, rows),
        "forward_tokens_per_second": rows * ROW_TOKENS / seconds(read, rows),
    }


def _batch(vocabulary: int, rows: int) -> Batch:
    generator = torch.Generator().manual_seed(0)
    ids = torch.randint(0, vocabulary, (rows * ROW_TOKENS,), generator=generator).tolist()
    at = [row * ROW_TOKENS + i for row in range(rows) for i in range(ROW_TOKENS - SUPERVISED - 1, ROW_TOKENS - 1)]
    return Batch(ids, [ROW_TOKENS] * rows, 0, at, [ids[i + 1] for i in at], [i // ROW_TOKENS for i in at])


def _median_seconds(work: Callable[[], None], device: str) -> float:
    """Of REPEATS calls after one that is not counted, or of as many as ENOUGH has room for, at least one."""
    seconds: list[float] = []
    started = time.perf_counter()
    for number in range(REPEATS + 1):
        began = time.perf_counter()
        work()
        if device == "cuda":
            torch.cuda.synchronize()
        seconds.append(time.perf_counter() - began)
        if number and time.perf_counter() - started > ENOUGH:
            break
    return statistics.median(seconds[1:])


def main(folder: Path, targets: list[str]) -> None:
    """Measure and print, dtype by dtype; BaseError if the base fits in none."""
    machine = read_machine()
    torch.set_num_threads(machine.usable_cores)
    dtypes = fitting_dtypes(read_anatomy(folder).total_parameters, machine)
    if not dtypes:
        raise BaseError(f"{folder}: too large for the memory of this machine; choose a smaller base")
    for dtype in dtypes:
        print(json.dumps(measure(folder, targets, dtype, machine)), flush=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2:])
