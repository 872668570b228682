"""rankwise from Python: what the command line does, as functions. Light to import; torch comes when it is needed."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeVar

from rankwise import catalog
from rankwise.adapters import compare_adapters as compare_adapters
from rankwise.adapters import import_adapter as import_adapter
from rankwise.adapters import merge as merge
from rankwise.adapters import promote as promote
from rankwise.data.inspect import Inspection
from rankwise.errors import AdapterError, Problem, RankwiseError
from rankwise.evaluate.opened import open_recorded, require_record
from rankwise.evaluate.rows import as_trained, evaluation_rows
from rankwise.events import Observer, ignore
from rankwise.facts import fetch_base, locate_base, read_machine
from rankwise.facts.classifier import MULTI
from rankwise.facts.counts import UNATTACHED
from rankwise.files import write_json
from rankwise.measure import known_rehearsal, measure_speed, rehearse
from rankwise.plan import Plan, advise, prepare, problems_of
from rankwise.plan.advise import weigh
from rankwise.plan.compare import Comparison, compare_doctrines
from rankwise.plan.explain import Explanation, explain_decision
from rankwise.plan.fit import Fitted
from rankwise.plan.fit import fit as fit_plan
from rankwise.plan.measured import with_rehearsal
from rankwise.plan.method import weigh_methods
from rankwise.recipe import Asked, with_overrides
from rankwise.runs import RUN_FILES as RUN_FILES
from rankwise.runs import Stopped as Stopped
from rankwise.runs import Trained as Trained
from rankwise.runs import resume as resume
from rankwise.runs import train as train

if TYPE_CHECKING:
    from uvicorn import Server

    from rankwise.data.render import Renderer
    from rankwise.evaluate.run import Evaluation
    from rankwise.selftest.report import SelfTest

T = TypeVar("T")

# -- check and plan


@dataclass(frozen=True)
class Checked:
    """What `check` found in recipe and data."""

    problems: tuple[Problem, ...]
    inspection: Inspection | None
    """None if the rows could not be read."""
    preview: list[list[tuple[str, bool]]]
    """A few rows as runs of (text, trained on)."""

    @property
    def ok(self) -> bool:
        return not any(problem.severity == "error" for problem in self.problems)

    def as_json(self) -> dict[str, Any]:
        return {
            "ok": self.ok,
            "problems": [problem.as_json() for problem in self.problems],
            "inspection": None if self.inspection is None else self.inspection.as_json(),
            "preview": [[{"text": text, "supervised": on} for text, on in row] for row in self.preview],
        }


def check(asked: Asked, observer: Observer = ignore) -> Checked:
    """Read base, recipe and data; every problem is in the result, none is raised."""
    try:
        prepared = prepare(asked, observer, to_train=True)
    except RankwiseError as fault:
        return Checked(problems_of(fault), None, [])
    problems = prepared.corpus.problems
    try:
        problems = advise(asked, prepared, read_machine(), None).problems
    except RankwiseError as fault:
        problems = problems_of(fault)
    preview = [prepared.renderer.preview(row) for row in prepared.corpus.train_rendered[:2]]
    return Checked(problems, prepared.corpus.inspection, preview)


def plan(asked: Asked, observer: Observer = ignore, measure: bool = False) -> Plan:
    """The plan for a recipe; the first plan for a base on a machine measures its speed, in a process of its own.

    `measure`: rehearse the run for about a minute, so that time, memory and the bits of the answers are measured.
    """
    prepared = prepare(asked, observer, to_train=measure)
    made = advise(asked, prepared, read_machine(), measure_speed(prepared, observer))
    rehearsal = rehearse(made, prepared, observer) if measure else known_rehearsal(made, prepared)
    return made if rehearsal is None else with_rehearsal(made, prepared, rehearsal)


def fit(asked: Asked, observer: Observer = ignore) -> Fitted:
    """What to change so that training fits into this machine's memory, what costs least first; the plan with it."""
    prepared, machine = prepare(asked, observer), read_machine()
    measured = measure_speed(prepared, observer)

    def replan(overrides: Sequence[str]) -> Plan:
        return advise(with_overrides(asked, overrides), prepared, machine, measured)

    return fit_plan(advise(asked, prepared, machine, measured), prepared.anatomy, machine.training_bytes, replan)


def explain(asked: Asked, key: str, observer: Observer = ignore) -> Explanation:
    """The whole story of one key of the plan. Raises RecipeError with the nearest name if the plan has no such key."""
    prepared, machine = prepare(asked, observer), read_machine()
    advised = weigh(asked, prepared, machine, measure_speed(prepared, observer))
    told = explain_decision(advised, key)
    if key != "method":
        return told
    if advised.plan["method"] in UNATTACHED:  # all are weighed beside LoRA, which has a rank and a batch
        as_lora = with_overrides(asked, ["method=lora", "prompt.num_examples=auto"])
        advised = weigh(as_lora, prepared, machine, measure_speed(prepared, observer))
    methods = weigh_methods(advised.plan, advised.situation, prepared.anatomy, prepared.corpus, machine)
    return replace(told, methods=methods)


def compare(asked: Asked, observer: Observer = ignore) -> Comparison:
    """Every doctrine's whole plan for a recipe, side by side."""
    prepared = prepare(asked, observer)
    return compare_doctrines(asked, prepared, read_machine(), measure_speed(prepared, observer))


# -- evaluate


def evaluate(target: str, data: Path | None = None, observer: Observer = ignore) -> Evaluation:
    """All contestants on the same held-out rows: the run's own, or those of `data`.

    `target`: a run folder, an adapter folder, or a name in the catalogue.
    """
    folder = catalog.locate_adapter(target)
    record = require_record(folder)
    rows = evaluation_rows(record, data)
    opened = open_recorded(folder, record, observer)

    from rankwise.evaluate.run import Contest
    from rankwise.evaluate.task import Task

    asked_for = record.task
    task = Task(
        asked_for.labels,
        asked_for.assistant_turns,
        asked_for.scorer,
        classifies=asked_for.task == "seq_cls",
        multi_label=asked_for.problem_type == MULTI,
    )
    rows = as_trained(rows, record, opened.renderer)
    result = Contest(opened, task, record.data.seed, observer).run(rows)
    if data is None and (folder.parent / "plan.json").is_file():
        write_json(folder.parent / "evaluation.json", result.as_json())
    if data is None:
        catalog.add_metrics(folder, json.loads(json.dumps(result.metrics())))
    return result


# -- chat


@dataclass(frozen=True)
class Reply:
    text: str
    probability: float | None
    """Of this label among all labels; None for open answers."""
    seconds: float


class Conversation:
    """Base and adapter, loaded once, answering the same prompts."""

    def __init__(self, target: str, observer: Observer) -> None:
        folder = catalog.locate_adapter(target)
        self.record = require_record(folder)
        if self.record.task.task == "seq_cls" or self.record.method == "classifier":
            message = (
                "this adapter and its head only label texts, and its base says nothing beside them; score it with: "
                f"rankwise evaluate {target}"
            )
            raise AdapterError(problems=[Problem("error", "adapter-of-classifier", str(folder), message)])
        self._opened = open_recorded(folder, self.record, observer)

    def ask(self, text: str) -> dict[str, Reply]:
        """Both answers to one prompt, asked as the adapter's training rows were: system message, instruction, tools.

        Raises DataError if it is longer than the base takes.
        """
        with self._opened.base_alone():
            base = self._answer(self._opened.renderer, text)
        return {"base": base, "adapter": self._answer(self._opened.asked_by, text)}

    def _answer(self, renderer: Renderer, text: str) -> Reply:
        from rankwise.evaluate.task import ask

        opened, began = self._opened, time.perf_counter()
        answer = ask(opened.model, renderer, self.record.task, text, opened.max_length)
        return Reply(answer.text, answer.probability, time.perf_counter() - began)


def chat(target: str, observer: Observer = ignore) -> Conversation:
    """Load an adapter and its base for questions."""
    return Conversation(target, observer)


def serve(
    model: str = "smollm2-135m",
    host: str = "127.0.0.1",
    port: int = 8000,
    slots: int = 48,
    adapter_bytes: int = 1 << 30,
    observer: Observer = ignore,
) -> Server:
    """The HTTP server over a base and every adapter trained on it, loaded and ready to `run()`.

    `slots` answers are written at once, and adapters in memory take `adapter_bytes` at most. With API keys
    (`new_api_key`) it may listen anywhere; without, on loopback alone: RunError.
    """
    from rankwise.serve.auth import read_keys, require_safe
    from rankwise.serve.plans import Plans

    keys = read_keys()
    require_safe(host, keys)
    located = locate_base(model, Path.cwd())
    base = fetch_base(located, observer)
    import torch

    from rankwise.serve.server import make_server, serving_dtype
    from rankwise.serve.service import Service, Settings

    machine = read_machine()
    torch.set_num_threads(machine.usable_cores)
    settings = Settings(slots=slots, adapter_bytes=adapter_bytes)
    service = Service(base, located.name, serving_dtype(base, machine), machine.device, settings)
    plans = Plans(str(base), lambda asked: plan(asked).as_json(), lambda asked: check(asked).as_json())
    return make_server(service, plans, keys, host, port)


def new_api_key(scope: Literal["chat", "admin"]) -> str:
    """A key for the server, told once; RANKWISE_HOME keeps its digest. From then on every request needs a key."""
    from rankwise.serve.auth import new_key

    return new_key(scope)


def selftest(model: str = "smollm2-135m", observer: Observer = ignore) -> SelfTest:
    """Try rankwise's promises of equality on `model` and this machine; takes minutes."""
    from rankwise.selftest.run import run_selftest

    return run_selftest(model, observer)
