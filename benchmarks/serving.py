"""Generation with many adapters, ours beside transformers and PEFT: tokens a second in one run.

    python benchmarks/serving.py [--rows N ...] [--adapters N] [--tokens N] [--rounds N] [--dtype D] [--json]

The embedded base, prompts of the bundled financial rows, random adapters of r = 16 on all seven projections, greedy,
no stop token. Cases: the base alone by `generate` and by our batcher; rows of all adapters in one batch by
`generate(adapter_names=...)` and by ours. Rounds go through the cases in turn, so that all meet the same machine;
ratios are taken round by round. The bound is what the base's matrix products alone take for the same prompts and steps,
with weights that come from memory; for mixed rows, and the reading of the adapters in each step.
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from queue import Queue
from typing import Any

import torch
from generate_speed import held_out_prompts
from peft import LoraConfig, PeftModel, get_peft_model
from transformers import AutoModelForCausalLM

from rankwise.events import ignore
from rankwise.facts import fetch_base, locate_base, read_adapter, read_anatomy, read_machine
from rankwise.model.load import load_base
from rankwise.serve.batcher import Batcher
from rankwise.serve.pool import Pool, Seat
from rankwise.serve.prefixes import Prefixes
from rankwise.serve.requests import Ended, Event, Request
from rankwise.serve.sampling import Sampling
from rankwise.serve.service import Settings, make_engine

RANK = 16
TARGETS = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, nargs="+", default=[12, 48])
    parser.add_argument("--adapters", type=int, default=12)
    parser.add_argument("--tokens", type=int, default=24)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--dtype", choices=["bfloat16", "float32"], default="bfloat16")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    torch.set_num_threads(read_machine().usable_cores)
    base = fetch_base(locate_base("smollm2-135m", Path.cwd()), ignore)
    with tempfile.TemporaryDirectory() as folder:
        plain = AutoModelForCausalLM.from_pretrained(base, dtype=getattr(torch, options.dtype)).eval()
        theirs = make_adapters(base, options.adapters, options.dtype, Path(folder))
        ours = Ours(base, sorted(Path(folder).iterdir()), options.dtype, max(options.rows))
        prompts = [list(ids) for ids in held_out_prompts(base, max(options.rows))]
        found = {}
        for rows in options.rows:
            found[rows] = measure(plain, theirs, ours, prompts[:rows], options)
            found[rows]["bounds"] = bounds(base, prompts[:rows], options)
        ours.batcher.close(10)
    if options.json:
        print(json.dumps(found))
        return
    for rows, result in found.items():
        print(f"{rows} rows, {options.adapters} adapters, {options.tokens} tokens, {options.dtype}")
        for name, values in (result["rates"] | result["ratios"]).items():
            print(f"  {name:34} {statistics.median(values):8.2f}  ({min(values):.2f} to {max(values):.2f})")
        for name, value in result["bounds"].items():
            print(f"  {name + ', bound':34} {value:8.2f}")


def make_adapters(base: Path, count: int, dtype: str, folder: Path) -> PeftModel:
    """PEFT's model with all adapters, each saved in a folder of its own as well."""
    model = AutoModelForCausalLM.from_pretrained(base, dtype=getattr(torch, dtype)).eval()
    config = LoraConfig(task_type="CAUSAL_LM", r=RANK, lora_alpha=2 * RANK, target_modules=TARGETS)
    adapted = get_peft_model(model, config, adapter_name="a00")
    for number in range(1, count):
        adapted.add_adapter(f"a{number:02d}", config)
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for name, p in adapted.named_parameters():
            if "lora_B" in name:
                p.copy_(torch.randn(p.shape, generator=generator) * 0.01)
    adapted.save_pretrained(str(folder), save_embedding_layers=False)
    for left in folder.iterdir():
        if not (left / "adapter_config.json").is_file():
            left.unlink()
    return adapted.eval()


class Ours:
    def __init__(self, base: Path, folders: list[Path], dtype: str, slots: int) -> None:
        settings = Settings(slots=slots)
        self.engine = make_engine(load_base(base, dtype, "cpu"), settings, read_anatomy(base).max_length)
        self.pool = Pool(self.engine.groups, self.engine.dtype, settings.adapter_bytes)
        decode, stop = lambda ids: "x" * len(ids), frozenset[int]()
        self.batcher = Batcher(self.engine, self.pool, decode, stop, settings.prefix_bytes, 4096)
        self.facts = [read_adapter(folder) for folder in folders]

    def run(self, prompts: list[list[int]], seats: list[Seat | None], tokens: int) -> None:
        """Of prompts that nothing is known of: what they share is computed once, and anew each time."""
        self.batcher.prefixes = Prefixes(self.batcher.prefixes.budget)
        ended: Queue[Event] = Queue()

        def tell(event: Event) -> None:
            if isinstance(event, Ended):
                ended.put(event)

        self.batcher.submit(
            [Request(tuple(ids), seat, Sampling(tokens), tell) for ids, seat in zip(prompts, seats, strict=True)]
        )
        for _ in prompts:
            ended.get(timeout=600)

    def seats(self, count: int) -> list[Seat | None]:
        return [self.pool.acquire(self.facts[i % len(self.facts)]) for i in range(count)]


def measure(
    plain: Any, theirs: PeftModel, ours: Ours, prompts: list[list[int]], options: argparse.Namespace
) -> dict[str, dict[str, list[float]]]:
    """Case -> tokens a second of each round, prompts and joining included; and what is compared -> ratios."""
    ids, mask = padded(prompts)
    given = {"input_ids": ids, "attention_mask": mask, "do_sample": False, "pad_token_id": 0}
    given |= {"max_new_tokens": options.tokens, "min_new_tokens": options.tokens}
    names = [f"a{i % options.adapters:02d}" for i in range(len(prompts))]

    cases: dict[str, Callable[[], Any]] = {
        "base, generate": lambda: plain.generate(**given),
        "base, ours": lambda: ours.run(prompts, [None] * len(prompts), options.tokens),
        "mixed, generate(adapter_names)": lambda: theirs.generate(**given, adapter_names=names),
        "mixed, ours": lambda: ours.run(prompts, ours.seats(len(prompts)), options.tokens),
    }
    rates: dict[str, list[float]] = {name: [] for name in cases}
    for number in range(options.rounds + 1):
        for name, run in cases.items():
            began = time.perf_counter()
            with torch.inference_mode():
                run()
            if number:  # the first warms up
                rates[name].append(len(prompts) * options.tokens / (time.perf_counter() - began))
    pairs = {
        "base: ours / generate": ("base, ours", "base, generate"),
        "mixed: ours / PEFT": ("mixed, ours", "mixed, generate(adapter_names)"),
        "ours: mixed / base": ("mixed, ours", "base, ours"),
    }
    ratios = {name: [a / b for a, b in zip(rates[x], rates[y], strict=True)] for name, (x, y) in pairs.items()}
    return {"rates": rates, "ratios": ratios}


def bounds(base: Path, prompts: list[list[int]], options: argparse.Namespace) -> dict[str, float]:
    """Tokens a second that the base's bare products allow, and those with the adapters read in each step."""
    anatomy, dtype = read_anatomy(base), getattr(torch, options.dtype)
    modules = anatomy.targeted(anatomy.resolve_targets("all-linear").modules)
    shapes = [(module.out_features, module.in_features) for module in modules]
    weights = [torch.randn(shape).to(dtype) for shape in shapes]
    head = torch.randn(anatomy.vocab_size, anatomy.hidden_size).to(dtype)
    inputs = {n: torch.randn(sum(map(len, prompts)), n).to(dtype) for n in {*(n for _, n in shapes), head.shape[1]}}

    def products(tokens: int) -> float:
        took = []
        for _ in range(4):
            began = time.perf_counter()
            for weight in weights:
                torch.mm(inputs[weight.shape[1]][:tokens], weight.t())
            torch.mm(inputs[head.shape[1]][: len(prompts)], head.t())
            took.append(time.perf_counter() - began)
        return statistics.median(took[1:])

    count = min(options.adapters, len(prompts))
    adapters = torch.ones(count * sum(RANK * (n + k) for k, n in shapes), dtype=dtype).view(torch.float32)
    reading = []
    for _ in range(4):
        began = time.perf_counter()
        adapters.sum()
        reading.append(time.perf_counter() - began)
    whole = products(sum(map(len, prompts))) + (options.tokens - 1) * products(len(prompts))
    made = len(prompts) * options.tokens
    read = (options.tokens - 1) * statistics.median(reading[1:])
    return {"base": made / whole, "mixed": made / (whole + read)}


def padded(prompts: list[list[int]]) -> tuple[torch.Tensor, torch.Tensor]:
    """On the left: ids and attention mask, (rows, longest)."""
    longest = max(map(len, prompts))
    ids = torch.tensor([[0] * (longest - len(each)) + each for each in prompts])
    mask = torch.tensor([[0] * (longest - len(each)) + [1] * len(each) for each in prompts])
    return ids, mask


if __name__ == "__main__":
    main()
