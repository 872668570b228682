"""Our side of the speed benchmark: rankwise's own training loop over given rows in their own order.

    python benchmarks/speed_ours.py BASE RENDERED.json --steps N --rows B --dtype float32|bfloat16 [--r R]

RENDERED.json holds `[[ids, supervised], ...]`, steps x rows of them. Prints one JSON object: what every step took and
cost, and the peak of resident memory.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from pathlib import Path

import torch

from rankwise.data.batch import epoch_order, pack
from rankwise.data.render import Rendered
from rankwise.events import Event, EventLog
from rankwise.facts import read_anatomy, read_machine
from rankwise.model.attach import LoraSettings, attach_new
from rankwise.model.load import load_base
from rankwise.signals import Stop
from rankwise.train.loop import LoopSettings, train
from rankwise.train.optim import OptimSettings
from rankwise.train.run import peak_memory_bytes


def read_rendered(file: Path) -> list[Rendered]:
    rows = json.loads(file.read_text(encoding="utf-8"))
    return [Rendered(tuple(ids), tuple(map(bool, told)), told.index(1), True) for ids, told in rows]


def as_drawn(rows: list[Rendered], seed: int) -> list[Rendered]:
    """The rows laid out so that the loop, which shuffles, draws them in the order given."""
    laid_out: list[Rendered] = list(rows)
    for row, place in zip(rows, epoch_order(len(rows), seed, 0), strict=True):
        laid_out[place] = row
    return laid_out


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("base", type=Path)
    parser.add_argument("rendered", type=Path)
    parser.add_argument("--steps", type=int, required=True)
    parser.add_argument("--rows", type=int, required=True)
    parser.add_argument("--dtype", choices=["float32", "bfloat16"], required=True)
    parser.add_argument("--r", type=int, default=16)
    parser.add_argument("--quantization", choices=["none", "nf4", "int8"], default="none")
    parser.add_argument("--learning-rate", type=float, default=2e-4)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    rows = read_rendered(options.rendered)[: options.steps * options.rows]
    if len(rows) < options.steps * options.rows:
        sys.exit(f"{options.rendered}: {len(rows)} rows, expected steps x rows = {options.steps * options.rows}")
    torch.set_num_threads(read_machine().usable_cores)
    base = load_base(options.base, options.dtype, "cpu", options.quantization)
    targets = list(read_anatomy(options.base).resolve_targets("all-linear").modules)
    lora = LoraSettings(options.r, 2.0 * options.r, 0.0, targets, "none", False, True)
    model = attach_new(base, options.base.name, lora, options.seed)
    loop = LoopSettings(
        num_steps=options.steps,
        step_rows=options.rows,
        gradient_accumulation_steps=1,
        eval_steps=options.steps,
        early_stopping_patience=None,
        save_steps=options.steps,
        logging_steps=1,
        shared_prefix=True,
        seed=options.seed,
        on_nonfinite="stop",
    )
    # What TRL's defaults are: AdamW without weight decay, linear decay, no warm-up, gradients clipped at 1.
    optim = OptimSettings("adamw_torch_fused", options.learning_rate, 0.0, 0.9, 0.999, 1e-8, "linear", 0.0, 1.0)
    steps: list[Event] = []
    with tempfile.TemporaryDirectory() as folder:
        log = EventLog(Path(folder) / "events.jsonl", lambda event: steps.append(event))
        train(model, as_drawn(rows, options.seed), rows[:1], loop, optim, log, Path(folder), None, Stop())
        log.close()
    steps = [event for event in steps if event["event"] == "step"]
    seconds = [options.rows / event["rows_per_second"] for event in steps]
    steady = seconds[1:] or seconds
    batches = [rows[i : i + options.rows] for i in range(0, len(rows), options.rows)]
    tokens = [sum(len(row.ids) for row in batch) for batch in batches]
    print(
        json.dumps(
            {
                "side": "ours",
                "dtype": options.dtype,
                "rows_per_second": options.rows * len(steady) / sum(steady),
                "tokens_per_second": sum(tokens[-len(steady) :]) / sum(steady),
                "losses": [event["loss"] for event in steps],
                "seconds": seconds,
                "tokens": tokens,
                "packed_tokens": [len(pack(batch, True).ids) for batch in batches],
                "peak_memory_bytes": peak_memory_bytes("cpu"),
                "threads": torch.get_num_threads(),
            }
        )
    )


if __name__ == "__main__":
    main()
