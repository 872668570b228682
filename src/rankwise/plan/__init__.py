"""Every value of a run, with its reason and its source."""

from rankwise.plan.advise import advise
from rankwise.plan.capacity import Capacity
from rankwise.plan.continued import Continued, read_continued
from rankwise.plan.estimate import EVALUATION_ROWS
from rankwise.plan.plan import Decision, Plan, PlanReader
from rankwise.plan.prepare import Prepared, prepare, problems_of

__all__ = [
    "EVALUATION_ROWS",
    "Capacity",
    "Continued",
    "Decision",
    "Plan",
    "PlanReader",
    "Prepared",
    "advise",
    "prepare",
    "problems_of",
    "read_continued",
]
