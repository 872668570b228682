"""The peer: LoRA by TRL's SFTTrainer and PEFT, as their documentation has it, on this machine's CPU.

    python benchmarks/peer_trl.py MODEL ROWS.jsonl --render
    python benchmarks/peer_trl.py MODEL ROWS.jsonl --steps N --batch B --accumulate A --dtype float32|bfloat16

ROWS.jsonl holds `{"prompt": [messages], "completion": [messages]}`, in the order they are trained on. r=16, alpha=32,
all linear layers, AdamW, linear decay, loss on the completion alone. It imports nothing of rankwise: it runs in an
environment that has trl, peft, transformers, datasets and torch. Prints one JSON object on the last line: what it was
given as ids and mask (`--render`), or what every step took and cost.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import platform
import resource
import sys
import tempfile
import time
from importlib import metadata
from pathlib import Path
from typing import Any

import torch
from datasets import Dataset
from peft import LoraConfig
from transformers import AutoModelForCausalLM, AutoTokenizer, BitsAndBytesConfig, TrainerCallback, set_seed
from trl import SFTConfig, SFTTrainer

R, LORA_ALPHA = 16, 32


class Recorder(TrainerCallback):
    """When each step ended, and its loss as the trainer logged it."""

    def __init__(self) -> None:
        self.began = 0.0
        self.ends: list[float] = []
        self.losses: list[float] = []

    def on_train_begin(self, args: Any, state: Any, control: Any, **rest: Any) -> None:
        self.began = time.perf_counter()

    def on_step_end(self, args: Any, state: Any, control: Any, **rest: Any) -> None:
        self.ends.append(time.perf_counter())

    def on_log(self, args: Any, state: Any, control: Any, logs: dict[str, float] | None = None, **rest: Any) -> None:
        if logs and "loss" in logs:
            self.losses.append(float(logs["loss"]))

    @property
    def seconds(self) -> list[float]:
        return [end - start for start, end in zip([self.began, *self.ends], self.ends, strict=False)]


def make_trainer(options: argparse.Namespace, rows: list[dict[str, Any]], recorder: Recorder) -> SFTTrainer:
    tokenizer = AutoTokenizer.from_pretrained(options.model)
    dtype = getattr(torch, options.dtype)
    kept = None
    if options.quantization == "nf4":
        kept = BitsAndBytesConfig(
            load_in_4bit=True,
            bnb_4bit_quant_type="nf4",
            bnb_4bit_use_double_quant=True,
            bnb_4bit_compute_dtype=dtype,
        )
    model = AutoModelForCausalLM.from_pretrained(options.model, dtype=dtype, quantization_config=kept)
    config = SFTConfig(
        output_dir=tempfile.mkdtemp(),
        per_device_train_batch_size=options.batch,
        gradient_accumulation_steps=options.accumulate,
        train_sampling_strategy="sequential",
        max_steps=options.steps,
        learning_rate=options.learning_rate,
        lr_scheduler_type="linear",
        warmup_steps=0,
        max_length=options.max_length,
        completion_only_loss=True,
        logging_steps=1,
        save_strategy="no",
        report_to=[],
        use_cpu=True,
        bf16=False,  # the base is loaded in its dtype instead: no autocast
        gradient_checkpointing=False,
        seed=options.seed,
    )
    set_seed(options.seed)  # before PEFT draws A
    return SFTTrainer(
        model=model,
        args=config,
        train_dataset=Dataset.from_list(rows),
        processing_class=tokenizer,
        callbacks=[recorder],
        peft_config=LoraConfig(r=R, lora_alpha=LORA_ALPHA, target_modules="all-linear", task_type="CAUSAL_LM"),
    )


def rendered(trainer: SFTTrainer) -> list[tuple[list[int], list[int]]]:
    """Ids of every row as the trainer made them, and 1 for each that it takes a loss of."""
    return [(list(row["input_ids"]), [int(label != -100) for label in row["labels"]]) for row in trainer.train_dataset]


def digest(rows: list[tuple[list[int], list[int]]]) -> str:
    return hashlib.sha256(json.dumps(rows).encode()).hexdigest()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model")
    parser.add_argument("rows", type=Path)
    parser.add_argument("--render", action="store_true")
    parser.add_argument("--steps", type=int, default=1)
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--accumulate", type=int, default=1)
    parser.add_argument("--dtype", choices=["float32", "bfloat16"], default="float32")
    parser.add_argument("--learning-rate", type=float, default=2e-4)
    parser.add_argument("--quantization", choices=["none", "nf4"], default="none")
    parser.add_argument("--max-length", type=int, default=4096)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    with options.rows.open(encoding="utf-8") as lines:
        rows = [json.loads(line) for line in lines]
    recorder = Recorder()
    trainer = make_trainer(options, rows, recorder)
    seen = rendered(trainer)
    if options.render:
        print(json.dumps({"rows": seen, "digest": digest(seen)}))
        return
    trainer.train()
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
    step_rows = options.batch * options.accumulate
    steady = recorder.seconds[1:] or recorder.seconds
    tokens = [sum(len(ids) for ids, _ in seen[i * step_rows : (i + 1) * step_rows]) for i in range(options.steps)]
    print(
        json.dumps(
            {
                "side": "peer",
                "dtype": options.dtype,
                "rows_per_second": step_rows * len(steady) / sum(steady),
                "tokens_per_second": sum(tokens[-len(steady) :]) / sum(steady),
                "losses": recorder.losses[: options.steps],
                "seconds": recorder.seconds,
                "tokens": tokens,
                "peak_memory_bytes": peak,
                "digest": digest(seen),
                "threads": torch.get_num_threads(),
                "batch": options.batch,
                "accumulate": options.accumulate,
                "versions": {name: metadata.version(name) for name in ("trl", "peft", "transformers", "torch")}
                | {"python": platform.python_version()},
            }
        )
    )


if __name__ == "__main__":
    main()
