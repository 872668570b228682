"""How fast rankwise trains on one GPU, beside PEFT with liger-kernel: writes docs/evidence/gpu.md.

    python benchmarks/gpu_speed.py [--shape NAME] [--case NAME ...] [--side NAME ...] [--steps N] [--out DIR]

The base has the shape of a known one and random weights, made on the GPU from a seed, so both sides have the same.
Rows are random tokens, 16 LoRA ranks on all linear layers, AdamW, bfloat16. Each cell is a process of its own: three
steps to warm up (kernels are compiled in them), then the timed ones. The peer is transformers and PEFT under bfloat16
autocast, with liger-kernel's norms, rotary positions, gated activations and fused head where that is installed, and
PyTorch's attention; rows are padded to the longest of a batch.
"""

from __future__ import annotations

import argparse
import json
import random
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

import torch
from peft import LoraConfig, get_peft_model
from transformers import AutoModelForCausalLM, LlamaConfig

from rankwise.data.render import Rendered
from rankwise.model.attach import LoraSettings, attach_new
from rankwise.model.attention import IMPLEMENTATION
from rankwise.model.load import TOLERANCE, make_ready
from rankwise.train.objectives import backward_sft

LINEAR = ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj")
WARM_UP = 3
PEAK_FLOPS = 989e12
"""Dense bfloat16 products of an H100 or H200 SXM a second, by NVIDIA's data sheet."""

SHAPES: dict[str, dict[str, Any]] = {
    "llama-3.1-8b": {
        "hidden_size": 4096,
        "intermediate_size": 14336,
        "num_hidden_layers": 32,
        "num_attention_heads": 32,
        "num_key_value_heads": 8,
        "vocab_size": 128256,
    },
    "llama-3.2-1b": {
        "hidden_size": 2048,
        "intermediate_size": 8192,
        "num_hidden_layers": 16,
        "num_attention_heads": 32,
        "num_key_value_heads": 8,
        "vocab_size": 128256,
        "tie_word_embeddings": True,
    },
    "tiny": {
        "hidden_size": 64,
        "intermediate_size": 128,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "vocab_size": 512,
    },
}


@dataclass(frozen=True)
class Case:
    """Rows of one step: `prefix` tokens that all begin with, then between `shortest` and `longest` of a row's own, the
    last `answer` of which are supervised; the peer takes them so many at a time."""

    title: str
    rows: int
    prefix: int
    shortest: int
    longest: int
    answer: int
    peer_rows: int


CASES = {
    "even": Case("8 rows of 1,024 tokens, nothing shared, nothing to pad", 8, 0, 1024, 1024, 256, 8),
    "uneven": Case("16 rows of 128 to 1,024 tokens, nothing shared", 16, 0, 128, 1024, 64, 8),
    "domain": Case("32 rows of 560 shared and 32 to 64 tokens of their own", 32, 560, 32, 64, 8, 8),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shape", choices=list(SHAPES), default="llama-3.1-8b")
    parser.add_argument("--case", choices=list(CASES), action="append")
    parser.add_argument("--side", choices=list(SIDES), action="append")
    parser.add_argument("--steps", type=int, default=8)
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--out", type=Path, default=Path("docs/evidence"))
    parser.add_argument("--cell", nargs=2, metavar=("SIDE", "CASE"), help="one cell, in this process, as JSON")
    options = parser.parse_args()
    if options.cell:
        side, case = options.cell
        print(json.dumps(run_cell(side, CASES[case], SHAPES[options.shape], options.steps, options.device)))
        return
    found: dict[str, dict[str, Any]] = {}
    for case in options.case or CASES:
        for side in options.side or SIDES:
            found.setdefault(case, {})[side] = apart(side, case, options)
            print(case, side, json.dumps(found[case][side]), flush=True)
            write(options, found)  # after each, so that a run that is cut short leaves what it has


def apart(side: str, case: str, options: argparse.Namespace) -> dict[str, Any]:
    words = ["--cell", side, case, "--shape", options.shape, "--steps", str(options.steps), "--device", options.device]
    done = subprocess.run([sys.executable, __file__, *words], stdout=subprocess.PIPE, text=True)
    if done.returncode:
        return {"fault": f"exit code {done.returncode}"}
    return json.loads(done.stdout.splitlines()[-1])  # type: ignore[no-any-return]


def rows_of(case: Case, vocabulary: int, seed: int) -> list[Rendered]:
    draw = random.Random(seed)
    prefix = [draw.randrange(vocabulary) for _ in range(case.prefix)]
    rows = []
    for _ in range(case.rows):
        own = draw.randint(case.shortest, case.longest)
        ids = (*prefix, *(draw.randrange(vocabulary) for _ in range(own)))
        prompt = len(ids) - case.answer
        rows.append(Rendered(ids, (False,) * prompt + (True,) * case.answer, prompt, True))
    return rows


def random_base(shape: dict[str, Any], device: str, attention: str) -> Any:
    torch.manual_seed(0)
    config = LlamaConfig(**shape, rope_theta=500000.0, max_position_embeddings=8192)
    with torch.device(device):
        model = AutoModelForCausalLM.from_config(config, dtype=torch.bfloat16, attn_implementation=attention)
    model.config.use_cache = False
    return model.requires_grad_(False)


def ours(shape: dict[str, Any], case: Case, device: str) -> tuple[Any, Callable[[list[Rendered]], torch.Tensor]]:
    base = random_base(shape, device, IMPLEMENTATION).eval()
    base = make_ready(base, Path("random"), TOLERANCE["bfloat16"])
    model = attach_new(base, "random", LoraSettings(16, 32, 0.0, LINEAR, "none", False, True), seed=0)
    model.train()
    return model, lambda rows: backward_sft(model, [rows], share=True)


def peer(shape: dict[str, Any], case: Case, device: str, liger: bool) -> tuple[Any, Any]:
    base = random_base(shape, device, "sdpa")
    if liger:
        from liger_kernel.transformers import _apply_liger_kernel_to_instance

        _apply_liger_kernel_to_instance(model=base)
    torch.manual_seed(0)
    config = LoraConfig(task_type="CAUSAL_LM", r=16, lora_alpha=32, target_modules=list(LINEAR))
    model = get_peft_model(base, config).train()

    def step(rows: list[Rendered]) -> torch.Tensor:
        tokens = sum(row.num_supervised for row in rows)
        total = torch.zeros((), device=device)
        for first in range(0, len(rows), case.peer_rows):
            with torch.autocast(device, torch.bfloat16):
                part = padded(rows[first : first + case.peer_rows], device)
                loss = model(**part, num_items_in_batch=tokens).loss
            loss.backward()
            total += loss.detach()
        return total

    return model, step


def padded(rows: list[Rendered], device: str) -> dict[str, torch.Tensor]:
    """Ids and labels, (rows, longest), and a mask where there is anything to hide."""
    longest = max(len(row.ids) for row in rows)
    ids = [[*row.ids, *[0] * (longest - len(row.ids))] for row in rows]
    labels = [
        [token if on else -100 for token, on in zip(row.ids, row.supervised, strict=True)]
        + [-100] * (longest - len(row.ids))
        for row in rows
    ]
    batch = {"input_ids": torch.tensor(ids, device=device), "labels": torch.tensor(labels, device=device)}
    if any(len(row.ids) < longest for row in rows):
        mask = [[1] * len(row.ids) + [0] * (longest - len(row.ids)) for row in rows]
        batch["attention_mask"] = torch.tensor(mask, device=device)
    return batch


SIDES: dict[str, Callable[[dict[str, Any], Case, str], tuple[Any, Any]]] = {
    "ours": ours,
    "peft": lambda shape, case, device: peer(shape, case, device, liger=False),
    "peft-liger": lambda shape, case, device: peer(shape, case, device, liger=True),
}


def run_cell(side: str, case: Case, shape: dict[str, Any], steps: int, device: str) -> dict[str, Any]:
    cuda = device == "cuda"
    began = time.perf_counter()
    model, step = SIDES[side](shape, case, device)
    trained = [p for p in model.parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW(trained, lr=1e-4, fused=True)
    seconds, losses = [], []
    for number in range(WARM_UP + steps):
        rows = rows_of(case, shape["vocab_size"], number)
        if number == WARM_UP:
            warm = time.perf_counter() - began
            if cuda:
                torch.cuda.reset_peak_memory_stats()
        start = time.perf_counter()
        losses.append(float(step(rows)))
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        if cuda:
            torch.cuda.synchronize()
        if number >= WARM_UP:
            seconds.append(time.perf_counter() - start)
    tokens = statistics.mean(
        sum(len(r.ids) for r in rows_of(case, shape["vocab_size"], n + WARM_UP)) for n in range(steps)
    )
    return {
        "seconds": statistics.median(seconds),
        "fastest": min(seconds),
        "slowest": max(seconds),
        "rows_per_second": case.rows / statistics.median(seconds),
        "tokens_per_second": tokens / statistics.median(seconds),
        "mfu": flops(model, case, shape, steps) / statistics.median(seconds) / PEAK_FLOPS,
        "peak_bytes": torch.cuda.max_memory_allocated() if cuda else 0,
        "warm_up_seconds": warm,
        "losses": losses,
        "device": torch.cuda.get_device_name() if cuda else "cpu",
        "torch": torch.__version__,
    }


def flops(model: Any, case: Case, shape: dict[str, Any], steps: int) -> float:
    """Of a mean step, by what the rows ask for one by one, whatever is padded, shared or recomputed: 4 for each frozen
    weight and token (a product forward, one back), 6 for each trained one, attention over earlier tokens, the head
    for supervised tokens alone."""
    head = shape["hidden_size"] * shape["vocab_size"]
    linear = [
        p for name, p in model.named_parameters() if p.dim() == 2 and "embed" not in name and "lm_head" not in name
    ]
    per_token = sum((6 if p.requires_grad else 4) * p.numel() for p in linear)
    width = shape["hidden_size"] * shape["num_hidden_layers"]
    total = 0.0
    for number in range(steps):
        for row in rows_of(case, shape["vocab_size"], number + WARM_UP):
            count = len(row.ids)
            # q k^T and its weights times v: 2 products of count^2 / 2 pairs forward, twice as many back
            total += per_token * count + 3 * 2 * 2 * width * count**2 / 2 + 4 * head * row.num_supervised
    return total / steps


def write(options: argparse.Namespace, found: dict[str, dict[str, Any]]) -> None:
    ran = [cell for cells in found.values() for cell in cells.values() if "device" in cell]
    if not ran:
        return
    some = ran[0]
    lines = [
        "# One GPU",
        "",
        f"`python benchmarks/gpu_speed.py --shape {options.shape} --steps {options.steps}`, {date.today()}, one "
        f"{some['device']}, torch {some['torch']}. Random weights of the shape, bfloat16, r=16 on all linear layers; "
        f"median of {options.steps} steps after {WARM_UP} to warm up, fastest and slowest in brackets. FLOP "
        "utilisation: what the rows ask for one by one, over 989 TFLOP/s; where a shared prefix is computed once it "
        "can pass 100%.",
        "",
        "| rows of a step | side | a step | tokens/s | FLOP utilisation | peak memory | to warm up | speed |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for case, cells in found.items():
        peers = [c["seconds"] for side, c in cells.items() if side != "ours" and "seconds" in c]
        for side, cell in cells.items():
            if "fault" in cell:
                lines.append(f"| {CASES[case].title} | {side} | {cell['fault']} | | | | | |")
                continue
            ratio = f"{min(peers) / cell['seconds']:.2f}x the faster peer" if peers and side == "ours" else ""
            lines.append(
                f"| {CASES[case].title} | {side} | {cell['seconds'] * 1e3:.0f} ms ({cell['fastest'] * 1e3:.0f} to "
                f"{cell['slowest'] * 1e3:.0f}) | {cell['tokens_per_second']:,.0f} | {cell['mfu']:.0%} | "
                f"{cell['peak_bytes'] / 1e9:.1f} GB | {cell['warm_up_seconds']:.0f} s | {ratio} |"
            )
    lines += [
        "",
        "Losses of the same steps, beside ours:",
        "",
        "| rows of a step | side | largest difference |",
        "|---|---|---|",
    ]
    for case, cells in found.items():
        for side, cell in cells.items():
            if side != "ours" and "losses" in cell and "losses" in cells.get("ours", {}):
                pairs = zip(cell["losses"], cells["ours"]["losses"], strict=True)
                lines.append(f"| {CASES[case].title} | {side} | {max(abs(a - b) for a, b in pairs):.4f} |")
    options.out.mkdir(parents=True, exist_ok=True)
    (options.out / "gpu.md").write_text("\n".join(lines) + "\n", encoding="utf-8")
    (options.out / "gpu.json").write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
