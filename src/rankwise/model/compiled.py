"""Small functions as one GPU kernel each, by torch.compile; on the CPU they run as they are (docs/log.md)."""

from __future__ import annotations

import sys
from collections.abc import Callable
from functools import cache, wraps
from typing import Any, ParamSpec, TypeVar

import torch

P = ParamSpec("P")
T = TypeVar("T")


@cache
def compiled(function: Callable[P, T], dynamic: bool | None = None) -> Callable[P, T]:
    """What torch.compile makes of it. Compiled at its first call, seconds, and kept on disk for the next process.
    `dynamic`: for any shape at once; None: for the first one, and for any when another comes."""
    return torch.compile(function, dynamic=dynamic)


def on_gpu_compiled(function: Callable[..., T]) -> Callable[..., T]:
    """`function` of tensors and numbers, compiled where the first is a tensor on a GPU that can be compiled for.

    For the inside of an autograd function, so that no gradient goes through it.
    """

    @wraps(function)
    def run(first: torch.Tensor, *others: Any) -> T:
        if not (first.is_cuda and can_compile(first.device)):
            return function(first, *others)
        # A tensor that wants a gradient and one that does not would be two kernels.
        bare = [x.detach() if isinstance(x, torch.Tensor) else x for x in (first, *others)]
        return compiled(function, dynamic=True)(*bare)

    return run


@cache
def can_compile(device: torch.device) -> bool:
    """Whether a kernel for `device` can be compiled here: that takes Triton and a C compiler. Says so once if not."""
    if device.type != "cuda":
        return False
    try:
        torch.compile(_twice)(torch.zeros(8, device=device))
    except Exception as fault:  # whatever the compiler's parts raise; the slower way is as right
        reason = str(fault).strip().partition("\n")[0]
        print(f"warning: torch.compile does not work here ({reason}); training runs slower", file=sys.stderr)
        return False
    return True


def _twice(x: torch.Tensor) -> torch.Tensor:
    return x * 2
