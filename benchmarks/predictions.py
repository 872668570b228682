"""What `rankwise plan --measure` says before a run, held against the run: writes docs/evidence/predictions.md.

    python benchmarks/predictions.py [--repeats N] [--seed N]

Three recipes on the embedded base, over bundled rows: labels with the default plan's batch, fields with long answers
and accumulation, and short steps without a shared prefix. About 15 minutes on 2 cores with one repeat.
"""

from __future__ import annotations

import argparse
import json
import platform
import subprocess
import sys
import tempfile
from datetime import date
from pathlib import Path
from typing import Any

from rankwise.facts import read_machine

RECIPES: dict[str, tuple[str, ...]] = {
    "legal": ("domain=legal", "training.max_steps=45"),
    "financial": (
        "domain=financial",
        "training.max_steps=30",
        "training.per_device_train_batch_size=8",
        "training.gradient_accumulation_steps=2",
    ),
    "healthcare": (
        "domain=healthcare",
        "training.max_steps=50",
        "training.per_device_train_batch_size=8",
        "shared_prefix=false",
        "lora.r=64",
        "training.eval_steps=25",
    ),
}
ALWAYS = ("training.early_stopping_patience=null",)
PAGE = Path("docs/evidence/predictions.md")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=1)
    parser.add_argument("--seed", type=int, default=0, help="of the first repeat")
    options = parser.parse_args()
    lines = []
    for repeat in range(options.seed, options.seed + options.repeats):
        for name, overrides in RECIPES.items():
            made = measure((*overrides, *ALWAYS, f"training.seed={repeat}"))
            lines.append(row(name, repeat, *made))
            print(lines[-1], flush=True)
    PAGE.write_text(page(lines, options), encoding="utf-8")


def measure(overrides: tuple[str, ...]) -> tuple[dict[str, Any], dict[str, Any]]:
    """(the measured plan, the run's own account of it)."""
    sets = [word for override in overrides for word in ("--set", override)]
    with tempfile.TemporaryDirectory() as folder:
        recipe = Path(folder) / "recipe.yaml"
        recipe.write_text("model: smollm2-135m\n")
        planned = answer("plan", str(recipe), *sets, "--measure")
        trained = answer("train", str(recipe), *sets, "--output", str(Path(folder) / "run"))
    return planned, trained


def answer(*arguments: str) -> Any:
    command = [sys.executable, "-m", "rankwise", *arguments, "--json"]
    return json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout)


def row(name: str, repeat: int, planned: dict[str, Any], trained: dict[str, Any]) -> str:
    said, scored = planned["prediction"], trained["prediction"]
    seconds, memory = scored["seconds"], scored["memory_bytes"]
    cells = [
        name,
        str(repeat),
        f"{said['steps_timed']} of {trained['steps']}",
        f"{seconds['predicted']:.0f} s ({said['seconds']['low']:.0f} to {said['seconds']['high']:.0f})",
        f"{seconds['actual']:.0f} s",
        f"{seconds['error']:+.1%}",
        f"{memory['predicted'] / 1e9:.2f} GB",
        f"{memory['actual'] / 1e9:.2f} GB",
        f"{memory['error']:+.1%}",
    ]
    return "| " + " | ".join(cells) + " |"


def page(rows: list[str], options: argparse.Namespace) -> str:
    machine = read_machine()
    versions = ", ".join(f"{name} {version}" for name, version in machine.versions.items())
    recipes = "\n".join(f"- {name}: `{' '.join((*sets, *ALWAYS))}`" for name, sets in RECIPES.items())
    table = "\n".join(rows)
    return f"""# Predictions

Made by `python benchmarks/predictions.py --repeats {options.repeats} --seed {options.seed}`:
`rankwise plan --measure`, then `rankwise train`, on the embedded base. Predicted is what the rehearsal said, with its
95% range; actual is the run's wall time from the base's loading to the adapter written, and its peak of resident
memory. The error is actual / predicted - 1.

{date.today()}; {machine.cpu}, {machine.usable_cores} cores, {machine.memory_bytes / 2**30:.0f} GiB,
{platform.system()}; {versions}. The machine is shared.

| recipe | seed | steps timed | predicted time | actual | error | predicted memory | actual | error |
|---|---|---|---|---|---|---|---|---|
{table}

The recipes:

{recipes}
"""


if __name__ == "__main__":
    main()
