"""How fast one base trains and reads on this machine, in float32 and bfloat16. Run in a process of its own:

    python -m rankwise.model.probe FOLDER

prints one JSON object: threads, load_seconds, train_tokens_per_second and forward_tokens_per_second by dtype.
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
from rankwise.facts import read_machine
from rankwise.model.attach import LoraSettings, attach_new
from rankwise.model.load import load_base
from rankwise.model.loss import target_losses

ROWS, ROW_TOKENS, SUPERVISED = 16, 64, 8
REPEATS = 3


def measure(folder: Path, targets: list[str]) -> dict[str, object]:
    """Median of three steps of 16 rows of 64 tokens, r=16 on `targets`, after one that is not counted."""
    machine = read_machine()
    device = machine.device
    torch.set_num_threads(machine.usable_cores)
    train: dict[str, float] = {}
    forward: dict[str, float] = {}
    load_seconds = 0.0
    for dtype in ("bfloat16", "float32"):
        began = time.perf_counter()
        model = load_base(folder, dtype, device)
        load_seconds = max(load_seconds, time.perf_counter() - began)
        settings = LoraSettings(16, 32, 0.0, targets, "none", False, True)
        adapted = attach_new(model, folder.name, settings, seed=0)
        batch = _batch(model.config.get_text_config().vocab_size)
        parameters = [p for p in adapted.parameters() if p.requires_grad]

        def step() -> None:
            target_losses(adapted, batch).mean().backward()  # noqa: B023  called in this turn of the loop only
            for p in parameters:  # noqa: B023
                p.grad = None

        @torch.no_grad()
        def read() -> None:
            target_losses(adapted, batch)  # noqa: B023

        train[dtype] = ROWS * ROW_TOKENS / _median_seconds(step, device)
        forward[dtype] = ROWS * ROW_TOKENS / _median_seconds(read, device)
    return {
        "threads": torch.get_num_threads(),
        "load_seconds": load_seconds,
        "train_tokens_per_second": train,
        "forward_tokens_per_second": forward,
    }


def _batch(vocabulary: int) -> Batch:
    generator = torch.Generator().manual_seed(0)
    ids = torch.randint(0, vocabulary, (ROWS * ROW_TOKENS,), generator=generator).tolist()
    at = [row * ROW_TOKENS + i for row in range(ROWS) for i in range(ROW_TOKENS - SUPERVISED - 1, ROW_TOKENS - 1)]
    return Batch(ids, [ROW_TOKENS] * ROWS, 0, at, [ids[i + 1] for i in at], [i // ROW_TOKENS for i in at])


def _median_seconds(work: Callable[[], None], device: str) -> float:
    seconds = []
    for _ in range(REPEATS + 1):
        began = time.perf_counter()
        work()
        if device == "cuda":
            torch.cuda.synchronize()
        seconds.append(time.perf_counter() - began)
    return statistics.median(seconds[1:])


if __name__ == "__main__":
    print(json.dumps(measure(Path(sys.argv[1]), sys.argv[2:])))
