"""A plan with what a rehearsal measured in place of what was estimated."""

from __future__ import annotations

from rankwise.plan.adapted import stored
from rankwise.plan.capacity import DescriptionLength, judge_capacity
from rankwise.plan.plan import Plan
from rankwise.plan.prepare import Prepared
from rankwise.plan.rehearsal import Rehearsal, predict


def with_rehearsal(plan: Plan, prepared: Prepared, rehearsal: Rehearsal) -> Plan:
    """Time, memory and the bits that the answers hold; no decision changes."""
    prediction, capacity, by = predict(rehearsal), plan.capacity, stored(plan.values(), prepared.anatomy)
    if rehearsal.description is not None:
        capacity = judge_capacity(
            by.size,
            by.parameters_at,
            prepared.corpus.supervised_tokens,
            DescriptionLength(*rehearsal.description),
            key=by.key,
        )
    return plan.model_copy(
        update={
            "prediction": prediction,
            "seconds": prediction.seconds.value,
            "memory_bytes": round(prediction.memory_bytes.value),
            "capacity": capacity,
        }
    )
