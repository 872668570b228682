"""Objective dpo: TRL's DPOTrainer on our tokens. The reference is the adapter as training begins."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from datasets import Dataset
from peft import PeftModel
from transformers import AutoTokenizer
from trl import DPOConfig, DPOTrainer

from rankwise.data.render import Rendered
from rankwise.events import EventLog
from rankwise.signals import Stop
from rankwise.train.by_trl import OwnCheckpoints, Watch, finish, optimizer_and_schedule, run, shared_arguments
from rankwise.train.loop import Finished
from rankwise.train.settings import Settings


class _Trainer(OwnCheckpoints, DPOTrainer):
    def _prepare_dataset(self, dataset: Dataset, *given: Any) -> Dataset:
        """The rows are tokens already, by the renderer that evaluation and serving use."""
        return dataset


def train_on_preferences(
    model: PeftModel,
    base: Path,
    rows: Sequence[Rendered],
    held_out: Sequence[Rendered],
    settings: Settings,
    log: EventLog,
    checkpoints: Path,
    resume_from: Path | None,
    stop: Stop,
) -> Finished:
    """Train `model` in place; it is left with the weights of the last step."""
    preference = settings.preference
    assert preference is not None
    watch = Watch(settings, len(rows), log, stop, resume_from)
    trainer = _Trainer(
        model=model,
        args=DPOConfig(
            beta=preference.beta,
            loss_type=[preference.loss_type],
            max_length=None,  # the rows fit already
            eval_strategy="steps",
            eval_steps=settings.loop.eval_steps,
            **shared_arguments(settings, checkpoints),
        ),
        train_dataset=pairs(rows),
        eval_dataset=pairs(held_out),
        processing_class=AutoTokenizer.from_pretrained(base, local_files_only=True, trust_remote_code=False),
        callbacks=[watch],
        optimizers=optimizer_and_schedule(model, settings.optim, settings.loop.num_steps),
    )
    run(trainer, resume_from)
    if stop.number is None and watch.looked_at_step != watch.progress.step:
        trainer.evaluate()
    return finish(watch, model)


def pairs(rows: Sequence[Rendered]) -> Dataset:
    """TRL's columns: the prompt's tokens, and those of either answer, stop token included."""
    return Dataset.from_list(
        [
            {
                "prompt_ids": list(row.ids[: row.prompt]),
                "chosen_ids": list(row.ids[row.prompt :]),
                "rejected_ids": list(row.rejected or ()),
            }
            for row in rows
        ]
    )
