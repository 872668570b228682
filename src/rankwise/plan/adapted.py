"""What a plan's adapter sits on, and how many parameters it has there at any rank."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from rankwise.doctrine import Value
from rankwise.facts import Anatomy
from rankwise.facts.counts import trainable_parameters
from rankwise.plan.adalora import initial_rank

TARGETS = "lora.target_modules"
LAYERS = "lora.layers_to_transform"
EXPERTS = "lora.target_parameters"
EXPERT_RANK = "lora.rank_per_expert"
RANKS = "lora.rank_pattern"
ALPHAS = "lora.alpha_pattern"

NOT_ON_EXPERTS = ("dora", "adalora")
"""Methods that PEFT refuses for bare parameters."""


@dataclass(frozen=True)
class Adapted:
    """In the words of `facts/counts`."""

    modules: tuple[str, ...]
    r: int
    bias: str
    layers: tuple[int, ...] | None
    """None: all."""
    rank_pattern: Mapping[str, int]
    parameters: tuple[str, ...] = ()
    """Names of fused experts."""
    expert_rank: int | None = None

    def trainable(self, anatomy: Anatomy, method: str, virtual_tokens: int = 0, labels: int = 0) -> int:
        """Of `method` at the plan's rank, for AdaLoRA the one that it begins with; where `rank_pattern` says otherwise,
        that holds. A method that cannot adapt experts leaves them as they are."""
        return trainable_parameters(
            anatomy,
            method,
            self.modules,
            initial_rank(self.r) if method == "adalora" else self.r,
            self.bias,
            rank_pattern=self.rank_pattern,
            layers=self.layers,
            target_parameters=() if method in NOT_ON_EXPERTS else self.parameters,
            expert_r=self.expert_rank,
            virtual_tokens=virtual_tokens,
            labels=labels,
        )

    def pairs(self, anatomy: Anatomy, r: int | None = None) -> int:
        """Of A and B alone, at the plan's rank or at `r`: what an adapter stores with."""
        r = self.r if r is None else r
        modules = anatomy.trainable_parameters(self.modules, r, "none", self.rank_pattern, self.layers)
        expert_rank = r if self.expert_rank is None else self.expert_rank
        return modules + anatomy.expert_trainable_parameters(self.parameters, expert_rank, self.rank_pattern)


def adapted(values: Mapping[str, Value]) -> Adapted:
    """By the values of a plan, settled or in the making."""
    r, ranks, expert_rank = values["lora.r"], values[RANKS], values[EXPERT_RANK]
    assert isinstance(r, int | float)
    return Adapted(
        modules=tuple(target_names(values[TARGETS])),
        r=int(r),
        bias=str(values["lora.bias"]),
        layers=layer_numbers(values),
        rank_pattern={name: int(rank) for name, rank in ranks.items()} if isinstance(ranks, dict) else {},
        parameters=expert_names(values),
        expert_rank=expert_rank if isinstance(expert_rank, int) else None,
    )


def layer_numbers(values: Mapping[str, Value]) -> tuple[int, ...] | None:
    """None: all."""
    layers = values.get(LAYERS)
    return tuple(int(number) for number in layers) if isinstance(layers, list) else None


def expert_names(values: Mapping[str, Value]) -> tuple[str, ...]:
    """Of the fused experts that are adapted."""
    names = values.get(EXPERTS)
    return tuple(str(name) for name in names) if isinstance(names, list) else ()


def target_names(value: Value) -> list[str]:
    """A list of target names, or the one word that stands for several."""
    return [str(name) for name in value] if isinstance(value, list) else [str(value)]
