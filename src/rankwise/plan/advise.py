"""Recipe, anatomy, corpus, machine and doctrine become a plan."""

from __future__ import annotations

from math import ceil

from rankwise.doctrine import DEFAULTS, DOCTRINES, Situation, Value, find_doctrine
from rankwise.errors import PlanError, RecipeError, raise_if_errors
from rankwise.facts import Machine, Measurement
from rankwise.plan.capacity import judge_capacity
from rankwise.plan.estimate import estimate_memory, estimate_seconds
from rankwise.plan.given import decide_data, decide_what
from rankwise.plan.ledger import Ledger
from rankwise.plan.plan import Plan
from rankwise.plan.prepare import Prepared
from rankwise.recipe import Asked

BFLOAT16_GAIN = 1.1
"""bfloat16 must be this much faster than float32 to be chosen."""

_ADVISED = (  # in this order: a rule may look at what was settled before it
    "lora.target_modules",
    "lora.r",
    "lora.lora_alpha",
    "lora.lora_dropout",
    "lora.bias",
    "lora.use_rslora",
    "lora.init_lora_weights",
    "training.learning_rate",
    "training.weight_decay",
    "training.optim",
    "training.adam_beta1",
    "training.adam_beta2",
    "training.adam_epsilon",
    "training.lr_scheduler_type",
    "training.warmup_ratio",
    "training.max_grad_norm",
    "training.num_train_epochs",
    "training.per_device_train_batch_size",
    "training.gradient_accumulation_steps",
)
_ADVISED_LAST = (
    "training.eval_steps",
    "training.early_stopping_patience",
    "training.save_steps",
    "training.logging_steps",
)


def advise(asked: Asked, prepared: Prepared, machine: Machine, measured: Measurement | None) -> Plan:
    """The plan for one run.

    What the adapter it continues from is made of comes before any doctrine. Raises RecipeError if the doctrine is
    unknown, a target list matches nothing, or the recipe disagrees with that adapter.
    """
    return _Advice(asked, prepared, machine, measured).plan()


class _Advice:
    def __init__(self, asked: Asked, prepared: Prepared, machine: Machine, measured: Measurement | None) -> None:
        self.asked, self.prepared, self.machine, self.measured = asked, prepared, machine, measured
        self.anatomy, self.corpus, self.continued = prepared.anatomy, prepared.corpus, prepared.continued
        self.doctrine = find_doctrine(asked.recipe.doctrine, asked.where("doctrine"))
        self.ledger = Ledger(asked)
        self.ledger.problems += [*self.corpus.problems, *(self.continued.problems if self.continued else ())]
        self.situation = self._situation()

    def plan(self) -> Plan:
        decide_what(self.ledger, self.prepared, self.doctrine)
        decide_data(self.ledger, self.prepared)
        for key in _ADVISED:
            if self.continued is not None and key in self.continued.values:
                self._continue(key, self.continued.values[key])
            else:
                self._advised(key)
        self._decide_warmup()
        self._resolve_targets()
        self._decide_precision()
        steps = self._decide_steps()
        for key in _ADVISED_LAST:
            self._advised(key)
        self.ledger.given("training.seed", self.asked.recipe.training.seed, "one seed for split, adapter and row order")
        raise_if_errors(RecipeError, self.ledger.problems)
        return self._plan(steps)

    def _situation(self) -> Situation:
        anatomy, corpus = self.anatomy, self.corpus
        body = [p for p in anatomy.projections if p.role != "head"]
        roles: dict[str, list[str]] = {}
        for projection in body:
            roles.setdefault(projection.role, []).append(projection.name)
        gpus = self.machine.gpus if self.machine.device == "cuda" else ()
        return Situation(
            base_parameters=anatomy.total_parameters,
            hidden_size=anatomy.hidden_size,
            linear_layers=tuple(dict.fromkeys(p.name for p in body)),
            rows=len(corpus.train),
            supervised_tokens=corpus.supervised_tokens,
            longest_row=corpus.max_length,
            settled=self.ledger.settled,
            roles={role: tuple(dict.fromkeys(names)) for role, names in roles.items()},
            num_layers=anatomy.num_layers,
            model_type=anatomy.model_type,
            architecture=anatomy.architecture,
            kind=anatomy.kind,
            head=None if anatomy.tied_head else next((p.name for p in anatomy.projections if p.role == "head"), None),
            labels=len(corpus.labels),
            task=str(self.asked.recipe.task) if self.asked.recipe.task != "auto" else "causal_lm",
            objective=self.asked.recipe.objective,
            gpus=len(gpus),
            gpu_bytes=gpus[0].memory_bytes if gpus else 0,
            memory_bytes=self.machine.memory_bytes,
        )

    def _advised(self, key: str) -> None:
        """The user's own value, else the doctrine's, else the defaults'."""
        alternatives: dict[str, Value] = {}
        for name, other in DOCTRINES.items():
            advice = other.advise(key, self.situation)
            if advice is not None:
                alternatives[name] = advice.value
        chosen = self.doctrine.advise(key, self.situation) or DEFAULTS.advise(key, self.situation)
        if key in self.asked.given:
            value, reason, source = self.ledger.asked_value(key), "you set it", self.asked.where(key)
        elif chosen is not None:
            value, reason, source = chosen.value, chosen.reason, chosen.source
        else:
            raise PlanError(f"no doctrine decides {key}")
        self.ledger.settle(key, value, reason, source, {n: v for n, v in alternatives.items() if v != value})

    def _continue(self, key: str, value: Value) -> None:
        """The value of the adapter that is continued from, which the user's own must not contradict."""
        asked = self.ledger.asked_value(key)
        if key in self.asked.given and self._meaning(key, asked) != self._meaning(key, value):
            message = (
                f"{key} is {_shown(asked)} here and {_shown(value)} in the adapter it continues from, where it cannot "
                f"change; leave {key} out, or leave adapter out to train a fresh one"
            )
            self.ledger.report("error", "adapter-disagrees", self.asked.where(key), message)
        self.ledger.settle(key, value, "its matrices are made so", "the adapter it continues from")

    def _meaning(self, key: str, value: Value) -> object:
        if key != "lora.target_modules":
            return value
        names = value if isinstance(value, list) else [str(value)]
        return {layer.path for layer in self.anatomy.targeted(self.anatomy.resolve_targets(names).modules)}

    def _resolve_targets(self) -> None:
        key = "lora.target_modules"
        asked = self.ledger.settled[key]
        names = asked if isinstance(asked, list) else [str(asked)]
        targets = self.anatomy.resolve_targets(names)
        where = self.asked.where(key)
        here = f"it has {', '.join(self.situation.linear_layers)}"
        if not targets.modules:
            self.ledger.report(
                "error", "no-target-matches", where, f"none of {', '.join(names)} is in this base; {here}"
            )
        elif targets.absent:
            self.ledger.report(
                "warning",
                "absent-target",
                where,
                f"{', '.join(targets.absent)}: nowhere in this base, left out; {here}",
            )
        if targets.unreachable:
            self.ledger.report(
                "error",
                "unreachable-target",
                where,
                f"{', '.join(targets.unreachable)}: fused expert or router weights, which no target name reaches",
            )
        decision = self.ledger.decisions[key]
        notes = [f"{name} = {', '.join(parts)}" for name, parts in targets.expanded.items()]
        notes += [f"without {name}, which this base has not" for name in targets.absent]
        reason = "; ".join([decision.reason, *notes])
        self.ledger.settle(key, list(targets.modules), reason, decision.source, decision.alternatives)
        bias = self.ledger.settled["lora.bias"]
        if bias != "none" and self.anatomy.trainable_parameters(targets.modules, 1, str(bias)) == (
            self.anatomy.trainable_parameters(targets.modules, 1)
        ):
            message = f"this base has no biases there, so bias: {bias} changes nothing"
            self.ledger.report("warning", "bias-without-biases", self.asked.where("lora.bias"), message)

    def _decide_warmup(self) -> None:
        key = "training.warmup_ratio"
        if (
            self.ledger.settled["training.lr_scheduler_type"] != "constant"
            or self.asked.recipe.training.warmup_ratio == 0
        ):
            return
        reason = "lr_scheduler_type constant has no warm-up"
        if key in self.asked.given:
            message = f"{reason}, so this is not used; constant_with_warmup has one"
            self.ledger.report("warning", "warmup-not-used", self.asked.where(key), message)
        self.ledger.settle(key, 0.0, reason, "rankwise")

    def _decide_precision(self) -> None:
        key, wanted = "training.bf16", self.asked.recipe.training.bf16
        if wanted != "auto":
            self.ledger.settle(key, wanted, "you set it", self.asked.where(key))
        elif self.measured is None:
            self.ledger.settle(key, False, "not measured on this machine, so float32", "rankwise")
        elif len(speed := self.measured.train_tokens_per_second) == 1:
            [only] = speed
            reason = f"only {only} could be measured here, the other does not fit or failed"
            self.ledger.settle(key, only == "bfloat16", reason, f"measured on {self.machine.cpu}")
        else:
            gain = speed["bfloat16"] / speed["float32"]
            # One digit: the same recipe on the same machine must give the same words.
            compared = (
                f"bfloat16 trains {gain:.1f}x as fast as float32 here (measured {self.measured.measured_at[:10]})"
            )
            self.ledger.settle(key, gain > BFLOAT16_GAIN, compared, f"measured on {self.machine.cpu}")
        self.ledger.settle("threads", self.machine.usable_cores, "the cores this process may use", "rankwise")
        device = self.machine.device
        why = "the GPU of this machine" if device == "cuda" else "no GPU that the installed torch can use"
        self.ledger.settle("device", device, why, "rankwise")

    def _decide_steps(self) -> int:
        rows = len(self.corpus.train)
        step_rows = int(self.ledger.number("training.per_device_train_batch_size"))
        step_rows *= int(self.ledger.number("training.gradient_accumulation_steps"))
        max_steps = self.asked.recipe.training.max_steps
        epochs = self.ledger.number("training.num_train_epochs")
        if max_steps is not None:
            steps = max_steps
            self.ledger.given("training.max_steps", steps, "")
            self._overridden_epochs(steps * step_rows / rows)
        else:
            steps = max(1, ceil(round(epochs * rows / step_rows, 6)))
            self.ledger.settle(
                "training.max_steps", steps, f"{epochs:g} passes over {rows} rows, {step_rows} a step", "rankwise"
            )
        self.ledger.settled["steps"] = steps  # for the rules that come after
        return steps

    def _overridden_epochs(self, epochs: float) -> None:
        key = "training.num_train_epochs"
        if key in self.asked.given:
            message = f"training.max_steps overrides it: {epochs:.3g} passes; give one of the two"
            self.ledger.report("warning", "epochs-overridden", self.asked.where(key), message)
        self.ledger.settle(key, float(f"{epochs:.6g}"), "follows from training.max_steps", "rankwise")

    def _plan(self, steps: int) -> Plan:
        modules = self.ledger.settled["lora.target_modules"]
        assert isinstance(modules, list)
        r, bias = int(self.ledger.number("lora.r")), str(self.ledger.settled["lora.bias"])
        trainable = self.anatomy.trainable_parameters(modules, r, bias)
        memory = estimate_memory(self.ledger, self.anatomy, self.corpus, self.machine, trainable)
        return Plan(
            decisions=self.ledger.decisions,
            trainable_parameters=trainable,
            total_parameters=self.anatomy.total_parameters,
            capacity=judge_capacity(
                r, lambda rank: self.anatomy.trainable_parameters(modules, rank), self.corpus.supervised_tokens
            ),
            memory_bytes=memory,
            seconds=estimate_seconds(self.ledger, self.corpus, self.measured, steps),
            problems=tuple(dict.fromkeys(self.ledger.problems)),
        )


def _shown(value: Value) -> str:
    return ", ".join(value) if isinstance(value, list) else str(value)
