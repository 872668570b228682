"""Claims that need no training: each is computed from the base's shapes and from the plans of two cells at most."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal

from rankwise.doctrine import Situation
from rankwise.experiment.cells import ATTENTION, DEFAULT
from rankwise.facts import Anatomy
from rankwise.plan import Plan
from rankwise.plan.capacity import GUIDE_PROJECTIONS

Verdict = Literal["holds here", "contradicted here", "undecided here"]


@dataclass(frozen=True)
class Sum:
    verdict: Verdict
    evidence: str
    """The numbers, and how they come about."""


@dataclass(frozen=True)
class Numbers:
    """What may be computed with."""

    anatomy: Anatomy
    situation: Situation
    plan: Plan
    """Of the recipe itself."""
    plans: Mapping[str, Plan]
    """Cell -> its plan; without those that this base has not."""
    full_times: float | None
    """Compute of full fine-tuning over LoRA's on the plan's targets, in multiply-adds; None: no closed form."""


Computation = Callable[[Numbers], Sum]


def compute(function: str, numbers: Numbers) -> Sum:
    """Raises KeyError for a function that is none of these."""
    return COMPUTATIONS[function](numbers)


def _decided(holds: bool, evidence: str) -> Sum:
    return Sum("holds here" if holds else "contradicted here", evidence)


def _absent(what: str) -> Sum:
    return Sum("undecided here", f"{what} cannot be planned on this base")


def _share(plan: Plan) -> float:
    return plan.trainable_parameters / plan.total_parameters


def share_of_all_layers(numbers: Numbers) -> Sum:
    if "All projections" not in numbers.plans:
        return _absent("rank 16 on all projections")
    plan = numbers.plans["All projections"]
    told = f"rank 16 on all projections trains {plan.trainable_parameters:,} of {plan.total_parameters:,} parameters"
    return _decided(0.001 <= _share(plan) <= 0.01, f"{told}, {_share(plan):.2%}")


def share_of_12(numbers: Numbers) -> Sum:
    """0.12%, give or take a tenth of it, at the guide's Default or on all projections."""
    plans = {name: numbers.plans[name] for name in (DEFAULT, "All projections") if name in numbers.plans}
    told = ", ".join(f"{name} {plan.trainable_parameters:,} ({_share(plan):.2%})" for name, plan in plans.items())
    holds = any(0.00108 <= _share(plan) <= 0.00132 for plan in plans.values())
    return _decided(holds, f"rank 16: {told}")


def shares_of_ranks(numbers: Numbers) -> Sum:
    names = ("Low Rank (r=4)", DEFAULT, "High Rank (r=32)")
    if any(name not in numbers.plans for name in names):
        return _absent("one of the ranks")
    shares = [_share(numbers.plans[name]) for name in names]
    holds = all(abs(mine - said) <= 0.1 * said for mine, said in zip(shares, (0.0017, 0.0023, 0.0034), strict=True))
    told = ", ".join(f"{share:.3%}" for share in shares)
    return _decided(holds, f"rank 4, 16, 32 on attention train {told}: an adapter grows with its rank, 1 to 4 to 8")


def query_only(numbers: Numbers) -> Sum:
    """70% fewer, give or take 5 points."""
    situation = numbers.situation
    if situation.count_per_rank is None:
        return _absent("a count")
    query, attention = (situation.count_per_rank(situation.translated(*roles)) for roles in (("query",), ATTENTION))
    fewer = 1 - query / attention
    return _decided(0.65 <= fewer <= 0.75, f"{query:,} of {attention:,} parameters per rank: {fewer:.1%} fewer")


def compute_of_lora(numbers: Numbers) -> Sum:
    """Two thirds, give or take a tenth of it."""
    if numbers.full_times is None:
        return Sum("undecided here", "this method's compute has no closed form")
    share = 1 / numbers.full_times
    told = "forward and the inputs' gradient cost 2N a token, the weights' gradient one more, the adapter 3P"
    return _decided(0.6 <= share <= 0.733, f"{share:.3f} of full fine-tuning's multiply-adds: {told}")


def capacity_of_the_plan(numbers: Numbers) -> Sum:
    capacity = numbers.plan.capacity
    told = f"the plan stores {capacity.capacity_bits:,} bits, the answers need {capacity.required_bits:,}"
    if capacity.capacity_bits >= capacity.required_bits:
        return Sum("holds here", f"{told}: the rule is kept")
    return Sum("undecided here", f"{told}: the rule is broken; a run with rank {capacity.suggested_rank} would tell")


def quick_formula(numbers: Numbers) -> Sum:
    """Within a tenth of the exact count."""
    situation, anatomy = numbers.situation, numbers.anatomy
    if situation.count_per_rank is None:
        return _absent("a count")
    exact = situation.count_per_rank(situation.projections)
    said = anatomy.hidden_size * 2 * GUIDE_PROJECTIONS * situation.num_layers
    return _decided(
        abs(said / exact - 1) <= 0.1, f"it says {said:,} per rank, the shapes {exact:,}: {said / exact:.2f}"
    )


def decay(numbers: Numbers) -> Sum:
    """Whether it takes a hundredth off a weight over the whole run, all of it at the highest rate."""
    rate, steps = numbers.situation.number("training.learning_rate"), numbers.situation.steps or 0
    taken = 1 - (1 - rate * 1e-5) ** steps
    return _decided(taken >= 0.01, f"{steps} steps at {rate:g} shrink a weight by {taken:.1e} of itself at most")


def memory_of_lora(numbers: Numbers) -> Sum:
    return _less_memory(numbers, DEFAULT, "full")


def memory_of_rank(numbers: Numbers) -> Sum:
    return _less_memory(numbers, "Low Rank (r=4)", "High Rank (r=32)")


def memory_of_nf4(numbers: Numbers) -> Sum:
    names = (DEFAULT, "QLoRA", "Low Rank (r=4)", "High Rank (r=32)")
    if any(name not in numbers.plans for name in names):
        return _absent("QLoRA or one of the ranks")
    default, kept, low, high = (numbers.plans[name].memory_bytes for name in names)
    told = f"estimated: four bits save {(default - kept) / 1e6:,.1f} MB, rank 4 instead of 32 {(high - low) / 1e6:,.1f}"
    return _decided(default - kept > high - low, told)


def _less_memory(numbers: Numbers, first: str, second: str) -> Sum:
    if first not in numbers.plans or second not in numbers.plans:
        return _absent(f"{first} or {second}")
    mine, other = (numbers.plans[name].memory_bytes for name in (first, second))
    told = f"estimated at training's peak: {first} {mine / 1e6:,.1f} MB, {second} {other / 1e6:,.1f} MB"
    return _decided(mine < other, f"{told}: {(other - mine) / other:.1%} less")


COMPUTATIONS: Mapping[str, Computation] = {
    made.__name__: made
    for made in (
        share_of_all_layers,
        share_of_12,
        shares_of_ranks,
        query_only,
        compute_of_lora,
        capacity_of_the_plan,
        quick_formula,
        decay,
        memory_of_lora,
        memory_of_rank,
        memory_of_nf4,
    )
}
