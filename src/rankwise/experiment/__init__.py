"""Advice held against the user's own data: experiments that are planned to a budget and can be gone on with."""

from rankwise.experiment.ablation import DEFAULT_BUDGET, ablate
from rankwise.experiment.cells import Group
from rankwise.experiment.design import DEFAULT_SEEDS
from rankwise.experiment.report import Report

__all__ = ["DEFAULT_BUDGET", "DEFAULT_SEEDS", "Group", "Report", "ablate"]
