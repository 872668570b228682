"""The weights of an architecture without a closed form, from transformers' own model on the meta device.

That needs torch, so it runs in a process of its own: `python -m rankwise.model.walk FOLDER`.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rankwise.facts.folder import base_error
from rankwise.facts.header import Weight
from rankwise.files import write_json

SECONDS = 180
"""Most time the walk may take: it imports torch, which a busy machine does slowly."""


@dataclass(frozen=True)
class Walked:
    weights: tuple[Weight, ...]
    """A tied weight once."""
    linear: frozenset[str]
    """Paths of all linear layers."""
    transposed: frozenset[str]
    """Of them, those whose weight lies as (in, out)."""


def walk_on_meta(path: Path, config: Mapping[str, Any]) -> Walked:
    """The weights that transformers would build for `config`, the one of the base in `path` or what it becomes for a
    task. Raises BaseError."""
    try:
        with tempfile.TemporaryDirectory(prefix="rankwise-shapes-") as folder:
            write_json(Path(folder) / "config.json", dict(config))
            command = [sys.executable, "-P", "-m", "rankwise.model.walk", folder]
            done = subprocess.run(command, capture_output=True, text=True, timeout=SECONDS)
        told = json.loads(done.stdout.strip().rpartition("\n")[2])
    except subprocess.TimeoutExpired:
        told = {"error": f"its architecture took more than {SECONDS} seconds to build"}
    except ValueError:
        last = (done.stderr.strip().splitlines() or ["it said nothing"])[-1]
        told = {"error": f"building its architecture stopped with exit code {done.returncode}: {last}"}
    if "error" in told:
        advice = "give the folder with its safetensors files, whose headers say the shapes"
        raise base_error(
            "base-unreadable", path, f"no weight files, and from config.json alone {told['error']}; {advice}"
        )
    weights = tuple(Weight(name, dtype, tuple(shape)) for name, dtype, shape in told["weights"])
    return Walked(weights, frozenset(told["linear"]), frozenset(told["transposed"]))
