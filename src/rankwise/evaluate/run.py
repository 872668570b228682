"""Base, few-shot base, a cheap baseline and the adapter answer the same held-out rows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from rankwise.data.few_shot import EXAMPLE_TOKENS, EXAMPLES, choose_examples, with_examples, within
from rankwise.data.render import Rendered
from rankwise.data.table import Row
from rankwise.errors import DataError
from rankwise.evaluate.baseline import label_baseline, label_set_baseline, nearest_answer
from rankwise.evaluate.compare import Difference, Flips, difference, flips, verdict
from rankwise.evaluate.judge import Contestant, Judge
from rankwise.evaluate.rows import EvaluationRows
from rankwise.evaluate.score import outcomes
from rankwise.evaluate.task import Task
from rankwise.events import Observer
from rankwise.model.open import OpenAdapter

CONTESTANTS = ("base", "few_shot", "baseline", "adapter")
UNTRAINED_HEAD = "its head is random numbers until it is trained, so it answers nothing"
ONE_TEXT = "an encoder reads one text, and no worked examples before it"


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
    label_differences: Mapping[str, Mapping[str, Difference]] = field(default_factory=dict)
    """Where a row may have several labels: contestant -> label -> the adapter minus it in that label's F1."""
    other_differences: Mapping[str, Mapping[str, Difference]] = field(default_factory=dict)
    """There too: metric -> contestant -> the adapter minus it."""

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
        for key, by in (("label_differences", self.label_differences), ("other_differences", self.other_differences)):
            if by:
                result[key] = {name: {n: asdict(d) for n, d in found.items()} for name, found in by.items()}
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
        self.opened, self.renderer = opened, opened.renderer
        self.base_max_length = opened.max_length
        self.task, self.seed = task, seed
        self.judge = Judge(opened.base, opened.renderer, opened.max_length, task, observer)
        self.judge_of_adapter = Judge(opened.model, opened.asked_by, opened.max_length, task, observer)

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
                entered["base"] = self.judge.model_answers("base", rows, plain, references, "no examples, no adapter")
                shown, told = self._with_examples(found)
                if shown:
                    entered["few_shot"] = self.judge.model_answers("few_shot", rows, shown, references, told)
                else:
                    absent["few_shot"] = told
        if train_rows is None:
            absent["baseline"] = found.no_train
        else:
            entered["baseline"] = self._cheap_answers(rows, train_rows, references)
        entered["adapter"] = self.judge_of_adapter.adapter(rows)
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
        lengths = {row.where: len(self.renderer.render(row, "last").ids) for row in chosen}
        return within(chosen, lengths, min(EXAMPLE_TOKENS, self.base_max_length // 2))

    def _cheap_answers(self, rows: Sequence[Row], train_rows: Sequence[Row], references: Sequence[str]) -> Contestant:
        began = self.judge.begin("baseline", rows)
        questions, train_questions = [row.question for row in rows], [row.question for row in train_rows]
        train_answers = [row.answer for row in train_rows]
        if self.task.multi_label:
            sets, note = [row.own_labels for row in train_rows], "TF-IDF and a linear SVM for each label"
            answers = label_set_baseline(train_questions, sets, questions)
        elif self.task.labels:
            answers, note = label_baseline(train_questions, train_answers, questions), "TF-IDF and a linear SVM"
        else:
            answers, note = nearest_answer(train_questions, train_answers, questions), "the nearest training answer"
        return self.judge.scored("baseline", references, answers, began, note, None)

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
            label_differences=self._by_label(entered) if self.task.multi_label else {},
            other_differences=self._in_others(entered, metric) if self.task.multi_label else {},
        )

    def _by_label(self, entered: Mapping[str, Contestant]) -> dict[str, dict[str, Difference]]:
        own = {tally.label: tally for tally in entered["adapter"].tallies if tally.label is not None}
        return {
            name: {t.label: difference(own[t.label], t, self.seed) for t in contestant.tallies if t.label is not None}
            for name, contestant in entered.items()
            if name != "adapter"
        }

    def _in_others(self, entered: Mapping[str, Contestant], metric: str) -> dict[str, dict[str, Difference]]:
        """In every metric of all labels but `metric`."""
        own = {t.metric: t for t in entered["adapter"].tallies if t.label is None and t.metric != metric}
        others = {name: contestant for name, contestant in entered.items() if name != "adapter"}
        return {
            kind: {
                name: difference(tally, next(t for t in other.tallies if t.metric == kind), self.seed)
                for name, other in others.items()
            }
            for kind, tally in own.items()
        }
