"""A signal ends a run with 128 + its number, after a committed checkpoint; the run then goes on."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from rankwise.events import read_events

PROGRAM_SECONDS = 120


def wait_for_steps(events: Path, process: subprocess.Popen[str]) -> None:
    deadline = time.monotonic() + PROGRAM_SECONDS
    while time.monotonic() < deadline and process.poll() is None:
        if events.is_file() and any(event["event"] == "step" for event in read_events(events)):
            return
        time.sleep(0.05)
    raise AssertionError(f"no step was taken; exit code {process.poll()}")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_stops_a_run_that_then_goes_on(cli, home: Path, project: Path, tmp_path: Path, number: signal.Signals):
    run = tmp_path / "run"
    program = str(Path(sys.executable).with_name("rankwise"))
    settings = (
        "--set",
        "training.max_steps=150",
        "--set",
        "training.eval_steps=75",
        "--set",
        "training.save_steps=75",
    )
    with subprocess.Popen(
        [program, "train", "recipe.yaml", "--output", str(run), *settings, "--json"],
        cwd=project,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "RANKWISE_HOME": str(home), "OMP_NUM_THREADS": "1"},
    ) as process:
        wait_for_steps(run / "events.jsonl", process)
        process.send_signal(number)
        out, err = process.communicate(timeout=PROGRAM_SECONDS)
    assert process.returncode == 128 + number, err
    assert "Traceback" not in err
    assert json.loads(out) == {"run": str(run), "stopped": number.name}
    assert f"rankwise train --resume {run}" in err
    assert not (run / "adapter").exists()

    result = cli("train", "--resume", run, "--json", cwd=project)
    assert result.code == 0, result.err
    assert result.json["steps"] == 150
