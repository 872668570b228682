"""Every measurement of serving, and its page: docs/evidence/serving.md.

    python benchmarks/serving_page.py [--only NAME ...] [--fresh]

Each measurement is a command of its own; its answer is kept in docs/evidence/serving.json with the machine and the day,
so that a run that was killed goes on where it was, and the page is written again after each. With nothing else running.
"""

from __future__ import annotations

import argparse
import json
import shlex
import subprocess
import sys
from pathlib import Path
from statistics import median
from typing import Any

import matplotlib
from speed_page import where

matplotlib.use("svg")
from matplotlib import pyplot as plt

HERE = Path(__file__).parent
KEPT, PAGE = Path("docs/evidence/serving.json"), Path("docs/evidence/serving.md")
COMMANDS = {
    "bfloat16": "serving.py --rows 1 12 48 --dtype bfloat16",
    "float32": "serving.py --rows 1 12 48 --dtype float32",
    "load": "serving_load.py --rate 0.5 1 2 4 --requests 100",
    "canary": "serving_canary.py --requests 2000",
    "equal-float32": "serving_equal.py --prompts 200 --dtype float32",
    "equal-bfloat16": "serving_equal.py --prompts 200 --dtype bfloat16",
}
"""Name -> the command under benchmarks/, without --json."""
GOALS = {
    "base: ours / generate": {"12": 3, "48": 3},
    "mixed: ours / PEFT": {"12": 8, "48": 6},
    "ours: mixed / base": {"48": 0.8},
}
"""What is compared -> rows -> at least so much."""
COLOURS = ("#9a9a9a", "#5f5f5f", "#6baed6", "#2171b5")

Kept = dict[str, dict[str, Any]]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="+", choices=COMMANDS, default=[*COMMANDS])
    parser.add_argument("--fresh", action="store_true", help="measure again what is kept")
    options = parser.parse_args()
    kept: Kept = json.loads(KEPT.read_text()) if KEPT.is_file() else {}
    for name in options.only:
        if name not in kept or options.fresh:
            script, *given = shlex.split(COMMANDS[name])
            command = [sys.executable, str(HERE / script), *given, "--json"]
            done = subprocess.run(command, stdout=subprocess.PIPE, text=True)
            if not done.stdout.strip():
                raise SystemExit(f"{shlex.join(command)} ended with {done.returncode} and said nothing")
            kept[name] = {"found": json.loads(done.stdout.splitlines()[-1]), "where": where()}
            KEPT.write_text(json.dumps(kept, indent=1) + "\n", encoding="utf-8")
        write(kept)


def write(kept: Kept) -> None:
    parts = ["# Serving", "Made by `python benchmarks/serving_page.py`, which runs the commands below one by one."]
    speeds = {name: kept[name] for name in ("bfloat16", "float32") if name in kept}
    if speeds:
        parts += speed_section(speeds)
        plot_speed(PAGE.with_name("serving.svg"), {name: each["found"] for name, each in speeds.items()})
    if "load" in kept:
        parts += load_section(kept["load"])
        plot_load(PAGE.with_name("serving-load.svg"), kept["load"]["found"])
    equal = {name: kept[name] for name in COMMANDS if name.startswith("equal") and name in kept}
    if equal:
        parts += equal_section(equal)
    if "canary" in kept:
        parts += canary_section(kept["canary"])
    PAGE.write_text("\n\n".join(parts) + "\n", encoding="utf-8")


def made_by(name: str, kept: dict[str, Any]) -> str:
    return f"`python benchmarks/{COMMANDS[name]}`; {kept['where']}."


def speed_section(speeds: Kept) -> list[str]:
    parts = [
        "## Tokens a second",
        "24 new tokens for each of the bundled financial rows' prompts, prompts included, greedy, 12 random "
        "adapters of r = 16 on all seven projections. All cases in turn in one process, round after round; medians, "
        "in brackets the least and the most of the rounds. *Generate* is transformers' `generate` on the base, "
        "*PEFT* its `generate(adapter_names=...)`. Ours computes what prompts to one adapter share once a round, "
        "and keeps nothing from one round to the next. The bound: the base's matrix products alone for all tokens "
        "of the same prompts and steps, in the same run; for mixed rows with the reading of the adapters in each "
        "step. What is computed once may take a rate over it.",
    ]
    for name, each in speeds.items():
        lines = [
            f"### {name}",
            "",
            made_by(name, each),
            "",
            "| rows | base, generate | base, ours | of its bound | mixed, PEFT | mixed, ours | of its bound |",
            "|---|---|---|---|---|---|---|",
        ]
        for rows, found in each["found"].items():
            rates, bounds = found["rates"], found["bounds"]
            cells = [rows, spread(rates["base, generate"]), spread(rates["base, ours"])]
            cells += [f"{median(rates['base, ours']) / bounds['base']:.0%}"]
            cells += [spread(rates["mixed, generate(adapter_names)"]), spread(rates["mixed, ours"])]
            cells += [f"{median(rates['mixed, ours']) / bounds['mixed']:.0%}"]
            lines.append("| " + " | ".join(cells) + " |")
        lines += ["", "| rows | " + " | ".join(f"{ratio} (goal)" for ratio in GOALS) + " |", "|---|---|---|---|"]
        for rows, found in each["found"].items():
            cells = [rows]
            for ratio, goals in GOALS.items():
                goal = goals.get(rows)
                cells.append(spread(found["ratios"][ratio], 2) + ("" if goal is None else f" ({goal:g})"))
            lines.append("| " + " | ".join(cells) + " |")
        parts.append("\n".join(lines))
    return [*parts, "![tokens a second](serving.svg)"]


def load_section(kept: dict[str, Any]) -> list[str]:
    found = kept["found"]
    lines = ["| requests a second | first token, p50 | p95 | whole answer, p50 | p95 |", "|---|---|---|---|---|"]
    for rate, times in rates_of(found).items():
        cells = [f"{times[each]:.2f} s" for each in ("first_p50", "first_p95", "end_p50", "end_p95")]
        lines.append(f"| {rate:g} | " + " | ".join(cells) + " |")
    switch = found["switch"]
    held, allowed, peak = (found[name] / 2**30 for name in ("adapter_bytes", "adapter_memory", "peak_memory_bytes"))
    return [
        "## Under load",
        f"{made_by('load', kept)} {found['requests']} requests at each rate, at random times, each to one of "
        f"{found['adapters']} adapters in {found['dtype']}, {found['tokens']} tokens an answer. Times are from asking, "
        "the loading of an adapter included.",
        "\n".join(lines),
        f"To take an adapter that is in memory costs {switch['in_memory_ms']:.3f} ms (goal: under 5), to load one from "
        f"its folder {switch['load_ms']:.1f} ms. {found['adapters']} adapters held {held:.2f} GiB of the "
        f"{allowed:.2f} GiB allowed; peak memory of the process {peak:.2f} GiB.",
        "![latency](serving-load.svg)",
    ]


def equal_section(kept: Kept) -> list[str]:
    lines = ["| dtype | answers | the same as alone | margin of the others, median | most |", "|---|---|---|---|---|"]
    for each in kept.values():
        found = each["found"]
        margins = [f"{found[key]:.4f} nats" if key in found else "-" for key in ("margin_median", "margin_most")]
        cells = [found["dtype"], str(found["answers"]), str(found["the same"]), *margins]
        lines.append("| " + " | ".join(cells) + " |")
    return [
        "## In a mixed batch as alone",
        " ".join(made_by(name, each) for name, each in kept.items()),
        "Each prompt greedily alone, then all of them in batches of 48 rows and 12 adapters. A margin is how much "
        "likelier the token alone was than the one in the batch, at the first token that differs.",
        "\n".join(lines),
    ]


def canary_section(kept: dict[str, Any]) -> list[str]:
    found = kept["found"]
    memory = ", ".join(f"{each:.0f}" for each in found["resident MB by quarter"])
    return [
        "## Canary",
        f"{made_by('canary', kept)} Each adapter was taught a secret word; {found['requests']} requests through the "
        "stock client, 16 at once, half of them streamed, while adapters were unloaded, gave way to others in memory "
        "for fewer than there are, and were replaced in production.",
        f"{found['right']} of {found['requests']} answers had the secret of the adapter asked for; {found['leaks']} "
        f"had another's. {found['replaced']} times another adapter went into production, {found['unloaded']} times one "
        f"was unloaded; {found['seconds']} seconds. Memory of the server by quarter of the run: {memory} MB. "
        f"Its exit status: {found['exit status']}.",
    ]


def spread(values: list[float], places: int = 0) -> str:
    return f"{median(values):.{places}f} ({min(values):.{places}f} to {max(values):.{places}f})"


def rates_of(found: dict[str, Any]) -> dict[float, dict[str, float]]:
    end = " a second"
    return {float(name.removesuffix(end)): each for name, each in found.items() if name.endswith(end)}


def plot_speed(path: Path, speeds: dict[str, Any]) -> None:
    figure, panels = plt.subplots(1, len(speeds), figsize=(4.5 * len(speeds), 3.4), squeeze=False, sharey=True)
    for panel, (dtype, found) in zip(panels[0], speeds.items(), strict=True):
        names = list(next(iter(found.values()))["rates"])
        for place, (name, colour) in enumerate(zip(names, COLOURS, strict=True)):
            values = [median(each["rates"][name]) for each in found.values()]
            lows = [median(each["rates"][name]) - min(each["rates"][name]) for each in found.values()]
            highs = [max(each["rates"][name]) - median(each["rates"][name]) for each in found.values()]
            at = [row + 0.2 * (place - 1.5) for row in range(len(found))]
            panel.bar(at, values, 0.2, color=colour, label=name, yerr=(lows, highs), capsize=2)
        panel.set_xticks(range(len(found)), [f"{rows} rows" for rows in found])
        panel.set_title(dtype)
    panels[0][0].set_ylabel("new tokens a second")
    panels[0][0].legend(fontsize=7)
    figure.tight_layout()
    figure.savefig(path)
    plt.close(figure)


def plot_load(path: Path, found: dict[str, Any]) -> None:
    figure, panel = plt.subplots(figsize=(5, 3.2))
    rates = rates_of(found)
    for key, name, colour, style in (
        ("first_p50", "first token, p50", COLOURS[2], "-"),
        ("first_p95", "first token, p95", COLOURS[2], "--"),
        ("end_p50", "whole answer, p50", COLOURS[3], "-"),
        ("end_p95", "whole answer, p95", COLOURS[3], "--"),
    ):
        panel.plot(list(rates), [each[key] for each in rates.values()], style, color=colour, marker="o", label=name)
    panel.set_xlabel("requests a second")
    panel.set_ylabel("seconds from asking")
    panel.set_ylim(bottom=0)
    panel.legend(fontsize=7)
    figure.tight_layout()
    figure.savefig(path)
    plt.close(figure)


if __name__ == "__main__":
    main()
