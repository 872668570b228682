"""rankwise from Python: what the command line does, as functions. Light to import; torch comes when it is needed."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from rankwise import catalog
from rankwise.data.corpus import Corpus, CorpusRequest, build_corpus
from rankwise.data.inspect import Inspection
from rankwise.data.render import Renderer
from rankwise.errors import AdapterError, Problem, RankwiseError, RunError, raise_if_errors
from rankwise.evaluate.rows import as_trained, evaluation_rows
from rankwise.events import Observer, ignore
from rankwise.facts import (
    AdapterRecord,
    Located,
    adapter_digest,
    fetch_base,
    identify_base,
    locate_base,
    read_adapter,
    read_anatomy,
    read_machine,
)
from rankwise.files import home, read_json, write_json, write_text
from rankwise.measure import known_rehearsal, measure_speed, rehearse
from rankwise.plan import Plan, Prepared, advise, prepare, problems_of
from rankwise.plan.advise import weigh
from rankwise.plan.compare import Comparison, compare_doctrines
from rankwise.plan.explain import Explanation, explain_decision
from rankwise.plan.fit import Fitted
from rankwise.plan.fit import fit as fit_plan
from rankwise.plan.measured import with_rehearsal
from rankwise.plan.method import weigh_methods
from rankwise.plan.preflight import preflight
from rankwise.plan.rehearsal import score
from rankwise.recipe import Asked, with_overrides

if TYPE_CHECKING:
    from rankwise.evaluate.run import Evaluation
    from rankwise.model.open import OpenAdapter
    from rankwise.selftest.report import SelfTest

T = TypeVar("T")

RUN_FILES = (
    *("recipe.yaml", "plan.json", "data.json", "digests.json"),
    *("events.jsonl", "checkpoints", "adapter", "result.json"),
)
"""What a run writes into its folder, and would overwrite or go on from."""


class Stopped(RankwiseError):
    """A signal ended a run after its last completed step was committed."""

    def __init__(self, signal: int, run: Path) -> None:
        self.signal, self.run = signal, run
        super().__init__(f"stopped by signal {signal}; go on with: rankwise train --resume {run}")


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
    methods = weigh_methods(advised.plan, advised.situation, prepared.anatomy, prepared.corpus, machine)
    return replace(told, methods=methods)


def compare(asked: Asked, observer: Observer = ignore) -> Comparison:
    """Every doctrine's whole plan for a recipe, side by side."""
    prepared = prepare(asked, observer)
    return compare_doctrines(asked, prepared, read_machine(), measure_speed(prepared, observer))


# -- train


@dataclass(frozen=True)
class Trained:
    """A finished run and its adapter in the catalogue."""

    run: Path
    adapter: Path
    steps: int
    rows: int
    seconds: float
    rows_per_second: float
    tokens_per_second: float
    peak_memory_bytes: int
    held_out: Mapping[str, Any]
    """Of the weights kept: loss in nats and bits per supervised token, and the step they are from."""
    entry: catalog.Entry
    prediction: Mapping[str, Any] | None = None
    """What came of the plan's rehearsal; None if there was none, or the run did not go through in one go."""

    def as_json(self) -> dict[str, Any]:
        return {
            "run": str(self.run),
            "adapter": str(self.adapter),
            "steps": self.steps,
            "rows": self.rows,
            "seconds": self.seconds,
            "rows_per_second": self.rows_per_second,
            "tokens_per_second": self.tokens_per_second,
            "peak_memory_bytes": self.peak_memory_bytes,
            "held_out": dict(self.held_out),
            "prediction": self.prediction,
            "catalogue": self.entry.as_json(),
        }


def train(asked: Asked, output: Path | None = None, observer: Observer = ignore) -> Trained:
    """Plan and train. Raises Stopped after a signal, with the last completed step committed.

    `output`: a folder that holds no file which a run writes, new or not; RunError if it does.
    """
    if output is not None:
        _require_room_for_run(output)
    prepared = prepare(asked, observer, to_train=True)
    made = advise(asked, prepared, read_machine(), measure_speed(prepared, observer))
    known = known_rehearsal(made, prepared)
    made = made if known is None else with_rehearsal(made, prepared, known)
    run = output or _new_run(asked, prepared)
    raise_if_errors(RunError, preflight(made, run, home()))
    try:
        run.mkdir(parents=True, exist_ok=True)
        write_text(run / "recipe.yaml", _with_overrides(asked))
        write_json(run / "data.json", prepared.corpus.request.as_json())
        write_json(run / "digests.json", _digests(made, prepared.corpus, prepared.path))
        write_json(run / "plan.json", made.as_json())  # last: with it, the folder is a run that can be resumed
    except OSError as fault:
        raise RunError(f"{run}: no run folder can be made there ({fault}); give another --output") from None
    return _execute(run, made, prepared.located, prepared.path, prepared.corpus, observer, resume=False)


def _require_room_for_run(output: Path) -> None:
    if (output / "plan.json").exists():
        raise RunError(f"{output} holds a run already; resume it (--resume {output}) or give another --output")
    taken = [name for name in RUN_FILES if (output / name).exists()]
    if taken:
        raise RunError(f"{output} holds {', '.join(taken)}, which the run would overwrite; give another --output")


def _with_overrides(asked: Asked) -> str:
    """The recipe as written, and below it the overrides it was run with, as comments."""
    overrides = [where for where in asked.lines.values() if where.startswith("--set")]
    comments = [f"# {line}" for where in overrides for line in where.splitlines()]
    return "\n".join([asked.text.removesuffix("\n"), *comments, ""]) if comments else asked.text


def resume(run: Path, observer: Observer = ignore) -> Trained:
    """Go on with a stopped run from its newest sound checkpoint; a finished one is returned as it is."""
    try:
        made = Plan.model_validate(read_json(run / "plan.json"))
        request = CorpusRequest(**read_json(run / "data.json"))
        recorded = dict(read_json(run / "digests.json"))
    except (OSError, ValueError, TypeError) as fault:
        raise RunError(
            f"{run}: not a run that can be resumed ({fault}); expected plan.json, data.json, digests.json"
        ) from None
    if (run / "result.json").is_file():
        return _finished(run)
    located = locate_base(str(made["model"]), Path.cwd())
    path = fetch_base(located, observer)
    corpus = build_corpus(request, Renderer(path), read_anatomy(path, located.name).max_length)
    changed = [part for part, digest in _digests(made, corpus, path).items() if recorded.get(part) != digest]
    if changed:
        raise RunError(
            f"{run}: changed since it began: {', '.join(changed)}; it cannot go on as if it had not stopped. "
            "Put back what it was, or train anew"
        )
    return _execute(run, made, located, path, corpus, observer, resume=True)


def _digests(made: Plan, corpus: Corpus, base: Path) -> dict[str, str]:
    """What a run depends on, each under the words that name it when it changes."""
    digests = {
        "the plan": made.digest(),
        "the training rows": corpus.train_sha256,
        "the held-out rows": corpus.held_out_sha256,
    }
    digests |= {f"the base's {part}": digest for part, digest in identify_base(base).as_json().items()}
    if made["adapter"] is not None:
        digests["the adapter it continues from"] = adapter_digest(Path(str(made["adapter"])))
    return digests


def _execute(
    run: Path, made: Plan, located: Located, base: Path, corpus: Corpus, observer: Observer, resume: bool
) -> Trained:
    from rankwise.train.run import BaseFolder, execute  # torch begins here

    identity, began = identify_base(base), time.perf_counter()
    done = execute(made, corpus, BaseFolder(located.name, base, identity), run, observer, resume)
    progress = done.finished.progress
    if done.finished.stopped_by is not None:
        raise Stopped(done.finished.stopped_by, run)
    entry = catalog.register(done.adapter)
    record = read_adapter(done.adapter).record
    assert record is not None
    seconds = progress.seconds or 1e-9  # the rates are of the steps alone
    result = {
        "steps": progress.step,
        "rows": progress.rows,
        "seconds": progress.seconds + progress.evaluation_seconds,
        "rows_per_second": progress.rows / seconds,
        "tokens_per_second": progress.tokens / seconds,
        "peak_memory_bytes": done.peak_memory_bytes,
        "held_out": {
            "loss": progress.best_loss,
            "bits_per_token": record.metrics["held_out_bits_per_token"],
            "step": progress.best_step,
            "ended": done.finished.reason,
        },
        "prediction": None,
    }
    complete = not resume and done.finished.reason == "all steps done"
    if made.prediction is not None and complete:
        wall = time.perf_counter() - began
        result["prediction"] = score(made.prediction, wall, done.peak_memory_bytes)
    write_json(run / "result.json", result)
    return Trained(run=run, adapter=done.adapter, entry=entry, **result)  # type: ignore[arg-type]


def _finished(run: Path) -> Trained:
    return Trained(
        run=run, adapter=run / "adapter", entry=catalog.register(run / "adapter"), **read_json(run / "result.json")
    )


def _new_run(asked: Asked, prepared: Prepared) -> Path:
    name = asked.recipe.domain or Path(prepared.corpus.request.train).stem
    stem = Path("runs") / f"{name}-{datetime.now():%Y%m%d-%H%M%S}"
    candidates = [stem, *(stem.with_name(f"{stem.name}-{i}") for i in range(2, 100))]
    return next(path for path in candidates if not path.exists())


# -- evaluate and chat


def evaluate(target: str, data: Path | None = None, observer: Observer = ignore) -> Evaluation:
    """All contestants on the same held-out rows: the run's own, or those of `data`.

    `target`: a run folder, an adapter folder, or a name in the catalogue.
    """
    folder = catalog.locate_adapter(target)
    record = _record(folder)
    rows = evaluation_rows(record, data)
    opened = _open(folder, record, observer)

    from rankwise.evaluate.run import Contest
    from rankwise.evaluate.task import Task

    task = Task(record.task.labels, record.task.assistant_turns, record.task.scorer)
    rows = as_trained(rows, record, opened.renderer)
    result = Contest(opened, task, record.data.seed, observer).run(rows)
    if data is None and (folder.parent / "plan.json").is_file():
        write_json(folder.parent / "evaluation.json", result.as_json())
    if data is None:
        catalog.add_metrics(folder, json.loads(json.dumps(result.metrics())))
    return result


def _record(folder: Path) -> AdapterRecord:
    record = read_adapter(folder).record
    if record is None:
        raise AdapterError(f"{folder}: no rankwise.json, so its base and its rows are unknown; was it made elsewhere?")
    return record


def _open(folder: Path, record: AdapterRecord, observer: Observer) -> OpenAdapter:
    try:
        made = Plan.model_validate(record.plan)
        model, bf16 = str(made["model"]), made["training.bf16"]
    except (ValueError, KeyError) as fault:
        raise AdapterError(
            f"{folder}: the plan in its rankwise.json cannot be read ({fault}); was it edited?"
        ) from None
    base = fetch_base(locate_base(model, Path.cwd()), observer)
    from rankwise.model.open import open_adapter

    device = read_machine().device
    return open_adapter(folder, base, "bfloat16" if bf16 else "float32", device)


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
        self.record = _record(folder)
        self._opened = _open(folder, self.record, observer)

    def ask(self, text: str) -> dict[str, Reply]:
        """Both answers to one prompt, asked as the adapter's training rows were: system message, instruction, tools.

        Raises DataError if it is longer than the base takes.
        """
        with self._opened.base_alone():
            base = self._answer(text)
        return {"base": base, "adapter": self._answer(text)}

    def _answer(self, text: str) -> Reply:
        from rankwise.evaluate.task import ask

        opened, began = self._opened, time.perf_counter()
        answer = ask(opened.model, opened.renderer, self.record.task, text, opened.max_length)
        return Reply(answer.text, answer.probability, time.perf_counter() - began)


def chat(target: str, observer: Observer = ignore) -> Conversation:
    """Load an adapter and its base for questions."""
    return Conversation(target, observer)


def selftest(model: str = "smollm2-135m", observer: Observer = ignore) -> SelfTest:
    """Try rankwise's promises of equality on `model` and this machine; takes minutes."""
    from rankwise.selftest.run import run_selftest

    return run_selftest(model, observer)
