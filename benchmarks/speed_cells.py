"""One measurement of the speed benchmark, in a process of its own, and the file that remembers those that are done."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from rankwise.facts import read_machine

HERE = Path(__file__).parent
SCRIPTS = {"render": "peer_trl.py", "peer": "peer_trl.py", "ours": "speed_ours.py", "bound": "speed_bound.py"}
OWN_SOURCES = ("data", "model", "train")
"""Rooms of the package that decide what our side measures."""


@dataclass(frozen=True)
class Cell:
    """What is measured; two cells with equal fields on one machine and one source are one measurement."""

    case: str
    side: str
    dtype: str
    round: int
    steps: int
    rows: int
    """Of one optimizer step."""
    r: int = 16
    batch: int = 0
    """Of the peer: rows of one forward pass."""
    quantization: str = "none"


def micro_batch(rows: int, longest: int, most_tokens: int) -> int:
    """The largest power-of-two share of `rows` whose padded batch has at most so many tokens."""
    batch = rows
    while batch > 1 and batch % 2 == 0 and batch * longest > most_tokens:
        batch //= 2
    return batch


class Cells:
    """Runs cells, and keeps each result as one JSON line as soon as it is there, so that a killed run goes on."""

    def __init__(self, folder: Path, base: Path, peer: str | None, fresh: bool) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._folder, self._base, self._peer = folder, base, peer
        self._file = folder / "speed.jsonl"
        if fresh:
            self._file.unlink(missing_ok=True)
        self._machine = read_machine().digest()
        self._sources = {side: _digest([HERE / script, *_package(side)]) for side, script in SCRIPTS.items()}
        self._known: dict[str, Any] = {}
        if self._file.is_file():
            for line in self._file.read_text(encoding="utf-8").splitlines():
                try:
                    kept = json.loads(line)
                except ValueError:  # torn by a kill
                    continue
                self._known[kept["key"]] = kept["result"]

    def run(self, cell: Cell, file: Path) -> Any:
        """The cell's result on the rows of `file`: conversations for the peer, rendered rows for all else."""
        told = f"{cell.case} {cell.side} {cell.dtype} round {cell.round} ({cell.steps} x {cell.rows} rows, r={cell.r})"
        key = json.dumps([asdict(cell), self._machine, self._sources[cell.side], _digest([file])])
        if key in self._known:
            print(f"{told}: done before", file=sys.stderr, flush=True)
            return self._known[key]
        print(told, file=sys.stderr, flush=True)
        result = self._measure(cell, file)
        with self._file.open("a", encoding="utf-8") as kept:
            kept.write(json.dumps({"key": key, "result": result}) + "\n")
        self._known[key] = result
        return result

    def _measure(self, cell: Cell, file: Path) -> Any:
        own = cell.side in ("ours", "bound")
        python = sys.executable if own else self._peer
        assert python is not None
        command = [python, str(HERE / SCRIPTS[cell.side]), str(self._base), str(file)]
        if cell.side == "render":
            command.append("--render")
        elif cell.side == "peer":
            command += ["--steps", str(cell.steps), "--batch", str(cell.batch), "--dtype", cell.dtype]
            command += ["--accumulate", str(cell.rows // cell.batch), "--quantization", cell.quantization]
        else:
            command += ["--rows", str(cell.rows), "--dtype", cell.dtype, "--r", str(cell.r)]
            if cell.side == "ours":
                command += ["--steps", str(cell.steps), "--quantization", cell.quantization]
        environment = {**os.environ, "HF_HUB_OFFLINE": "1", "TRANSFORMERS_VERBOSITY": "error"}
        if not own:
            environment.pop("PYTHONPATH", None)  # of another environment's packages
        done = subprocess.run(command, capture_output=True, text=True, env=environment, cwd=self._folder)
        if done.returncode != 0:
            told = "\n".join(done.stderr.strip().splitlines()[-12:])
            sys.exit(
                f"{' '.join(command)}\nended with {done.returncode} (-9: killed, often for want of memory)\n{told}"
            )
        return json.loads(done.stdout.strip().splitlines()[-1])


def find_peer(named: str | None) -> tuple[str | None, str]:
    """A Python that has trl, and where there is none, why."""
    candidates = (
        [str(Path(named).absolute())]
        if named
        else [sys.executable, str(HERE.parent / ".cache" / "peer" / "bin" / "python")]
    )
    for python in candidates:
        try:
            found = subprocess.run([python, "-c", "import trl, peft, datasets"], capture_output=True)
        except OSError:
            continue
        if found.returncode == 0:
            return python, ""
    return None, f"no trl in {' or '.join(candidates)}; make evidence-speed installs it, --peer names another Python"


def _package(side: str) -> list[Path]:
    if side not in ("ours", "bound"):
        return []
    package = HERE.parent / "src" / "rankwise"
    return sorted(file for room in OWN_SOURCES for file in (package / room).rglob("*.py"))


def _digest(files: list[Path]) -> str:
    whole = hashlib.sha256()
    for file in files:
        whole.update(file.read_bytes())
    return whole.hexdigest()[:16]
