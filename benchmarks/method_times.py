"""How long a step of each method takes, beside LoRA's: writes docs/evidence/method_times.md.

    python benchmarks/method_times.py ROWS [--rounds N] [--work DIR] [--fresh]

ROWS is a file of training rows (financial_phrasebank's train.jsonl). Each method is `rankwise train` by the default
plan for a few steps on the embedded base, all methods in turn and then again; LoRA runs first and last in each round,
so that a machine that slows down is seen. What is finished is kept in --work. plan/estimate's TIMES are these ratios.
"""

from __future__ import annotations

import argparse
import json
import platform
import shutil
import subprocess
import sys
from datetime import date
from itertools import islice
from pathlib import Path
from statistics import median

from rankwise.events import read_events
from rankwise.facts import read_machine

METHODS = {
    "lora": (),
    "qlora (nf4)": ("method=qlora",),
    "qlora, int8": ("method=qlora", "quantization=int8"),
    "dora": ("method=dora",),
    "dora on nf4": ("method=dora", "quantization=nf4"),
    "adalora": ("method=adalora",),
    "prefix": ("method=prefix",),
    "full": ("method=full",),
    "lora again": (),
}
ROWS, STEPS, FIRST = 400, 10, 2
"""Rows to draw from, steps of a run, and how many of them are not counted: caches and threads are warm after them."""
PAGE = Path("docs/evidence/method_times.md")
INTRODUCTION = f"""# Time of a step by method

Made by `python benchmarks/method_times.py ROWS`: `rankwise train` for {STEPS} steps by the default plan on
smollm2-135m, the methods in turn, round after round; the first {FIRST} steps are not counted. A step's time is the
median, in brackets the fastest and the slowest step of all rounds; the ratio is to the median of both runs of LoRA."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("rows", type=Path)
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--work", type=Path, default=Path("runs/method_times"))
    parser.add_argument("--fresh", action="store_true")
    options = parser.parse_args()
    if options.fresh:
        shutil.rmtree(options.work, ignore_errors=True)
    options.work.mkdir(parents=True, exist_ok=True)
    with options.rows.open(encoding="utf-8") as lines:
        (options.work / "rows.jsonl").write_text("".join(islice(lines, ROWS)), encoding="utf-8")
    recipe = options.work / "recipe.yaml"
    recipe.write_text("model: smollm2-135m\ndata: {train: rows.jsonl}\n")
    found: dict[str, list[float]] = {name: [] for name in METHODS}
    for number in range(options.rounds):
        for name, said in METHODS.items():
            kept = options.work / f"{number}-{name}.json"
            if not kept.is_file():
                kept.write_text(json.dumps(seconds_of(recipe, said, options.work / "run")))
            found[name] += json.loads(kept.read_text())
    PAGE.write_text(page(found, options.rounds), encoding="utf-8")


def seconds_of(recipe: Path, said: tuple[str, ...], run: Path) -> list[float]:
    """Of each counted step, gradient and optimizer, without evaluation."""
    shutil.rmtree(run, ignore_errors=True)
    settings = [*said, f"training.max_steps={STEPS}", f"training.eval_steps={STEPS}", "training.logging_steps=1"]
    command = [sys.executable, "-m", "rankwise", "train", str(recipe), "--output", str(run)]
    command += [word for value in settings for word in ("--set", value)]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    steps = [event for event in read_events(run / "events.jsonl") if event["event"] == "step"]
    rows = int(json.loads((run / "result.json").read_text())["rows"]) / STEPS
    return [rows / event["rows_per_second"] for event in steps[FIRST:]]


def page(found: dict[str, list[float]], rounds: int) -> str:
    machine = read_machine()
    versions = ", ".join(f"{name} {version}" for name, version in machine.versions.items())
    where = f"{machine.cpu}, {machine.usable_cores} cores, {platform.system()}"
    told = f"{date.today()}; {where}; {versions}. {rounds} rounds."
    lora = median(found["lora"] + found["lora again"])
    lines = ["| method | s a step | of LoRA's |", "|---|---|---|"]
    lines += [
        f"| {name} | {median(times):.2f} ({min(times):.2f} to {max(times):.2f}) | {median(times) / lora:.2f} |"
        for name, times in found.items()
    ]
    return "\n\n".join([INTRODUCTION, told, "\n".join(lines)]) + "\n"


if __name__ == "__main__":
    main()
