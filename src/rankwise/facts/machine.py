"""The machine: what it has, and how fast a base was measured to run on it. No torch is imported."""

from __future__ import annotations

import os
import platform
import re
import shutil
import subprocess
import sys
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, fields
from importlib import metadata
from pathlib import Path

from rankwise.files import home, read_json, sha256_json, write_json

PACKAGES = ("rankwise", "torch", "transformers", "peft", "tokenizers", "safetensors", "numpy")
FAST_FORMATS = ("avx2", "fma", "f16c", "avx512f", "avx512_vnni", "avx512_bf16", "amx_tile", "amx_bf16", "asimd", "bf16")
"""Processor flags that decide how fast float32 and bfloat16 run."""


@dataclass(frozen=True)
class Gpu:
    name: str
    memory_bytes: int


@dataclass(frozen=True)
class Machine:
    cpu: str
    physical_cores: int
    usable_cores: int
    """Cores this process may use: affinity and container quota, whole ones."""
    memory_bytes: int
    """What this process may use: the container's limit where there is one."""
    cpu_flags: tuple[str, ...]
    gpus: tuple[Gpu, ...]
    platform: str
    python: str
    versions: Mapping[str, str]
    """Package -> version, of those installed."""

    @property
    def device(self) -> str:
        """torch's name of where models run: `cuda` if there is a GPU and torch is not a CPU-only build."""
        return "cuda" if self.gpus and not self.versions.get("torch", "").endswith("+cpu") else "cpu"

    @property
    def training_bytes(self) -> int:
        """Memory that training may use: the first GPU's where models run there, else the main memory."""
        return self.gpus[0].memory_bytes if self.device == "cuda" else self.memory_bytes

    def digest(self) -> str:
        """Names the hardware and the share of it in use, not the software; 12 hex digits."""
        parts = (self.cpu, self.physical_cores, self.usable_cores, self.cpu_flags, [asdict(gpu) for gpu in self.gpus])
        return sha256_json(parts)[:12]

    def as_json(self) -> dict[str, object]:
        return asdict(self)


@dataclass(frozen=True)
class Measurement:
    """How fast one base runs on one machine with one torch."""

    machine: str
    """`Machine.digest()`."""
    base: str
    """`BaseIdentity.weights`."""
    torch: str
    threads: int
    train_tokens_per_second: Mapping[str, float]
    """dtype of the frozen base (`float32`, `bfloat16`) -> tokens of forward, backward and step a second.

    At least one; a dtype in which the base does not fit is absent."""
    forward_tokens_per_second: Mapping[str, float]
    """dtype -> tokens of forward alone a second."""
    load_seconds: float
    measured_at: str
    """UTC, ISO 8601."""

    @property
    def fastest_dtype(self) -> str:
        """The dtype in which training is fastest."""
        return max(self.train_tokens_per_second, key=self.train_tokens_per_second.__getitem__)


def read_machine() -> Machine:
    """The machine this process runs on; takes milliseconds, and a little longer where nvidia-smi answers."""
    cpu, cores, flags = _processor()
    return Machine(
        cpu=cpu,
        physical_cores=cores,
        usable_cores=_usable_cores(),
        memory_bytes=_memory_bytes(),
        cpu_flags=flags,
        gpus=_gpus(),
        platform=platform.platform(),
        python=platform.python_version(),
        versions=package_versions(),
    )


def package_versions() -> dict[str, str]:
    """Installed version of every package of PACKAGES, read without importing it."""
    versions = {}
    for package in PACKAGES:
        with suppress(metadata.PackageNotFoundError):
            versions[package] = metadata.version(package)
    return versions


def load_measurement(base: str, machine: Machine) -> Measurement | None:
    """What was measured for the base with weights digest `base` on `machine` with the installed torch, or None."""
    try:
        stored = read_json(_measurement_path(base, machine.digest()))
        measured = Measurement(**{field.name: stored[field.name] for field in fields(Measurement)})
    except (OSError, ValueError, KeyError, TypeError):
        return None
    wanted = (base, machine.digest(), machine.versions.get("torch"))
    if (measured.base, measured.machine, measured.torch) != wanted or not measured.train_tokens_per_second:
        return None
    return measured


def save_measurement(measured: Measurement) -> Path:
    """Keep a measurement under RANKWISE_HOME for later plans; an older one of the same base and machine is replaced."""
    path = _measurement_path(measured.base, measured.machine)
    write_json(path, asdict(measured))
    return path


def _measurement_path(base: str, machine: str) -> Path:
    return home() / "machine" / f"{machine}-{base.removeprefix('sha256:')[:12]}.json"


def _processor() -> tuple[str, int, tuple[str, ...]]:
    """Model name, physical cores, and those of FAST_FORMATS it has."""
    info = _read(Path("/proc/cpuinfo"))
    if not info and sys.platform == "darwin":
        name, cores = _output("sysctl", "-n", "machdep.cpu.brand_string"), _output("sysctl", "-n", "hw.physicalcpu")
        return name or platform.machine(), int(cores or os.cpu_count() or 1), ()
    name = re.search(r"^model name\s*: (.+)$", info, re.MULTILINE)
    flags = re.search(r"^(?:flags|Features)\s*: (.+)$", info, re.MULTILINE)
    sockets = re.findall(r"^physical id\s*: (\d+)$", info, re.MULTILINE)
    cores = len(set(zip(sockets, re.findall(r"^core id\s*: (\d+)$", info, re.MULTILINE), strict=False)))
    have = set(flags[1].split()) if flags else set()
    return (
        name[1] if name else platform.processor() or platform.machine(),
        cores or os.cpu_count() or 1,
        tuple(flag for flag in FAST_FORMATS if flag in have),
    )


def _usable_cores() -> int:
    count = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    quota, _, period = _read(Path("/sys/fs/cgroup/cpu.max")).strip().partition(" ")
    if quota.isdigit() and period.isdigit():
        count = min(count, max(1, int(quota) // int(period)))
    return count


def _memory_bytes() -> int:
    total = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    limit = _read(Path("/sys/fs/cgroup/memory.max")).strip()
    return min(total, int(limit)) if limit.isdigit() else total


def _gpus() -> tuple[Gpu, ...]:
    """The GPUs that are there, none if CUDA_VISIBLE_DEVICES hides them all."""
    hidden = os.environ.get("CUDA_VISIBLE_DEVICES", "all").strip() in ("", "-1")
    if hidden or shutil.which("nvidia-smi") is None:
        return ()
    listing = _output("nvidia-smi", "--query-gpu=name,memory.total", "--format=csv,noheader,nounits")
    rows = (line.rpartition(",") for line in listing.splitlines())
    return tuple(Gpu(name.strip(), int(mib) << 20) for name, _, mib in rows if mib.strip().isdigit())


def _read(path: Path) -> str:
    try:
        return path.read_text()
    except OSError:
        return ""


def _output(*command: str) -> str:
    try:
        return subprocess.run(command, capture_output=True, text=True, timeout=5, check=True).stdout.strip()
    except (OSError, subprocess.SubprocessError):
        return ""
