"""The adapter folder of a base that was trained whole: `delta.safetensors` where others have PEFT's two files.

PEFT has no format for it, so there is no `adapter_config.json` that would claim one.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

from rankwise.errors import Problem
from rankwise.facts.base import Anatomy
from rankwise.facts.header import Tensor
from rankwise.facts.payload import DELTA

METHOD = "full"
SHOWN = 3
"""Most tensors named one by one for the same fault."""


def check_delta(
    folder: Path, method: str | None, tensors: Mapping[str, Tensor], anatomy: Anatomy | None
) -> Iterator[Problem]:
    """The record says that it is one, it is kept in float32, and it moves as many weights as the base has.

    `method`: as the record has it; None without a record.
    """
    if method != METHOD:
        said = "there is no rankwise.json" if method is None else f"its rankwise.json says method {method}"
        message = f"{DELTA} is what method {METHOD} leaves, and {said}; nothing says which base it is added to"
        yield _error("adapter-method", folder, message)
    other = [f"{name} ({tensor.dtype})" for name, tensor in tensors.items() if tensor.dtype != "float32"]
    if other:
        yield _error("adapter-dtype", folder, f"a delta is kept in float32, got {', '.join(other[:SHOWN])}")
    if anatomy is None:
        return
    count = sum(tensor.size for tensor in tensors.values())
    if count != anatomy.total_parameters:
        message = f"it moves {count:,} weights, and {anatomy.name} has {anatomy.total_parameters:,}"
        yield _error("adapter-shape", folder, message)
    layers = {f"{layer.path}.weight": {layer.in_features, layer.out_features} for layer in anatomy.modules}
    wrong = [
        f"{name} (delta {tensor.shape}, base {' and '.join(map(str, sorted(layers[name])))})"
        for name, tensor in tensors.items()
        if name in layers and set(tensor.shape) != layers[name]  # which some bases keep as (in, out)
    ]
    if wrong:
        yield _error("adapter-shape", folder, f"other shapes than {anatomy.name} has: {', '.join(wrong[:SHOWN])}")


def _error(code: str, folder: Path, message: str) -> Problem:
    return Problem("error", code, str(folder), message)
