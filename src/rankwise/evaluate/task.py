"""What is asked of every contestant, and how its answers are scored."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from statistics import mean

import torch

from rankwise.data.render import AssistantTurns, Renderer
from rankwise.data.table import Message, Row
from rankwise.errors import DataError, Problem
from rankwise.evaluate.fields import have_fields
from rankwise.evaluate.label_sets import set_tallies
from rankwise.evaluate.score import Answer, Tally, label_tallies, open_tallies
from rankwise.facts import TaskRecord
from rankwise.model.writers import generate, score_labels

CHAT_TOKENS = 512
"""Most tokens of a generated answer in a conversation."""
SHORT_ANSWER = 5
"""Words up to which an open answer is a value to match rather than a text to resemble."""


@dataclass(frozen=True)
class Task:
    labels: tuple[str, ...]
    """The allowed answers; empty where any text may be the answer."""
    assistant_turns: AssistantTurns
    scorer: str = "auto"
    """Of open answers: `fields`, `text`, or `auto`, by what the references look like."""
    classifies: bool = False
    """A head that was trained with the adapter gives the labels; nothing is written."""
    multi_label: bool = False
    """An answer is any number of the labels, as a JSON list."""

    @property
    def kind(self) -> str:
        return "labels" if self.labels else "open"

    @property
    def bits(self) -> str:
        """The name of its loss in bits."""
        if not self.classifies:
            return "bits_per_token"
        return "bits_per_label" if self.multi_label else "bits_per_row"

    def tallies(self, references: Sequence[str], answers: Sequence[Answer]) -> tuple[Tally, ...]:
        if self.multi_label:
            return set_tallies(self.labels, references, answers)
        return label_tallies(references, answers) if self.labels else open_tallies(references, answers)

    def metric(self, references: Sequence[str]) -> str:
        """The one metric that contestants are compared by."""
        if self.multi_label:
            return "micro_f1"
        if self.labels:
            return "accuracy"
        if self.scorer != "text" and have_fields(references):
            return "field_f1"
        if self.scorer == "text":
            return "rouge_l"
        return "exact_match" if mean(len(text.split()) for text in references) <= SHORT_ANSWER else "rouge_l"


def answer_tokens(renderer: Renderer, row: Row, labels: Sequence[str]) -> list[tuple[int, ...]]:
    """Each label as the model would answer `row` with it: its tokens, stop token included."""
    rendered = [renderer.render(_answered(row, label), "last") for label in labels]
    return [shown.ids[shown.prompt :] for shown in rendered]


def _answered(row: Row, label: str) -> Row:
    return replace(row, messages=(*row.messages[:-1], {"role": "assistant", "content": label}), completion_start=None)


def chat_row(task: TaskRecord, text: str) -> Row:
    """`text` asked as the training rows were: after their system message, under their instruction, with their tools."""
    content = f"{task.instruction}\n{text}" if task.instruction else text
    system: list[Message] = [] if task.system is None else [{"role": "system", "content": task.system}]
    turns: list[Message] = [{"role": "user", "content": content}, {"role": "assistant", "content": ""}]
    return Row("prompt", (*system, *turns), text, "", tools=task.tools)


def ask(model: torch.nn.Module, renderer: Renderer, task: TaskRecord, text: str, max_length: int) -> Answer:
    """One answer to `text` as the adapter's task has it: the most probable label, or generated text.

    Raises DataError where prompt and answer do not fit `max_length` tokens.
    """
    row = chat_row(task, text)
    prompt = renderer.prompt(row.messages[:-1], row.tools)
    tokens = answer_tokens(renderer, row, task.labels)
    room = max_length - (0 if renderer.encodes else len(prompt))
    needed = max(map(len, tokens), default=1)
    if room < needed or len(prompt) > max_length:
        message = f"{len(prompt)} tokens and {needed} for the answer, over the {max_length} the base takes; shorten it"
        raise DataError(problems=[Problem("error", "prompt-too-long", "", message)])
    if task.labels:
        scores = score_labels(model, [prompt], tokens)[0]
        best = int(scores.argmax())
        return Answer(task.labels[best], probability=float(scores.softmax(0)[best]))
    written = generate(model, [prompt], renderer.stop_ids, min(CHAT_TOKENS, room))[0]
    return Answer(renderer.decode(written.ids), truncated=written.truncated)
