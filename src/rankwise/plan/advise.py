"""Recipe, anatomy, corpus, machine and doctrine become a plan."""

from __future__ import annotations

from math import ceil
from typing import NamedTuple

from rankwise.doctrine import Doctrine, Situation, Value, find_doctrine
from rankwise.errors import RecipeError, raise_if_errors
from rankwise.facts import Anatomy, ExpertParameter, Machine, Measurement
from rankwise.facts.counts import UNATTACHED
from rankwise.plan.adalora import decide_schedule
from rankwise.plan.adapted import ALPHAS, EXPERT_RANK, EXPERTS, LAYERS, RANKS, TARGETS, adapted, stored, target_names
from rankwise.plan.capacity import judge_capacity
from rankwise.plan.encoder_decoder import check_encoder_decoder
from rankwise.plan.estimate import decide_checkpointing, estimate_memory, estimate_seconds
from rankwise.plan.experts import decide_experts, settle_without_experts, without_dropout
from rankwise.plan.full import agree_on_full, decide_full, decide_precision, trains_every_weight
from rankwise.plan.given import decide_data, decide_what
from rankwise.plan.layers import PEFTS_OWN, check_bias, check_layers, decide_layers, resolve_targets
from rankwise.plan.ledger import Ledger
from rankwise.plan.memory import disk_bytes
from rankwise.plan.method import METHODS_BUILT, with_costs
from rankwise.plan.objections import Broken, broken_rules, cited_together, given_key
from rankwise.plan.objective import answers_a_row, decide_looks, decide_objective, to_learn
from rankwise.plan.plan import Plan
from rankwise.plan.prefix import METHOD as PREFIX
from rankwise.plan.prefix import OWN, RATE, decide_prefix, decide_rate
from rankwise.plan.prepare import Prepared
from rankwise.plan.quantization import CHANGE_BASE, QUANTIZATIONS, agree_on_quantization, check_start
from rankwise.plan.situation import describe_situation, said_as, short_targets
from rankwise.plan.spoken import Spoken, advice_of_all, advice_on, differing, method_advice, same_value, shown
from rankwise.plan.unattached import decide_unattached, refuse_keys_of_prompt, unattached_plan
from rankwise.recipe import Asked

BFLOAT16_GAIN = 1.1
"""bfloat16 must be this much faster than float32 to be chosen."""

_ADAPTER = (  # in this order: a rule may look at what was settled before it
    TARGETS,
    LAYERS,
    EXPERTS,
    "lora.r",
    EXPERT_RANK,
    RANKS,
    "lora.lora_alpha",
    ALPHAS,
    "lora.lora_dropout",
    "lora.bias",
    "lora.use_rslora",
    "lora.init_lora_weights",
)
_LENGTH = (
    "training.per_device_train_batch_size",
    "training.gradient_accumulation_steps",
    "training.num_train_epochs",
)
_OPTIMIZER = (
    "training.learning_rate",
    "training.weight_decay",
    "training.optim",
    "training.adam_beta1",
    "training.adam_beta2",
    "training.adam_epsilon",
    "training.lr_scheduler_type",
    "training.warmup_ratio",
    "training.max_grad_norm",
)
_LOOKS = (
    "training.eval_steps",
    "training.early_stopping_patience",
    "training.save_steps",
    "training.logging_steps",
)


class Advised(NamedTuple):
    """A plan with what it was made from, for those who ask why."""

    plan: Plan
    doctrine: Doctrine
    situation: Situation
    """With all values settled."""
    anatomy: Anatomy


def advise(asked: Asked, prepared: Prepared, machine: Machine, measured: Measurement | None) -> Plan:
    """The plan for one run.

    What the adapter it continues from is made of comes before any doctrine. Raises RecipeError if the doctrine is
    unknown, a target list matches nothing, or the recipe disagrees with that adapter.
    """
    return weigh(asked, prepared, machine, measured).plan


def weigh(asked: Asked, prepared: Prepared, machine: Machine, measured: Measurement | None) -> Advised:
    """As `advise`, with what the plan was made from."""
    advice = _Advice(asked, prepared, machine, measured)
    return Advised(advice.plan(), advice.doctrine, advice.situation, advice.anatomy)


class _Advice:
    def __init__(self, asked: Asked, prepared: Prepared, machine: Machine, measured: Measurement | None) -> None:
        self.asked, self.prepared, self.machine, self.measured = asked, prepared, machine, measured
        self.anatomy, self.corpus, self.continued = prepared.anatomy, prepared.corpus, prepared.continued
        self.doctrine = find_doctrine(asked.recipe.doctrine, asked.where("doctrine"))
        self.ledger = Ledger(asked)
        self.ledger.problems += [*self.corpus.problems, *(self.continued.problems if self.continued else ())]
        self.situation = describe_situation(asked.recipe, prepared, machine, self.ledger.settled)

    def plan(self) -> Plan:
        decide_what(self.ledger, self.prepared, self.doctrine)
        self._decide_method()
        decide_data(self.ledger, self.prepared)
        if self.ledger.settled["method"] in UNATTACHED:
            return self._unattached()
        refuse_keys_of_prompt(self.ledger)
        self._decide_adapter()
        check_encoder_decoder(self.ledger, self.anatomy)
        for key in _LENGTH:
            self._advised(key)
        decide_objective(self.ledger, self.anatomy, self.corpus)
        steps = self._decide_steps()
        decide_schedule(self.ledger, steps)
        for key in _OPTIMIZER:
            if key != RATE or not decide_rate(self.ledger):
                self._advised(key)
        self._decide_warmup()
        self._decide_precision()
        decide_checkpointing(self.ledger, self.anatomy, self.corpus, self.machine, self._trainable())
        for key in _LOOKS:
            self._advised(key)
        decide_looks(self.ledger, steps)
        what_then = self.asked.recipe.training.on_nonfinite
        ratio = self.asked.recipe.training.loraplus_lr_ratio
        one = "A and B at one rate, for which learning rates are advised"
        if self.ledger.settled["method"] in ("prefix", "full"):
            one = "no A and B here; all that is trained has one rate"
        self.ledger.given("training.loraplus_lr_ratio", ratio, one)
        self.ledger.given("training.on_nonfinite", what_then, "a step that is not finite ends the run, its rows named")
        self.ledger.given("training.seed", self.asked.recipe.training.seed, "one seed for split, adapter and row order")
        raise_if_errors(RecipeError, self.ledger.problems)
        self._report_unused_advice()
        self._hold_yours_against_advice()
        return with_costs(self._plan(steps), self.ledger.settled, self.anatomy, self.corpus)

    def _decide_adapter(self) -> None:
        """What LoRA is here; and where a prefix or the whole base is trained instead, that."""
        found = len(self.ledger.problems)
        meant: tuple[ExpertParameter, ...] = ()
        for key in _ADAPTER:
            if self.continued is not None and key in self.continued.values:
                self._continue(key, self.continued.values[key])
            elif key in PEFTS_OWN:
                decide_layers(self.ledger, key)
            elif key == EXPERTS:
                decide_experts(self.ledger, self.anatomy, meant)
            elif key != EXPERT_RANK or not settle_without_experts(self.ledger):
                self._advised(key)
            if key == TARGETS:
                meant = resolve_targets(self.ledger, self.anatomy, self.situation.linear_layers)
        without_dropout(self.ledger)
        check_layers(self.ledger, self.anatomy)
        check_bias(self.ledger, self.anatomy)
        check_start(self.ledger)
        if trains_every_weight(self.ledger.settled) or self.ledger.settled["method"] == PREFIX:
            del self.ledger.problems[found:]  # of a LoRA that is not trained
            for key in OWN:
                if self.continued is not None and key in self.continued.values:
                    self._continue(key, self.continued.values[key])
        decide_prefix(self.ledger, self.anatomy, self.corpus)
        decide_full(self.ledger)

    def _unattached(self) -> Plan:
        """Of a method that takes no steps."""
        self._decide_precision()
        self.ledger.given("training.seed", self.asked.recipe.training.seed, "one seed for the split and every draw")
        decide_unattached(self.ledger, self.prepared)
        raise_if_errors(RecipeError, self.ledger.problems)
        self._hold_yours_against_advice()
        return unattached_plan(self.ledger, self.prepared, self.machine, self.measured)

    def _decide_method(self) -> None:
        if self.ledger.is_given("goal") and (self.continued is not None or self.ledger.is_given("method")):
            by = "method" if self.continued is None else "adapter"
            message = f"it is there to choose a method, and {by} has chosen: only the doctrines' word on it may differ"
            self.ledger.report("note", "goal-unused", self.asked.where("goal"), message)
        if self.continued is not None:
            for key in ("method", "quantization"):
                self._continue(key, self.continued.values[key])
            return
        self._decide_built("method", method_advice(self.doctrine, self.situation), METHODS_BUILT)
        if self.ledger.settled["method"] in UNATTACHED:
            return
        self._decide_built("quantization", advice_on("quantization", self.doctrine, self.situation), QUANTIZATIONS)
        agree_on_full(self.ledger)
        agree_on_quantization(self.ledger)

    def _advised(self, key: str) -> None:
        """The user's own value, else the doctrine's, else the defaults'."""
        self._settle_advised(key, advice_on(key, self.doctrine, self.situation))

    def _settle_advised(self, key: str, chosen: Spoken) -> None:
        others = {name: said_as(key, value, self.anatomy) for name, value in self._of_all(key).items()}
        wanted = said_as(key, chosen.value, self.anatomy)
        if key not in self.asked.given:
            self.ledger.settle(key, wanted, chosen.reason, chosen.source, differing(others, wanted), chosen.kind)
            return
        value = self.ledger.asked_value(key)
        meant = self._as_resolved(key, value)
        others = differing(others, meant)
        if same_value(wanted, meant):
            word = f", as {chosen.by} would: {chosen.why} ({chosen.source})"
        else:
            word = f"; {chosen.by} would say {shown(wanted)}: {chosen.why}"
        self.ledger.settle_yours(key, value, word, others)

    def _of_all(self, key: str) -> dict[str, Value]:
        return advice_of_all(key, self.situation)

    def _decide_built(self, key: str, chosen: Spoken, built: tuple[str, ...]) -> None:
        """A key of which this build can do but a part: what the doctrine would have instead is said, not done."""
        if key in self.asked.given or chosen.value in built:
            self._settle_advised(key, chosen)
            return
        message = (
            f"{chosen.by} would take {key} {shown(chosen.value)}: {chosen.why} ({chosen.source}); "
            f"this build has {' and '.join(built)} only"
        )
        self.ledger.report("note", f"{key}-not-built", self.asked.where(key), message)
        reason = f"{chosen.by} would take {shown(chosen.value)}, which this build has not"
        self.ledger.settle(key, built[0], reason, "rankwise", differing(self._of_all(key), built[0]))

    def _continue(self, key: str, value: Value) -> None:
        """The value of the adapter that is continued from, which the user's own must not contradict."""
        asked = self.ledger.asked_value(key)
        if key in self.asked.given and self._meaning(key, asked) != self._meaning(key, value):
            message = (
                f"{key} is {shown(asked)} here and {shown(value)} in the adapter it continues from, where it cannot "
                f"change; leave {key} out, or leave adapter out to train a fresh one"
            )
            self.ledger.report("error", "adapter-disagrees", self.asked.where(key), message)
        self.ledger.settle(key, value, "its matrices are made so", "the adapter it continues from")

    def _meaning(self, key: str, value: Value) -> object:
        if key == EXPERTS and isinstance(value, list):
            return {parameter.path for parameter in self.anatomy.targeted_experts(target_names(value))}
        if key == LAYERS and isinstance(value, list):
            return set(value)
        if key != TARGETS:
            return value
        names = target_names(value)
        return {layer.path for layer in self.anatomy.targeted(self.anatomy.resolve_targets(names).modules)}

    def _as_resolved(self, key: str, value: Value) -> Value:
        """Target names as the base has them, containers written out."""
        if key != TARGETS:
            return value
        names = target_names(value)
        return short_targets(self.anatomy, self.anatomy.resolve_targets(names).modules)

    def _hold_yours_against_advice(self) -> None:
        """A warning for each value of the user's that breaks a rule; what the plan itself chose is not warned about."""
        fixed = set(self.continued.values) if self.continued is not None else set()
        if self.ledger.settled["method"] == PREFIX:
            fixed.add(RATE)  # the rules about it are of LoRA's
        broken: dict[str, list[Broken]] = {}
        for one in broken_rules(self.situation):
            key = given_key(one.key, self.asked.given)
            if key is not None and one.key not in fixed:
                broken.setdefault(key, []).append(one)
        for key, rules in broken.items():
            own = self.doctrine.advise(key, self.situation)
            shared = own is not None and same_value(own.value, self.ledger.settled[key])
            shared = shared and self.doctrine.name not in {rule.doctrine for rule in rules}
            message = f"{key}: {cited_together(rules)}"
            message += f"; {self.doctrine.name} would set it so all the same" if shared else ""
            self.ledger.report("note" if shared else "warning", "against-advice", self.asked.where(key), message)

    def _report_unused_advice(self) -> None:
        """A note for each thing that the doctrine would set here and no plan of this build can hold."""
        for key in self.doctrine.decides:
            advice = None if key in self.ledger.settled else self.doctrine.advise(key, self.situation)
            if advice is not None:
                message = (
                    f"{self.doctrine.name} would set {key} to {shown(advice.value)}: {advice.reason.rstrip('.')} "
                    f"({advice.source}); this build has no such key, so it is not applied"
                )
                self.ledger.report("note", "advice-not-built", key, message)

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
        if decide_precision(self.ledger):
            pass
        elif wanted != "auto":
            self.ledger.settle_yours(key, wanted)
        elif self.anatomy.source != "headers" and self.anatomy.dtype == "bfloat16":
            self.ledger.settle(key, True, "no weights are here to measure; its config keeps them so", "rankwise")
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
        rows = len(self.corpus.train) * answers_a_row(self.ledger)
        step_rows = int(self.ledger.number("training.per_device_train_batch_size"))
        step_rows *= int(self.ledger.number("training.gradient_accumulation_steps"))
        max_steps = self.asked.recipe.training.max_steps
        unit = "answers to be written" if self.asked.recipe.objective == "grpo" else "rows"
        epochs = self.ledger.number("training.num_train_epochs")
        if max_steps is not None:
            steps = max_steps
            self.ledger.given("training.max_steps", steps, "")
            self._overridden_epochs(steps * step_rows / rows)
        else:
            steps = max(1, ceil(round(epochs * rows / step_rows, 6)))
            self.ledger.settle(
                "training.max_steps", steps, f"{epochs:g} passes over {rows} {unit}, {step_rows} a step", "rankwise"
            )
        self.ledger.settled["steps"] = steps  # rules speak of them by this name
        return steps

    def _overridden_epochs(self, epochs: float) -> None:
        key = "training.num_train_epochs"
        if key in self.asked.given:
            message = f"training.max_steps overrides it: {epochs:.3g} passes; give one of the two"
            self.ledger.report("warning", "epochs-overridden", self.asked.where(key), message)
        self.ledger.settle(key, float(f"{epochs:.6g}"), "follows from training.max_steps", "rankwise")

    def _trainable(self) -> int:
        return adapted(self.ledger.settled).trainable(self.anatomy, str(self.ledger.settled["method"]))

    def _plan(self, steps: int) -> Plan:
        by, trainable = stored(self.ledger.settled, self.anatomy), self._trainable()
        memory = estimate_memory(self.ledger, self.anatomy, self.corpus, self.machine, trainable)
        seconds = estimate_seconds(self.ledger, self.corpus, self.measured, steps)
        return Plan(
            decisions=self.ledger.decisions,
            trainable_parameters=trainable,
            total_parameters=self.anatomy.total_parameters,
            capacity=judge_capacity(
                by.size,
                by.parameters_at,
                to_learn(self.ledger, self.corpus, steps),
                classes=len(self.corpus.labels) if self.anatomy.task == "seq_cls" else 0,
                multi_label=self.corpus.shape == "label_lists",
                key=by.key,
            ),
            memory_bytes=memory.training.total,
            memory=memory,
            disk_bytes=disk_bytes(trainable, self.ledger.settled.get("lora.init_lora_weights") in CHANGE_BASE),
            seconds=seconds,
            problems=tuple(dict.fromkeys(self.ledger.problems)),
        )
