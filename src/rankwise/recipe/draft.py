"""A recipe in the making, from a preset or another tool's file: what it takes on, and what it has to leave out."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from math import isfinite
from pathlib import Path

from rankwise.errors import Problem, RecipeError
from rankwise.recipe.keys import accepts, holds_mapping
from rankwise.recipe.parse import parse_recipe
from rankwise.recipe.tree import bare_scalar
from rankwise.recipe.write import Chosen, yaml_value

SHOWN = 80
"""Characters of a value that are shown."""

OF_ANOTHER_TASK = {
    "causal_lm": "this base is no causal one, which goes on where its prompt ends",
    "seq_cls": "this build puts a head on encoders alone; on text/label rows a base that writes scores every label",
    "seq_2_seq_lm": "this base is no encoder-decoder; a causal one generates the answer to the question",
}
"""Why a base is not trained for a task that is not its own."""


@dataclass(frozen=True)
class KnownBase:
    """What a draft asks about the base it is for."""

    task: str
    """What a base of its kind is adapted for."""
    hidden_size: int
    tied_head: bool
    experts: int
    """Of a mixture-of-experts layer; 0: a dense base."""
    names: Callable[[str], tuple[str, ...]]
    """A layer's name in any architecture -> this base's names for layers that do the same; empty: it has none."""
    has_biases: Callable[[Sequence[str]], bool]
    """Whether any of the layers so named has a bias."""


@dataclass(frozen=True)
class LeftOut:
    """Something asked for that the recipe does not say."""

    where: str
    """`file:line`, or the preset's name."""
    key: str
    """As the source writes it."""
    value: object
    why: str

    def problem(self) -> Problem:
        return Problem("warning", "not-carried", self.where, f"{self.asked} is not carried over: {self.why}")

    @property
    def asked(self) -> str:
        """Key and value, the value cut where it is long."""
        value = self.value
        nested = isinstance(value, dict) or (isinstance(value, list) and any(isinstance(v, dict | list) for v in value))
        text = json.dumps(value, default=str) if nested else yaml_value(value)
        return f"{self.key}: {text if len(text) <= SHOWN else text[:SHOWN] + '...'}"

    def as_json(self) -> dict[str, object]:
        value = None if isinstance(self.value, float) and not isfinite(self.value) else self.value
        return {"where": self.where, "key": self.key, "value": value, "why": self.why}


@dataclass
class Draft:
    """Values by dotted key; only what the schema takes gets in, so that the recipe written from it is valid."""

    chosen: dict[str, Chosen] = field(default_factory=dict)
    left_out: list[LeftOut] = field(default_factory=list)

    def offer(self, key: str, value: object, reason: str, source: LeftOut | None = None, otherwise: str = "") -> bool:
        """Take `value` on for `key`; if this build has no such value, leave `source` out and say why.

        `source`: what to list where it cannot be taken, its own `why` unused; `otherwise`: why not, where that can be
        said better than by the schema.
        """
        listed = source or LeftOut("", key, value, "")
        fault = refusal(key, value)
        if fault is not None and isinstance(value, str) and refusal(key, bare_scalar(value)) is None:
            value, fault = bare_scalar(value), None  # "2e-4" in quotes, which other tools read as a number
        if fault is not None:
            self.leave(listed, otherwise or fault)
            return False
        if key in self.chosen and self.chosen[key].value != value:
            self.leave(listed, f"{key} is {yaml_value(self.chosen[key].value)} already")
            return False
        self.chosen.setdefault(key, Chosen(value, reason))
        return True

    def offer_task(self, task: str, reason: str, source: LeftOut, base: KnownBase | None) -> bool:
        """Take a task on if it is that of `base`, which has no other; without a base, if this build has it."""
        if base is not None and task != base.task and task in OF_ANOTHER_TASK:
            self.leave(source, OF_ANOTHER_TASK[task])
            return False
        return self.offer("task", task, reason, source, OF_ANOTHER_TASK.get(task, ""))

    def leave(self, source: LeftOut, why: str) -> None:
        self.left_out.append(LeftOut(source.where, source.key, source.value, why))

    def offer_targets(self, names: Iterable[LeftOut], base: KnownBase | None, reason: str) -> None:
        """Layers by any architecture's names (the `value` of each), under the names `base` has for them.

        Without a base the names stay as they are. The head is left out where it is tied to the embeddings: there it
        is no layer of its own.
        """
        here: list[str] = []
        renamed: list[str] = []
        last: LeftOut | None = None
        for name in names:
            last, written = name, str(name.value)
            found = (written,) if base is None else base.names(written)
            if base is not None and base.tied_head and "lm_head" in found:
                self.leave(name, "this base's head is tied to its embeddings, so it is no layer of its own")
            elif not found:
                self.leave(name, "this base has no such layer")
            else:
                here += found
                same = found in ((written,), (written.rpartition(".")[2],))
                renamed += [] if same else [f"{written} = {' + '.join(found)}"]
        if here and last is not None:
            told = f"{reason}; on this base {', '.join(renamed)}" if renamed else reason
            self.offer("lora.target_modules", list(dict.fromkeys(here)), told, last)

    def targets(self) -> list[str]:
        """The names chosen so far."""
        value = self.chosen["lora.target_modules"].value if "lora.target_modules" in self.chosen else "all-linear"
        return [str(name) for name in value] if isinstance(value, list) else [str(value)]


def refusal(key: str, value: object) -> str | None:
    """Why a recipe cannot say `key: value` in this build; None: it can."""
    inner = [*value.values()] if isinstance(value, dict) else value if isinstance(value, list) else []
    nested = any(isinstance(item, dict | list) for item in inner)
    if nested or (isinstance(value, dict) and not holds_mapping(key)):
        return f"it holds keys below it; {key} takes {accepts(key)}"
    section, _, name = key.rpartition(".")
    line = f"{name}: {yaml_value(value)}\n"
    text = (f"{section}:\n  {line}" if section else line) + ("domain: legal\n" if key != "domain" else "")
    try:
        parse_recipe(text, "", Path())
    except RecipeError as fault:
        return fault.problems[0].message
    return None
