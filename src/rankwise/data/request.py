"""Which rows a recipe asks for."""

from __future__ import annotations

from rankwise.data.corpus import DEFAULT_HELD_OUT, CorpusRequest
from rankwise.data.hub import is_hub_id
from rankwise.errors import DataError, Problem
from rankwise.recipe import Asked
from rankwise.recipe.domains import Domain


def corpus_request(asked: Asked, domain: Domain | None) -> CorpusRequest:
    """The recipe's `data` section with the domain's rows and prompt where it leaves them open; paths absolute."""
    data = asked.recipe.data
    held_out: str | float
    if data.train is not None:
        train, held_out = _source(asked, data.train), DEFAULT_HELD_OUT
    elif domain is not None and domain.train is not None:
        train = str(domain.train)
        held_out = DEFAULT_HELD_OUT if domain.held_out is None else str(domain.held_out)
    else:
        name = "" if domain is None else f"; the {domain.name} domain has no sample rows in this release"
        message = f"nothing to train on: give data.train{name}"
        raise DataError(problems=[Problem("error", "nothing-to-train-on", asked.where("data.train"), message)])
    if data.held_out is not None:
        held_out = data.held_out if isinstance(data.held_out, float) else _source(asked, data.held_out)
    instruction = data.instruction
    if instruction is None and domain is not None and domain.kind == "labels":
        instruction = domain.instruction
    return CorpusRequest(
        train=train,
        held_out=held_out,
        instruction=instruction,
        max_length=None if data.max_length == "auto" else data.max_length,
        too_long=data.too_long,
        assistant_turns=data.assistant_turns if asked.recipe.objective == "sft" else "last",
        seed=asked.recipe.training.seed,
    )


def _source(asked: Asked, value: str) -> str:
    """A hub id as it is; a path against the recipe's folder."""
    path = asked.path(value)
    return value if is_hub_id(value) and not path.exists() else str(path.absolute())
