"""What is measured before a run, each in a process of its own: this machine's speed on a base, and a rehearsal.

Both are kept under RANKWISE_HOME, so that the same recipe plans alike, and cost their time once.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from rankwise.errors import PlanError
from rankwise.events import Observer
from rankwise.facts import Measurement, identify_base, load_measurement, read_machine, save_measurement
from rankwise.facts.counts import UNATTACHED
from rankwise.files import home, read_json, sha256_json, write_json
from rankwise.plan import Plan, Prepared
from rankwise.plan.rehearsal import Rehearsal

REHEARSAL_SECONDS = 30.0
"""Spent on steps; loading, one evaluation and one checkpoint come on top."""


def measure_speed(prepared: Prepared, observer: Observer) -> Measurement | None:
    """The machine's speed on this base: as kept, else measured now.

    None if no dtype can be measured, or there is nothing that could be run: no weights, no causal base.
    """
    if prepared.anatomy.source != "headers" or prepared.anatomy.kind != "causal":
        return None
    machine, identity = read_machine(), identify_base(prepared.path)
    known = load_measurement(identity.weights, machine)
    if known is not None:
        return known
    observer({"event": "measure", "time": time.time(), "stage": "speed of this machine on this base, once"})
    targets = prepared.anatomy.resolve_targets("all-linear").modules
    results, failed = _run("rankwise.model.probe", str(prepared.path), *targets)
    if failed:
        told = "".join(f", after {result['dtype']} was measured" for result in results)
        observer({"event": "measure", "time": time.time(), "stage": f"failed: {failed}{told}"})
    if not results:
        return None
    measured = Measurement(
        machine=machine.digest(),
        base=identity.weights,
        torch=machine.versions["torch"],
        measured_at=datetime.now(UTC).isoformat(timespec="seconds"),
        threads=results[0]["threads"],
        load_seconds=max(result["load_seconds"] for result in results),
        train_tokens_per_second={result["dtype"]: result["train_tokens_per_second"] for result in results},
        forward_tokens_per_second={result["dtype"]: result["forward_tokens_per_second"] for result in results},
    )
    save_measurement(measured)
    return measured


def rehearse(plan: Plan, prepared: Prepared, observer: Observer) -> Rehearsal:
    """The run's worst step, some of its steps, a held-out evaluation and a checkpoint, timed now.

    Raises PlanError with the reason if the run could not even be rehearsed: it would not have ended better.
    """
    if plan["objective"] != "sft":
        raise PlanError(
            f"only supervised steps can be rehearsed, and objective is {plan['objective']}; plan without --measure"
        )
    if plan["method"] in UNATTACHED:
        raise PlanError(f"a rehearsal times steps, and method {plan['method']} takes none; plan without --measure")
    observer({"event": "measure", "time": time.time(), "stage": "a rehearsal of this run, about a minute"})
    with tempfile.TemporaryDirectory(prefix="rankwise-rehearsal-") as folder:
        write_json(Path(folder) / "plan.json", plan.as_json())
        write_json(Path(folder) / "data.json", prepared.corpus.request.as_json())
        results, failed = _run("rankwise.train.rehearse", folder, str(prepared.path), str(REHEARSAL_SECONDS))
    if failed or not results:
        raise PlanError(f"the run could not be rehearsed: {failed}; what failed there would have failed in training")
    rehearsal = Rehearsal(**results[0])
    write_json(_rehearsal_path(plan, prepared), asdict(rehearsal))
    return rehearsal


def known_rehearsal(plan: Plan, prepared: Prepared) -> Rehearsal | None:
    """A rehearsal of this very plan, rows and base on this machine, made earlier."""
    if prepared.anatomy.source != "headers":
        return None
    try:
        return Rehearsal(**read_json(_rehearsal_path(plan, prepared)))
    except (OSError, ValueError, TypeError):
        return None


def _rehearsal_path(plan: Plan, prepared: Prepared) -> Path:
    corpus, machine = prepared.corpus, read_machine()
    parts = (
        plan.digest(),
        corpus.train_sha256,
        corpus.held_out_sha256,
        identify_base(prepared.path).weights,
        machine.digest(),
        dict(machine.versions),
    )
    return home() / "machine" / "rehearsals" / f"{sha256_json(parts)[:16]}.json"


def _run(module: str, *arguments: str) -> tuple[list[dict[str, Any]], str]:
    """The JSON objects that `python -m module` printed, one a line, and why it ended early if it did."""
    done = subprocess.run([sys.executable, "-m", module, *arguments], capture_output=True, text=True)
    # What was measured before a kill counts; a torn line does not.
    results = [json.loads(line) for line in done.stdout.splitlines() if line.endswith("}")]
    if done.returncode == 0 and results:
        return results, ""
    lines = done.stderr.strip().splitlines()
    return results, lines[-1] if done.returncode > 0 and lines else f"it ended with {done.returncode}"
