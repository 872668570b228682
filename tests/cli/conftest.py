"""The program as a user starts it, and one small trained run that several tests look at."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

PROGRAM = Path(sys.executable).with_name("rankwise")
RISKS = ("low", "medium", "high")


@dataclass(frozen=True)
class Result:
    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """Standard output, all of it, as JSON."""
        return json.loads(self.out)

    @property
    def codes(self) -> list[str]:
        """The codes of the problems in the JSON on standard output."""
        return [problem["code"] for problem in self.json["problems"]]


Cli = Callable[..., Result]


@pytest.fixture(scope="session")
def cli(home: Path) -> Cli:
    """Run `rankwise` with these arguments in a folder; a traceback fails the test."""

    def run(*arguments: object, cwd: Path, stdin: str = "", timeout: float = 300, **environment: str) -> Result:
        done = subprocess.run(
            [PROGRAM, *map(str, arguments)],
            cwd=cwd,
            input=stdin,
            capture_output=True,
            text=True,
            encoding="utf-8",
            timeout=timeout,
            env={**os.environ, "RANKWISE_HOME": str(home), "OMP_NUM_THREADS": "1", **environment},
        )
        assert "Traceback" not in done.stderr, done.stderr
        return Result(done.returncode, done.stdout, done.stderr)

    return run


def write_rows(path: Path, count: int, start: int = 0) -> None:
    """Label rows that no two of are equal."""
    rows = [
        {"text": f"clause {i} about payment, notice and the {word} risk of part {i % 7}", "label": word}
        for i in range(start, start + count)
        for word in [RISKS[i % 3]]
    ]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")


@pytest.fixture(scope="session")
def project(tmp_path_factory: pytest.TempPathFactory, tiny_base: Path) -> Path:
    """A user's folder: recipe.yaml, train.jsonl and test.jsonl, on the tiny base, four steps long."""
    folder = tmp_path_factory.mktemp("project")
    write_rows(folder / "train.jsonl", 48)
    write_rows(folder / "test.jsonl", 12, start=100)
    (folder / "recipe.yaml").write_text(
        f"""\
model: {json.dumps(str(tiny_base))}
data:
  train: train.jsonl
  held_out: test.jsonl
lora:
  r: 2
training:
  max_steps: 4
  per_device_train_batch_size: 4
  gradient_accumulation_steps: 1
"""
    )
    return folder


@pytest.fixture(scope="session")
def trained(cli: Cli, project: Path) -> dict[str, Any]:
    """What `rankwise train recipe.yaml --output run --json` answered."""
    result = cli("train", "recipe.yaml", "--output", "run", "--json", cwd=project)
    assert result.code == 0, result.err
    answer: dict[str, Any] = result.json
    return answer
