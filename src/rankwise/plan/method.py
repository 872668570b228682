"""Which way of adapting the base fits, and what each would cost here: computed, and by the doctrines' rules.

Trainable parameters are PEFT's own counts. Memory differs from the plan's by what a method holds otherwise: weights,
gradients and the two moments of what is trained. Time is relative to LoRA's, in multiply-adds: a matrix of N weights
costs 2N a token if it is frozen (forward, and the gradient of its input), 3N if it is trained, 1N if it only runs
forward, and an adapter of P parameters 3P. Attention itself and the norms are left out, and what has no such closed
form is not computed.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

from rankwise.data.corpus import Corpus
from rankwise.doctrine import DOCTRINES, Situation, Value
from rankwise.facts import Anatomy, Machine
from rankwise.facts.counts import METHODS, UNATTACHED
from rankwise.plan.adapted import adapted
from rankwise.plan.memory import (
    GRADIENT_BYTES,
    MOMENT_BYTES,
    WEIGHT_BYTES,
    features_bytes,
    frozen_bytes,
    reading_memory,
)
from rankwise.plan.objections import Broken, broken_rules
from rankwise.plan.plan import Plan
from rankwise.plan.prefix import VIRTUAL_TOKENS

METHODS_BUILT = ("lora", "qlora", "dora", "adalora", "prefix", "full", *UNATTACHED)
"""What this build can train."""

TRAINED_BYTES = WEIGHT_BYTES + GRADIENT_BYTES + MOMENT_BYTES


@dataclass(frozen=True)
class Said:
    doctrine: str
    sentence: str
    source: str


@dataclass(frozen=True)
class Method:
    """One way of adapting this base to these rows on this machine."""

    name: str
    built: bool
    """Whether this build can train it."""
    applies: bool
    """Whether there is anything for it to do here: without labels a classifier has nothing."""
    trainable: int | None
    share: float | None
    """Of the base's parameters."""
    memory_bytes: int | None
    """Peak of training; None: not computed."""
    fits: bool | None
    """In this machine's memory."""
    time: float | None
    """Of training, LoRA's being 1; None: not computed."""
    remark: str
    advised: tuple[Said, ...]
    """By the doctrines whose rule takes it here."""
    objections: tuple[Said, ...]
    """What the doctrines have against it here."""

    def as_json(self) -> dict[str, Any]:
        return asdict(self)


def weigh_methods(
    plan: Plan, situation: Situation, anatomy: Anatomy, corpus: Corpus, machine: Machine
) -> tuple[Method, ...]:
    """All of `facts/counts`' METHODS, each at the plan's rank, targets and batch where it has them."""
    costs = Costs(plan, situation.settled, anatomy, corpus)
    room = machine.training_bytes
    methods = []
    for name in METHODS:
        applies = name != "classifier" or len(corpus.labels) > 1
        trainable = costs.trainable(name) if applies else None
        memory = None if trainable is None else costs.memory_bytes(name, trainable)
        methods.append(
            Method(
                name=name,
                built=name in METHODS_BUILT,
                applies=applies,
                trainable=trainable,
                share=None if trainable is None else trainable / anatomy.total_parameters,
                memory_bytes=memory,
                fits=None if memory is None else memory <= room,
                time=costs.time(name) if applies else None,
                remark=_remark(name, corpus),
                advised=tuple(_advised(name, situation)),
                objections=tuple(_objections(name, situation)),
            )
        )
    return tuple(methods)


class Costs:
    """What a method takes at the plan's rank, targets, batch and precision."""

    def __init__(self, plan: Plan, settled: Mapping[str, Value], anatomy: Anatomy, corpus: Corpus) -> None:
        """`settled`: values, LoRA's among them where the plan is of another method."""
        self.plan, self.anatomy, self.corpus = plan, anatomy, corpus
        self.on = adapted(settled)
        self.dtype = "bfloat16" if plan["training.bf16"] else "float32"

    def trainable(self, name: str) -> int:
        return self.on.trainable(self.anatomy, name, labels=len(self.corpus.labels))

    def memory_bytes(self, name: str, trainable: int) -> int:
        """At the peak; of `prompt` and `classifier`, at the peak of running the base."""
        if name in UNATTACHED:
            features = features_bytes(self.anatomy, len(self.corpus.train)) if name == "classifier" else 0
            return reading_memory(self.anatomy, self.dtype, trainable, features).training.total
        own = name == self.plan["method"]
        weights = frozen_bytes(self.anatomy, name, self.dtype, str(self.plan["quantization"]) if own else "none")
        trained = trainable * TRAINED_BYTES
        memory = self.plan.memory
        assert memory is not None  # a plan that was just made
        held = memory.training
        return held.process + held.activations + held.logits + weights + trained

    def time(self, name: str) -> float | None:
        """Of training, in times of LoRA's; None where there is no closed form."""
        body, head = self._multiplied()
        adapter = self.on.pairs(self.anatomy) / self._stacks
        lora = 2 * (body + head) + 3 * adapter
        epochs = self.plan["training.num_train_epochs"]
        assert isinstance(epochs, int | float)
        costs = {
            "lora": float(lora),
            "full": 3.0 * (body + head),
            "prefix": 2.0 * (body + head),
            "prompt": 0.0,
            "classifier": body / epochs,
        }
        return costs[name] / lora if name in costs else None

    @property
    def _stacks(self) -> int:
        """Of layers, of which a token passes one."""
        return 2 if self.anatomy.kind == "encoder-decoder" else 1

    def _multiplied(self) -> tuple[float, float]:
        """Weights that a token of a row meets: in the body, and in the head, which only supervised tokens reach."""
        body = 0.0
        for p in self.anatomy.projections:
            met = p.count * (self.anatomy.active_experts / self.anatomy.experts if p.role == "expert" else 1)
            body += p.in_features * p.out_features * met if p.role != "head" else 0
        supervised = self.corpus.supervised_tokens / sum(len(row.ids) for row in self.corpus.train_rendered)
        return body / self._stacks, self.anatomy.hidden_size * self.anatomy.vocab_size * supervised


def with_costs(plan: Plan, settled: Mapping[str, Value], anatomy: Anatomy, corpus: Corpus) -> Plan:
    """`plan` with what its method costs beside the method's reason, and what training every weight would; where that
    is the method, what LoRA would."""
    costs, every = Costs(plan, settled, anatomy, corpus), plan.total_parameters
    decision = plan.decisions["method"]
    if decision.value == "full":
        trained = costs.trainable("lora")
        note = (
            f"here it trains all {every:,} parameters in about {plan.memory_bytes / 1e9:.1f} GB; lora of rank "
            f"{costs.on.r} would train {trained / every:.2%} of them in {costs.memory_bytes('lora', trained) / 1e9:.1f}"
            f" GB and {1 / (costs.time('full') or 1):.2f} of the time"
        )
        return _with_note(plan, note)
    times = (costs.time("full") or 1) / (costs.time(str(decision.value)) or 1)
    note = (
        f"here it trains {plan.trainable_parameters / every:.2%} of the parameters in about "
        f"{plan.memory_bytes / 1e9:.1f} GB; training all would take {costs.memory_bytes('full', every) / 1e9:.1f} GB "
        f"and {times:.1f} times as long"
    )
    return _with_note(plan, note)


def _with_note(plan: Plan, note: str) -> Plan:
    decision = plan.decisions["method"]
    told = decision.model_copy(update={"reason": f"{decision.reason}; {note}"})
    return plan.model_copy(update={"decisions": {**plan.decisions, "method": told}})


def _advised(name: str, situation: Situation) -> Iterable[Said]:
    for doctrine in DOCTRINES.values():
        advice = doctrine.advise("method", situation)
        if advice is not None and advice.value == name:
            yield Said(doctrine.name, advice.reason.rstrip("."), advice.source)


def _objections(name: str, situation: Situation) -> Iterable[Said]:
    supposed = replace(situation, settled={**situation.settled, "method": name})
    for broken in broken_rules(supposed):
        if broken.key == "method":
            yield _said(broken)


def _said(broken: Broken) -> Said:
    return Said(broken.doctrine, broken.sentence, broken.source)


def _remark(name: str, corpus: Corpus) -> str:
    labels = len(corpus.labels)
    return {
        "full": "moves every weight: a whole model for each domain, nothing to swap",
        "lora": "a small adapter, swapped on one base",
        "qlora": "LoRA on a base kept in 4 bits; each use of a weight unpacks it, which has no closed form",
        "dora": "LoRA and a magnitude for each output; PEFT's comparison measured 1.26x LoRA's time (r=32, q and v)",
        "adalora": "LoRA that prunes its rank from 1.5 times as high; PEFT's comparison measured 1.24x LoRA's time",
        "prefix": f"{VIRTUAL_TOKENS} learnt positions before every row, in the keys and values of each layer",
        "prompt": "examples in the prompt: nothing trained, each answer costs more; `evaluate` scores it too",
        "classifier": (
            f"a linear classifier of the base's last state over {labels} labels, from one forward pass"
            if labels > 1
            else "no labels, so there is nothing to classify"
        ),
    }[name]
