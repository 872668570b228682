"""Advice held against the user's own data: experiments that are planned to a budget and can be gone on with."""

from rankwise.experiment.ablation import ablate
from rankwise.experiment.cells import Group
from rankwise.experiment.claims import check_claims
from rankwise.experiment.design import DEFAULT_SEEDS
from rankwise.experiment.regret import measure_regret
from rankwise.experiment.report import Report
from rankwise.experiment.search import search_recipes
from rankwise.experiment.session import DEFAULT_BUDGET

__all__ = [
    "DEFAULT_BUDGET",
    "DEFAULT_SEEDS",
    "Group",
    "Report",
    "ablate",
    "check_claims",
    "measure_regret",
    "search_recipes",
]
