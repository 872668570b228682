"""One model answers held-out rows, and its answers are scored."""

from __future__ import annotations

import json
import time
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import log, prod
from typing import Any

import torch
from torch.nn import functional as F

from rankwise.data.label_lists import labels_text
from rankwise.data.render import Rendered, Renderer
from rankwise.data.table import Row
from rankwise.evaluate.score import Answer, Tally, count_outcomes, outcomes
from rankwise.evaluate.task import Task, answer_tokens
from rankwise.events import Observer
from rankwise.facts.classifier import THRESHOLD
from rankwise.model.classifier import all_logits, score_classes
from rankwise.model.generate import Done, Generated
from rankwise.model.linear import LinearClassifier
from rankwise.model.writers import generate, mean_loss, score_labels

BATCH_ROWS = 16


@dataclass(frozen=True)
class Contestant:
    scores: Mapping[str, float | None]
    """Metrics by name, and `bits_per_token` of the reference answers where it has probabilities; of a classifier
    `bits_per_row`, or where a row may have several labels `bits_per_label`."""
    counts: Mapping[str, int]
    """correct + wrong + truncated + error = rows."""
    seconds: float
    note: str
    answers: tuple[Answer, ...]
    tallies: tuple[Tally, ...]

    @property
    def label_f1(self) -> dict[str, float]:
        """F1 of each label, where a row may have several."""
        return {tally.label: tally.value for tally in self.tallies if tally.label is not None}

    def as_json(self) -> dict[str, Any]:
        scores = {**self.scores, "label_f1": self.label_f1} if self.label_f1 else self.scores
        return {**scores, "counts": dict(self.counts), "seconds": self.seconds, "note": self.note}


class Judge:
    """Asks a model what `task` asks, through `renderer`, and scores what it says; rows over `max_length` tokens, the
    most that the base takes, are errors."""

    def __init__(
        self, model: torch.nn.Module, renderer: Renderer, max_length: int, task: Task, observer: Observer
    ) -> None:
        self.model, self.renderer, self.max_length = model, renderer, max_length
        self.task, self.observer = task, observer
        self.by_head = task.classifies or isinstance(model, LinearClassifier)

    def adapter(self, rows: Sequence[Row], name: str = "adapter") -> Contestant:
        """What the model as it is says to these rows."""
        plain = [self.renderer.render(row, "last") for row in rows]
        answer = self.head_answers if self.by_head else self.model_answers
        return answer(name, rows, plain, [row.answer for row in rows], "")

    def model_answers(
        self, name: str, rows: Sequence[Row], rendered: Sequence[Rendered], references: Sequence[str], note: str
    ) -> Contestant:
        began = self.begin(name, rows)
        tokens = answer_tokens(self.renderer, rows[0], self.task.labels)
        longest_label = max(map(len, tokens), default=0)
        needed = [_positions(row, longest_label) for row in rendered]
        fits = [i for i, count in enumerate(needed) if count <= self.max_length]
        answers = [Answer("", error=f"over the base's context of {self.max_length} tokens")] * len(rows)
        done = self._progress(name, len(rows))
        bits = None
        if self.task.labels and fits:
            prompts = [rendered[i].ids[: rendered[i].prompt] for i in fits]
            scores = score_labels(self.model, prompts, tokens, done)
            probabilities = scores.softmax(1)
            for place, (i, best) in enumerate(zip(fits, scores.argmax(1).tolist(), strict=True)):
                answers[i] = Answer(self.task.labels[best], probability=float(probabilities[place, best]))
            known = {label: column for column, label in enumerate(self.task.labels)}
            paired = [(place, known[references[i]]) for place, i in enumerate(fits) if references[i] in known]
            if paired:
                nats = -sum(float(scores[place, column]) for place, column in paired)
                bits = nats / log(2) / sum(len(tokens[column]) for _, column in paired)
        elif fits:
            for i, answer in self._generated(rendered, fits, done):
                answers[i] = Answer(self.renderer.decode(answer.ids), truncated=answer.truncated)
            bits = mean_loss(self.model, [rendered[i] for i in fits], BATCH_ROWS) / log(2)
        return self.scored(name, references, answers, began, note, bits)

    def head_answers(
        self, name: str, rows: Sequence[Row], rendered: Sequence[Rendered], references: Sequence[str], note: str
    ) -> Contestant:
        """The label that the head gives most to, or all that it gives more than `THRESHOLD`."""
        began, labels = self.begin(name, rows), self.task.labels
        asked = [row.ids[: row.prompt] for row in rendered]  # where a base could write the answer, it is not shown it
        fits = [i for i, ids in enumerate(asked) if len(ids) <= self.max_length]
        answers = [Answer("", error=f"over the base's {self.max_length} tokens")] * len(rows)
        done = self._progress(name, len(rows))
        ids = [asked[i] for i in fits]
        if self.task.multi_label:
            logits = all_logits(self.model, ids, len(labels), done)
            said, bits = self._sets(logits, [references[i] for i in fits])
            for i, answer in zip(fits, said, strict=True):
                answers[i] = answer
            return self.scored(name, references, answers, began, note, bits)
        scores = score_classes(self.model, ids, len(labels), done)
        for place, i in enumerate(fits):
            best = int(scores[place].argmax())
            answers[i] = Answer(labels[best], probability=float(scores[place, best].exp()))
        known = {label: column for column, label in enumerate(labels)}
        nats = [-float(scores[place, known[references[i]]]) for place, i in enumerate(fits) if references[i] in known]
        bits = sum(nats) / log(2) / len(nats) if nats else None
        return self.scored(name, references, answers, began, note, bits)

    def _sets(self, logits: torch.Tensor, references: Sequence[str]) -> tuple[list[Answer], float | None]:
        """The set of labels for each row of `logits` (rows, labels), with its probability; and the bits a label takes,
        over rows of which every label is one of the head's."""
        labels = self.task.labels
        answers = []
        for row in logits.double().sigmoid().tolist():
            text = labels_text([label for label, p in zip(labels, row, strict=True) if p > THRESHOLD])
            answers.append(Answer(text, probability=prod(max(p, 1 - p) for p in row)))
        wanted = [set(json.loads(reference)) for reference in references]
        known = [place for place, row in enumerate(wanted) if row <= set(labels)]
        if not known:
            return answers, None
        there = torch.tensor([[label in wanted[place] for label in labels] for place in known]).float()
        return answers, float(F.binary_cross_entropy_with_logits(logits[known], there)) / log(2)

    def _generated(
        self, rendered: Sequence[Rendered], fits: Sequence[int], done: Done
    ) -> Iterator[tuple[int, Generated]]:
        """Answers a little longer than the longest reference at most, and never beyond the base's context."""
        longest = max(len(row.ids) - row.prompt for row in rendered)
        by_room: dict[int, list[int]] = defaultdict(list)
        for i in fits:
            begins = 0 if rendered[i].encoded else rendered[i].prompt
            by_room[min(longest + longest // 4 + 8, self.max_length - begins)].append(i)
        for room, chosen in by_room.items():
            prompts = [rendered[i].ids[: rendered[i].prompt] for i in chosen]
            yield from zip(chosen, generate(self.model, prompts, self.renderer.stop_ids, room, done), strict=True)

    def begin(self, name: str, rows: Sequence[Row]) -> float:
        self.observer({"event": "contestant_begin", "time": time.time(), "contestant": name, "rows": len(rows)})
        return time.perf_counter()

    def _progress(self, name: str, rows: int) -> Any:
        answered = 0

        def done(more: int) -> None:
            nonlocal answered
            answered += more
            self.observer(
                {
                    "event": "contestant_progress",
                    "time": time.time(),
                    "contestant": name,
                    "done": answered,
                    "rows": rows,
                }
            )

        return done

    def scored(
        self,
        name: str,
        references: Sequence[str],
        answers: Sequence[Answer],
        began: float,
        note: str,
        bits: float | None,
    ) -> Contestant:
        tallies = self.task.tallies(references, answers)
        scores: dict[str, float | None] = {tally.metric: tally.value for tally in tallies if tally.label is None}
        if not self.task.labels:
            scores.setdefault("field_f1", None)
        if name != "baseline":
            scores["bits_per_row" if self.by_head and not self.task.classifies else self.task.bits] = bits
        seconds = time.perf_counter() - began
        self.observer(
            {
                "event": "contestant_end",
                "time": time.time(),
                "contestant": name,
                "scores": scores,
                "seconds": seconds,
            }
        )
        counts = count_outcomes(outcomes(references, answers))
        return Contestant(scores, {str(k): v for k, v in counts.items()}, seconds, note, tuple(answers), tallies)


def _positions(row: Rendered, longest_label: int) -> int:
    """That the row takes with its own answer, or with any of the labels."""
    return max(row.length, longest_label if row.encoded else row.prompt + longest_label)
