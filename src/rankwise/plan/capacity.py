"""Can the adapter hold what the answers say? Capacity against description length, both in bits.

Also the three calls that the "LoRA/QLoRA Doctrine" writes in its text, exported by `rankwise` itself.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import ceil
from pathlib import Path
from typing import Any, Literal, NamedTuple

from pydantic import BaseModel, ConfigDict, model_validator

from rankwise.data.corpus import asked, default_instruction
from rankwise.data.read import read_table
from rankwise.data.render import Renderer
from rankwise.doctrine.rankwise import BITS_PER_PARAMETER, HEADROOM, RANKS, answer_bits
from rankwise.errors import PlanError, Problem, raise_if_errors
from rankwise.events import Observer, ignore
from rankwise.facts import Anatomy, fetch_base, fetch_facts, locate_base
from rankwise.recipe import Recipe

RANK = "lora.r"
WASTEFUL = 1000
"""Capacity over need from which more rank is for the speed of learning alone; a convention of ours."""
_PATTERNS_HOLD = "raise the ranks in lora.rank_pattern, which sets those of all adapted layers, or adapt more layers"
GUIDE_PROJECTIONS = 10
"""Square projections a layer, as the "LoRA/QLoRA Doctrine" counts them where only the base's sizes are known."""


class DescriptionLength(NamedTuple):
    """What the base needs to write down the supervised tokens, in bits: the sum of -log2 p over them."""

    bits: float
    low: float
    high: float
    """Of the 95% interval; both are `bits` where every row was read."""
    rows_used: int


class Capacity(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    status: Literal["UNDERCAPACITY", "AMPLE", "WASTEFUL", "NOT_APPLICABLE"]
    """NOT_APPLICABLE: of a method that stores nothing in an adapter."""
    message: str
    capacity_bits: int
    required_bits: int
    smallest_rank: int
    """That could just hold the answers."""
    suggested_rank: int
    """The first of RANKS with HEADROOM; where none has it, the last, or `smallest_rank` if that is more."""
    basis: Literal["estimated", "measured"] = "estimated"
    """Where `required_bits` is from: a bit for each supervised token, or a pass of the base over them."""
    required_interval: tuple[int, int] | None = None
    """95% interval of `required_bits` where it was measured on a part of the rows."""

    @model_validator(mode="before")
    @classmethod
    def _written_by_0_1(cls, given: Any) -> Any:
        """Plans of 0.1 have one rank, the smallest, under the name of the suggested one."""
        if isinstance(given, dict) and "smallest_rank" not in given and "suggested_rank" in given:
            return {**given, "smallest_rank": given["suggested_rank"]}
        return given


def judge_capacity(
    r: int,
    parameters_at: Callable[[int], int],
    supervised_tokens: int,
    measured: DescriptionLength | None = None,
    classes: int = 0,
    multi_label: bool = False,
    key: str | None = RANK,
) -> Capacity:
    """`parameters_at`: trainable parameters of the plan's targets at a rank. Without `measured`, a bit a token; of a
    sequence classifier, whose answers are single labels, as many bits as tell its `classes` apart, or with
    `multi_label`, a bit for each. `key`: what `r` is in a recipe; of a prefix, whose length stands where a rank does,
    another one; None where every weight is trained."""
    required = ceil(answer_bits(supervised_tokens, classes, multi_label) if measured is None else measured.bits)
    capacity = parameters_at(r) * BITS_PER_PARAMETER
    per_rank = (parameters_at(2) - parameters_at(1)) * BITS_PER_PARAMETER
    fixed = parameters_at(1) * BITS_PER_PARAMETER - per_rank  # of layers whose rank a pattern sets
    smallest = max(1, ceil((required - fixed) / per_rank)) if per_rank else r
    suggested = _suggested_rank(HEADROOM * required - fixed, per_rank, smallest) if per_rank else r
    if capacity < required:
        status: Literal["UNDERCAPACITY", "AMPLE", "WASTEFUL"] = "UNDERCAPACITY"
        if key is None:
            rest = "every weight is trained already; take fewer rows, or a larger base"
        elif key != RANK:
            rest = f"raise {key} to at least {smallest}, or take lora"
        elif per_rank:
            rest = _too_small(smallest, suggested, (fixed + suggested * per_rank) / required)
        else:
            rest = _PATTERNS_HOLD
    elif capacity > WASTEFUL * required:
        status, rest = "WASTEFUL", "more than storage asks for"
        rest += "; rank also speeds learning, so this is no fault by itself" if key is not None else ""
    else:
        status, rest = "AMPLE", "enough"
    drawn = measured is not None and measured.low < measured.high
    return Capacity(
        status=status,
        message=f"{_figures(capacity, required, supervised_tokens, measured, classes)}: {rest}",
        capacity_bits=capacity,
        required_bits=required,
        smallest_rank=smallest,
        suggested_rank=suggested,
        basis="estimated" if measured is None else "measured",
        required_interval=(round(measured.low), round(measured.high)) if drawn and measured is not None else None,
    )


def _suggested_rank(needed: int, bits_per_rank: int, smallest: int) -> int:
    roomy = (rank for rank in RANKS if rank * bits_per_rank >= needed)
    return next(roomy, max(RANKS[-1], smallest))


def _too_small(smallest: int, suggested: int, room: float) -> str:
    rest = f"raise lora.r to at least {smallest} ({suggested} has {room:.1f} times the room) or adapt more layers"
    if suggested > RANKS[-1]:
        rest += f"; that is past rank {RANKS[-1]}, where training the base itself is worth a thought"
    return rest


def _figures(capacity: int, required: int, tokens: int, measured: DescriptionLength | None, classes: int) -> str:
    if measured is None and classes:
        return f"{capacity:,} bits of capacity for at most {required:,} bits in {tokens:,} answers of {classes} labels"
    if measured is None:
        return f"{capacity:,} bits of capacity for about {required:,} bits in {tokens:,} supervised tokens"
    spread = f" (95%: {measured.low:,.0f} to {measured.high:,.0f})" if measured.low < measured.high else ""
    return (
        f"{capacity:,} bits of capacity for {required:,} bits{spread} that the base needs for {tokens:,} supervised "
        f"tokens, measured on {measured.rows_used:,} rows"
    )


# -- the calls of the "LoRA/QLoRA Doctrine"


def validate_capacity(
    *,
    rank: int,
    dataset_tokens: int,
    hidden_dim: int | None = None,
    num_layers: int | None = None,
    anatomy: Anatomy | None = None,
    target_modules: Sequence[str] | str = "all-linear",
) -> dict[str, Any]:
    """The fields of `Capacity` for an adapter of `rank` and answers of `dataset_tokens` tokens (a bit each).

    Counts are exact with an `anatomy` (`rankwise.facts.read_anatomy(folder)`) and what `target_modules` reach on it;
    with `hidden_dim` and `num_layers` alone they are the guide's, ten square projections a layer: right for
    Llama-3.1-8B (2,621,440 a rank), 13% too many for SmolLM2-135M. Raises PlanError with everything wrong at once.
    """
    faults = _faults({"rank": rank}, 1) + _faults({"dataset_tokens": dataset_tokens}, 0)
    modules: tuple[str, ...] = ()
    if anatomy is not None:
        modules = anatomy.resolve_targets(target_modules).modules
        if hidden_dim not in (None, anatomy.hidden_size) or num_layers not in (None, anatomy.num_layers):
            told = f"{anatomy.name} has hidden_dim {anatomy.hidden_size} and num_layers {anatomy.num_layers}"
            faults.append(_fault("anatomy", f"{told}; leave them out where an anatomy is given"))
        if not modules:
            faults.append(_fault("target_modules", f"{target_modules!r} names no layer of {anatomy.name}"))
    elif hidden_dim is None or num_layers is None:
        faults.append(_fault("anatomy", "sizes are missing; give hidden_dim and num_layers, or an anatomy"))
    else:
        faults += _faults({"hidden_dim": hidden_dim, "num_layers": num_layers}, 1)
    raise_if_errors(PlanError, faults)

    def parameters_at(r: int) -> int:
        if anatomy is not None:
            return anatomy.trainable_parameters(modules, r)
        assert hidden_dim is not None and num_layers is not None
        return r * _guide_parameters_per_rank(hidden_dim, num_layers)

    return judge_capacity(rank, parameters_at, dataset_tokens).model_dump()


def min_rank_for_dataset(dataset_tokens: int, hidden_dim: int, num_layers: int) -> int:
    """The guide's own formula, ten square projections a layer; where it divides evenly, one more than just enough.

    Raises PlanError.
    """
    sizes = {"hidden_dim": hidden_dim, "num_layers": num_layers}
    raise_if_errors(PlanError, _faults({"dataset_tokens": dataset_tokens}, 0) + _faults(sizes, 1))
    return dataset_tokens // (_guide_parameters_per_rank(hidden_dim, num_layers) * BITS_PER_PARAMETER) + 1


def count_tokens(
    path: str | Path, tokenizer: str | Path | None = None, *, supervised: bool = True, observer: Observer = ignore
) -> int:
    """Tokens in the rows of a data file: those that are trained on (the answers with their stop tokens), which are
    what an adapter must hold; all of them, prompts too, with `supervised=False`.

    `tokenizer`: the folder, embedded name or hub id of a base; the default base if left out, fetched on first use.
    Raises DataError for the file, BaseError for the tokenizer.
    """
    table = read_table(path)
    base = str(tokenizer) if tokenizer is not None else str(Recipe.model_fields["model"].default)
    located = locate_base(base, Path.cwd())
    fetch = fetch_facts if located.kind == "hub" else fetch_base  # a hub's tokenizer comes without its weights
    renderer = Renderer(fetch(located, observer))
    labels = sorted({label for row in table.rows for label in row.own_labels})
    instruction = default_instruction(labels) if labels else None
    rendered = (renderer.render(asked(row, instruction)) for row in table.rows)
    return sum(row.num_supervised if supervised else len(row.ids) for row in rendered)


def _guide_parameters_per_rank(hidden_dim: int, num_layers: int) -> int:
    return 2 * hidden_dim * GUIDE_PROJECTIONS * num_layers


def _faults(numbers: dict[str, int], least: int) -> list[Problem]:
    return [
        _fault(name, f"{value!r}; expected a whole number of at least {least}")
        for name, value in numbers.items()
        if not isinstance(value, int) or isinstance(value, bool) or value < least
    ]


def _fault(where: str, message: str) -> Problem:
    return Problem("error", "bad-argument", where, message)
