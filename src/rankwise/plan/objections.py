"""What the doctrines have against settled values."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from rankwise.doctrine import DOCTRINES, Situation
from rankwise.doctrine.rule import Kind

_DECIDE_TOGETHER = {
    "training.per_device_train_batch_size": "training.gradient_accumulation_steps",
    "training.num_train_epochs": "training.max_steps",
}
"""Key -> another by which its user sets the same quantity: the rows of a step, the length of the run."""


@dataclass(frozen=True)
class Broken:
    """A rule that a settled value breaks."""

    key: str
    sentence: str
    doctrine: str
    source: str
    kind: Kind


def broken_rules(situation: Situation) -> list[Broken]:
    """Every objection of every doctrine to what is settled."""
    return [
        Broken(objection.to, sentence.rstrip("."), doctrine.name, objection.source, objection.kind)
        for doctrine in DOCTRINES.values()
        for objection in doctrine.objections
        if objection.to in situation.settled and (sentence := objection.object(situation)) is not None
    ]


def given_key(key: str, given: Collection[str]) -> str | None:
    """The key by which the user set the value of `key`; None if the user did not."""
    return next((k for k in (key, _DECIDE_TOGETHER.get(key)) if k in given), None)


def cited_together(broken: Collection[Broken]) -> str:
    """The sentences on one line, each with all sources that say it."""
    sources: dict[str, list[str]] = {}
    for one in broken:
        if one.source not in sources.setdefault(one.sentence, []):
            sources[one.sentence].append(one.source)
    return "; ".join(f"{sentence} ({' and '.join(cited)})" for sentence, cited in sources.items())
