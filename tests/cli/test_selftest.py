"""`rankwise selftest`: a table, one JSON object, and the exit code of a check that says no."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

PLANTED = """
import sys
from rankwise.selftest import gradients

sound = gradients.attach_new

def attach(base, name, lora, seed):
    adapted = sound(base, name, lora, seed)
    tensor = next(p for name, p in adapted.named_parameters() if "lora_B" in name)
    tensor.register_hook(lambda gradient: 1.01 * gradient)
    return adapted

gradients.attach_new = attach
from rankwise.cli import app
app(sys.argv[1:])
"""


def test_a_sound_build_ends_well(cli, tiny_base: Path, tmp_path: Path):
    done = cli("selftest", tiny_base, "--json", cwd=tmp_path)
    assert done.code == 0, done.err
    assert done.json["ok"] is True and done.json["model"] == tiny_base.name
    assert len(done.json["checks"]) >= 13
    assert all(check["difference"] <= check["tolerance"] for check in done.json["checks"])
    assert "selftest" in done.err  # progress
    assert not list(tmp_path.iterdir())


def test_a_relative_folder_and_the_table(cli, tiny_base: Path):
    done = cli("selftest", f"./{tiny_base.name}", cwd=tiny_base.parent)
    assert done.code == 0, done.err
    assert "all 7 promises hold" in done.out
    assert "resumed = never stopped" in done.out


def test_a_planted_fault_is_exit_code_1(tiny_base: Path, home: Path, tmp_path: Path):
    done = subprocess.run(
        [sys.executable, "-c", PLANTED, "selftest", str(tiny_base), "--json"],
        cwd=tmp_path,
        env={**os.environ, "RANKWISE_HOME": str(home)},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 1, done.stderr
    answer = json.loads(done.stdout)
    broken = {check["promise"] for check in answer["checks"] if not check["ok"]}
    assert answer["ok"] is False and "our LoRA layers = PEFT's own" in broken


def test_an_unknown_base_is_exit_code_2(cli, tmp_path: Path):
    done = cli("selftest", "smollm-135m", "--json", cwd=tmp_path)
    assert done.code == 2
    assert done.codes == ["unknown-base"]
