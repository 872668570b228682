"""The plan's values, each in the hands of the part of a run that uses it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal, cast

from rankwise.data.corpus import Corpus
from rankwise.doctrine import Value
from rankwise.errors import PlanError, RunError
from rankwise.facts import BaseIdentity
from rankwise.facts.base import Task
from rankwise.facts.classifier import SINGLE
from rankwise.model.attach import LoraSettings
from rankwise.model.prefix import PrefixSettings
from rankwise.plan import Plan, PlanReader
from rankwise.plan.adalora import Schedule, schedule_of
from rankwise.plan.problem_type import problem_type_of
from rankwise.plan.quantization import BUILT, CHANGE_BASE
from rankwise.recipe.schema import ProblemType
from rankwise.train.loop import LoopSettings
from rankwise.train.objectives import Objective, answering, labelling, writing
from rankwise.train.optim import OptimSettings


@dataclass(frozen=True)
class BaseFolder:
    """The base a run trains on."""

    name: str
    path: Path
    identity: BaseIdentity


@dataclass(frozen=True)
class Preference:
    """TRL's own names, of `DPOConfig`."""

    beta: float
    loss_type: str


@dataclass(frozen=True)
class Reward:
    """TRL's own names, of `GRPOConfig`; `reward`: exact_fields or allowed_label."""

    num_generations: int
    max_completion_length: int
    beta: float
    reward: str


@dataclass(frozen=True)
class Settings:
    """The plan's values, each in the hands of the part that uses it."""

    device: str
    dtype: str
    quantization: str
    threads: int
    gradient_checkpointing: bool
    lora: LoraSettings | None
    """None: `prefix` is trained, or every weight."""
    optim: OptimSettings
    loop: LoopSettings
    schedule: Schedule | None
    """Of AdaLoRA."""
    adapter: str | None
    domain: str | None
    scorer: str
    task: Task
    labels: tuple[str, ...]
    """Of the rows, in the order of a classifier's head."""
    problem_type: ProblemType = SINGLE
    """Of task seq_cls."""
    preference: Preference | None = None
    """Of objective dpo."""
    reward: Reward | None = None
    """Of objective grpo."""
    prefix: PrefixSettings | None = None
    """Of prefix tuning."""
    tracking: str | None = None
    """Where a run's numbers are sent besides its folder."""
    every_weight: bool = False
    """Of the base itself, which then carries no adapter."""

    @property
    def trained_by_trl(self) -> bool:
        return self.preference is not None or self.reward is not None

    @property
    def changes_base(self) -> bool:
        """Whether the adapter starts by writing into the base's weights."""
        return self.lora is not None and self.lora.init_lora_weights in CHANGE_BASE

    @property
    def objective(self) -> Objective:
        if self.task == "seq_2_seq_lm":
            return answering()
        if self.task == "seq_cls":
            return labelling(self.labels, self.problem_type)
        return writing(self.loop.shared_prefix)


def read_plan(plan: Plan, corpus: Corpus) -> Settings:
    """Every value of the plan, each taken by the part that uses it; a key left over is an error."""
    take = PlanReader(plan)
    step_rows = take.take("training.per_device_train_batch_size", int)
    accumulation = take.take("training.gradient_accumulation_steps", int)
    optim = OptimSettings(
        optim=take.take("training.optim", str),
        learning_rate=take.take("training.learning_rate", float),
        weight_decay=take.take("training.weight_decay", float),
        adam_beta1=take.take("training.adam_beta1", float),
        adam_beta2=take.take("training.adam_beta2", float),
        adam_epsilon=take.take("training.adam_epsilon", float),
        lr_scheduler_type=take.take("training.lr_scheduler_type", str),
        warmup_ratio=take.take("training.warmup_ratio", float),
        max_grad_norm=take.take("training.max_grad_norm", float),
        loraplus_lr_ratio=take.take("training.loraplus_lr_ratio", float),
    )
    loop = LoopSettings(
        num_steps=take.take("training.max_steps", int),
        step_rows=step_rows * accumulation,
        gradient_accumulation_steps=accumulation,
        eval_steps=take.take("training.eval_steps", int),
        early_stopping_patience=take.take_optional("training.early_stopping_patience", int),
        save_steps=take.take("training.save_steps", int),
        logging_steps=take.take("training.logging_steps", int),
        shared_prefix=take.take("shared_prefix", bool),
        seed=take.take("training.seed", int),
        on_nonfinite=_on_nonfinite(take),
    )
    tuned, whole = take.value("method") == "prefix", take.value("method") == "full"
    lora, schedule = None if tuned or whole else _lora_settings(take), None
    if lora is not None and take.value("method") == "adalora":
        schedule = schedule_of(lora.r, loop.num_steps)
        if take.take("adalora.init_r", int) != schedule.init_r:
            raise PlanError(f"adalora.init_r: expected {schedule.init_r} for lora.r {lora.r}; was the plan edited?")
    settings = Settings(
        device=take.take("device", str),
        dtype="bfloat16" if take.take("training.bf16", bool) else "float32",
        quantization=take.take("quantization", str),
        threads=take.take("threads", int),
        gradient_checkpointing=take.take("training.gradient_checkpointing", bool),
        lora=lora,
        optim=optim,
        loop=loop,
        schedule=schedule,
        adapter=take.take_optional("adapter", str),
        domain=take.take_optional("domain", str),
        scorer=take.take("scorer", str),
        task=_task(corpus),
        labels=corpus.labels,
        problem_type=_problem_type(take, corpus),
        preference=_preference(take) if take.value("objective") == "dpo" else None,
        reward=_reward(take) if take.value("objective") == "grpo" else None,
        prefix=_prefix(take) if tuned else None,
        every_weight=whole,
        tracking=take.take("tracking", str) if "tracking" in plan.decisions else None,
    )
    _require_as_planned(take, corpus)
    take.require_all_read()
    return settings


def _problem_type(take: PlanReader, corpus: Corpus) -> ProblemType:
    """Of a classifier as planned; of any other task the plan has none. PlanError where the rows are of another kind."""
    if _task(corpus) != "seq_cls":
        return SINGLE
    planned, found = take.take("problem_type", str), problem_type_of(corpus)
    if planned != found:
        raise PlanError(f"not as planned, so nothing was trained: problem_type is {found!r}, planned {planned!r}")
    return found


def _preference(take: PlanReader) -> Preference:
    return Preference(take.take("dpo.beta", float), take.take("dpo.loss_type", str))


def _reward(take: PlanReader) -> Reward:
    return Reward(
        num_generations=take.take("grpo.num_generations", int),
        max_completion_length=take.take("grpo.max_completion_length", int),
        beta=take.take("grpo.beta", float),
        reward=take.take("grpo.reward", str),
    )


def _lora_settings(take: PlanReader) -> LoraSettings:
    return LoraSettings(
        r=take.take("lora.r", int),
        lora_alpha=take.take("lora.lora_alpha", float),
        lora_dropout=take.take("lora.lora_dropout", float),
        target_modules=take.take("lora.target_modules", list),
        bias=take.take("lora.bias", str),
        use_rslora=take.take("lora.use_rslora", bool),
        init_lora_weights=_bool_or_str(take, "lora.init_lora_weights"),
        use_dora=take.value("method") == "dora",
        layers_to_transform=take.take_optional("lora.layers_to_transform", list),
        rank_pattern=take.take_optional("lora.rank_pattern", dict) or {},
        alpha_pattern=take.take_optional("lora.alpha_pattern", dict) or {},
        target_parameters=take.take_optional("lora.target_parameters", list) or (),
        rank_per_expert=take.take_optional("lora.rank_per_expert", int),
    )


def _prefix(take: PlanReader) -> PrefixSettings:
    return PrefixSettings(
        num_virtual_tokens=take.take("prefix.num_virtual_tokens", int),
        prefix_projection=take.take("prefix.prefix_projection", bool),
        encoder_hidden_size=take.take_optional("prefix.encoder_hidden_size", int),
        init_weights=take.take_optional("prefix.init_weights", str),
    )


def _require_as_planned(take: PlanReader, corpus: Corpus) -> None:
    """What was done before training reads the plan must be what the plan says: the rows, and what this build can do."""
    request = corpus.request
    done: dict[str, Value] = {
        "task": _task(corpus),
        "data.train": request.train,
        "data.held_out": request.held_out,
        "data.max_length": corpus.max_length,
        "data.too_long": request.too_long,
        "data.assistant_turns": request.assistant_turns,
        "data.instruction": corpus.instruction,
    }
    objective = take.value("objective")
    if objective not in ("sft", "dpo", "grpo") or (objective == "dpo") != (corpus.shape == "preferences"):
        raise PlanError(f"not as planned, so nothing was trained: objective {objective} on {corpus.shape} rows")
    method, kept = take.value("method"), take.value("quantization")
    if (method, kept) not in BUILT:
        raise PlanError(
            f"not as planned, so nothing was trained: this build has no method {method} on a base in {kept}"
        )
    other = [f"{key} is {done[key]!r}, planned {take.value(key)!r}" for key in done if take.value(key) != done[key]]
    if other:
        raise PlanError(f"not as planned, so nothing was trained: {'; '.join(other)}")
    for key in ("model", "chat_template", "doctrine", "training.num_train_epochs"):
        take.value(key)  # they chose the base, its rendering, and values of this plan; they stand in rankwise.json


def _task(corpus: Corpus) -> Task:
    """What the rows were rendered for."""
    if corpus.train_rendered[0].encoded:
        return "seq_2_seq_lm"
    return "causal_lm" if corpus.train_rendered[0].label is None else "seq_cls"


def _bool_or_str(take: PlanReader, key: str) -> bool | str:
    value = take.take(key, object)
    if isinstance(value, bool | str):
        return value
    raise RunError(f"{key}: expected true, false or a name, got {value!r}")


def _on_nonfinite(take: PlanReader) -> Literal["stop", "rollback"]:
    value = take.take("training.on_nonfinite", str)
    if value in ("stop", "rollback"):
        return cast(Literal["stop", "rollback"], value)
    raise RunError(f"training.on_nonfinite: expected stop or rollback, got {value!r}; was the plan edited?")
