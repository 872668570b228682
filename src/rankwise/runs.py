"""Runs: a recipe begun, a stopped run taken up again, each to a catalogued adapter.

One process at a time is at work in a run folder. What is in it when that process ends, however it ends, is enough for
another to go on: the plan comes last of what a run begins with, result.json last of all.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from rankwise import catalog
from rankwise.data.corpus import Corpus, CorpusRequest, build_corpus
from rankwise.data.plain import make_renderer
from rankwise.errors import Problem, RankwiseError, RunError, raise_if_errors
from rankwise.events import Observer, ignore
from rankwise.facts import (
    Located,
    adapter_digest,
    fetch_base,
    identify_base,
    locate_base,
    read_adapter,
    read_anatomy,
    read_machine,
)
from rankwise.facts.lock import LOCK, owned
from rankwise.files import clear_drafts, home, is_disk_full, read_json, write_json, write_text
from rankwise.measure import known_rehearsal, measure_speed
from rankwise.plan import Plan, Prepared, advise, prepare
from rankwise.plan.measured import with_rehearsal
from rankwise.plan.objective import require_trl
from rankwise.plan.preflight import preflight
from rankwise.plan.rehearsal import score
from rankwise.recipe import Asked
from rankwise.signals import Interrupted

BEGUN_WITH = ("recipe.yaml", "data.json", "digests.json", "plan.json")
"""In the order in which they are written: with the plan, the folder is a run that can be resumed."""
RUN_FILES = (*BEGUN_WITH, "events.jsonl", "checkpoints", "adapter", "result.json")
"""What a run writes into its folder, and would overwrite or go on from."""


class Stopped(RankwiseError):
    """A signal ended a run; all up to its last completed step is committed."""

    def __init__(self, signal: int, run: Path) -> None:
        self.signal, self.run = signal, run
        super().__init__(f"stopped by signal {signal}; go on with: rankwise train --resume {run}")


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
    """Of the weights kept: loss in nats, and in bits, per supervised token or, of a classifier, per row; and the step
    they are from."""
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
    with _at_work(run, made):
        _require_room_for_run(run)  # again: another process may have begun one here meanwhile
        clear_drafts(run, RUN_FILES.__contains__)
        content = {
            "data.json": prepared.corpus.request.as_json(),
            "digests.json": _digests(made, prepared.corpus, prepared.path),
            "plan.json": made.as_json(),
        }
        write_text(run / "recipe.yaml", _with_overrides(asked))
        for name in BEGUN_WITH[1:]:
            write_json(run / name, content[name])
        return _execute(run, made, prepared.located, prepared.path, prepared.corpus, observer, resume=False)


def _require_room_for_run(output: Path) -> None:
    if (output / "plan.json").exists():
        raise RunError(f"{output} holds a run already; resume it (--resume {output}) or give another --output")
    taken = _run_files(output)
    if taken and not _killed_at_its_start(output):
        raise RunError(f"{output} holds {', '.join(taken)}, which the run would overwrite; give another --output")


def _run_files(folder: Path) -> list[str]:
    return [name for name in RUN_FILES if (folder / name).exists()]


def _killed_at_its_start(run: Path) -> bool:
    """Whether a process that took the folder for its run ended before it had written the plan."""
    return (run / LOCK).exists() and set(_run_files(run)) <= set(BEGUN_WITH[:-1])


def _with_overrides(asked: Asked) -> str:
    """The recipe as written, and below it the overrides it was run with, as comments."""
    overrides = [where for where in dict.fromkeys(asked.lines.values()) if where.startswith("--set")]
    comments = [f"# {line}" for where in overrides for line in where.splitlines()]
    return "\n".join([asked.text.removesuffix("\n"), *comments, ""]) if comments else asked.text


def resume(run: Path, observer: Observer = ignore) -> Trained:
    """Go on with a stopped run from its newest sound checkpoint; a finished one is returned as it is."""
    made, request, recorded = _begun(run)
    if (run / "result.json").is_file():
        return _finished(run)
    require_trl(str(made["objective"]), str(run))
    with _at_work(run, made):
        if (run / "result.json").is_file():
            return _finished(run)  # by another process, since
        clear_drafts(run, RUN_FILES.__contains__)
        located = locate_base(str(made["model"]), Path.cwd())
        path = fetch_base(located, observer)
        anatomy = read_anatomy(path, located.name)
        corpus = build_corpus(request, make_renderer(path, anatomy.kind), anatomy.max_length)
        changed = [part for part, digest in _digests(made, corpus, path).items() if recorded.get(part) != digest]
        if changed:
            raise RunError(
                f"{run}: changed since it began: {', '.join(changed)}; it cannot go on as if it had not stopped. "
                "Put back what it was, or train anew"
            )
        raise_if_errors(RunError, preflight(made, run, home()))
        return _execute(run, made, located, path, corpus, observer, resume=True)


def _begun(run: Path) -> tuple[Plan, CorpusRequest, dict[str, str]]:
    """What a run was begun with."""
    try:
        made = Plan.model_validate(read_json(run / "plan.json"))
        return made, CorpusRequest(**read_json(run / "data.json")), dict(read_json(run / "digests.json"))
    except (OSError, ValueError, TypeError) as fault:
        if _killed_at_its_start(run):
            raise RunError(
                f"{run}: stopped before its plan was written, so there is nothing to go on with; "
                f"begin it again: rankwise train RECIPE --output {run}"
            ) from None
        raise RunError(
            f"{run}: not a run that can be resumed ({fault}); expected plan.json, data.json, digests.json"
        ) from None


@contextmanager
def _at_work(run: Path, made: Plan) -> Iterator[None]:
    """The run folder, made if need be, is this process's own for the block; what ends the block early is told in
    terms of the run."""
    try:
        run.mkdir(parents=True, exist_ok=True)
        with owned(run):
            yield
    except Interrupted as interrupted:
        if not (run / "plan.json").is_file():
            raise
        raise Stopped(interrupted.number, run) from None
    except Exception as fault:
        if is_disk_full(fault):
            raise _disk_full(run, made, fault) from None
        if isinstance(fault, OSError) and not (run / "plan.json").is_file():
            raise RunError(f"{run}: no run folder can be made there ({fault}); give another --output") from None
        raise


def _disk_full(run: Path, made: Plan, fault: Exception) -> RunError:
    needed = made.on_disk()
    places = {run: needed.checkpoint + needed.catalogue, home(): needed.catalogue}
    told = [
        f"{place} has {shutil.disk_usage(place).free / 1e6:,.1f} MB free and needs about {size / 1e6:,.1f} MB more"
        for place, size in places.items()
        if place.exists()
    ]
    message = (
        f"the disk is full ({str(fault).strip()}): {'; '.join(told)}. Free that much there, old runs' checkpoints say, "
        f"then: rankwise train --resume {run}. What was committed before is whole"
    )
    return RunError(problems=[Problem("error", "disk-full", str(run), message)])


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
    identity = identify_base(base)
    from rankwise.train.run import execute  # torch begins here
    from rankwise.train.settings import BaseFolder

    began = time.perf_counter()

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
            **_bits(record.metrics),
            **done.finished.metrics,
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


def _bits(metrics: Mapping[str, Any]) -> dict[str, Any]:
    """`bits_per_token`, or of a classifier `bits_per_row`."""
    own = "held_out_bits_"
    return {f"bits_{key.removeprefix(own)}": value for key, value in metrics.items() if key.startswith(own)}


def _finished(run: Path) -> Trained:
    return Trained(
        run=run, adapter=run / "adapter", entry=catalog.register(run / "adapter"), **read_json(run / "result.json")
    )


def _new_run(asked: Asked, prepared: Prepared) -> Path:
    name = asked.recipe.domain or Path(prepared.corpus.request.train).stem
    stem = Path("runs") / f"{name}-{datetime.now():%Y%m%d-%H%M%S}"
    candidates = [stem, *(stem.with_name(f"{stem.name}-{i}") for i in range(2, 100))]
    return next(path for path in candidates if not path.exists())
