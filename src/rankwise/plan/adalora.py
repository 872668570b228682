"""AdaLoRA's schedule: from which rank to which, and over which steps it prunes."""

from __future__ import annotations

from math import ceil
from typing import NamedTuple

from rankwise.plan.ledger import Ledger

INITIAL_RANK = 1.5
"""Times the final rank; PEFT's defaults are 12 and 8."""
LEAST_STEPS = 10
"""Fewer leave no steps to score the ranks by."""
WARM_UP, SETTLED = 0.1, 0.3
"""Of all steps: before the first pruning, and after the last. The paper's runs keep about so many (its table 8)."""


class Schedule(NamedTuple):
    """In PEFT's own names."""

    init_r: int
    target_r: int
    tinit: int
    tfinal: int
    deltaT: int
    total_step: int


def initial_rank(r: int) -> int:
    return ceil(INITIAL_RANK * r)


def schedule_of(r: int, steps: int) -> Schedule:
    return Schedule(initial_rank(r), r, int(WARM_UP * steps), int(SETTLED * steps), 1, steps)


def decide_schedule(ledger: Ledger, steps: int) -> None:
    """Show the schedule, and name what AdaLoRA cannot do; nothing for other methods."""
    if ledger.settled["method"] != "adalora":
        return
    schedule = schedule_of(int(ledger.number("lora.r")), steps)
    told = (
        f"{schedule.init_r} for every layer, pruned from step {schedule.tinit} to step "
        f"{steps - schedule.tfinal} to {schedule.target_r} on average; what is left is kept as plain LoRA"
    )
    ledger.settle("adalora.init_r", schedule.init_r, told, "PEFT's defaults, in proportion")
    where = ledger.asked.where("method")
    if steps < LEAST_STEPS:
        message = f"adalora in {steps} steps has too few to score ranks by; give it {LEAST_STEPS}, or take lora"
        ledger.report("error", "adalora-too-short", where, message)
    wrong = {
        "task": ledger.settled["task"] != "causal_lm",
        "quantization": ledger.settled["quantization"] != "none",
        "lora.use_rslora": ledger.settled["lora.use_rslora"] is True,
        "lora.bias": ledger.settled["lora.bias"] != "none",
        "lora.init_lora_weights": ledger.settled["lora.init_lora_weights"] is not True,
        "lora.rank_pattern": bool(ledger.settled["lora.rank_pattern"]),
        "lora.alpha_pattern": bool(ledger.settled["lora.alpha_pattern"]),
        "lora.layers_to_transform": ledger.settled["lora.layers_to_transform"] is not None,
    }
    for key in (key for key, is_wrong in wrong.items() if is_wrong):
        message = f"adalora does not take {key}: {ledger.settled[key]}; leave it out, or take lora"
        ledger.report("error", "not-with-adalora", ledger.asked.where(key), message)
