"""How the updates of two LoRA adapters lie to each other: their sizes, their direction, the subspaces they share.

All is computed from the small matrices, in float64; no update is ever made whole. An update is dW = s B A.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from math import sqrt
from typing import Any

import numpy as np
import numpy.typing as npt

from rankwise.facts import AdapterFacts
from rankwise.facts.header import read_values

Matrix = npt.NDArray[np.float64]

NEGLIGIBLE = 1e-6
"""Singular values under this part of the largest are rounding."""


@dataclass(frozen=True)
class Shared:
    """Two updates of one layer of the base."""

    module: str
    norms: tuple[float, float]
    """Frobenius, of dW."""
    inner: float
    """Sum of the products of their elements."""
    outputs: float
    """Overlap of their column spaces: the mean squared cosine of the principal angles, 0 to 1."""
    inputs: float
    """Likewise of their row spaces."""
    chance: tuple[float, float]
    """What random subspaces of these ranks would have, of outputs and inputs."""

    @property
    def layer(self) -> str:
        """Its number, or its name where it is in no stack."""
        number = re.search(r"\.(\d+)\.", self.module)
        return number[1] if number else self.module

    def as_json(self) -> dict[str, Any]:
        return {**asdict(self), "cosine": cosine(self.inner, self.norms)}


@dataclass(frozen=True)
class Geometry:
    shared: tuple[Shared, ...]
    alone: tuple[tuple[str, ...], tuple[str, ...]]
    """Layers of the base that only the one or only the other changes."""

    def as_json(self) -> dict[str, Any]:
        first, second = self.alone
        return {"modules": [each.as_json() for each in self.shared], "only_first": first, "only_second": second}


@dataclass(frozen=True)
class Layer:
    """The same over all that both change in one layer of the stack."""

    name: str
    norms: tuple[float, float]
    cosine: float | None
    """None: one of them is zero."""
    outputs: float
    inputs: float
    chance: tuple[float, float]


def geometry(first: AdapterFacts, second: AdapterFacts) -> Geometry | str:
    """Both on the layers they share; or why there is none."""
    for facts in (first, second):
        if not facts.pairs:
            return f"{facts.path.name} is no LoRA"
        if any(pair.experts > 1 for pair in facts.pairs.values()):
            return f"{facts.path.name} adapts stacked experts"
    both = [module for module in first.pairs if module in second.pairs]
    if not both:
        return "they have no layer in common"
    differing = [m for m in both if _ends(first, m) != _ends(second, m)]
    if differing:
        return f"they are for bases of other shapes ({differing[0]})"
    alone = (
        tuple(m for m in first.pairs if m not in second.pairs),
        tuple(m for m in second.pairs if m not in first.pairs),
    )
    return Geometry(tuple(_shared(module, first, second) for module in both), alone)


def by_layer(found: Geometry) -> list[Layer]:
    grouped: dict[str, list[Shared]] = {}
    for each in found.shared:
        grouped.setdefault(each.layer, []).append(each)
    layers = []
    for name, parts in grouped.items():
        norms = tuple(sqrt(sum(part.norms[side] ** 2 for part in parts)) for side in (0, 1))
        mean = {key: sum(getattr(part, key) for part in parts) / len(parts) for key in ("outputs", "inputs")}
        chance = tuple(sum(part.chance[side] for part in parts) / len(parts) for side in (0, 1))
        angle = cosine(sum(part.inner for part in parts), (norms[0], norms[1]))
        layers.append(Layer(name, (norms[0], norms[1]), angle, mean["outputs"], mean["inputs"], (chance[0], chance[1])))
    return layers


def cosine(inner: float, norms: tuple[float, float]) -> float | None:
    return inner / (norms[0] * norms[1]) if norms[0] and norms[1] else None


def _shared(module: str, first: AdapterFacts, second: AdapterFacts) -> Shared:
    (b1, a1), (b2, a2) = _matrices(first, module), _matrices(second, module)
    norms = tuple(sqrt(max(float(((b.T @ b) * (a @ a.T)).sum()), 0.0)) for b, a in ((b1, a1), (b2, a2)))
    inner = float(((b1.T @ b2) * (a1 @ a2.T)).sum())
    (out1, in1), (out2, in2) = _spaces(b1, a1), _spaces(b2, a2)
    largest = max(out1.shape[1], out2.shape[1])
    chance = (min(1.0, largest / b1.shape[0]), min(1.0, largest / a1.shape[1]))
    return Shared(module, (norms[0], norms[1]), inner, overlap(out1, out2), overlap(in1, in2), chance)


def overlap(first: Matrix, second: Matrix) -> float:
    """Mean squared cosine of the angles between two spaces, given by orthonormal columns; 0 if one has none."""
    smaller = min(first.shape[1], second.shape[1])
    if not smaller:
        return 0.0
    cosines = np.linalg.svd(first.T @ second, compute_uv=False)
    return float((np.minimum(cosines, 1.0) ** 2).sum() / smaller)


def _spaces(b: Matrix, a: Matrix) -> tuple[Matrix, Matrix]:
    """Orthonormal columns that span the outputs and the inputs of B A."""
    (left, upper), (right, lower) = np.linalg.qr(b), np.linalg.qr(a.T)
    u, values, v = np.linalg.svd(upper @ lower.T)
    rank = int((values > NEGLIGIBLE * values.max(initial=0.0)).sum()) if values.max(initial=0.0) > 0 else 0
    return left @ u[:, :rank], right @ v.T[:, :rank]


def _matrices(facts: AdapterFacts, module: str) -> tuple[Matrix, Matrix]:
    """B with its scale, and A."""
    pair = facts.pairs[module]
    b, a = (np.asarray(read_values(tensor), dtype=np.float64) for tensor in (pair.b, pair.a))
    return b * facts.scale(module), a


def _ends(facts: AdapterFacts, module: str) -> Mapping[str, int]:
    pair = facts.pairs[module]
    return {"in": pair.a.shape[1], "out": pair.b.shape[0]}
