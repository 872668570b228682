"""What would stop a run later, said before a second of training is spent."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from rankwise.errors import Problem
from rankwise.plan.plan import Plan


def preflight(plan: Plan, run: Path, home: Path) -> tuple[Problem, ...]:
    """Every reason why this run cannot leave its files behind: folders that cannot be written, too little disk.

    `run`: the run's folder, there or not; what its checkpoints take already is not asked for again.
    `home`: RANKWISE_HOME, where the catalogue's copy goes.
    """
    problems: list[Problem] = []
    needed = plan.on_disk()
    by_device: dict[int, tuple[int, list[Path]]] = {}
    for folder, size in ((run, max(0, needed.run - _bytes_in(run / "checkpoints"))), (home, needed.catalogue)):
        there = _nearest(folder)
        if not there.is_dir() or not os.access(there, os.W_OK | os.X_OK):
            message = (
                f"{there} cannot be written to; give another --output"
                if folder is run
                else (f"{there} cannot be written to; point RANKWISE_HOME elsewhere")
            )
            problems.append(Problem("error", "not-writable", str(folder), message))
            continue
        device = there.stat().st_dev
        so_far, folders = by_device.get(device, (0, []))
        by_device[device] = (so_far + size, [*folders, folder])
    for size, folders in by_device.values():
        free = shutil.disk_usage(_nearest(folders[0])).free
        if free < size:
            message = (
                f"{free / 1e6:,.0f} MB free where about {size / 1e6:,.0f} MB are needed: two checkpoints, the best "
                "weights and the adapter; make room, or lower lora.r"
            )
            problems.append(Problem("error", "disk-full", ", ".join(map(str, folders)), message))
    return tuple(problems)


def _bytes_in(folder: Path) -> int:
    return sum(file.stat().st_size for file in folder.glob("step-*/*"))


def _nearest(folder: Path) -> Path:
    """The folder itself, or the nearest parent that is there."""
    folder = folder.absolute()
    return next(path for path in (folder, *folder.parents) if path.exists())
