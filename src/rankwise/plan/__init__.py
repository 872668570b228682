"""Every value of a run, with its reason and its source."""

from rankwise.plan.advise import advise
from rankwise.plan.capacity import Capacity
from rankwise.plan.plan import Decision, Plan, PlanReader

__all__ = ["Capacity", "Decision", "Plan", "PlanReader", "advise"]
