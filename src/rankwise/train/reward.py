"""Objective grpo: TRL's GRPOTrainer on our prompts, rewarded by evaluation's scorers."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from pathlib import Path
from typing import Any

from datasets import Dataset
from peft import PeftModel
from transformers import AutoTokenizer
from trl import GRPOConfig, GRPOTrainer

from rankwise.data.render import Rendered
from rankwise.evaluate.reward import rewards
from rankwise.evaluate.score import Answer
from rankwise.events import EventLog
from rankwise.signals import Stop
from rankwise.train.by_trl import OwnCheckpoints, Watch, finish, optimizer_and_schedule, run, shared_arguments
from rankwise.train.loop import Finished
from rankwise.train.settings import Settings


class _Trainer(OwnCheckpoints, GRPOTrainer):
    """A prompt travels through TRL as its row's number, and becomes that row's tokens where TRL would tokenise it."""

    rows: Sequence[Rendered]

    def _tokenize_prompts(self, prompts: list[str]) -> tuple[list[list[int]], None, dict[str, Any]]:
        chosen = [self.rows[int(number)] for number in prompts]
        return [list(row.ids[: row.prompt]) for row in chosen], None, {}


def train_on_rewards(
    model: PeftModel,
    base: Path,
    rows: Sequence[Rendered],
    answers: Sequence[str],
    settings: Settings,
    log: EventLog,
    checkpoints: Path,
    resume_from: Path | None,
    stop: Stop,
) -> Finished:
    """Train `model` in place; `answers`: the reference of each row. It is left with the weights of the last step."""
    reward = settings.reward
    assert reward is not None
    watch = Watch(settings, len(rows), log, stop, resume_from)
    stops = set[int]()
    trainer = _Trainer(
        model=model,
        reward_funcs=verified(reward.reward, answers, stops),
        args=GRPOConfig(
            num_generations=reward.num_generations,
            max_completion_length=reward.max_completion_length,
            beta=reward.beta,
            **shared_arguments(settings, checkpoints),
        ),
        train_dataset=Dataset.from_list([{"prompt": str(number)} for number in range(len(rows))]),
        processing_class=AutoTokenizer.from_pretrained(
            base, local_files_only=True, trust_remote_code=False, padding_side="left"
        ),
        callbacks=[watch],
        optimizers=optimizer_and_schedule(model, settings.optim, settings.loop.num_steps),
    )
    trainer.rows = rows
    stops.update(trainer.eos_token_ids)
    run(trainer, resume_from)
    return finish(watch, model)


def verified(name: str, answers: Sequence[str], stops: Collection[int]) -> Callable[..., list[float]]:
    """A reward function as TRL calls it. An answer that ends in none of `stops` was cut off."""

    def reward(prompts: list[str], completions: list[str], completion_ids: list[list[int]], **more: Any) -> list[float]:
        written = [
            Answer(text, truncated=not ids or ids[-1] not in stops)
            for text, ids in zip(completions, completion_ids, strict=True)
        ]
        return rewards(name, [answers[int(number)] for number in prompts], written)

    return reward
