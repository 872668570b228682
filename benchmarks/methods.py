"""Every method that trains, on the same rows of the same base: writes docs/evidence/methods.md.

    python benchmarks/methods.py DATA_DIR [--method NAME ...] [--work DIR] [--fresh]

DATA_DIR holds financial_phrasebank as train.jsonl and test.jsonl: 1,200 rows are trained on, once, and 400 held out.
Each method is `rankwise train` with the default plan and what its row says, then `rankwise evaluate`; six steps
stopped by a signal and resumed against six steps in one go; and plain transformers + peft on the same base. What is
finished is kept in --work and not run again. About 10 minutes a method on 2 cores.
"""

from __future__ import annotations

import argparse
import json
import platform
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from datetime import date
from itertools import islice
from pathlib import Path
from typing import Any

from rankwise.events import read_events
from rankwise.facts import read_machine
from rankwise.files import sha256_file

METHODS: dict[str, tuple[str, ...]] = {
    "lora": (),
    "qlora": ("method=qlora",),
    "qlora, int8": ("method=qlora", "quantization=int8"),
    "dora": ("method=dora",),
    "dora on nf4": ("method=dora", "quantization=nf4"),
    "lora, pissa": ("lora.init_lora_weights=pissa",),
    "lora, olora": ("lora.init_lora_weights=olora",),
    "lora, lora+ 4": ("training.loraplus_lr_ratio=4",),
    "lora, rslora": ("lora.use_rslora=true",),
}
TRAIN_ROWS, HELD_OUT_ROWS, SHORT_STEPS, STOPPED_AFTER = 1200, 400, 6, 3
PAGE = Path("docs/evidence/methods.md")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("--method", choices=list(METHODS), action="append")
    parser.add_argument("--work", type=Path, default=Path("runs/methods"))
    parser.add_argument("--fresh", action="store_true")
    options = parser.parse_args()
    if options.fresh:
        shutil.rmtree(options.work, ignore_errors=True)
    options.work.mkdir(parents=True, exist_ok=True)
    recipe = write_recipe(options.data, options.work)
    for name in options.method or METHODS:
        found = measure(name, recipe, options.work / name.replace(", ", "-").replace(" ", "-"))
        print(json.dumps({name: found["evaluate"]["verdict"]}), flush=True)
    results = {
        name: json.loads(kept.read_text())
        for name in METHODS
        if (kept := options.work / name.replace(", ", "-").replace(" ", "-") / "method.json").is_file()
    }
    PAGE.write_text(page(results), encoding="utf-8")


def write_recipe(data: Path, work: Path) -> Path:
    for part, rows in (("train", TRAIN_ROWS), ("test", HELD_OUT_ROWS)):
        with (data / "financial_phrasebank" / f"{part}.jsonl").open(encoding="utf-8") as lines:
            (work / f"{part}.jsonl").write_text("".join(islice(lines, rows)), encoding="utf-8")
    recipe = work / "recipe.yaml"
    recipe.write_text(
        "model: smollm2-135m\ndata: {train: train.jsonl, held_out: test.jsonl}\ntraining: {num_train_epochs: 1}\n"
    )
    return recipe


def measure(name: str, recipe: Path, folder: Path) -> dict[str, Any]:
    """One method's figures; each part is kept as soon as it is there."""
    folder.mkdir(parents=True, exist_ok=True)
    kept, found = folder / "method.json", dict[str, Any]()
    parts: dict[str, Callable[[], Any]] = {
        "where": where,
        "plan": lambda: answer("plan", str(recipe), *settings(name)),
        "train": lambda: answer("train", str(recipe), "--output", fresh(folder / "run"), *settings(name)),
        "evaluate": lambda: answer("evaluate", str(folder / "run")),
        "resume": lambda: resumed(recipe, folder, name),
        "plain": lambda: plain(folder / "run"),
    }
    if (folder / "parts.json").is_file():
        found = json.loads((folder / "parts.json").read_text())
    for part, make in parts.items():
        if part not in found:
            found[part] = make()
            (folder / "parts.json").write_text(json.dumps(found, indent=1))
    kept.write_text(json.dumps(found, indent=1))
    return found


def settings(name: str, *more: str) -> list[str]:
    return [word for value in (*METHODS[name], *more) for word in ("--set", value)]


def where() -> str:
    machine = read_machine()
    versions = ", ".join(f"{name} {version}" for name, version in machine.versions.items())
    return f"{date.today()}; {machine.cpu}, {machine.usable_cores} cores, {platform.system()}; {versions}"


def fresh(run: Path) -> str:
    shutil.rmtree(run, ignore_errors=True)  # of a measurement that was killed
    return str(run)


def answer(*arguments: str) -> Any:
    command = [sys.executable, "-m", "rankwise", *arguments, "--json"]
    return json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout)


def resumed(recipe: Path, folder: Path, name: str) -> dict[str, Any]:
    """Six steps in one go, and six that a signal interrupts: are the adapters' files the same?"""
    whole, run = Path(fresh(folder / "whole")), Path(fresh(folder / "stopped"))
    short = settings(name, f"training.max_steps={SHORT_STEPS}")
    answer("train", str(recipe), "--output", str(whole), *short)
    command = [sys.executable, "-m", "rankwise", "train", str(recipe), "--output", str(run), *short]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    while process.poll() is None and steps_done(run) < STOPPED_AFTER:
        time.sleep(0.05)
    process.send_signal(signal.SIGTERM)
    code = process.wait()
    answer("train", "--resume", str(run))
    files = [sha256_file(path / "adapter" / "adapter_model.safetensors") for path in (whole, run)]
    return {"exit": code, "stopped_after": STOPPED_AFTER, "same": files[0] == files[1]}


def steps_done(run: Path) -> int:
    if not (run / "events.jsonl").is_file():
        return 0
    return max((event["step"] for event in read_events(run / "events.jsonl") if event["event"] == "step"), default=0)


def plain(run: Path) -> Any:
    command = [sys.executable, str(Path(__file__).parent / "plain_peft.py"), str(run)]
    return json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout)


def page(results: dict[str, dict[str, Any]]) -> str:
    any_one = next(iter(results.values()))
    judged = any_one["evaluate"]
    lines = [
        "# Methods",
        "",
        f"Made by `python benchmarks/methods.py DATA_DIR`. The first {TRAIN_ROWS:,} rows of financial_phrasebank,",
        "trained on once, on smollm2-135m (whose weights were once quantised to 4 bits, so that LoRA against QLoRA is",
        f"undecided here), and {judged['rows']} held-out rows, for all methods the same; the default plan but for what",
        "the first column says. One seed. Difference: macro-F1 of the adapter minus the cheap baseline's, with the 95%",
        "interval of a paired bootstrap. Resumed: six steps, stopped by SIGTERM after three, resumed; against six in",
        "one go, the files compared. PEFT: largest difference of any logit to plain transformers + peft in float32, 16",
        "rows.",
        "",
        f"{any_one['where']}. The machine is shared.",
        "",
        "| method | trained | peak GB (planned) | s an epoch | accuracy | macro-F1 | minus baseline | adapter MB "
        "| resumed | PEFT |",
        "|---" * 10 + "|",
    ]
    for name, found in results.items():
        planned, trained, scores = found["plan"], found["train"], found["evaluate"]["adapter"]
        share = planned["trainable_parameters"] / planned["total_parameters"]
        difference = found["evaluate"]["differences"]["baseline"]
        size = sum(file.stat().st_size for file in Path(trained["adapter"]).glob("*.safetensors")) / 1e6
        low, high = difference["interval"]
        cells = [
            name,
            f"{share:.2%}",
            f"{trained['peak_memory_bytes'] / 1e9:.1f} ({planned['memory_bytes'] / 1e9:.1f})",
            f"{trained['seconds']:.0f}",
            f"{scores['accuracy']:.3f}",
            f"{scores['macro_f1']:.3f}",
            f"{difference['value']:+.3f} ({low:+.3f} to {high:+.3f})",
            f"{size:.1f}",
            "the same" if found["resume"]["same"] else "DIFFERS",
            f"{found['plain']['max_difference']:.1e}",
        ]
        lines.append(f"| {' | '.join(cells)} |")
    others = ", ".join(
        f"{title} {judged[name]['accuracy']:.3f} / {judged[name]['macro_f1']:.3f}"
        for name, title in (("base", "base"), ("few_shot", "few-shot base"), ("baseline", "SVM"))
    )
    return "\n".join([*lines, "", f"Beside them, accuracy / macro-F1: {others}."]) + "\n"


if __name__ == "__main__":
    main()
