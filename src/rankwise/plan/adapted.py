"""What a plan's adapter sits on, and how many parameters it has there at any rank."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import NamedTuple

from rankwise.doctrine import Value
from rankwise.facts import Anatomy
from rankwise.facts.counts import trainable_parameters
from rankwise.plan.adalora import initial_rank
from rankwise.plan.full import trains_every_weight
from rankwise.plan.prefix import HIDDEN, PROJECTION, TOKENS, VIRTUAL_TOKENS, tokens_before

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
    virtual_tokens: int = VIRTUAL_TOKENS
    """Of the plan's prefix, or of one that it might have."""
    prefix_projection: bool = False
    encoder_hidden_size: int | None = None

    def trainable(self, anatomy: Anatomy, method: str, labels: int = 0) -> int:
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
            virtual_tokens=self.virtual_tokens,
            prefix_projection=self.prefix_projection,
            encoder_hidden_size=self.encoder_hidden_size,
            labels=labels,
        )

    def pairs(self, anatomy: Anatomy, r: int | None = None) -> int:
        """Of A and B alone, at the plan's rank or at `r`: what an adapter stores with."""
        r = self.r if r is None else r
        modules = anatomy.trainable_parameters(self.modules, r, "none", self.rank_pattern, self.layers)
        expert_rank = r if self.expert_rank is None else self.expert_rank
        return modules + anatomy.expert_trainable_parameters(self.parameters, expert_rank, self.rank_pattern)


class Stored(NamedTuple):
    """What an adapter stores with, and the key of the recipe that says how much."""

    key: str | None
    """None: it holds all that it can."""
    size: int
    parameters_at: Callable[[int], int]
    """Of any size."""


def stored(values: Mapping[str, Value], anatomy: Anatomy) -> Stored:
    """By the values of a plan; of a prefix its keys and values, even where a larger network makes them."""
    if trains_every_weight(values):
        return Stored(None, 1, lambda _: anatomy.total_parameters)
    if tokens := tokens_before(values):
        return Stored(TOKENS, tokens, lambda count: count * 2 * anatomy.num_layers * anatomy.key_width)
    on = adapted(values)
    return Stored("lora.r", on.r, lambda rank: on.pairs(anatomy, rank))


def adapted(values: Mapping[str, Value]) -> Adapted:
    """By what is settled in a plan, LoRA's values even where another method is trained."""
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
        virtual_tokens=tokens_before(values) or VIRTUAL_TOKENS,
        prefix_projection=values.get(PROJECTION) is True,
        encoder_hidden_size=hidden if isinstance(hidden := values.get(HIDDEN), int) else None,
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
