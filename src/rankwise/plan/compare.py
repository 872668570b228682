"""What each doctrine's whole plan would be, side by side: every value follows from that doctrine's own earlier ones."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal

from rankwise.doctrine import DEFAULTS, DOCTRINES, Value
from rankwise.errors import Problem, RankwiseError
from rankwise.facts import Machine, Measurement
from rankwise.plan.adapted import EXPERT_RANK
from rankwise.plan.advise import Advised, weigh
from rankwise.plan.plan import Basis
from rankwise.plan.prepare import Prepared
from rankwise.plan.situation import short_targets
from rankwise.plan.spoken import same_value
from rankwise.recipe import Asked

_NOT_BUILT = ("method", "quantization")
"""Keys of which this build has but a part; here stands what a doctrine wants, there or not."""


@dataclass(frozen=True)
class Cell:
    value: Value
    reason: str
    source: str
    kind: Basis
    fallback: bool
    """The doctrine says nothing, so this is the defaults'."""


@dataclass(frozen=True)
class Figures:
    """What a doctrine's plan comes to."""

    trainable_parameters: int
    capacity: Literal["UNDERCAPACITY", "AMPLE", "WASTEFUL", "NOT_APPLICABLE"]
    memory_bytes: int
    seconds: float | None


@dataclass(frozen=True)
class Comparison:
    compare: Mapping[str, Mapping[str, Cell]]
    """Key -> doctrine -> its value; without those whose plan is of another method, and has no such key."""
    conflicts: tuple[str, ...]
    """Keys about which doctrines that speak of them differ."""
    yours: Mapping[str, str]
    """Keys that the user set, equal in all plans -> where."""
    figures: Mapping[str, Figures]
    failed: Mapping[str, str]
    """Doctrine whose plan cannot be made here -> why."""
    layers: tuple[str, ...]
    """Names that reach all the base's projections, its head left out."""
    problems: tuple[Problem, ...]
    """Of the recipe's own plan."""

    def as_json(self) -> dict[str, Any]:
        told = asdict(self)
        told["problems"] = [problem.as_json() for problem in self.problems]
        return told


def compare_doctrines(asked: Asked, prepared: Prepared, machine: Machine, measured: Measurement | None) -> Comparison:
    """Raises what making the recipe's own plan raises; another doctrine that cannot plan here is named as such."""
    own = weigh(asked, prepared, machine, measured)
    plans, failed = {}, {}
    for name in DOCTRINES:
        by_it = replace(asked, recipe=asked.recipe.model_copy(update={"doctrine": name}))
        try:
            plans[name] = weigh(by_it, prepared, machine, measured)
        except RankwiseError as fault:
            failed[name] = "; ".join(p.message for p in fault.problems if p.severity == "error") or str(fault)
    spoken_of = {key for doctrine in DOCTRINES.values() for key in doctrine.decides}
    dense = {EXPERT_RANK} if not own.anatomy.experts else set()
    keys = [key for key in own.plan.decisions if key in spoken_of - dense]
    cells = {
        key: {name: _cell(key, made) for name, made in plans.items() if key in made.plan.decisions} for key in keys
    }
    yours = {key: asked.where(key) for key in keys if own.plan.decisions[key].kind == "yours"}
    return Comparison(
        compare=cells,
        conflicts=tuple(key for key in keys if key not in yours and _conflict(cells[key])),
        yours=yours,
        figures={name: _figures(made) for name, made in plans.items()},
        failed=failed,
        layers=tuple(short_targets(own.anatomy, own.anatomy.resolve_targets(own.situation.projections).modules)),
        problems=own.plan.problems,
    )


def _cell(key: str, made: Advised) -> Cell:
    decision = made.plan.decisions[key]
    if decision.kind == "yours" or (decision.kind == "computed" and key not in _NOT_BUILT):
        return Cell(decision.value, decision.reason, decision.source, decision.kind, False)
    own = made.doctrine.advise(key, made.situation)
    fallback = own is None and made.doctrine is not DEFAULTS and DEFAULTS.advise(key, made.situation) is not None
    if own is not None and key in _NOT_BUILT:
        return Cell(own.value, own.reason, own.source, own.kind, False)
    return Cell(decision.value, decision.reason, decision.source, decision.kind, fallback)


def _conflict(cells: Mapping[str, Cell]) -> bool:
    said = [cell.value for cell in cells.values() if not cell.fallback and cell.kind != "computed"]
    return any(not same_value(value, said[0]) for value in said[1:])


def _figures(made: Advised) -> Figures:
    plan = made.plan
    return Figures(plan.trainable_parameters, plan.capacity.status, plan.memory_bytes, plan.seconds)
