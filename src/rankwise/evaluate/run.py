"""Base, few-shot base, a cheap baseline and the adapter answer the same held-out rows."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from math import log
from typing import Any

from rankwise.data.render import Rendered
from rankwise.data.table import Row
from rankwise.errors import DataError
from rankwise.evaluate.baseline import label_baseline, nearest_answer
from rankwise.evaluate.compare import Difference, Flips, difference, flips, verdict
from rankwise.evaluate.few_shot import choose_examples
from rankwise.evaluate.rows import EvaluationRows
from rankwise.evaluate.score import Answer, Tally, count_outcomes, outcomes
from rankwise.evaluate.task import Task, answer_tokens, with_examples
from rankwise.events import Observer
from rankwise.model.classifier import score_classes
from rankwise.model.generate import Done, Generated, generate, score_labels
from rankwise.model.loss import mean_loss
from rankwise.model.open import OpenAdapter

CONTESTANTS = ("base", "few_shot", "baseline", "adapter")
UNTRAINED_HEAD = "its head is random numbers until it is trained, so it answers nothing"
ONE_TEXT = "an encoder reads one text, and no worked examples before it"
EXAMPLE_TOKENS = 2048
"""Most tokens the few-shot examples may take."""
EXAMPLES = 8
"""Examples shown, or one of each label where there are more labels."""
BATCH_ROWS = 16


@dataclass(frozen=True)
class Contestant:
    scores: Mapping[str, float | None]
    """Metrics by name, and `bits_per_token` of the reference answers where it has probabilities; of a classifier
    `bits_per_row`."""
    counts: Mapping[str, int]
    """correct + wrong + truncated + error = rows."""
    seconds: float
    note: str
    answers: tuple[Answer, ...]
    tallies: tuple[Tally, ...]

    def as_json(self) -> dict[str, Any]:
        return {**self.scores, "counts": dict(self.counts), "seconds": self.seconds, "note": self.note}


@dataclass(frozen=True)
class Evaluation:
    rows: int
    metric: str
    """What `differences` and `verdict` are about."""
    contestants: Mapping[str, Contestant]
    """base, few_shot, baseline, adapter; without those in `absent`."""
    absent: Mapping[str, str]
    """Contestant -> why it could not run."""
    differences: Mapping[str, Difference]
    """Contestant -> the adapter minus it, in `metric`."""
    flips: Flips | None
    """Rows, by their place, that the adapter gained over the base, and lost; None without a base."""
    flipped_rows: Mapping[str, list[str]] | None
    """The same by file and line."""
    verdict: str
    held_out: str

    def metrics(self) -> dict[str, Any]:
        """What the adapter's own record keeps: scores and the difference to the base, without rows."""
        whole = self.as_json()
        return {key: whole[key] for key in ("rows", "metric", *CONTESTANTS, "difference", "verdict")}

    def as_json(self) -> dict[str, Any]:
        result: dict[str, Any] = {"rows": self.rows, "metric": self.metric, "held_out": self.held_out}
        for name in CONTESTANTS:
            result[name] = self.contestants[name].as_json() if name in self.contestants else None
        base = self.differences.get("base")
        result["difference"] = {**asdict(base), "against": "base"} if base else None
        result["differences"] = {name: asdict(found) for name, found in self.differences.items()}
        result["flips"] = None if self.flipped_rows is None else dict(self.flipped_rows)
        result["absent"] = dict(self.absent)
        result["verdict"] = self.verdict
        return result


class Contest:
    """One adapter on its base against the cheaper ways, over the same rows."""

    def __init__(
        self,
        opened: OpenAdapter,
        task: Task,
        seed: int,
        observer: Observer,
    ) -> None:
        self.opened, self.model, self.renderer = opened, opened.model, opened.renderer
        self.base_max_length = opened.max_length
        self.task, self.seed, self.observer = task, seed, observer

    def run(self, found: EvaluationRows) -> Evaluation:
        """Every contestant on the same rows; without training rows, two of them are absent."""
        rows, train_rows = found.held_out, found.train
        references = [row.answer for row in rows]
        entered: dict[str, Contestant] = {}
        absent: dict[str, str] = {}
        plain = [self.renderer.render(row, "last") for row in rows]
        if self.task.classifies:
            absent |= {"base": UNTRAINED_HEAD, "few_shot": ONE_TEXT}
        else:
            with self.opened.base_alone():
                entered["base"] = self._model_answers("base", rows, plain, references, "no examples, no adapter")
                shown, told = self._with_examples(found)
                if shown:
                    entered["few_shot"] = self._model_answers("few_shot", rows, shown, references, told)
                else:
                    absent["few_shot"] = told
        if train_rows is None:
            absent["baseline"] = found.no_train
        else:
            entered["baseline"] = self._cheap_answers(rows, train_rows, references)
        answer = self._head_answers if self.task.classifies else self._model_answers
        entered["adapter"] = answer("adapter", rows, plain, references, "")
        return self._compare(rows, references, entered, absent, found.name)

    def _with_examples(self, found: EvaluationRows) -> tuple[list[Rendered], str]:
        """The rows after worked examples, and a note; none, and the reason, where that cannot be."""
        if found.train is None:
            return [], found.no_train
        examples = self._examples(found.train)
        if not examples:
            return [], f"not one example fits {EXAMPLE_TOKENS} tokens and the base's context"
        try:
            return [with_examples(self.renderer, row, examples) for row in found.held_out], f"{len(examples)} examples"
        except DataError as fault:
            return [], f"examples cannot be shown as earlier turns: {fault}"

    def _examples(self, train_rows: Sequence[Row]) -> list[Row]:
        labels = self.task.labels or None
        chosen = choose_examples(train_rows, max(EXAMPLES, len(self.task.labels)), self.seed, labels)
        room = min(EXAMPLE_TOKENS, self.base_max_length // 2)
        kept: list[Row] = []
        for row in chosen:
            room -= len(self.renderer.render(row, "last").ids)
            if room < 0:
                break
            kept.append(row)
        return kept

    def _model_answers(
        self, name: str, rows: Sequence[Row], rendered: Sequence[Rendered], references: Sequence[str], note: str
    ) -> Contestant:
        began = self._begin(name, rows)
        tokens = answer_tokens(self.renderer, rows[0], self.task.labels)
        longest_label = max(map(len, tokens), default=0)
        needed = [max(len(row.ids), row.prompt + longest_label) for row in rendered]
        fits = [i for i, count in enumerate(needed) if count <= self.base_max_length]
        answers = [Answer("", error=f"over the base's context of {self.base_max_length} tokens")] * len(rows)
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
            bits = mean_loss(self.model, [rendered[i] for i in fits], BATCH_ROWS, share=True) / log(2)
        return self._scored(name, references, answers, began, note, bits)

    def _head_answers(
        self, name: str, rows: Sequence[Row], rendered: Sequence[Rendered], references: Sequence[str], note: str
    ) -> Contestant:
        """The label that the head gives most to."""
        began, labels = self._begin(name, rows), self.task.labels
        fits = [i for i, row in enumerate(rendered) if len(row.ids) <= self.base_max_length]
        answers = [Answer("", error=f"over the base's {self.base_max_length} tokens")] * len(rows)
        done = self._progress(name, len(rows))
        scores = score_classes(self.model, [rendered[i].ids for i in fits], len(labels), done)
        for place, i in enumerate(fits):
            best = int(scores[place].argmax())
            answers[i] = Answer(labels[best], probability=float(scores[place, best].exp()))
        known = {label: column for column, label in enumerate(labels)}
        nats = [-float(scores[place, known[references[i]]]) for place, i in enumerate(fits) if references[i] in known]
        bits = sum(nats) / log(2) / len(nats) if nats else None
        return self._scored(name, references, answers, began, note, bits)

    def _generated(
        self, rendered: Sequence[Rendered], fits: Sequence[int], done: Done
    ) -> Iterator[tuple[int, Generated]]:
        """Answers a little longer than the longest reference at most, and never beyond the base's context."""
        longest = max(len(row.ids) - row.prompt for row in rendered)
        by_room: dict[int, list[int]] = defaultdict(list)
        for i in fits:
            by_room[min(longest + longest // 4 + 8, self.base_max_length - rendered[i].prompt)].append(i)
        for room, chosen in by_room.items():
            prompts = [rendered[i].ids[: rendered[i].prompt] for i in chosen]
            yield from zip(chosen, generate(self.model, prompts, self.renderer.stop_ids, room, done), strict=True)

    def _cheap_answers(self, rows: Sequence[Row], train_rows: Sequence[Row], references: Sequence[str]) -> Contestant:
        began = self._begin("baseline", rows)
        questions, train_questions = [row.question for row in rows], [row.question for row in train_rows]
        train_answers = [row.answer for row in train_rows]
        if self.task.labels:
            answers, note = label_baseline(train_questions, train_answers, questions), "TF-IDF and a linear SVM"
        else:
            answers, note = nearest_answer(train_questions, train_answers, questions), "the nearest training answer"
        return self._scored("baseline", references, answers, began, note, None)

    def _begin(self, name: str, rows: Sequence[Row]) -> float:
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

    def _scored(
        self,
        name: str,
        references: Sequence[str],
        answers: Sequence[Answer],
        began: float,
        note: str,
        bits: float | None,
    ) -> Contestant:
        tallies = self.task.tallies(references, answers)
        scores: dict[str, float | None] = {tally.metric: tally.value for tally in tallies}
        if not self.task.labels:
            scores.setdefault("field_f1", None)
        if name != "baseline":
            scores["bits_per_row" if self.task.classifies else "bits_per_token"] = bits
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

    def _compare(
        self,
        rows: Sequence[Row],
        references: Sequence[str],
        entered: Mapping[str, Contestant],
        absent: Mapping[str, str],
        held_out: str,
    ) -> Evaluation:
        metric = self.task.metric(references)
        tallies = {name: next(t for t in c.tallies if t.metric == metric) for name, c in entered.items()}
        differences = {
            name: difference(tallies["adapter"], tally, self.seed)
            for name, tally in tallies.items()
            if name != "adapter"
        }
        found = None
        if "base" in entered:
            before, after = (outcomes(references, entered[name].answers) for name in ("base", "adapter"))
            found = flips(before, after)
        return Evaluation(
            rows=len(rows),
            metric=metric,
            contestants=entered,
            absent=absent,
            differences=differences,
            flips=found,
            flipped_rows=None
            if found is None
            else {
                "gained": [rows[i].where for i in found.gained],
                "lost": [rows[i].where for i in found.lost],
            },
            verdict=verdict({name: tally.value for name, tally in tallies.items()}, differences),
            held_out=held_out,
        )
