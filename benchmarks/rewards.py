"""Do rewards and preferences rise? Small real runs on the embedded base: writes docs/evidence/rewards.md.

    python benchmarks/rewards.py DATA_DIR [--case NAME ...] [--steps N] [--work DIR]

DATA_DIR holds financial_phrasebank and maintenance_extract as train.jsonl and test.jsonl. Every case is run as a user
would: a recipe, `rankwise train`. Finished cases found in --work are not run again, and a run that was killed goes on.
Needs the extra: pip install 'rankwise[rl]'.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from datetime import date
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

from rankwise.events import read_events
from rankwise.facts import read_machine

PAGE = Path("docs/evidence/rewards.md")
ROWS, HELD_OUT = 400, 100
PARTS = 4
"""The steps of a run are shown as so many means."""


class Case(NamedTuple):
    data: str
    objective: str
    measure: str
    """Of each step's event."""
    rows: int
    """Of one step: pairs, or answers written."""
    more: str
    """Lines of the recipe."""
    taught: int = 0
    """Supervised steps before, for a base whose answers would all be worth nothing."""


CASES = {
    "labels-grpo": Case("financial_phrasebank", "grpo", "reward", 16, "grpo: {num_generations: 8}", taught=4),
    "fields-grpo": Case("maintenance_extract", "grpo", "reward", 16, "grpo: {num_generations: 8}", taught=16),
    "labels-dpo": Case("financial_phrasebank", "dpo", "accuracy", 8, ""),
    "fields-dpo": Case("maintenance_extract", "dpo", "accuracy", 8, ""),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("--case", choices=[*CASES], action="append")
    parser.add_argument("--steps", type=int, default=60)
    parser.add_argument("--work", type=Path, default=Path("runs/rewards"))
    options = parser.parse_args()
    for name in options.case or CASES:
        kept = options.work / name / "case.json"
        if not kept.is_file():
            kept.parent.mkdir(parents=True, exist_ok=True)
            kept.write_text(json.dumps(run_case(CASES[name], options.data, kept.parent, options.steps), indent=1))
    done = {name: options.work / name / "case.json" for name in CASES}
    results = {name: json.loads(file.read_text()) for name, file in done.items() if file.is_file()}
    PAGE.parent.mkdir(parents=True, exist_ok=True)
    PAGE.write_text(page(results), encoding="utf-8")


def run_case(case: Case, data: Path, work: Path, steps: int) -> dict[str, Any]:
    run, recipe = work / "run", work / "recipe.yaml"
    if (run / "plan.json").is_file():
        arguments = ["--resume", str(run)]
    else:
        for part, count in (("train", ROWS), ("test", HELD_OUT)):
            write_rows(case, data / case.data / f"{part}.jsonl", work / f"{part}.jsonl", count)
        more = case.more if not case.taught else f"{case.more}\nadapter: {teach(case, data, work)}"
        recipe.write_text(
            f"model: smollm2-135m\nobjective: {case.objective}\ndata: {{train: train.jsonl, held_out: test.jsonl}}\n"
            f"training: {{max_steps: {steps}, per_device_train_batch_size: 8, "
            f"gradient_accumulation_steps: {case.rows // 8}, logging_steps: 1}}\n{more}\n"
        )
        arguments = [str(recipe), "--output", str(run)]
    command = [sys.executable, "-m", "rankwise", "train", *arguments, "--json"]
    trained = json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout)
    events = [event for event in read_events(run / "events.jsonl") if event["event"] == "step"]
    by_step = {event["step"]: event[case.measure] for event in events}  # what was trained again counts once
    machine = read_machine()
    return {
        "where": f"{date.today()}; {machine.cpu}, {machine.usable_cores} cores",
        "trained": trained,
        "measure": case.measure,
        "steps": [by_step[step] for step in sorted(by_step)],
    }


def teach(case: Case, data: Path, work: Path) -> str:
    """Where, from `work`, an adapter lies that was taught by a few supervised steps, on rows of its own."""
    rows, recipe = work / "taught.jsonl", work / "taught.yaml"
    with (data / case.data / "train.jsonl").open(encoding="utf-8") as lines:
        rows.write_text("".join(islice(lines, ROWS, 2 * ROWS)), encoding="utf-8")
    recipe.write_text(
        f"model: smollm2-135m\ndata: {{train: {rows.name}}}\n"
        f"training: {{max_steps: {case.taught}, per_device_train_batch_size: 8}}\n"
    )
    command = [sys.executable, "-m", "rankwise", "train", str(recipe), "--output", str(work / "taught"), "--json"]
    subprocess.run(command, check=True, stdout=subprocess.PIPE)
    return "taught/adapter"


def write_rows(case: Case, source: Path, target: Path, count: int) -> None:
    """The first rows of a public set; as preferences, each answer before the next row's that differs from it."""
    with source.open(encoding="utf-8") as lines:
        rows = [json.loads(line) for line in islice(lines, count)]
    if case.objective == "dpo":
        rows = [pair for i, row in enumerate(rows) if (pair := preference(row, rows[i + 1 :] + rows[:i]))]
    target.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")


def preference(row: dict[str, str], others: list[dict[str, str]]) -> dict[str, str] | None:
    key = "label" if "label" in row else "output"
    other = next((one[key] for one in others if one[key] != row[key]), None)
    if other is None:
        return None
    question = {"prompt": f"What is the sentiment?\n{row['text']}"} if key == "label" else {}
    return {
        **question,
        **{k: row[k] for k in ("instruction", "input") if k in row},
        "chosen": row[key],
        "rejected": other,
    }


def page(results: dict[str, dict[str, Any]]) -> str:
    heads = " | ".join(f"steps, part {part} of {PARTS}" for part in range(1, PARTS + 1))
    lines = [
        "# Rewards and preferences",
        "",
        "Made by `python benchmarks/rewards.py DATA_DIR`: the embedded base, the default plan but for the batch and",
        "the number of steps, one seed. Reward: mean of the answers written in a step (1: right label; or F1 of exact",
        "fields). Accuracy: share of a step's pairs whose chosen answer gained more than the rejected one. The base",
        "writes next to no right label and no right field, so all its answers would be worth the same: labels-grpo",
        f"goes on from {CASES['labels-grpo'].taught} supervised steps on other rows, fields-grpo from "
        f"{CASES['fields-grpo'].taught}.",
        "",
        f"| case | measure | steps | {heads} | last minus first | seconds |",
        "|---" * (PARTS + 5) + "|",
    ]
    for name, result in results.items():
        means = quarters(result["steps"])
        cells = [f"{mean:.3f}" for mean in means]
        lines.append(
            f"| {name} | {result['measure']} | {len(result['steps'])} | {' | '.join(cells)} | "
            f"{means[-1] - means[0]:+.3f} | {result['trained']['seconds']:.0f} |"
        )
    lines += ["", *(f"{name}: {result['where']}." for name, result in results.items())]
    return "\n".join(lines) + "\n"


def quarters(values: list[float]) -> list[float]:
    """Means of `PARTS` equal parts of a run, in order; the last one takes what is left over."""
    size = max(1, len(values) // PARTS)
    parts = [values[i * size : (i + 1) * size if i < PARTS - 1 else None] for i in range(PARTS)]
    return [sum(part) / len(part) for part in parts if part]


if __name__ == "__main__":
    main()
