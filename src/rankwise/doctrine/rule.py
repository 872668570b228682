"""What a rule is: a plain function from a situation to a value with its reason, and where it is written.

A doctrine's file reads as its source does: one function per rule, under a decorator that says which key it sets, in
which section it stands, on what it rests and when it applies.

    @DOCTRINE.rule("lora.lora_alpha", "Core Principles 1")
    def alpha(situation: Situation) -> Advice | None:
        return Advice(2 * situation.number("lora.r"), "alpha = 2 x rank adapts strongly and stays stable")
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from math import ceil
from typing import Literal

Value = str | int | float | bool | None | list[str] | list[int] | list[float] | dict[str, int] | dict[str, float]
Kind = Literal["measured", "stated", "conventional"]
"""On what a rule rests: a measurement of its source, the source's word, or custom."""

ATTENTION = ("query", "key", "value", "query_key_value", "attention_output")
"""Roles of the projections of attention."""
MLP = ("gate", "gate_up", "up", "down", "expert")
"""Roles of the projections of the MLP; of a mixture of experts, the experts."""
NOT_ADAPTED = ("router", "pooler")
"""Roles that no source means when it says "all layers"."""
FUSED = dict.fromkeys(("query", "key", "value"), "query_key_value") | dict.fromkeys(("gate", "up"), "gate_up")
"""Role -> the role that holds it where a base computes several in one matrix."""


@dataclass(frozen=True)
class Situation:
    """What rules may look at. The later fields have defaults, so that a test names only what its rule reads."""

    base_parameters: int
    hidden_size: int
    linear_layers: tuple[str, ...]
    """Names of the base's projections, its head left out."""
    rows: int
    supervised_tokens: int
    longest_row: int
    """Tokens, prompt and answer together."""
    settled: Mapping[str, Value]
    """Values of keys decided before this one, the user's own among them, and `steps` once they are counted."""
    roles: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Role (`query`, `up`, ... of facts/base) -> target names that reach the projections of this role and no others: a
    dotted end (`attn.c_proj`) where a leaf name alone would reach more."""
    count_per_rank: Callable[[list[str]], int] | None = None
    """Target names -> parameters that each rank adds on the layers they reach; None where nobody can count."""
    num_layers: int = 0
    model_type: str = ""
    """As config.json writes it: `llama`."""
    architecture: str = ""
    kind: Literal["causal", "encoder", "encoder-decoder"] = "causal"
    head: str | None = None
    """Name of the projection that gives the logits; None if there is none or it is tied to the embeddings."""
    experts: int = 0
    """Of a mixture-of-experts layer; 0: a dense base."""
    active_experts: int = 0
    """Experts a token passes through."""
    labels: int = 0
    """Different labels of text/label rows; 0: open answers."""
    multi_label: bool = False
    """An answer is any set of these labels."""
    task: str = "causal_lm"
    objective: str = "sft"
    goal: Literal["adapt", "new_ability"] = "adapt"
    """`adapt`: the base can do the task somehow and shall do it well. `new_ability`: it cannot do it at all yet."""
    gpus: int = 0
    gpu_bytes: int = 0
    """Memory of the first GPU."""
    memory_bytes: int = 0
    """Main memory this process may use."""

    def number(self, key: str) -> float:
        """A settled value that must be a number."""
        value = self.settled[key]
        assert isinstance(value, int | float)
        return value

    def known(self, key: str) -> float | None:
        """A settled number, or None where nothing or no number is settled."""
        value = self.settled.get(key)
        return value if isinstance(value, int | float) and not isinstance(value, bool) else None

    @property
    def trains_every_weight(self) -> bool:
        """Full fine-tuning: what is true of adapters alone is not said."""
        return self.settled.get("method") == "full"

    @property
    def step_rows(self) -> int | None:
        """Rows of one optimizer step; None while the batch size is not settled."""
        size = self.known("training.per_device_train_batch_size")
        return None if size is None else int(size * (self.known("training.gradient_accumulation_steps") or 1))

    @property
    def steps(self) -> int | None:
        """Optimizer steps of the run; None while what they follow from is not settled."""
        counted = self.known("steps")
        epochs = self.known("training.num_train_epochs")
        if counted is not None:
            return int(counted)
        if epochs is None or self.step_rows is None:
            return None
        return max(1, ceil(round(epochs * self.rows / self.step_rows, 6)))

    @property
    def parameters_per_rank(self) -> int | None:
        """Trainable parameters that each rank adds on the settled targets; None where they cannot be counted."""
        targets = self.settled.get("lora.target_modules")
        names = [str(name) for name in targets] if isinstance(targets, list) else self.projections
        return (self.count_per_rank(names) or None) if self.count_per_rank is not None else None

    def named(self, *roles: str) -> list[str]:
        """Names of the projections that have one of these roles, in this order."""
        return list(dict.fromkeys(name for role in roles for name in self.roles.get(role, ())))

    def translated(self, *roles: str) -> list[str]:
        """As `named`; a fused projection stands for its parts, all projections where this base has none of these."""
        return self.named(*roles, *(FUSED[role] for role in roles if role in FUSED)) or self.projections

    @property
    def projections(self) -> list[str]:
        """All projections of attention and MLP, experts among them; routers, poolers and the head left out."""
        return self.named(*(role for role in self.roles if role not in NOT_ADAPTED)) or list(self.linear_layers)

    def adapts(self, *roles: str) -> bool:
        """Whether the settled targets reach a projection of one of these roles."""
        targets = self.settled.get("lora.target_modules")
        if "expert" in roles and self.settled.get("lora.target_parameters"):
            return True
        if not isinstance(targets, list):
            return targets == "all-linear" and bool(self.named(*roles))
        return any(role in self._roles_of(str(target)) for target in targets for role in roles)

    def _roles_of(self, target: str) -> set[str]:
        """Roles this target name reaches, by PEFT's own rule: the name, or a dotted end of it."""
        exact = {role for role, names in self.roles.items() if target in names}
        return exact or {
            role
            for role, names in self.roles.items()
            if any(name.endswith(f".{target}") or target.endswith(f".{name}") for name in names)
        }


@dataclass(frozen=True)
class Advice:
    value: Value
    reason: str
    """One sentence."""
    source: str = ""
    """Document and section; filled in by the doctrine."""
    kind: Kind = "stated"


@dataclass(frozen=True)
class Rule:
    """Gives a value for a key of the recipe."""

    sets: str
    section: str
    kind: Kind
    when: str
    """For readers; the function itself decides."""
    source: str
    """Document and section."""
    advise: Callable[[Situation], Advice | None]
    """None: the rule says nothing about this situation."""


@dataclass(frozen=True)
class Objection:
    """What the source has against a value of the user's; it never changes one."""

    to: str
    """Key of the recipe."""
    section: str
    kind: Kind
    source: str
    object: Callable[[Situation], str | None]
    """Reads the value from `situation.settled`; one sentence, or None if there is nothing against it."""


@dataclass(frozen=True)
class Lesson:
    """What the source teaches without setting a key: how modules work, symptoms and cures, what to try."""

    topic: str
    """A key or group of keys it belongs to (`lora.target_modules`, `method`), or `evaluation`, `experiments`."""
    section: str
    kind: Kind
    source: str
    text: str


@dataclass
class Doctrine:
    """A named, cited body of advice. Of several rules for one key the first that has something to say counts."""

    name: str
    """As a recipe writes it: `best-practices`."""
    title: str
    document: str
    """How sources are cited."""
    rules: list[Rule] = field(default_factory=list)
    objections: list[Objection] = field(default_factory=list)
    lessons: list[Lesson] = field(default_factory=list)

    def rule(
        self, sets: str, section: str, kind: Kind = "stated", when: str = "always", document: str | None = None
    ) -> Callable[[Callable[[Situation], Advice | None]], Callable[[Situation], Advice | None]]:
        """Decorator: the function is this doctrine's rule for the key `sets`.

        `document`: where it stands, if elsewhere than in the doctrine's own (a correction, say).
        """

        def register(function: Callable[[Situation], Advice | None]) -> Callable[[Situation], Advice | None]:
            self.rules.append(Rule(sets, section, kind, when, self._cite(section, document), function))
            return function

        return register

    def objection(
        self, to: str, section: str, kind: Kind = "stated", document: str | None = None
    ) -> Callable[[Callable[[Situation], str | None]], Callable[[Situation], str | None]]:
        """Decorator: the function says what speaks against the settled value of the key `to`."""

        def register(function: Callable[[Situation], str | None]) -> Callable[[Situation], str | None]:
            self.objections.append(Objection(to, section, kind, self._cite(section, document), function))
            return function

        return register

    def lesson(self, topic: str, section: str, text: str, kind: Kind = "stated", document: str | None = None) -> None:
        self.lessons.append(Lesson(topic, section, kind, self._cite(section, document), text))

    def advise(self, key: str, situation: Situation) -> Advice | None:
        """What this doctrine says about `key` here, with its source; None if nothing."""
        for rule in self.rules:
            if rule.sets == key and (advice := rule.advise(situation)) is not None:
                return replace(advice, source=rule.source, kind=rule.kind)
        return None

    @property
    def decides(self) -> list[str]:
        """The keys it has rules for, in the order of its file."""
        return list(dict.fromkeys(rule.sets for rule in self.rules))

    def _cite(self, section: str, document: str | None) -> str:
        document = document if document is not None else self.document
        return f"{document}, {section}" if section else document
