"""All contestants, by the default plan: writes docs/evidence/first-adapters.md or docs/evidence/sample-rows.md.

    python benchmarks/first_adapters.py DATA_DIR [--case NAME ...] [--work DIR]    real public rows
    python benchmarks/first_adapters.py --domains [--case NAME ...] [--work DIR]   the bundled sample rows

DATA_DIR holds financial_phrasebank, maintenance_extract and banking77 as train.jsonl and test.jsonl. Every case is
run as a user would: a recipe of two lines, `rankwise train`, `rankwise evaluate`. Finished cases found in --work
are not run again; of a page only the sections of the cases named are rewritten. A case takes 10 to 25 minutes on
2 cores.
"""

from __future__ import annotations

import argparse
import json
import platform
import subprocess
import sys
from datetime import date
from itertools import islice
from pathlib import Path
from typing import Any

from rankwise.facts import read_machine
from rankwise.recipe.domains import DOMAINS

CASES: dict[str, tuple[str, int | None, int | None]] = {
    "phrasebank-1200": ("financial_phrasebank", 1200, 400),
    "phrasebank": ("financial_phrasebank", None, None),
    "maintenance": ("maintenance_extract", None, None),
    "banking77-1000": ("banking77", 1000, 300),
}
"""Name -> (folder, training rows, held-out rows); None: all."""
SAMPLED = tuple(name for name, domain in DOMAINS.items() if domain.train is not None)
CONTESTANTS = ("base", "few_shot", "baseline", "adapter")
PAGES = Path("docs/evidence")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path, nargs="?")
    parser.add_argument("--domains", action="store_true")
    parser.add_argument("--case", choices=[*CASES, *SAMPLED], action="append")
    parser.add_argument("--work", type=Path, default=Path("runs/first-adapters"))
    options = parser.parse_args()
    if options.data is None and not options.domains:
        parser.error("give DATA_DIR, or --domains")
    results = {}
    for name in options.case or (SAMPLED if options.domains else CASES):
        kept = options.work / name / "case.json"
        if not kept.is_file():
            kept.parent.mkdir(parents=True, exist_ok=True)
            work = kept.parent
            recipe = domain_recipe(name, work) if name in SAMPLED else public_recipe(name, options.data, work)
            kept.write_text(json.dumps(run_case(recipe), indent=1))
        results[name] = json.loads(kept.read_text())
        print(json.dumps({name: results[name]["evaluate"]["verdict"]}, indent=1), flush=True)
    title, path = ("Sample rows", "sample-rows.md") if options.domains else ("First adapters", "first-adapters.md")
    PAGES.mkdir(parents=True, exist_ok=True)
    sections = kept_sections(PAGES / path) | {name: case_section(name, result) for name, result in results.items()}
    (PAGES / path).write_text(page(title, sections), encoding="utf-8")


def public_recipe(name: str, data: Path, work: Path) -> Path:
    """The first rows of a public set, and a recipe that names them."""
    folder, train_rows, held_out_rows = CASES[name]
    for part, rows in (("train", train_rows), ("test", held_out_rows)):
        with (data / folder / f"{part}.jsonl").open(encoding="utf-8") as lines:
            (work / f"{part}.jsonl").write_text("".join(islice(lines, rows)), encoding="utf-8")
    recipe = work / "recipe.yaml"
    recipe.write_text("model: smollm2-135m\ndata: {train: train.jsonl, held_out: test.jsonl}\n")
    return recipe


def domain_recipe(name: str, work: Path) -> Path:
    recipe = work / "recipe.yaml"
    recipe.write_text(f"model: smollm2-135m\ndomain: {name}\n")
    return recipe


def run_case(recipe: Path) -> dict[str, Any]:
    """Train and evaluate one case, and compare its logits with plain PEFT's."""
    run = recipe.parent / "run"
    plain = [sys.executable, "benchmarks/plain_peft.py", str(run)]
    machine = read_machine()
    versions = ", ".join(f"{name} {version}" for name, version in machine.versions.items())
    return {
        "where": f"{date.today()}; {machine.cpu}, {machine.usable_cores} cores, "
        f"{machine.memory_bytes / 2**30:.0f} GiB, {platform.system()}; {versions}",
        "plan": answer("plan", str(recipe)),
        "train": answer("train", str(recipe), "--output", str(run)),
        "evaluate": answer("evaluate", str(run)),
        "plain": json.loads(subprocess.run(plain, check=True, capture_output=True, text=True).stdout),
    }


def answer(*arguments: str) -> Any:
    command = [sys.executable, "-m", "rankwise", *arguments, "--json"]
    return json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout)


def kept_sections(page: Path) -> dict[str, str]:
    """Case -> its section, as the page has it."""
    parts = page.read_text(encoding="utf-8").split("\n## ")[1:] if page.is_file() else []
    return {part.partition(":")[0]: f"## {part.strip()}" for part in parts}


def page(title: str, sections: dict[str, str]) -> str:
    arguments = "--domains" if title == "Sample rows" else "DATA_DIR"
    order = [name for name in (*CASES, *SAMPLED) if name in sections]
    opening = f"""# {title}

Made by `python benchmarks/first_adapters.py {arguments}`; each case is `rankwise train` and `rankwise evaluate` on a
recipe that names only base and data, so every value is the default plan's. One seed. Intervals are 95%, paired
bootstrap over the held-out rows, of the adapter minus the other, in the metric that the verdict names. The machine is
shared, and at times other work ran beside, so rows a second are rough."""
    return "\n\n".join([opening, *(sections[name] for name in order)]) + "\n"


def case_section(name: str, result: dict[str, Any]) -> str:
    folder = CASES[name][0] if name in CASES else "bundled rows"
    planned, trained, judged = result["plan"], result["train"], result["evaluate"]
    value = {key: decision["value"] for key, decision in planned["decisions"].items()}
    metrics = [m for m in ("accuracy", "macro_f1", "exact_match", "field_f1", "rouge_l") if m in judged["adapter"]]
    lines = [
        f"## {name}: `{folder}`, {trained['held_out']['step']} of {trained['steps']} steps kept",
        "",
        f"{result['where']}.",
        "",
        f"{trained['rows']} rows trained on in {trained['seconds']:.0f} s ({trained['rows_per_second']:.1f} rows/s, "
        f"peak {trained['peak_memory_bytes'] / 1e9:.1f} GB; planned {planned['seconds'] or 0:.0f} s, "
        f"{planned['memory_bytes'] / 1e9:.1f} GB); r {value['lora.r']}, alpha {value['lora.lora_alpha']:g}, "
        f"lr {value['training.learning_rate']:g}, {value['training.num_train_epochs']:g} epochs, "
        f"bf16 {str(value['training.bf16']).lower()}.",
        "",
        f"| {judged['rows']} held-out rows | " + " | ".join(metrics) + " | bits/token | difference to adapter | p |",
        "|---" * (len(metrics) + 4) + "|",
    ]
    for contestant in CONTESTANTS:
        scores, difference = judged[contestant], judged["differences"].get(contestant)
        if scores is None:
            lines.append(f"| {contestant} | absent: {judged['absent'][contestant]} |")
            continue
        cells = [number(scores[m]) for m in metrics] + [number(scores.get("bits_per_token"))]
        if difference is None:
            cells += ["", ""]
        else:
            low, high = difference["interval"]
            cells += [f"{difference['value']:+.3f} ({low:+.3f} to {high:+.3f})", f"{difference['p']:.2g}"]
        lines.append(f"| {contestant} | " + " | ".join(cells) + " |")
    plain = result["plain"]
    lines += [
        "",
        f"Rows: {judged['adapter']['counts']}. Gained over the base {len(judged['flips']['gained'])}, "
        f"lost {len(judged['flips']['lost'])}.",
        "",
        f"Plain transformers + peft on {plain['rows']} of these rows, float32: largest difference of a logit "
        f"{plain['max_difference']:.1e} (logits up to {plain['max_logit']:.0f}).",
        "",
        *(f"> {line}" for line in judged["verdict"].splitlines()),
    ]
    return "\n".join(lines)


def number(value: float | None) -> str:
    return "" if value is None else f"{value:.3f}"


if __name__ == "__main__":
    main()
