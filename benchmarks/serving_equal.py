"""Is an answer the same in a mixed batch as alone? Greedy answers of many adapters, token for token.

    python benchmarks/serving_equal.py [--prompts N] [--adapters N] [--tokens N] [--dtype D] [--json]

The embedded base, prompts of the bundled financial rows, random adapters of r = 16, no stop token. Each prompt is
answered alone in the batcher, then all at once, 48 rows in a batch, rows joining as others leave. In bfloat16 a sum in
another order flips a token now and then; the margin is how much likelier, in nats, the token alone was than the other.
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
from itertools import cycle, islice
from pathlib import Path
from threading import Semaphore
from typing import Any

import torch
from generate_speed import held_out_prompts
from serving import Ours, make_adapters

from rankwise.events import ignore
from rankwise.facts import fetch_base, locate_base, read_machine
from rankwise.serve.requests import Ended, Event, Request, Said
from rankwise.serve.sampling import Choice, Sampling

SLOTS = 48
TOP = 20
"""Likeliest tokens told at each place, to find the other's."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--prompts", type=int, default=200)
    parser.add_argument("--adapters", type=int, default=12)
    parser.add_argument("--tokens", type=int, default=24)
    parser.add_argument("--dtype", choices=["bfloat16", "float32"], default="float32")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    torch.set_num_threads(read_machine().usable_cores)
    base = fetch_base(locate_base("smollm2-135m", Path.cwd()), ignore)
    with tempfile.TemporaryDirectory() as folder:
        make_adapters(base, options.adapters, options.dtype, Path(folder))
        ours = Ours(base, sorted(Path(folder).iterdir()), options.dtype, SLOTS)
        prompts = [list(ids) for ids in islice(cycle(held_out_prompts(base, 160)), options.prompts)]
        alone = [answers(ours, [ids], number, options.tokens)[0] for number, ids in enumerate(prompts)]
        mixed = answers(ours, prompts, 0, options.tokens)
        ours.batcher.close(60)
    found = compare(alone, mixed, options.dtype)
    print(json.dumps(found) if options.json else "\n".join(f"{name}: {value}" for name, value in found.items()))


def answers(ours: Ours, prompts: list[list[int]], first: int, tokens: int) -> list[list[Choice]]:
    """Of each prompt, by adapter `first` and those after it in turn."""
    written: list[list[Choice]] = [[] for _ in prompts]
    done = Semaphore(0)

    def request(number: int, ids: list[int]) -> Request:
        def tell(event: Event) -> None:
            if isinstance(event, Said):
                written[number].extend(event.choices)
            elif isinstance(event, Ended):
                done.release()

        seat = ours.pool.acquire(ours.facts[(first + number) % len(ours.facts)])
        return Request(tuple(ids), seat, Sampling(tokens, top_logprobs=TOP), tell)

    ours.batcher.submit([request(number, ids) for number, ids in enumerate(prompts)])
    for _ in prompts:
        done.acquire()
    return written


def compare(alone: list[list[Choice]], mixed: list[list[Choice]], dtype: str) -> dict[str, Any]:
    """Answers that are the same, and of the others the margin at the first token that is not."""
    margins = []
    for ours, theirs in zip(alone, mixed, strict=True):
        apart = next((pair for pair in zip(ours, theirs, strict=True) if pair[0].token != pair[1].token), None)
        if apart is not None:
            chosen, other = apart
            likely = {each.token: each.logprob for each in chosen.top}
            margins.append(chosen.logprob - likely.get(other.token, min(likely.values())))
    found: dict[str, Any] = {"dtype": dtype, "answers": len(alone), "the same": len(alone) - len(margins)}
    found["tokens"] = sum(map(len, alone))
    if margins:
        found["margin_median"] = round(statistics.median(margins), 4)
        found["margin_most"] = round(max(margins), 4)
    return found


if __name__ == "__main__":
    main()
