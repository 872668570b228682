"""What a plan's adapter sits on, and how many parameters it has there at any rank."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from rankwise.doctrine import Value
from rankwise.facts import Anatomy
from rankwise.facts.counts import trainable_parameters

TARGETS = "lora.target_modules"
LAYERS = "lora.layers_to_transform"
RANKS = "lora.rank_pattern"
ALPHAS = "lora.alpha_pattern"


@dataclass(frozen=True)
class Adapted:
    """In the words of `facts/counts`."""

    modules: tuple[str, ...]
    r: int
    bias: str
    layers: tuple[int, ...] | None
    """None: all."""
    rank_pattern: Mapping[str, int]

    def trainable(
        self, anatomy: Anatomy, method: str, r: int | None = None, virtual_tokens: int = 0, labels: int = 0
    ) -> int:
        """Of `method`, at the plan's rank or at `r`; where `rank_pattern` says otherwise, that holds."""
        return trainable_parameters(
            anatomy,
            method,
            self.modules,
            self.r if r is None else r,
            self.bias,
            rank_pattern=self.rank_pattern,
            layers=self.layers,
            virtual_tokens=virtual_tokens,
            labels=labels,
        )

    def pairs(self, anatomy: Anatomy, r: int | None = None) -> int:
        """Of A and B alone, at the plan's rank or at `r`: what an adapter stores with."""
        r = self.r if r is None else r
        return anatomy.trainable_parameters(self.modules, r, "none", self.rank_pattern, self.layers)


def adapted(values: Mapping[str, Value]) -> Adapted:
    """By the values of a plan, settled or in the making."""
    r, ranks = values["lora.r"], values[RANKS]
    assert isinstance(r, int | float)
    return Adapted(
        modules=tuple(target_names(values[TARGETS])),
        r=int(r),
        bias=str(values["lora.bias"]),
        layers=layer_numbers(values),
        rank_pattern={name: int(rank) for name, rank in ranks.items()} if isinstance(ranks, dict) else {},
    )


def layer_numbers(values: Mapping[str, Value]) -> tuple[int, ...] | None:
    """None: all."""
    layers = values.get(LAYERS)
    return tuple(int(number) for number in layers) if isinstance(layers, list) else None


def target_names(value: Value) -> list[str]:
    """A list of target names, or the one word that stands for several."""
    return [str(name) for name in value] if isinstance(value, list) else [str(value)]
