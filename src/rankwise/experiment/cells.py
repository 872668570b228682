"""The cells of an ablation: what is varied, each as overrides of the user's recipe.

The rows of the LoRA Configuration Guide's table stand on its base: attention projections, alpha = 2r, dropout 0.1.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from rankwise.doctrine import DOCTRINES, Situation
from rankwise.doctrine.rule import MLP
from rankwise.recipe.write import yaml_value

Group = Literal["targets", "layers", "alpha", "dropout", "doctrines"]
DEFAULT = "Default"
"""The cell that the others are held against."""
RANK, DROPOUT = 16, 0.1
"""The guide's Default."""
ATTENTION = ("query", "key", "value", "attention_output")
_AS_PEFT = ("lora.layers_to_transform", "lora.rank_pattern", "lora.alpha_pattern")


@dataclass(frozen=True)
class Cell:
    name: str
    overrides: tuple[str, ...]
    """Of the recipe, as `--set` takes them."""
    tuned: bool = True
    """Trained at the shared learning rate, and at the best of three; else at its own plan's alone, whose whole training
    is its own too."""


@dataclass(frozen=True)
class Cells:
    cells: tuple[Cell, ...]
    """The first is the one that the others are held against."""
    absent: Mapping[str, str]
    """Cells that this base has not -> why."""


def choose_cells(groups: Sequence[Group], situation: Situation, doctrine: str) -> Cells:
    """The guide's six rows; with `groups`, those instead, beside its Default. `doctrine`: the recipe's own, against
    which the others are held where nothing else is asked for."""
    if list(groups) == ["doctrines"]:
        return Cells(_doctrines(doctrine), {})
    cells, absent = [_cell(DEFAULT, situation)], dict[str, str]()
    chosen: Sequence[Group | None] = groups or (None,)
    for group in chosen:
        if group == "doctrines":
            cells += _doctrines(doctrine)
        elif group == "layers":
            cells += _layers(situation, absent)
        else:
            cells += _VARIED[group](situation)
    return Cells(tuple({cell.name: cell for cell in cells}.values()), absent)


def _guide_rows(situation: Situation) -> list[Cell]:
    return [
        _cell("Low Rank (r=4)", situation, r=4),
        _cell("High Rank (r=32)", situation, r=32),
        _cell("Query-Only", situation, targets=situation.translated("query")),
        _cell("With Bias Training", situation, bias="lora_only"),
        _cell("QLoRA", situation, quantization="nf4"),
    ]


def _targets(situation: Situation) -> list[Cell]:
    return [
        _cell("Query-Only", situation, targets=situation.translated("query")),
        _cell("Q+K+V", situation, targets=situation.translated("query", "key", "value")),
        _cell("All projections", situation, targets=situation.projections),
    ]


def _layers(situation: Situation, absent: dict[str, str]) -> list[Cell]:
    """Attention alone is the Default; the MLP alone has as many parameters, as nearly as a whole rank allows."""
    attention, mlp = situation.translated(*ATTENTION), situation.named(*MLP)
    both = list(dict.fromkeys([*attention, *mlp]))
    found = []
    if mlp and situation.count_per_rank is not None:
        rank = max(1, round(RANK * situation.count_per_rank(attention) / situation.count_per_rank(mlp)))
        found = [_cell(f"MLP only (r={rank})", situation, r=rank, targets=mlp)]
        found.append(_cell("Attention + MLP", situation, targets=both))
    else:
        absent["MLP only"] = "this base has no MLP projection that a target name reaches"
    if situation.head is None:
        absent["Attention + MLP + head"] = "this base's head is tied to its embeddings, so it is no layer of its own"
    elif mlp:
        found.append(_cell("Attention + MLP + head", situation, targets=[*both, situation.head]))
    return found


def _alphas(situation: Situation) -> list[Cell]:
    return [_cell(f"alpha = {text}", situation, alpha=alpha) for text, alpha in (("r/2", 8), ("r", 16), ("4r", 64))]


def _dropouts(situation: Situation) -> list[Cell]:
    return [_cell(f"dropout {value:g}", situation, dropout=value) for value in (0.0, 0.05, 0.3)]


_VARIED: Mapping[Group | None, Callable[[Situation], list[Cell]]] = {
    None: _guide_rows,
    "targets": _targets,
    "alpha": _alphas,
    "dropout": _dropouts,
}


def _doctrines(own: str) -> tuple[Cell, ...]:
    """Every doctrine's whole plan; what the recipe itself sets holds in all of them."""
    names = [own, *(name for name in DOCTRINES if name != own)]
    return tuple(Cell(name, (f"doctrine={name}",), tuned=False) for name in names)


def _cell(
    name: str,
    situation: Situation,
    r: int = RANK,
    alpha: float | None = None,
    dropout: float = DROPOUT,
    targets: Sequence[str] | None = None,
    bias: str = "none",
    quantization: str = "none",
) -> Cell:
    values = {
        "method": "lora" if quantization == "none" else "qlora",
        "quantization": quantization,
        "lora.r": r,
        "lora.lora_alpha": 2 * r if alpha is None else alpha,
        "lora.lora_dropout": dropout,
        "lora.target_modules": situation.translated(*ATTENTION) if targets is None else list(targets),
        "lora.bias": bias,
        "lora.use_rslora": False,
        "lora.init_lora_weights": True,
        **dict.fromkeys(_AS_PEFT),
    }
    return Cell(name, overrides_of(values))


def overrides_of(values: Mapping[str, object]) -> tuple[str, ...]:
    return tuple(f"{key}={'null' if value is None else yaml_value(value)}" for key, value in values.items())
