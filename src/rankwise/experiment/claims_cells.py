"""The cells of `claims`: those of an ablation, and what the documents hold LoRA against."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

from rankwise.doctrine import Situation
from rankwise.experiment.bench import Bench
from rankwise.experiment.cells import DEFAULT, RANK, Cell, choose_cells, overrides_of
from rankwise.experiment.claims_list import CLAIMS, Claim, Compared
from rankwise.experiment.curves import LARGE, full_cell, large_cell
from rankwise.plan import Plan
from rankwise.recipe.keys import LEAVES

BASE = "the base"
"""No cell: the Default before its first step."""
TENTH = f"{DEFAULT}, a tenth of the rate"
MLP = "MLP only"


def claim_cells(bench: Bench, situation: Situation) -> tuple[list[Cell], dict[str, str]]:
    """Every cell that some claim speaks of, the Default first, and those that this base has not -> why."""
    rows = choose_cells((), situation, "")
    others = choose_cells(("targets", "layers", "alpha", "dropout"), situation, "")
    own = [_plainly_named(cell) for cell in (*rows.cells, *others.cells)]
    cells = {cell.name: cell for cell in (*own, *_further(bench, situation, own[0]))}
    wanted = {name for claim in CLAIMS if isinstance(claim.test, Compared) for _, name in claim.test.terms}
    return [cell for name, cell in cells.items() if name in wanted], dict(others.absent)


def large_cells(cells: Sequence[Cell], bench: Bench, planned: Plan) -> list[Cell]:
    """Those that some claim takes at a larger batch."""
    wanted = {name for claim in CLAIMS if isinstance(claim.test, Compared) for _, name in claim.test.terms}
    return [large_cell(cell, bench, planned) for cell in cells if f"{cell.name}{LARGE}" in wanted]


def missing(claim: Claim, there: Sequence[str]) -> list[str]:
    """Cells of a claim that are not run."""
    assert isinstance(claim.test, Compared)
    return [name for _, name in claim.test.terms if name not in there and name != BASE]


def _further(bench: Bench, situation: Situation, default: Cell) -> Iterator[Cell]:
    """The Default with one thing else, and other methods."""

    def varied(name: str, **values: object) -> Cell:
        return Cell(name, (*default.overrides, *overrides_of({f"lora.{key}": told for key, told in values.items()})))

    yield replace(default, name=TENTH)
    yield varied("r=64", r=64, lora_alpha=128)
    yield varied("Q+V", target_modules=situation.translated("query", "value"))
    yield varied("B not at zero", init_lora_weights=False)
    yield Cell("DoRA", (*default.overrides, "method=dora"))
    yield Cell("AdaLoRA", (*_adapter(bench), "method=adalora", f"lora.r={RANK}", f"lora.lora_alpha={2 * RANK}"))
    yield Cell("prefix", (*_adapter(bench), "method=prefix"))
    yield full_cell(bench)


def _adapter(bench: Bench) -> tuple[str, ...]:
    """Whatever the recipe says of LoRA is left to the plan."""
    given = [key for key in LEAVES if key.startswith("lora.") and key in bench.asked.given]
    return overrides_of({**{key: LEAVES[key].default for key in given}, "quantization": "none"})


def _plainly_named(cell: Cell) -> Cell:
    """A claim about the MLP does not know at which rank it has as many parameters."""
    return replace(cell, name=MLP) if cell.name.startswith(MLP) else cell
