"""Whole runs through `train.run.execute`: one killed and resumed, and two that never were, end in the same file."""

from __future__ import annotations

from pathlib import Path

from rankwise.events import Event, Observer, ignore
from rankwise.selftest.report import Check
from rankwise.selftest.sample import SAVE_STEPS, STEPS, Sample
from rankwise.train.run import execute

FILES = ("adapter_model.safetensors", "adapter_config.json")
"""What one seed fixes to the byte; rankwise.json beside them holds times."""
KILLED_AFTER = SAVE_STEPS + 1
"""Steps; the last of them is in no checkpoint, so it is done again."""


class _Killed(Exception):
    """The run ends here, without a chance to save."""


def train_through(sample: Sample, folder: Path) -> Path:
    """The adapter of a run that nothing stopped."""
    return _train(sample, folder, ignore, resume=False)


def train_killed(sample: Sample, folder: Path) -> Path:
    """The adapter of a run that was killed between two checkpoints and resumed."""

    def kill(event: Event) -> None:
        if event["event"] == "step" and event["step"] == KILLED_AFTER:
            raise _Killed

    try:
        _train(sample, folder, kill, resume=False)
    except _Killed:
        return _train(sample, folder, ignore, resume=True)
    raise AssertionError(f"a run of {STEPS} steps never reached step {KILLED_AFTER}")


def _train(sample: Sample, folder: Path, observer: Observer, resume: bool) -> Path:
    folder.mkdir(exist_ok=True)
    return execute(sample.plan, sample.corpus, sample.base, folder, observer, resume).adapter


def same_files(promise: str, ours: Path, theirs: Path, detail: str) -> Check:
    """Bytes that differ between two adapters, of the files that a seed fixes."""
    different = 0
    for name in FILES:
        one, other = (ours / name).read_bytes(), (theirs / name).read_bytes()
        different += abs(len(one) - len(other)) + sum(a != b for a, b in zip(one, other, strict=False))
    return Check(promise, "bytes of its files", different, 0, detail)
