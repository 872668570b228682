from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from importlib import metadata
from pathlib import Path

import pytest

from rankwise.facts.machine import Gpu, Measurement, load_measurement, read_machine, save_measurement

BASE = "sha256:" + "ab" * 32


def measured(machine) -> Measurement:
    return Measurement(
        machine=machine.digest(),
        base=BASE,
        torch=metadata.version("torch"),
        threads=2,
        train_tokens_per_second={"float32": 700.0, "bfloat16": 900.0},
        forward_tokens_per_second={"float32": 2000.0, "bfloat16": 2500.0},
        load_seconds=1.5,
        measured_at="2026-01-01T00:00:00Z",
    )


def test_the_machine_is_read():
    machine = read_machine()
    assert machine.cpu and machine.platform
    assert machine.usable_cores >= 1
    assert machine.physical_cores >= 1
    assert machine.memory_bytes > 1 << 28
    assert machine.python == ".".join(map(str, sys.version_info[:3]))
    assert machine.versions["torch"] == metadata.version("torch")
    assert read_machine().digest() == machine.digest()


@pytest.mark.parametrize(("visible", "seen"), [(None, True), ("0", True), ("", False), ("-1", False), (" -1 ", False)])
def test_hidden_gpus_are_not_there(
    visible: str | None, seen: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    listing = tmp_path / "nvidia-smi"
    listing.write_text("#!/bin/sh\necho 'A GPU, 1024'\n")
    listing.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    if visible is not None:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    machine = read_machine()
    assert machine.gpus == ((Gpu("A GPU", 1 << 30),) if seen else ())
    assert replace(machine, versions={"torch": "2.13.0"}).device == ("cuda" if seen else "cpu")


def test_a_measurement_is_kept_for_its_base_machine_and_torch():
    machine = read_machine()
    assert load_measurement(BASE, machine) is None
    one = measured(machine)
    path = save_measurement(one)
    assert load_measurement(BASE, machine) == one
    assert one.fastest_dtype == "bfloat16"
    assert load_measurement("sha256:" + "cd" * 32, machine) is None
    assert load_measurement(BASE, replace(machine, usable_cores=machine.usable_cores + 1)) is None
    assert load_measurement(BASE, replace(machine, versions={"torch": "0.1"})) is None
    path.write_text("{")
    assert load_measurement(BASE, machine) is None


def test_facts_and_catalogue_start_without_heavy_imports():
    modules = "base, machine, adapter, verify, embedded"
    code = (
        f"import sys; from rankwise.facts import {modules}; from rankwise.catalog import store, card;"
        "heavy = {'torch', 'transformers', 'peft', 'numpy', 'sqlalchemy', 'safetensors'} & set(sys.modules);"
        "print(*heavy)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert (done.returncode, done.stdout.strip(), done.stderr) == (0, "", "")
