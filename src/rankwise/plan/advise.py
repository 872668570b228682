"""Recipe, anatomy, corpus, machine and doctrine become a plan."""

from __future__ import annotations

from collections.abc import Sequence
from math import ceil

from rankwise.data.render import DEFAULT_TEMPLATE_NAME
from rankwise.data.split import spread
from rankwise.doctrine import DEFAULTS, DOCTRINES, Advice, Doctrine, Situation, Value, find_doctrine
from rankwise.errors import PlanError, Problem, RecipeError, raise_if_errors
from rankwise.facts import Machine, Measurement
from rankwise.plan.capacity import judge_capacity
from rankwise.plan.memory import training_bytes
from rankwise.plan.plan import Decision, Plan
from rankwise.plan.prepare import Prepared
from rankwise.plan.timing import tokens_a_row, training_seconds
from rankwise.recipe import Asked

BFLOAT16_GAIN = 1.1
"""bfloat16 must be this much faster than float32 to be chosen."""
EVALUATION_ROWS = 256
"""Most held-out rows that are looked at during training, spread over all; all are scored by `rankwise evaluate`."""

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
        self.asked, self.machine, self.measured = asked, machine, measured
        self.domain, self.anatomy, self.corpus = prepared.domain, prepared.anatomy, prepared.corpus
        self.model, self.template_name = prepared.located.source, prepared.renderer.template_name
        self.continued = continued = prepared.continued
        self.doctrine = find_doctrine(asked.recipe.doctrine, asked.where("doctrine"))
        anatomy, corpus = prepared.anatomy, prepared.corpus
        self.decisions: dict[str, Decision] = {}
        self.settled: dict[str, Value] = {}
        self.problems: list[Problem] = [*corpus.problems, *(continued.problems if continued else ())]
        body = [p.name for p in anatomy.projections if p.role != "head"]
        self.situation = Situation(
            base_parameters=anatomy.total_parameters,
            hidden_size=anatomy.hidden_size,
            linear_layers=tuple(dict.fromkeys(body)),
            rows=len(corpus.train),
            supervised_tokens=corpus.supervised_tokens,
            longest_row=corpus.max_length,
            settled=self.settled,
        )

    def plan(self) -> Plan:
        self._decide_what()
        self._decide_data()
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
        self._given("training.seed", self.asked.recipe.training.seed, "one seed for split, adapter and row order")
        raise_if_errors(RecipeError, self.problems)
        return self._estimate(steps)

    # -- one value at a time

    def _settle(
        self, key: str, value: Value, reason: str, source: str, alternatives: dict[str, Value] | None = None
    ) -> None:
        self.settled[key] = value
        self.decisions[key] = Decision(value=value, reason=reason, source=source, alternatives=alternatives or {})

    def _asked_value(self, key: str) -> Value:
        node: object = self.asked.recipe
        for part in key.split("."):
            node = getattr(node, part)
        return list(node) if isinstance(node, list | tuple) else node  # type: ignore[return-value]

    def _given(self, key: str, value: Value, reason: str) -> None:
        """A value that needs no doctrine: the user's, or what follows from the facts."""
        if key in self.asked.given:
            self._settle(key, value, "you set it", self.asked.where(key))
        else:
            self._settle(key, value, reason, "rankwise")

    def _advised(self, key: str) -> None:
        """The user's own value, else the doctrine's, else the defaults'."""
        alternatives: dict[str, Value] = {}
        for name, other in DOCTRINES.items():
            rule = other.rules.get(key)
            advice = rule(self.situation) if rule else None
            if advice is not None:
                alternatives[name] = advice.value
        chosen = self._from(self.doctrine, key) or self._from(DEFAULTS, key)
        if key in self.asked.given:
            value, reason, source = self._asked_value(key), "you set it", self.asked.where(key)
        elif chosen is not None:
            value, reason, source = chosen.value, chosen.reason, chosen.source
        else:
            raise PlanError(f"no doctrine decides {key}")
        self._settle(key, value, reason, source, {n: v for n, v in alternatives.items() if v != value})

    def _continue(self, key: str, value: Value) -> None:
        """The value of the adapter that is continued from, which the user's own must not contradict."""
        asked = self._asked_value(key)
        if key in self.asked.given and self._meaning(key, asked) != self._meaning(key, value):
            message = (
                f"{key} is {_shown(asked)} here and {_shown(value)} in the adapter it continues from, where it cannot "
                f"change; leave {key} out, or leave adapter out to train a fresh one"
            )
            self.problems.append(Problem("error", "adapter-disagrees", self.asked.where(key), message))
        self._settle(key, value, "its matrices are made so", "the adapter it continues from")

    def _meaning(self, key: str, value: Value) -> object:
        if key != "lora.target_modules":
            return value
        names = value if isinstance(value, list) else [str(value)]
        return {layer.path for layer in self.anatomy.targeted(self.anatomy.resolve_targets(names).modules)}

    def _from(self, doctrine: Doctrine, key: str) -> Advice | None:
        rule = doctrine.rules.get(key)
        return rule(self.situation) if rule else None

    # -- groups of values

    def _decide_what(self) -> None:
        recipe = self.asked.recipe
        where = self.asked.where("model") if "model" in self.asked.given else "rankwise"
        self._settle(
            "model", self.model, f"{self.anatomy.architecture}, {self.anatomy.total_parameters:,} parameters", where
        )
        self._given("domain", recipe.domain, "none named" if recipe.domain is None else "")
        if self.corpus.shape == "labels":
            count = len(self.corpus.labels)
            reason = f"text/label rows on a causal base: every one of the {count} labels is scored"
        else:
            reason = "the base generates the answer"
        self._given("task", "causal_lm", reason)
        self._settle("scorer", *self._scorer(), "rankwise")
        self._given("objective", recipe.objective, "the rows have answers to learn from")
        self._given("method", "lora", "small, swappable on one base; the only method of this build")
        self._given("quantization", "none", "the base stays in its floating-point dtype; nothing else is built yet")
        self._given("doctrine", recipe.doctrine, f"{self.doctrine.title}; the default")
        self._given("adapter", str(self.continued.folder) if self.continued else None, "a fresh adapter")
        share = recipe.shared_prefix is not False
        self._given(
            "shared_prefix", share, "what the rows of a batch begin with is computed once (from 16 tokens on); exact"
        )

    def _decide_data(self) -> None:
        corpus, request = self.corpus, self.corpus.request
        self._given("data.train", request.train, "the domain's sample rows")
        if isinstance(request.held_out, str):
            reason = "the domain's held-out rows"
        else:
            reason = f"{len(corpus.held_out)} rows held out, drawn by seed" + (
                ", each label in proportion" if corpus.labels else ""
            )
        self._given("data.held_out", request.held_out, reason)
        over_base = max(corpus.inspection.train_lengths.max, corpus.inspection.held_out_lengths.max)
        self._given("data.max_length", corpus.max_length, f"the longest row has {over_base} tokens")
        self._given("data.too_long", request.too_long, "no row is cut or dropped unless you choose so")
        self._given("data.assistant_turns", request.assistant_turns, "every answer of a conversation is trained on")
        self._decide_instruction()
        if self.template_name == DEFAULT_TEMPLATE_NAME:
            reason = "this base brings no chat template, so a plain default one is used"
            self.problems.append(
                Problem(
                    "warning", "no-chat-template", "model", f'{reason}: "{DEFAULT_TEMPLATE_NAME}"; serve with it too'
                )
            )
        else:
            reason = "rows are laid out as the base was taught"
        self._settle("chat_template", self.template_name, reason, str(self.anatomy.name))

    def _decide_instruction(self) -> None:
        key = "data.instruction"
        if self.corpus.shape == "labels" or key not in self.asked.given:
            self._given(key, self.corpus.instruction, self._instruction_reason())
            return
        message = f"{self.corpus.shape} rows bring their own prompt, so this one is not used; it is for text/label rows"
        self.problems.append(Problem("warning", "instruction-not-used", self.asked.where(key), message))
        self._settle(key, self.corpus.instruction, self._instruction_reason(), "rankwise")

    def _scorer(self) -> tuple[str, str]:
        if self.corpus.labels:
            return "accuracy", "the answer is one of the labels"
        if self.domain is not None and self.domain.kind == "open":
            return self.domain.scorer, f"the {self.domain.name} domain's"
        return "auto", "by what the reference answers look like: fields, short values or text"

    def _instruction_reason(self) -> str:
        if self.corpus.shape != "labels":
            return "the rows bring their own"
        if self.domain is not None and self.corpus.instruction == self.domain.instruction:
            return f"the {self.domain.name} domain's prompt"
        if self.domain is not None and self.domain.kind != "labels":
            return f"a default prompt: the {self.domain.name} domain's is for open answers and your rows have labels"
        if self.domain is not None:
            return f"a default prompt: your labels are not the {self.domain.name} domain's"
        return "a default prompt" + (" that lists the labels" if len(self.corpus.labels) <= 30 else "")

    def _resolve_targets(self) -> None:
        key = "lora.target_modules"
        asked = self.settled[key]
        names = asked if isinstance(asked, list) else [str(asked)]
        targets = self.anatomy.resolve_targets(names)
        where = self.asked.where(key)
        here = f"it has {', '.join(self.situation.linear_layers)}"
        if not targets.modules:
            self.problems.append(
                Problem("error", "no-target-matches", where, f"none of {', '.join(names)} is in this base; {here}")
            )
        elif targets.absent:
            self.problems.append(
                Problem(
                    "warning",
                    "absent-target",
                    where,
                    f"{', '.join(targets.absent)}: nowhere in this base, left out; {here}",
                )
            )
        if targets.unreachable:
            self.problems.append(
                Problem(
                    "error",
                    "unreachable-target",
                    where,
                    f"{', '.join(targets.unreachable)}: fused expert or router weights, which no target name reaches",
                )
            )
        decision = self.decisions[key]
        notes = [f"{name} = {', '.join(parts)}" for name, parts in targets.expanded.items()]
        notes += [f"without {name}, which this base has not" for name in targets.absent]
        reason = "; ".join([decision.reason, *notes])
        self._settle(key, list(targets.modules), reason, decision.source, decision.alternatives)
        bias = self.settled["lora.bias"]
        if bias != "none" and self.anatomy.trainable_parameters(targets.modules, 1, str(bias)) == (
            self.anatomy.trainable_parameters(targets.modules, 1)
        ):
            message = f"this base has no biases there, so bias: {bias} changes nothing"
            self.problems.append(Problem("warning", "bias-without-biases", self.asked.where("lora.bias"), message))

    def _decide_warmup(self) -> None:
        key = "training.warmup_ratio"
        if self.settled["training.lr_scheduler_type"] != "constant" or self.asked.recipe.training.warmup_ratio == 0:
            return
        reason = "lr_scheduler_type constant has no warm-up"
        if key in self.asked.given:
            message = f"{reason}, so this is not used; constant_with_warmup has one"
            self.problems.append(Problem("warning", "warmup-not-used", self.asked.where(key), message))
        self._settle(key, 0.0, reason, "rankwise")

    def _decide_precision(self) -> None:
        key, wanted = "training.bf16", self.asked.recipe.training.bf16
        if wanted != "auto":
            self._settle(key, wanted, "you set it", self.asked.where(key))
        elif self.measured is None:
            self._settle(key, False, "not measured on this machine, so float32", "rankwise")
        elif len(speed := self.measured.train_tokens_per_second) == 1:
            [only] = speed
            reason = f"only {only} could be measured here, the other does not fit or failed"
            self._settle(key, only == "bfloat16", reason, f"measured on {self.machine.cpu}")
        else:
            gain = speed["bfloat16"] / speed["float32"]
            # One digit: the same recipe on the same machine must give the same words.
            compared = (
                f"bfloat16 trains {gain:.1f}x as fast as float32 here (measured {self.measured.measured_at[:10]})"
            )
            self._settle(key, gain > BFLOAT16_GAIN, compared, f"measured on {self.machine.cpu}")
        self._settle("threads", self.machine.usable_cores, "the cores this process may use", "rankwise")
        device = self.machine.device
        why = "the GPU of this machine" if device == "cuda" else "no GPU that the installed torch can use"
        self._settle("device", device, why, "rankwise")

    def _decide_steps(self) -> int:
        rows = len(self.corpus.train)
        step_rows = int(self.situation.number("training.per_device_train_batch_size"))
        step_rows *= int(self.situation.number("training.gradient_accumulation_steps"))
        max_steps = self.asked.recipe.training.max_steps
        epochs = self.situation.number("training.num_train_epochs")
        if max_steps is not None:
            steps = max_steps
            self._given("training.max_steps", steps, "")
            self._overridden_epochs(steps * step_rows / rows)
        else:
            steps = max(1, ceil(round(epochs * rows / step_rows, 6)))
            self._settle(
                "training.max_steps", steps, f"{epochs:g} passes over {rows} rows, {step_rows} a step", "rankwise"
            )
        self.settled["steps"] = steps  # for the rules that come after
        return steps

    def _overridden_epochs(self, epochs: float) -> None:
        key = "training.num_train_epochs"
        if key in self.asked.given:
            message = f"training.max_steps overrides it: {epochs:.3g} passes; give one of the two"
            self.problems.append(Problem("warning", "epochs-overridden", self.asked.where(key), message))
        self._settle(key, float(f"{epochs:.6g}"), "follows from training.max_steps", "rankwise")

    # -- what it will take

    def _estimate(self, steps: int) -> Plan:
        modules = self.settled["lora.target_modules"]
        assert isinstance(modules, list)
        r, bias = int(self.situation.number("lora.r")), str(self.settled["lora.bias"])
        trainable = self.anatomy.trainable_parameters(modules, r, bias)
        dtype = "bfloat16" if self.settled["training.bf16"] else "float32"
        batch = int(self.situation.number("training.per_device_train_batch_size"))
        lengths = sorted(self.corpus.train_lengths)
        targets = sorted(row.num_supervised for row in self.corpus.train_rendered)
        memory = training_bytes(self.anatomy, trainable, dtype, sum(lengths[-batch:]), sum(targets[-batch:]))
        on_gpu = self.machine.device == "cuda"
        room = self.machine.gpus[0].memory_bytes if on_gpu else self.machine.memory_bytes
        if memory > room:
            self.problems.append(
                Problem(
                    "warning",
                    "does-not-fit",
                    "",
                    f"about {_gigabytes(memory)} at the peak, of {_gigabytes(room)} here; "
                    "lower training.per_device_train_batch_size and raise gradient_accumulation_steps by as much",
                )
            )
        seconds = None
        if self.measured is not None and dtype in self.measured.train_tokens_per_second:
            step_rows = batch * int(self.situation.number("training.gradient_accumulation_steps"))
            share = bool(self.settled["shared_prefix"])
            looked_at = spread(self.corpus.held_out_rendered, EVALUATION_ROWS)
            train_tokens = tokens_a_row(self.corpus.train_rendered, batch, share) * step_rows * steps
            held_out = tokens_a_row(looked_at, batch, share) * len(looked_at)
            evaluations = ceil(steps / self.situation.number("training.eval_steps"))
            seconds = training_seconds(self.measured, dtype, train_tokens, held_out, evaluations)
        return Plan(
            decisions=self.decisions,
            trainable_parameters=trainable,
            total_parameters=self.anatomy.total_parameters,
            capacity=judge_capacity(
                r, lambda rank: self.anatomy.trainable_parameters(modules, rank), self.corpus.supervised_tokens
            ),
            memory_bytes=memory,
            seconds=seconds,
            problems=_once(self.problems),
        )


def _once(problems: Sequence[Problem]) -> tuple[Problem, ...]:
    return tuple(dict.fromkeys(problems))


def _shown(value: Value) -> str:
    return ", ".join(value) if isinstance(value, list) else str(value)


def _gigabytes(count: int) -> str:
    return f"{count / 1e9:.1f} GB"
