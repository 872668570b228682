"""Every method that trains, on the same rows of the same base, for each task: writes docs/evidence/methods.md.

    python benchmarks/methods.py DATA_DIR [--task NAME ...] [--method NAME ...] [--work DIR] [--fresh]

DATA_DIR holds financial_phrasebank and sst2_sentences, each as train.jsonl and test.jsonl: 1,200 rows are trained on
and 400 (of sst2_sentences 1,000) held out; causal once, the encoder for as many epochs as its plan says.
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
from dataclasses import dataclass
from datetime import date
from itertools import islice
from pathlib import Path
from typing import Any

from random_t5 import make_random_t5

from rankwise.events import read_events
from rankwise.facts import read_machine
from rankwise.files import sha256_file


@dataclass(frozen=True)
class Task:
    """A base, its rows, and what its methods say beside the default plan."""

    title: str
    rows: str
    """Folder of the set."""
    recipe: str
    held_out: int
    epochs: int | None
    """For methods that take steps; None: as planned."""
    methods: dict[str, tuple[str, ...]]


RANDOM_T5 = "random-t5"
"""A base that is made beside the recipe which names it."""
TASKS = {
    "causal_lm": Task(
        "smollm2-135m writes the label (financial_phrasebank)",
        "financial_phrasebank",
        "model: smollm2-135m\ndata: {train: train.jsonl, held_out: test.jsonl}\n",
        400,
        1,
        {
            "lora": (),
            "qlora": ("method=qlora",),
            "qlora, int8": ("method=qlora", "quantization=int8"),
            "dora": ("method=dora",),
            "dora on nf4": ("method=dora", "quantization=nf4"),
            "adalora": ("method=adalora",),
            "lora, pissa": ("lora.init_lora_weights=pissa",),
            "lora, olora": ("lora.init_lora_weights=olora",),
            "lora, lora+ 4": ("training.loraplus_lr_ratio=4",),
            "lora, rslora": ("lora.use_rslora=true",),
            "prefix": ("method=prefix",),
            "full": ("method=full",),
            "prompt": ("method=prompt",),
            "classifier": ("method=classifier",),
        },
    ),
    "seq_cls": Task(
        "minilm-l6 under a head over the labels (sst2_sentences)",
        "sst2_sentences",
        "model: minilm-l6\ndata: {train: train.jsonl, held_out: test.jsonl}\n",
        1000,
        None,
        {
            "lora": (),
            "lora, biases": ("lora.bias=lora_only",),
            "qlora": ("method=qlora",),
            "dora": ("method=dora",),
            "classifier": ("method=classifier",),
        },
    ),
    "seq_2_seq_lm": Task(
        "a random T5 writes the label (financial_phrasebank): that it runs, not what it learns",
        "financial_phrasebank",
        f"model: ./{RANDOM_T5}\ndata: {{train: train.jsonl, held_out: test.jsonl}}\n",
        400,
        1,
        {
            "lora": (),
            "dora": ("method=dora",),
            "lora, pissa": ("lora.init_lora_weights=pissa",),
        },
    ),
}
TRAIN_ROWS, SHORT_STEPS, STOPPED_AFTER = 1200, 6, 3
MORE_STEPS = {"adalora": 10}
"""Where so few are refused."""
PAGE = Path("docs/evidence/methods.md")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("--task", choices=list(TASKS), action="append")
    parser.add_argument("--method", action="append", help="as it is called in the page; all, if left out")
    parser.add_argument("--work", type=Path, default=Path("runs/methods"))
    parser.add_argument("--fresh", action="store_true")
    options = parser.parse_args()
    if options.fresh:
        shutil.rmtree(options.work, ignore_errors=True)
    for name in options.task or TASKS:
        task, folder = TASKS[name], options.work / name
        recipe = write_recipe(options.data, folder, task)
        for method in task.methods:
            if not options.method or method in options.method:
                said = task.methods[method]
                if task.epochs is not None and takes_steps(said):
                    said = (*said, f"training.num_train_epochs={task.epochs}")
                found = measure(said, recipe, folder / plain_name(method))
                print(json.dumps({f"{name}, {method}": found["evaluate"]["adapter"]}), flush=True)
    parts = [section(name, options.work / name) for name in TASKS]
    PAGE.write_text("\n\n".join([INTRODUCTION, *filter(None, parts)]) + "\n", encoding="utf-8")


def plain_name(method: str) -> str:
    return method.replace(", ", "-").replace(" ", "-")


def write_recipe(data: Path, work: Path, task: Task) -> Path:
    work.mkdir(parents=True, exist_ok=True)
    for part, rows in (("train", TRAIN_ROWS), ("test", task.held_out)):
        with (data / task.rows / f"{part}.jsonl").open(encoding="utf-8") as lines:
            (work / f"{part}.jsonl").write_text("".join(islice(lines, rows)), encoding="utf-8")
    recipe = work / "recipe.yaml"
    recipe.write_text(task.recipe)
    if RANDOM_T5 in task.recipe and not (work / RANDOM_T5 / "config.json").is_file():
        make_random_t5(work / RANDOM_T5, work / "train.jsonl")
    return recipe


def measure(said: tuple[str, ...], recipe: Path, folder: Path) -> dict[str, Any]:
    """One method's figures; each part is kept as soon as it is there."""
    folder.mkdir(parents=True, exist_ok=True)
    kept, found = folder / "parts.json", dict[str, Any]()
    parts: dict[str, Callable[[], Any]] = {
        "where": where,
        "plan": lambda: answer("plan", str(recipe), *settings(said)),
        "train": lambda: answer("train", str(recipe), "--output", fresh(folder / "run"), *settings(said)),
        "evaluate": lambda: answer("evaluate", str(folder / "run")),
        "resume": lambda: resumed(recipe, folder, said),
        "plain": lambda: plain(folder / "run"),
    }
    if kept.is_file():
        found = json.loads(kept.read_text())
    for part, make in parts.items():
        if part not in found:
            found[part] = make()
            kept.write_text(json.dumps(found, indent=1))
    return found


def settings(said: tuple[str, ...], *more: str) -> list[str]:
    return [word for value in (*said, *more) for word in ("--set", value)]


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


def resumed(recipe: Path, folder: Path, said: tuple[str, ...]) -> dict[str, Any]:
    """A few steps in one go, and as many that a signal interrupts: are the adapters' files the same?"""
    whole, run = Path(fresh(folder / "whole")), Path(fresh(folder / "stopped"))
    steps = next((MORE_STEPS[name] for name in MORE_STEPS if f"method={name}" in said), SHORT_STEPS)
    short = settings(said, f"training.max_steps={steps}") if takes_steps(said) else settings(said)
    answer("train", str(recipe), "--output", str(whole), *short)
    command = [sys.executable, "-m", "rankwise", "train", str(recipe), "--output", str(run), *short]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    while process.poll() is None and steps_done(run) < STOPPED_AFTER:
        time.sleep(0.05)
    process.send_signal(signal.SIGTERM)
    code = process.wait()
    answer("train", "--resume", str(run))
    files = [sha256_file(payload(path / "adapter")) for path in (whole, run)]
    return {"exit": code, "stopped_after": STOPPED_AFTER, "same": files[0] == files[1]}


def takes_steps(said: tuple[str, ...]) -> bool:
    return not {"method=prompt", "method=classifier"} & set(said)


def payload(adapter: Path) -> Path:
    return next(adapter.glob("*.safetensors"), adapter / "prompt.json")


def steps_done(run: Path) -> int:
    """Or candidates of a prompt, or fits of a classifier."""
    if not (run / "events.jsonl").is_file():
        return 0
    return sum(event["event"] in ("step", "candidate", "fitted") for event in read_events(run / "events.jsonl"))


def plain(run: Path) -> Any:
    command = [sys.executable, str(Path(__file__).parent / "plain_peft.py"), str(run)]
    return json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout)


INTRODUCTION = f"""# Methods

Made by `python benchmarks/methods.py DATA_DIR`. For each task the first {TRAIN_ROWS:,} training rows of one public set,
the same for all its methods, and the default plan but for what the first column says. One seed. The weights of
smollm2-135m were once quantised to 4 bits, so LoRA against QLoRA is undecided on it.

Minus few-shot, minus baseline: accuracy of the adapter minus the few-shot base's and the cheap baseline's (TF-IDF and a
linear SVM, trained on the same rows), with the 95% interval of a paired bootstrap; what a task has not is left open.
Memory: the peak, and what was planned. Resumed: {SHORT_STEPS} steps (adalora {MORE_STEPS["adalora"]}; what takes none:
candidates or fits), stopped by SIGTERM after {STOPPED_AFTER} and resumed, against as many in one go.
PEFT: largest difference of any logit to plain transformers + peft (full, prompt, classifier: to what the lines on the
adapter's card give) in float32, 16 rows; in int8 bitsandbytes rounds activations by what else is in the batch, which
rankwise does not, so that difference is one of methods. The machine is shared: seconds are not for comparing, which
docs/evidence/method_times.md is for. What has no numbers but the plumbing to show says so in its heading."""
COLUMNS = (
    *("method", "trained", "peak GB (planned)", "s (cores)", "epochs", "accuracy", "macro-F1", "minus few-shot"),
    *("minus baseline", "adapter MB", "resumed", "PEFT"),
)


def section(name: str, work: Path) -> str | None:
    """The methods of a task that were measured to the end; None: none was."""
    task, results = TASKS[name], dict[str, dict[str, Any]]()
    for method in task.methods:
        kept = work / plain_name(method) / "parts.json"
        found = json.loads(kept.read_text()) if kept.is_file() else {}
        if "plain" in found:
            results[method] = found
    if not results:
        return None
    lines = [f"| {' | '.join(COLUMNS)} |", "|---" * len(COLUMNS) + "|"]
    lines += [f"| {' | '.join(cells(method, found))} |" for method, found in results.items()]
    first = next(iter(results.values()))
    judged = first["evaluate"]
    others = ", ".join(
        f"{title} {judged[key]['accuracy']:.3f} / {judged[key]['macro_f1']:.3f}"
        for key, title in (("base", "base"), ("few_shot", "few-shot base"), ("baseline", "linear SVM"))
        if judged.get(key)
    )
    told = f"{first['where']}. {judged['rows']} held-out rows. Beside the methods, accuracy / macro-F1: {others}."
    return "\n\n".join([f"## {name}: {task.title}", told, "\n".join(lines)])


def cells(method: str, found: dict[str, Any]) -> list[str]:
    planned, trained, scores = found["plan"], found["train"], found["evaluate"]["adapter"]
    share = planned["trainable_parameters"] / planned["total_parameters"]
    epochs = planned["decisions"].get("training.num_train_epochs")
    size = sum(file.stat().st_size for file in Path(trained["adapter"]).glob("*.safetensors")) / 1e6
    return [
        method,
        f"{share:.2%}",
        f"{trained['peak_memory_bytes'] / 1e9:.1f} ({planned['memory_bytes'] / 1e9:.1f})",
        f"{trained['seconds']:.0f} ({found['where'].partition(' cores')[0].rpartition(' ')[2]})",
        f"{epochs['value']:g}" if epochs else "-",
        f"{scores['accuracy']:.3f}",
        f"{scores['macro_f1']:.3f}",
        *(difference(found["evaluate"]["differences"].get(other)) for other in ("few_shot", "baseline")),
        f"{size:.1f}",
        "the same" if found["resume"]["same"] else "DIFFERS",
        f"{found['plain']['max_difference']:.1e}",
    ]


def difference(found: dict[str, Any] | None) -> str:
    if not found:
        return "-"
    low, high = found["interval"]
    return f"{found['value']:+.3f} ({low:+.3f} to {high:+.3f})"


if __name__ == "__main__":
    main()
