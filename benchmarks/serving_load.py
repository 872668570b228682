"""The batcher under load: latency, time to first token, the cost of loading an adapter, and memory.

    python benchmarks/serving_load.py [--rate N ...] [--requests N] [--adapters N] [--tokens N] [--json]

The embedded base, in the dtype that `rankwise serve` would take here; requests come at random at each rate a second
(exponential gaps, one seed), each to one of the adapters, drawn evenly. With more adapters than have seats, the longest
unused give way while others answer.
"""

from __future__ import annotations

import argparse
import json
import resource
import statistics
import tempfile
import threading
import time
from pathlib import Path
from random import Random
from typing import Any

import torch
from generate_speed import held_out_prompts
from peft import LoraConfig, get_peft_model
from serving import RANK, TARGETS, Ours
from transformers import AutoModelForCausalLM

from rankwise.events import ignore
from rankwise.facts import fetch_base, locate_base, read_machine
from rankwise.serve.requests import Ended, Event, Request
from rankwise.serve.sampling import Sampling
from rankwise.serve.server import serving_dtype
from rankwise.serve.service import Settings

SLOTS = 48
SWITCHES = 20


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rate", type=float, nargs="+", default=[2.0, 5.0, 10.0])
    parser.add_argument("--requests", type=int, default=200)
    parser.add_argument("--adapters", type=int, default=100)
    parser.add_argument("--tokens", type=int, default=24)
    parser.add_argument("--dtype", choices=["bfloat16", "float32"])
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    machine = read_machine()
    torch.set_num_threads(machine.usable_cores)
    base = fetch_base(locate_base("smollm2-135m", Path.cwd()), ignore)
    options.dtype = options.dtype or serving_dtype(base, machine)
    with tempfile.TemporaryDirectory() as folder:
        write_adapters(base, options.adapters, options.dtype, Path(folder))
        ours = Ours(base, sorted(Path(folder).iterdir()), options.dtype, SLOTS)
        prompts = [list(ids) for ids in held_out_prompts(base, SLOTS)]
        found: dict[str, Any] = {name: getattr(options, name) for name in ("requests", "adapters", "tokens", "dtype")}
        found |= {"switch": switches(ours), "adapter_memory": Settings().adapter_bytes}
        for rate in options.rate:
            found[f"{rate:g} a second"] = load(ours, prompts, rate, options)
        found["adapter_bytes"] = ours.pool.bytes
        found["peak_memory_bytes"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
        ours.batcher.close(60)
    if options.json:
        print(json.dumps(found))
    else:
        for name, value in found.items():
            print(f"{name}: {value}")


def write_adapters(base: Path, count: int, dtype: str, folder: Path) -> None:
    """Random adapters, drawn one after the other on one model: PEFT takes minutes to save one of a hundred."""
    model = AutoModelForCausalLM.from_pretrained(base, dtype=getattr(torch, dtype))
    config = LoraConfig(task_type="CAUSAL_LM", r=RANK, lora_alpha=2 * RANK, target_modules=TARGETS)
    adapted = get_peft_model(model, config)
    generator = torch.Generator().manual_seed(0)
    drawn = [p for p in adapted.parameters() if p.requires_grad]
    for number in range(count):
        with torch.no_grad():
            for p in drawn:
                p.copy_(torch.randn(p.shape, generator=generator) * 0.01)
        adapted.save_pretrained(str(folder / f"a{number:03d}"), save_embedding_layers=False)


def switches(ours: Ours) -> dict[str, float]:
    """Milliseconds, median: to load an adapter from its folder, and to take one that is in memory."""
    cold, warm = [], []
    for facts in ours.facts[:SWITCHES]:
        for times in (cold, warm):
            began = time.perf_counter()
            ours.pool.release(ours.pool.acquire(facts))
            times.append(1000 * (time.perf_counter() - began))
    return {"load_ms": round(statistics.median(cold), 2), "in_memory_ms": round(statistics.median(warm), 3)}


def load(ours: Ours, prompts: list[list[int]], rate: float, options: argparse.Namespace) -> dict[str, float]:
    """Seconds from asking, loading included, at the median and for 95 of 100: to the first token and to the end."""
    draw = Random(0)
    first: dict[int, float] = {}
    last: dict[int, float] = {}
    done = threading.Semaphore(0)
    for number in range(options.requests):
        time.sleep(draw.expovariate(rate))
        began = time.perf_counter()

        def tell(event: Event, number: int = number, began: float = began) -> None:
            first.setdefault(number, time.perf_counter() - began)
            if isinstance(event, Ended):
                last[number] = time.perf_counter() - began
                done.release()

        seat = ours.pool.acquire(draw.choice(ours.facts))
        ours.batcher.submit([Request(tuple(draw.choice(prompts)), seat, Sampling(options.tokens), tell)])
    for _ in range(options.requests):
        done.acquire()
    return {
        "first_p50": _at(first, 50),
        "first_p95": _at(first, 95),
        "end_p50": _at(last, 50),
        "end_p95": _at(last, 95),
    }


def _at(times: dict[int, float], percent: int) -> float:
    return round(statistics.quantiles(times.values(), n=100)[percent - 1], 3)


if __name__ == "__main__":
    main()
