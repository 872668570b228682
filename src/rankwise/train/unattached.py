"""Methods that leave the base as it is: examples for its prompt, chosen; a linear classifier of its states, fitted.

Both only read the base. The held-out rows have no say in either: they are looked at once, at the end.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from safetensors.torch import save_file

from rankwise.catalog import write_card
from rankwise.data.corpus import Corpus
from rankwise.data.few_shot import ExampleRenderer, draw_candidates, turns_of, within
from rankwise.data.plain import make_renderer
from rankwise.data.split import spread
from rankwise.data.table import Row
from rankwise.errors import PlanError
from rankwise.evaluate.judge import Judge
from rankwise.evaluate.task import Task
from rankwise.events import EventLog, Observer
from rankwise.facts import BaseRecord, read_adapter, read_anatomy, write_record
from rankwise.facts.payload import CLASSIFIER, PROMPT
from rankwise.facts.unattached import Examples, Features, LinearSettings, Turn
from rankwise.files import new_folder, write_json
from rankwise.model.linear import Head, LinearClassifier, Tokens, load_reader, read_states
from rankwise.model.load import load_base
from rankwise.plan import EVALUATION_ROWS, Plan, PlanReader
from rankwise.signals import Interrupted, stop_on_signals
from rankwise.train.head import fit_head, held_back_loss
from rankwise.train.kept import make_record
from rankwise.train.loop import LN2, Finished
from rankwise.train.settings import BaseFolder
from rankwise.train.state import Progress

Made = Examples | Head


def make_unattached(
    plan: Plan, corpus: Corpus, base: BaseFolder, folder: Path, log: EventLog, observer: Observer
) -> Finished:
    """Write the adapter folder. A signal stops it anywhere, and leaves no folder."""
    began = time.perf_counter()
    try:
        with stop_on_signals() as stop, stop.at_once():
            work = _Work(plan, corpus, base, log, observer)
            made, judge = work.prompt() if plan["method"] == "prompt" else work.classifier()
            looked_at, loss = work.look(judge)
    except Interrupted as signal:
        return Finished(Progress(), signal.number, f"signal {signal.number}")
    seconds = time.perf_counter() - began
    progress = Progress(best_loss=loss, rows=len(corpus.train), tokens=work.tokens, seconds=seconds)
    finished = Finished(progress, None, "chosen" if plan["method"] == "prompt" else "fitted")
    log.write("looked_at", {"rows": looked_at, "loss": loss, "per": work.per})
    with new_folder(folder) as draft:
        if isinstance(made, Head):
            said = LinearSettings(features=made.features, skipped=made.skipped)
            write_json(draft / str(CLASSIFIER.config), said.model_dump())
            save_file({"weight": made.weight, "bias": made.bias}, draft / str(CLASSIFIER.weights))
        else:
            write_json(draft / str(PROMPT.config), made.model_dump(mode="json"))
        kept = BaseRecord(name=base.name, identity=base.identity)
        record = make_record(plan, corpus, kept, work.task_name, None, work.per, finished, None)
        write_record(draft, record)
        write_card(draft, record, read_adapter(draft))
    return finished


class _Prompt(NamedTuple):
    num_examples: int
    max_tokens: int
    num_candidates: int
    judged_rows: int


class _Linear(NamedTuple):
    features: list[Features]
    regularisation: list[float]
    num_folds: int


class _Work:
    """What both methods need of the plan, and the base, loaded once."""

    def __init__(self, plan: Plan, corpus: Corpus, base: BaseFolder, log: EventLog, observer: Observer) -> None:
        take = PlanReader(plan)
        self.corpus, self.base, self.log, self.observer = corpus, base, log, observer
        self.seed = take.take("training.seed", int)
        self.dtype = "bfloat16" if take.take("training.bf16", bool) else "float32"
        self.device = take.take("device", str)
        torch.set_num_threads(take.take("threads", int))
        self.anatomy = read_anatomy(base.path)
        self.task_name = self.anatomy.task
        self.settings: _Prompt | _Linear
        if plan["method"] == "prompt":
            self.settings = _Prompt(*(take.take(f"prompt.{key}", int) for key in _Prompt._fields))
        else:
            kinds, strengths = take.take("classifier.features", list), take.take("classifier.C", list)
            self.settings = _Linear(kinds, strengths, take.take("classifier.num_folds", int))
        for key in plan.decisions:
            if not key.startswith(("training.", "prompt.", "classifier.")):
                take.value(key)  # what the rows are, which is in the corpus, and what the method is
        take.require_all_read()
        self.renderer = make_renderer(base.path, self.anatomy.kind)
        self.task = Task(
            corpus.labels, corpus.request.assistant_turns, str(plan["scorer"]), classifies=self.task_name == "seq_cls"
        )
        self.per = "token" if plan["method"] == "prompt" else "row"
        self.tokens = sum(len(row.ids) for row in corpus.train_rendered)

    def prompt(self) -> tuple[Made, Judge]:
        """The candidate after which the base writes the judged rows' answers with the fewest bits."""
        settings, corpus, told = self.settings, self.corpus, list[tuple[float, int]]()
        assert isinstance(settings, _Prompt)
        model = load_base(self.base.path, self.dtype, self.device)
        drawn, judged = draw_candidates(corpus.train, settings.num_examples, self.seed, corpus.labels or None)
        lengths = {row.where: len(shown.ids) for row, shown in zip(corpus.train, corpus.train_rendered, strict=True)}
        fitting = [within(chosen, lengths, settings.max_tokens) for chosen in drawn]
        candidates = [chosen[: settings.num_examples] for chosen in fitting if len(chosen) >= settings.num_examples]
        if len(candidates) != settings.num_candidates or len(judged) != settings.judged_rows:
            raise PlanError("the plan's candidates are not those of these rows; make it anew with `rankwise plan`")

        def judge_of(chosen: Sequence[Row]) -> Judge:
            asking = ExampleRenderer(self.base.path, [turns_of(row) for row in chosen])
            return Judge(model, asking, self.anatomy.max_length, self.task, self.observer)

        for number, chosen in enumerate(candidates):
            found = judge_of(chosen).adapter(judged, f"examples {number + 1} of {len(candidates)}")
            bits = found.scores["bits_per_token"]
            told.append((float("inf") if bits is None else bits, number))
            rows = [row.where for row in chosen]
            self.log.write("candidate", {"number": number + 1, "examples": rows, **found.scores})
        best = candidates[min(told)[1]]
        turns = tuple(tuple(Turn.model_validate(message) for message in turns_of(row)) for row in best)
        return Examples(examples=turns), judge_of(best)

    def classifier(self) -> tuple[Made, Judge]:
        """The head of the features and the regularisation with the least cross-validated loss, fitted on all rows."""
        settings, labels, rows = self.settings, self.corpus.labels, self.corpus.train_rendered
        assert isinstance(settings, _Linear)
        packs = self.anatomy.kind == "causal"
        model = load_reader(self.base.path, packs, self.dtype, self.device)
        ids = [row.ids[: row.prompt] for row in rows]
        skipped = _beginning(ids)
        read = 0

        def done(more: int) -> None:
            nonlocal read
            read += more
            told = {"event": "contestant_progress", "time": time.time(), "contestant": "states of the base"}
            self.observer({**told, "done": read, "rows": len(rows)})

        states = read_states(model, packs, ids, settings.features, skipped, done)
        numbers = {label: number for number, label in enumerate(labels)}
        targets = np.array([numbers[str(row.label)] for row in self.corpus.train])
        losses: list[tuple[float, Features, float]] = []
        for kind in settings.features:
            vectors = states[kind].double().numpy()
            for strength in settings.regularisation:
                loss = held_back_loss(vectors, targets, len(labels), strength, settings.num_folds, self.seed)
                losses.append((loss, kind, strength))
                self.log.write("fitted", {"features": kind, "C": strength, "loss": loss})
        _, kind, strength = min(losses, key=lambda found: found[0])
        head = fit_head(states[kind].double().numpy(), targets, strength, kind, skipped)
        model_with_head = LinearClassifier(model, packs, head)
        return head, Judge(model_with_head, self.renderer, self.anatomy.max_length, self.task, self.observer)

    def look(self, judge: Judge) -> tuple[int, float | None]:
        """Held-out rows that were looked at, and their mean loss in nats, a token or a row."""
        rows = spread(self.corpus.held_out, EVALUATION_ROWS)
        bits = judge.adapter(rows, "held-out rows").scores[f"bits_per_{self.per}"]
        return len(rows), None if bits is None else bits * LN2


def _beginning(rows: Sequence[Tokens]) -> int:
    """Tokens that all rows begin with; at most all but one of the shortest."""
    first, most = rows[0], min(map(len, rows)) - 1
    return next((i for i in range(most) if any(row[i] != first[i] for row in rows)), max(0, most))
