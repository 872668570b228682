"""What the matrix products of one training step alone take: the bound that no implementation of these products beats.

    python benchmarks/speed_bound.py BASE RENDERED.json --rows B --dtype float32|bfloat16 [--r R]

Of the step whose packed tokens are the median: x W^T and grad W of every projection, the adapter's products forward
and backward, the head's at the supervised tokens. Left out: attention's own products, all that is not a matrix
product, and the optimizer. Every layer has weights of its own, as in the model, so that they come from memory; outputs
go to buffers made before. Prints one JSON object: the median of the repeats, and their spread.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import torch
from speed_ours import read_rendered

from rankwise.data.batch import pack
from rankwise.facts import read_anatomy, read_machine
from rankwise.model.load import DTYPES

REPEATS = 5


class Buffers:
    """One tensor a shape: operands that do not matter, and results."""

    def __init__(self, dtype: torch.dtype) -> None:
        self._dtype = dtype
        self._made: dict[tuple[str, int, int], torch.Tensor] = {}

    def __call__(self, what: str, rows: int, columns: int) -> torch.Tensor:
        key = (what, rows, columns)
        if key not in self._made:
            self._made[key] = torch.randn(rows, columns).to(self._dtype)
        return self._made[key]


def products(base: Path, tokens: int, supervised: int, r: int, dtype: torch.dtype) -> list[Callable[[], torch.Tensor]]:
    """Every product of one step, forward in order, then backward in reverse."""
    anatomy, buffer = read_anatomy(base), Buffers(dtype)
    forward: list[Callable[[], torch.Tensor]] = []
    backward: list[Callable[[], torch.Tensor]] = []

    def product(into: list[Callable[[], torch.Tensor]], one: torch.Tensor, other: torch.Tensor) -> None:
        into.append(partial(torch.mm, one, other, out=buffer("out", one.shape[0], other.shape[1])))

    def projection(rows: int, inputs: int, outputs: int) -> None:
        weight = torch.randn(outputs, inputs).to(dtype)
        product(forward, buffer("x", rows, inputs), weight.t())
        product(backward, buffer("grad", rows, outputs), weight)

    for module in anatomy.targeted(anatomy.resolve_targets("all-linear").modules):
        n, k = module.in_features, module.out_features
        projection(tokens, n, k)
        a, b = torch.randn(r, n).to(dtype), torch.randn(k, r).to(dtype)
        x, inner, grad = buffer("x", tokens, n), buffer("inner", tokens, r), buffer("grad", tokens, k)
        product(forward, x, a.t())
        product(forward, inner, b.t())
        product(backward, grad, b)
        product(backward, inner.t(), x)
        product(backward, grad.t(), inner)
        product(backward, inner, a)
    projection(supervised, anatomy.hidden_size, anatomy.vocab_size)
    return [*forward, *reversed(backward)]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("base", type=Path)
    parser.add_argument("rendered", type=Path)
    parser.add_argument("--rows", type=int, required=True)
    parser.add_argument("--dtype", choices=["float32", "bfloat16"], required=True)
    parser.add_argument("--r", type=int, default=16)
    options = parser.parse_args()
    rows = read_rendered(options.rendered)
    torch.set_num_threads(read_machine().usable_cores)
    packed = [pack(rows[i : i + options.rows], True) for i in range(0, len(rows), options.rows)]
    batch = sorted(packed, key=lambda made: len(made.ids))[len(packed) // 2]
    todo = products(options.base, len(batch.ids), len(batch.targets), options.r, DTYPES[options.dtype])
    seconds = []
    for _ in range(REPEATS + 1):
        began = time.perf_counter()
        for multiply in todo:
            multiply()
        seconds.append(time.perf_counter() - began)
    took = statistics.median(seconds[1:])
    print(
        json.dumps(
            {
                "side": "bound",
                "dtype": options.dtype,
                "seconds": seconds[1:],
                "rows_per_second": options.rows / took,
                "packed_tokens": len(batch.ids),
                "supervised": len(batch.targets),
                "products": len(todo),
                "threads": torch.get_num_threads(),
            }
        )
    )


if __name__ == "__main__":
    main()
