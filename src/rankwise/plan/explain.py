"""The whole story of one value: why it is so, who would have it otherwise, what speaks against it, what hangs on it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any, Literal

from rankwise.doctrine import DEFAULTS, DOCTRINES, Doctrine, Situation, Value
from rankwise.doctrine.errata import ERRATA, Erratum
from rankwise.doctrine.rule import Kind, Lesson, Rule
from rankwise.errors import Problem, RecipeError
from rankwise.plan.adapted import EXPERT_RANK, EXPERTS, LAYERS, RANKS, TARGETS
from rankwise.plan.advise import Advised
from rankwise.plan.method import Method
from rankwise.plan.objections import Broken, broken_rules
from rankwise.plan.plan import Decision, Plan
from rankwise.plan.prefix import HIDDEN, PROJECTION, TOKENS
from rankwise.plan.situation import said_as
from rankwise.plan.spoken import METHOD_SOURCES, same_value
from rankwise.recipe.keys import FOREIGN, LEAVES, accepts, nearest

_SIZE = ("lora.r", TARGETS, LAYERS, EXPERTS, EXPERT_RANK, RANKS, TOKENS)
FIGURES: Mapping[str, tuple[str, ...]] = {
    "trainable parameters": (*_SIZE, "lora.bias", PROJECTION, HIDDEN),
    "capacity": _SIZE,
    "memory": (
        *(*_SIZE, "lora.bias", "training.bf16", "quantization"),
        *("training.per_device_train_batch_size", "shared_prefix"),
    ),
    "time": ("training.max_steps", "training.eval_steps", "training.bf16", "shared_prefix"),
}
"""A plan's figure -> the keys it is computed from."""
_COMPUTED: Mapping[str, tuple[str, ...]] = {
    "training.max_steps": (
        *("training.num_train_epochs", "training.per_device_train_batch_size"),
        "training.gradient_accumulation_steps",
    ),
}
"""Key that the plan computes by itself -> what from."""


@dataclass(frozen=True)
class Voice:
    """What a doctrine says about the key here."""

    doctrine: str
    value: Value
    reason: str
    source: str
    kind: Kind
    agrees: bool


@dataclass(frozen=True)
class Unused:
    """A rule for the key that decides nothing here."""

    doctrine: str
    source: str
    when: str
    because: Literal["it does not apply here", "an earlier rule of its doctrine does"]


@dataclass(frozen=True)
class Taught:
    doctrine: str
    lesson: Lesson


@dataclass(frozen=True)
class Explanation:
    key: str
    meaning: str
    """From the recipe's schema; empty for a key that only plans have."""
    accepts: str
    doctrine: str
    """That the plan is made by."""
    decision: Decision
    facts: Mapping[str, Value]
    """Facts that the deciding rule looks at."""
    follows_from: tuple[str, ...]
    """Keys that it looks at, or that the value is computed from."""
    voices: tuple[Voice, ...]
    silent: tuple[str, ...]
    """Doctrines that say nothing about the key here."""
    unused: tuple[Unused, ...]
    objections: tuple[Broken, ...]
    lessons: tuple[Taught, ...]
    errata: tuple[Erratum, ...]
    """Of the sections cited above."""
    leads_to: tuple[str, ...]
    """Keys and figures of this plan that change with it."""
    methods: tuple[Method, ...] = ()
    """Of the key `method`: all there are, with their costs."""

    def as_json(self) -> dict[str, Any]:
        told = {"key": self.key, **self.decision.model_dump(mode="json"), **asdict(self)}
        del told["decision"]
        told["lessons"] = [{"doctrine": taught.doctrine, **asdict(taught.lesson)} for taught in self.lessons]
        return told


def explain_decision(advised: Advised, key: str) -> Explanation:
    """Raises RecipeError, with the nearest key, if the plan decides nothing of that name."""
    plan, situation = advised.plan, advised.situation
    if key not in plan.decisions:
        raise RecipeError(problems=[Problem("error", "unknown-key", key, _unknown(key, plan))])
    decision = plan.decisions[key]
    voices = tuple(_voices(key, decision.value, advised))
    objections = tuple(broken for broken in broken_rules(situation) if broken.key == key)
    lessons = tuple(_lessons(key))
    cited = {rule.source for _, rule in _rules(key)}
    cited |= {broken.source for broken in objections} | {taught.lesson.source for taught in lessons}
    facts, keys = _looked_at(key, plan, advised.doctrine, situation)
    return Explanation(
        key=key,
        meaning=(LEAVES[key].description or "") if key in LEAVES else "",
        accepts=accepts(key) if key in LEAVES else "",
        doctrine=advised.doctrine.name,
        decision=decision,
        facts=facts,
        follows_from=keys,
        voices=voices,
        silent=tuple(name for name in DOCTRINES if name not in {voice.doctrine for voice in voices}),
        unused=tuple(_unused(key, situation)),
        objections=objections,
        lessons=lessons,
        errata=tuple(erratum for erratum in ERRATA if erratum.source in cited),
        leads_to=tuple(_leads_to(key, advised)),
    )


def _unknown(key: str, plan: Plan) -> str:
    if key in LEAVES and key.partition(".")[0] in ("lora", "prefix"):
        return f"it is of another method than the plan's, {plan['method']}"
    if key in LEAVES:
        return "the plan decides nothing about it; it shows in what follows from it"
    plain = key.lower().replace("-", "_")
    ends = {known.rpartition(".")[2]: known for known in plan.decisions}
    close = FOREIGN.get(plain) or ends.get(plain) or nearest(plain, plan.decisions)
    close = close or ends.get(nearest(plain, ends) or "")
    hint = f"; did you mean {close}?" if close in plan.decisions else "."
    return f"the plan has no such key{hint} Its keys: {', '.join(plan.decisions)}"


def _rules(key: str) -> Iterator[tuple[Doctrine, Rule]]:
    for doctrine in DOCTRINES.values():
        for rule in doctrine.rules:
            if rule.sets == key:
                yield doctrine, rule


def _voices(key: str, value: Value, advised: Advised) -> Iterator[Voice]:
    for doctrine in DOCTRINES.values():
        advice = doctrine.advise(key, advised.situation)
        if advice is not None:
            said = said_as(key, advice.value, advised.anatomy)
            yield Voice(doctrine.name, said, advice.reason, advice.source, advice.kind, same_value(said, value))


def _unused(key: str, situation: Situation) -> Iterator[Unused]:
    spoken: set[str] = set()
    for doctrine, rule in _rules(key):
        if rule.advise(situation) is None:
            yield Unused(doctrine.name, rule.source, rule.when, "it does not apply here")
        elif doctrine.name in spoken:
            yield Unused(doctrine.name, rule.source, rule.when, "an earlier rule of its doctrine does")
        else:
            spoken.add(doctrine.name)


def _lessons(key: str) -> Iterator[Taught]:
    for doctrine in DOCTRINES.values():
        for lesson in doctrine.lessons:
            if lesson.topic == key or key.startswith(f"{lesson.topic}."):
                yield Taught(doctrine.name, lesson)


# -- what hangs on what


class _Watched(Mapping[str, Value]):
    """Settled values that remember which of them were looked at."""

    def __init__(self, settled: Mapping[str, Value]) -> None:
        self._settled = settled
        self.seen: dict[str, None] = {}

    def __getitem__(self, key: str) -> Value:
        self.seen["training.max_steps" if key == "steps" else key] = None
        return self._settled[key]

    def __iter__(self) -> Iterator[str]:
        return iter(self._settled)

    def __len__(self) -> int:
        return len(self._settled)


class _WatchedSituation(Situation):
    """A situation that writes down, in `_seen`, which of its facts were looked at."""

    def __getattribute__(self, name: str) -> Any:
        found = super().__getattribute__(name)
        if name in _FACTS:
            super().__getattribute__("__dict__").get("_seen", {})[name] = found
        return found


_FACTS = {field.name for field in fields(Situation)} - {"settled"}


def _looked_at(
    key: str, plan: Plan, doctrine: Doctrine, situation: Situation
) -> tuple[dict[str, Value], tuple[str, ...]]:
    """Facts and keys that decided `key`; none of a value the user set or the facts left no choice about."""
    kind = plan.decisions[key].kind
    if kind in ("yours", "computed"):
        return {}, _COMPUTED.get(key, ()) if kind == "computed" else ()
    deciding = [doctrine]
    if doctrine.advise(key, situation) is None:
        deciding = [DOCTRINES[name] for name in METHOD_SOURCES] if key == "method" else [DEFAULTS]
    settled, seen = _Watched(situation.settled), dict[str, Any]()
    watched = _WatchedSituation(**{**vars(situation), "settled": settled})
    object.__setattr__(watched, "_seen", seen)  # the dataclass is frozen
    for one in deciding:
        one.advise(key, watched)
    facts: dict[str, Value] = {name: found for name, found in seen.items() if isinstance(found, str | int | float)}
    return facts, tuple(name for name in settled.seen if name != key and name in plan.decisions)


def _leads_to(key: str, advised: Advised) -> Iterator[str]:
    plan = advised.plan
    for other in plan.decisions:
        if other != key and key in _looked_at(other, plan, advised.doctrine, advised.situation)[1]:
            yield other
    for figure, sources in FIGURES.items():
        if key in sources:
            yield figure
