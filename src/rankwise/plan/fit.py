"""What to change where a plan does not fit, cheapest first: the order is by what a change costs in quality.

A base in bfloat16 instead of float32 loses next to nothing; smaller micro-batches with as much more accumulation give
the same result, only slower; a quantised base costs a little; then fewer adapted layers, then a lower rank. Shorter
rows lose data, so they are named and never taken.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from rankwise.errors import Problem
from rankwise.facts import Anatomy
from rankwise.facts.counts import UNATTACHED
from rankwise.plan.adapted import ALPHAS, RANKS, TARGETS, target_names
from rankwise.plan.full import trains_every_weight
from rankwise.plan.plan import Plan
from rankwise.plan.prefix import METHOD as PREFIX

Replan = Callable[[Sequence[str]], Plan]
"""Plan anew with these overrides (`key=value`) on top of the recipe."""
MLP = ("gate", "gate_up", "up", "down")
"""Roles of the layers that are kept when fewer must do: adapted alone they lose least (LoRA Without Regret)."""
LEAST_RANK = 4


@dataclass(frozen=True)
class Change:
    """One step towards a plan that fits."""

    overrides: tuple[str, ...]
    """Empty: this is only named, not taken."""
    what: str
    memory_bytes: int | None
    """Of the plan with this change and all before it; None if it was not taken."""


@dataclass(frozen=True)
class Fitted:
    plan: Plan
    changes: tuple[Change, ...]
    fits: bool
    room: int
    """Bytes there are."""

    @property
    def overrides(self) -> tuple[str, ...]:
        """All that was changed, for `--set`; a later value of a key replaces an earlier one."""
        return _latest(override for change in self.changes for override in change.overrides)

    @property
    def problem(self) -> Problem | None:
        """The error of a plan that was asked to fit and does not, with all that was tried."""
        if self.fits:
            return None
        tried = "; ".join(
            change.what if change.memory_bytes is None else f"{change.what}: {change.memory_bytes / 1e9:.1f} GB"
            for change in self.changes
        )
        message = (
            f"nothing makes it fit: {self.plan.memory_bytes / 1e9:.1f} GB at the least, of {self.room / 1e9:.1f} GB "
            f"here. Tried or named: {tried}. Take a smaller base, or a machine with more memory"
        )
        return Problem("error", "cannot-fit", "", message)

    def as_json(self) -> dict[str, Any]:
        return {
            "fits": self.fits,
            "room_bytes": self.room,
            "overrides": list(self.overrides),
            "changes": [asdict(change) for change in self.changes],
        }


def fit(plan: Plan, anatomy: Anatomy, room: int, replan: Replan) -> Fitted:
    """Change what must be changed until `plan` needs at most `room` bytes, and nothing more."""
    changes: list[Change] = []
    taken: tuple[str, ...] = ()
    for overrides, what in _ways(plan, anatomy):
        if plan.memory_bytes <= room:
            break
        if not overrides:
            changes.append(Change((), what, None))
            continue
        tried = _latest((*taken, *overrides))
        made = replan(tried)
        if made.memory_bytes < plan.memory_bytes:
            plan, taken = made, tried
            changes.append(Change(overrides, what, made.memory_bytes))
    return Fitted(plan, tuple(changes), plan.memory_bytes <= room, room)


def _latest(overrides: Iterable[str]) -> tuple[str, ...]:
    """One override a key, the last one given."""
    return tuple({override.partition("=")[0]: override for override in overrides}.values())


def _ways(plan: Plan, anatomy: Anatomy) -> Iterator[tuple[tuple[str, ...], str]]:
    if plan["training.bf16"] is False and not trains_every_weight(plan.values()):
        yield ("training.bf16=true",), "the frozen base in bfloat16; on a processor without it, slower"
    if plan["method"] in UNATTACHED:
        return
    batch = _count(plan, "training.per_device_train_batch_size")
    accumulation = _count(plan, "training.gradient_accumulation_steps")
    while batch > 1:
        # Halves whose product stays the same; an odd batch goes to single rows at once.
        factor = 2 if batch % 2 == 0 else batch
        batch, accumulation = batch // factor, accumulation * factor
        yield (
            (
                f"training.per_device_train_batch_size={batch}",
                f"training.gradient_accumulation_steps={accumulation}",
            ),
            f"{batch} rows a forward pass, {accumulation} passes a step: the same result, slower",
        )
    if trains_every_weight(plan.values()):
        yield (), "method: lora: it keeps no gradient and no moments of the base; not done for you"
    elif plan["quantization"] == "none" and plan["method"] != PREFIX:
        yield (
            (),
            "a base in 4 bits (qlora) would take about a quarter of bfloat16's memory; this build has no qlora yet",
        )
    yield from _smaller(plan, anatomy)
    yield (), "shorter rows: set data.max_length with too_long: drop, which loses the longest rows; not done for you"


def _smaller(plan: Plan, anatomy: Anatomy) -> Iterator[tuple[tuple[str, ...], str]]:
    """An adapter of fewer parameters."""
    if plan["method"] == PREFIX or trains_every_weight(plan.values()):
        return  # keys and values of some tokens, next to nothing beside the base; or no adapter at all
    names = target_names(plan[TARGETS])
    roles = {layer.leaf: layer.role for layer in anatomy.targeted(names)}
    mlp = [name for name in names if roles.get(name.rpartition(".")[2]) in MLP]
    patterns = plan[RANKS] or plan[ALPHAS]  # which must match a layer that is adapted
    if mlp and len(mlp) < len(names) and not patterns:
        yield (f"lora.target_modules=[{', '.join(mlp)}]",), f"only {', '.join(mlp)}: the layers that lose least alone"
    r = _count(plan, "lora.r")
    while r // 2 >= max(LEAST_RANK, plan.capacity.smallest_rank):
        r //= 2
        yield (f"lora.r={r}",), f"rank {r}"


def _count(plan: Plan, key: str) -> int:
    value = plan[key]
    assert isinstance(value, int)
    return value
