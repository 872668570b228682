"""What the measurements of one case come to: medians, spreads and ratios."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import median
from typing import Any

DTYPES = ("float32", "bfloat16")
FEW_STEPS = 3
"""With no more steps than these in a process, its first counts too if it took no longer than the others."""
NO_LONGER = 1.1
LOSS_TOLERANCE = 0.02
"""Of the mean absolute difference of a step's loss, in float32."""


def steady(seconds: Sequence[float]) -> list[float]:
    """The seconds of the steps that count: without the first, in which things are set up."""
    rest = list(seconds[1:])
    if not rest or (len(seconds) <= FEW_STEPS and seconds[0] <= NO_LONGER * median(rest)):
        return list(seconds)
    return rest


def summarize_side(results: Sequence[dict[str, Any]], rows: int) -> dict[str, Any]:
    """Of one side in one dtype over all rounds."""
    seconds = [second for result in results for second in steady(result["seconds"])]
    rates = [
        tokens / second
        for result in results
        for tokens, second in list(zip(result["tokens"], result["seconds"], strict=True))[
            -len(steady(result["seconds"])) :
        ]
    ]
    first = [result["seconds"][0] / median(result["seconds"][1:]) for result in results if len(result["seconds"]) > 1]
    return {
        "rows_per_second": rows / median(seconds),
        "rows_per_second_low": rows / max(seconds),
        "rows_per_second_high": rows / min(seconds),
        "tokens_per_second": median(rates),
        "step_seconds": median(seconds),
        "steps_counted": len(seconds),
        "first_step": median(first) if first else None,
        "peak_memory_bytes": max(result["peak_memory_bytes"] for result in results),
        "losses": results[0]["losses"],
        "threads": results[0]["threads"],
    }


def summarize(cells: dict[tuple[str, str], list[dict[str, Any]]], rows: int) -> dict[str, Any]:
    """`cells`: (side, dtype) -> its results, a round each. What a missing side would tell is left out."""
    sides = {
        f"{side} {dtype}": summarize_side(found, rows) for (side, dtype), found in cells.items() if side != "bound"
    }
    told: dict[str, Any] = {"sides": sides, "bound": {}, "fraction_of_bound": {}, "memory_ratio": {}, "loss": {}}
    for dtype in DTYPES:
        ours, peer = sides.get(f"ours {dtype}"), sides.get(f"peer {dtype}")
        bound = cells.get(("bound", dtype))
        if bound and ours:
            took = median([second for result in bound for second in result["seconds"]])
            told["bound"][dtype] = {"seconds": took, "rows_per_second": rows / took, **_shape(bound[0])}
            told["fraction_of_bound"][dtype] = ours["rows_per_second"] * took / rows
        if ours and peer:
            told["memory_ratio"][dtype] = ours["peak_memory_bytes"] / peer["peak_memory_bytes"]
            apart = [abs(a - b) for a, b in zip(ours["losses"], peer["losses"], strict=True)]
            told["loss"][dtype] = {"mean": sum(apart) / len(apart), "most": max(apart)}
    best = {
        side: max((s["rows_per_second"] for name, s in sides.items() if name.startswith(side)), default=None)
        for side in ("ours", "peer")
    }
    told["ratio"] = best["ours"] / best["peer"] if best["ours"] and best["peer"] else None
    for dtype in DTYPES:
        ours = sides.get(f"ours {dtype}")
        if ours and best["peer"]:
            ours["ratio"] = ours["rows_per_second"] / best["peer"]
    return told


def _shape(bound: dict[str, Any]) -> dict[str, Any]:
    return {name: bound[name] for name in ("packed_tokens", "supervised", "products")}
