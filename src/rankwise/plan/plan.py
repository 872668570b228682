"""The plan: every value a run uses, each with its reason, its source, and what other doctrines would have said."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, TypeVar

from pydantic import BaseModel, ConfigDict

from rankwise.doctrine import Value
from rankwise.errors import PlanError, Problem
from rankwise.files import sha256_json
from rankwise.plan.capacity import Capacity
from rankwise.plan.memory import Disk, DiskBytes, Memory, disk_bytes, run_disk_bytes
from rankwise.plan.rehearsal import Prediction

T = TypeVar("T")


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


Basis = Literal["measured", "stated", "conventional", "computed", "yours"]
"""On what a decision rests: a doctrine's rule (one of its three kinds), the facts and earlier decisions, or you."""


class Decision(_Frozen):
    value: Value
    reason: str
    source: str
    kind: Basis = "computed"
    alternatives: dict[str, Value] = {}
    """Doctrine -> the other value it would give."""


class Plan(_Frozen):
    """Frozen. `train` reads nothing but this and the corpus."""

    decisions: dict[str, Decision]
    trainable_parameters: int
    total_parameters: int
    """Of the base."""
    capacity: Capacity
    memory_bytes: int
    """Peak of training, estimated: the sum of `memory.training`."""
    seconds: float | None
    """Training and held-out evaluations, from the measured speed of this machine; None: not measured."""
    problems: tuple[Problem, ...]
    prediction: Prediction | None = None
    """Of a rehearsal; `memory_bytes` and `seconds` are then its own, and `memory` is still the estimate."""
    memory: Memory | None = None
    """Part by part; None in plans of 0.1."""
    disk_bytes: DiskBytes | None = None

    def __getitem__(self, key: str) -> Value:
        return self.decisions[key].value

    def values(self) -> dict[str, Value]:
        """Key -> value, of all decisions."""
        return {key: decision.value for key, decision in self.decisions.items()}

    def as_json(self) -> dict[str, Any]:
        return self.model_dump(mode="json")

    def on_disk(self) -> Disk:
        """What the run leaves or needs on the way; counted anew where a plan of 0.1 does not say."""
        return run_disk_bytes(self.disk_bytes or disk_bytes(self.trainable_parameters))

    def digest(self) -> str:
        """Of keys and values; reasons and estimates do not change what a run does."""
        return "sha256:" + sha256_json(self.values())


class PlanReader:
    """Hands out the plan's values and remembers which were read, so that no key is accepted and then ignored."""

    def __init__(self, plan: Plan) -> None:
        self._decisions: Mapping[str, Decision] = plan.decisions
        self._read: set[str] = set()

    def take(self, key: str, kind: type[T]) -> T:
        """The value of `key`, which must be a `kind`; an int passes for a float."""
        value = self.value(key)
        if kind is float and isinstance(value, int) and not isinstance(value, bool):
            value = float(value)
        if not isinstance(value, kind) or (kind is int and isinstance(value, bool)):
            raise PlanError(f"{key}: expected {kind.__name__}, got {value!r}; was the plan edited?")
        return value

    def take_optional(self, key: str, kind: type[T]) -> T | None:
        if self._decisions.get(key) is not None and self._decisions[key].value is None:
            self._read.add(key)
            return None
        return self.take(key, kind)

    def value(self, key: str) -> Value:
        """The value of `key`, whatever its kind."""
        if key not in self._decisions:
            raise PlanError(f"the plan has no {key}; make it anew with `rankwise plan`")
        self._read.add(key)
        return self._decisions[key].value

    def require_all_read(self) -> None:
        """PlanError naming every key that nothing consumed."""
        left = sorted(self._decisions.keys() - self._read)
        if left:
            raise PlanError(
                f"nothing in this build reads {', '.join(left)}; a value that changes nothing is not trained with"
            )
