"""Adapters that start from the base's own weights, and change them: PiSSA and OLoRA.

Both write W as W' + s B0 A0 and train B A from B0 A0 on top of W'. What is trained is therefore

    W' + s B A = W + s (B A - B0 A0) = W + s [B, -B0] [A; A0]

and so it is kept: as a plain adapter of twice the rank on the base as it is. PEFT: "convert PiSSA to LoRA".
"""

from __future__ import annotations

from math import sqrt
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from torch import nn

from rankwise.errors import RunError
from rankwise.facts.payload import CONFIG, WEIGHTS
from rankwise.files import read_json, write_json
from rankwise.model.attach import whole


def start_of(model: nn.Module) -> dict[str, torch.Tensor]:
    """A and B as they are now, by their names in an adapter's file, in the CPU's memory."""
    found = {}
    for name, p in model.named_parameters():
        if p.requires_grad and (".lora_A." in name or ".lora_B." in name):
            found[name.replace(".default.", ".")] = p.detach().to("cpu", copy=True)
    return found


def keep_start(file: Path, start: dict[str, torch.Tensor], resume: bool) -> None:
    """Write down where a run started; of one that goes on, RunError unless it is where it started.

    Both starts are decompositions, whose last bits another machine may compute otherwise: the base beneath the
    checkpoint's adapter would then be another one.
    """
    if not resume or not file.is_file():
        save_file(start, file)
        return
    kept = load_file(file)
    if kept.keys() != start.keys() or any(not torch.equal(kept[name], start[name]) for name in start):
        raise RunError(
            f"{file}: this machine decomposes the base into another start than the one the run was trained from; "
            "resume it where it began, with as many threads, or train anew"
        )


def subtract_start(folder: Path, start: dict[str, torch.Tensor]) -> None:
    """Turn the adapter PEFT saved in `folder` into the plain one of the same product on the untouched base."""
    trained, joined = load_file(folder / WEIGHTS), {}
    for name, tensor in trained.items():
        if name in start:
            side, other = (0, start[name]) if ".lora_A." in name else (1, -start[name])
            joined[name] = torch.cat([tensor, other.to(tensor.dtype)], side).contiguous()
        else:
            joined[name] = tensor
    save_file(joined, folder / WEIGHTS, metadata={"format": "pt"})
    config = read_json(folder / CONFIG)
    times = sqrt(2) if config["use_rslora"] else 2  # the scale stays what it was
    config["r"] *= 2
    config["lora_alpha"] = whole(config["lora_alpha"] * times)
    config["rank_pattern"] = {pattern: 2 * r for pattern, r in (config.get("rank_pattern") or {}).items()}
    alphas = config.get("alpha_pattern") or {}
    config["alpha_pattern"] = {pattern: whole(alpha * times) for pattern, alpha in alphas.items()}
    config["init_lora_weights"] = True
    write_json(folder / CONFIG, config)
