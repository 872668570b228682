"""What `search` varies: rank, alpha, dropout, targets, batch and learning rate, around what the plan has."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from rankwise.doctrine import Situation
from rankwise.experiment.cells import ATTENTION, Cell, overrides_of
from rankwise.plan import Plan

if TYPE_CHECKING:
    from optuna import Study, Trial

RANKS = (4, 8, 16, 32, 64)
SCALES = (1.0, 2.0, 4.0)
"""alpha / r."""
DROPOUTS = (0.0, 0.05, 0.1)
BATCHES = (8, 16, 32)
"""Rows of a step."""
RATE_TIMES = 8.0
"""The learning rate lies at most so many times above or below the plan's."""


@dataclass(frozen=True)
class Choice:
    """One point of the space."""

    r: int
    scale: float
    dropout: float
    targets: str
    batch: int
    learning_rate: float


class Space:
    """The values that can be chosen here; the plan's own are among them."""

    def __init__(self, plan: Plan, situation: Situation, batches: bool = True) -> None:
        """`batches`: whether they are varied, which takes steps that follow from epochs: else a larger batch would see
        more rows."""
        method = plan["method"] if plan["method"] in ("lora", "qlora", "dora") else "lora"
        self._method = {"method": method, "quantization": plan["quantization"] if method == plan["method"] else "none"}
        self.targets: dict[str, list[str]] = {
            "query and value": situation.translated("query", "value"),
            "attention": situation.translated(*ATTENTION),
            "all projections": situation.projections,
        }
        self.plans_own = self._own(plan, situation)
        own = self.plans_own
        self.ranks = _with(RANKS, own.r)
        self.scales, self.dropouts = _with(SCALES, own.scale), _with(DROPOUTS, own.dropout)
        self.batches = _with(BATCHES, own.batch) if batches else [own.batch]
        self._rates = (own.learning_rate / RATE_TIMES, own.learning_rate * RATE_TIMES)

    def _own(self, plan: Plan, situation: Situation) -> Choice:
        """The plan's values; of another method than LoRA, what its doctrine would give LoRA here."""
        settled = {**situation.settled, **plan.values()}
        r, alpha, dropout = settled["lora.r"], settled["lora.lora_alpha"], settled["lora.lora_dropout"]
        batch = [plan[f"training.{key}"] for key in ("per_device_train_batch_size", "gradient_accumulation_steps")]
        rate, names = plan["training.learning_rate"], settled["lora.target_modules"]
        assert isinstance(r, int) and isinstance(alpha, int | float) and isinstance(dropout, int | float)
        assert isinstance(rate, int | float) and isinstance(batch[0], int) and isinstance(batch[1], int)
        own = [str(name) for name in names] if isinstance(names, list) else situation.projections
        same = next((name for name, listed in self.targets.items() if sorted(listed) == sorted(own)), None)
        if same is None:
            same, self.targets["the plan's"] = "the plan's", own
        return Choice(r, alpha / r, float(dropout), same, batch[0] * batch[1], float(rate))

    def seed(self, study: Study) -> None:
        """Let the plan's own point be the first trial."""
        own = self.plans_own
        study.enqueue_trial(
            {
                "r": own.r,
                "scale": own.scale,
                "dropout": own.dropout,
                "targets": own.targets,
                "batch": own.batch,
                "learning_rate": own.learning_rate,
            }
        )

    def choose(self, trial: Trial) -> Choice:
        rate = trial.suggest_float("learning_rate", *self._rates, log=True)
        return Choice(
            r=trial.suggest_categorical("r", self.ranks),
            scale=trial.suggest_categorical("scale", self.scales),
            dropout=trial.suggest_categorical("dropout", self.dropouts),
            targets=trial.suggest_categorical("targets", list(self.targets)),
            batch=trial.suggest_categorical("batch", self.batches),
            learning_rate=float(f"{rate:.6g}"),
        )

    def values(self, choice: Choice) -> Mapping[str, object]:
        """Keys of a recipe, but for the learning rate."""
        alpha = choice.scale * choice.r
        return {
            **self._method,
            "lora.r": choice.r,
            "lora.lora_alpha": int(alpha) if alpha == int(alpha) else alpha,
            "lora.lora_dropout": choice.dropout,
            "lora.target_modules": self.targets[choice.targets],
            "training.per_device_train_batch_size": choice.batch,
            "training.gradient_accumulation_steps": 1,
        }

    def cell(self, choice: Choice) -> Cell:
        name = (
            f"r={choice.r}, alpha={choice.scale:g}r, dropout {choice.dropout:g}, {choice.targets}, batch {choice.batch}"
        )
        return Cell(name, overrides_of(self.values(choice)))


def _with(values: tuple[int, ...] | tuple[float, ...], own: float) -> list[float]:
    return sorted({*values, own})
