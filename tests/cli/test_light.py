"""The light verbs: they answer at once, and import neither torch nor transformers."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

HEAVY = {"torch", "transformers", "peft"}
RUN_AND_TELL = """
import json, sys
from rankwise.cli import app
try:
    app(json.loads(sys.argv[1]))
except SystemExit as left:
    modules = sorted({name.partition(".")[0] for name in sys.modules})
    print(json.dumps({"code": left.code, "modules": modules}), file=sys.stderr)
"""


def modules_after(arguments: list[str], cwd: Path) -> set[str]:
    """The top-level modules that `rankwise ARGUMENTS` has imported when it ends well."""
    done = subprocess.run(
        [sys.executable, "-c", RUN_AND_TELL, json.dumps(arguments)],
        cwd=cwd,
        capture_output=True,
        text=True,
        timeout=300,
        check=True,
    )
    told = json.loads(done.stderr.splitlines()[-1])
    assert told["code"] in (0, None), done.stderr
    return set(told["modules"])


@pytest.mark.parametrize(
    "arguments",
    [
        ["--help"],
        ["train", "--help"],
        ["init", "--domain", "legal"],
        ["init", "--list", "--json"],
        ["init", "--preset", "question-answering", "--model", "base"],
        ["init", "--from", "guide.yaml", "--model", "base"],
        ["adapters", "list"],
        ["adapters", "rebuild"],
        ["models", "list"],
        ["check", "recipe.yaml"],
        ["check", "recipe.yaml", "--json"],
        ["plan", "recipe.yaml"],
        ["plan", "recipe.yaml", "--compare"],
        ["plan", "recipe.yaml", "--explain", "method", "--doctrine", "tinker"],
    ],
    ids=" ".join,
)
def test_imports_nothing_heavy(arguments: list[str], project: Path, tiny_base: Path):
    if not (project / "base").exists():
        (project / "base").symlink_to(tiny_base)
        (project / "guide.yaml").write_text("lora_rank: 4\napply_to: [attn.q_proj]\nlr_multiplier: 10\n")
    modules = modules_after(arguments, project)
    assert "rankwise" in modules
    assert modules & HEAVY == set()


def test_the_probe_sees_what_is_imported(project: Path):
    assert "torch" not in modules_after(["--help"], project)
    probe = RUN_AND_TELL.replace("import json, sys", "import json, sys, torch")
    done = subprocess.run([sys.executable, "-c", probe, '["--help"]'], capture_output=True, text=True, check=True)
    assert "torch" in json.loads(done.stderr.splitlines()[-1])["modules"]


def test_help_answers_in_time(tmp_path: Path):
    """0.3 s where nothing else runs; the bound is for busy machines, and still fails if torch is imported."""
    seconds = []
    for _ in range(3):
        began = time.monotonic()
        subprocess.run([Path(sys.executable).with_name("rankwise"), "--help"], check=True, stdout=subprocess.DEVNULL)
        seconds.append(time.monotonic() - began)
    assert min(seconds) < 2.5, seconds


def test_help_without_a_home(tmp_path: Path):
    environment = {k: v for k, v in os.environ.items() if k not in ("HOME", "RANKWISE_HOME")}
    program = Path(sys.executable).with_name("rankwise")
    assert subprocess.run([program, "--help"], env=environment, capture_output=True, check=True).stdout
