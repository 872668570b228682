"""An adapter added to its base's weights: a whole model, written one tensor at a time, whatever the base's size.

The base's weight files are copied, and the tensors that the adapter moves are overwritten in the copies. Sums are made
in float32 and rounded to the type of the base's files, once.
"""

from __future__ import annotations

import shutil
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors import safe_open
from safetensors.torch import save_file

from rankwise.errors import AdapterError, Problem
from rankwise.facts import AdapterFacts, Anatomy
from rankwise.facts.adapter import LoraPair
from rankwise.facts.folder import INDEX, PICKLES, weight_files
from rankwise.facts.header import Tensor, read_header
from rankwise.facts.modules import is_table
from rankwise.facts.payload import CLASSIFIER, PROMPT
from rankwise.facts.prefix import is_prefix
from rankwise.facts.verify import place_of
from rankwise.files import read_json, write_json

PREFIX = "base_model.model."
SINGLE = "model.safetensors"
HEAD = "lm_head.weight"
HEAD_FILE = "model-head.safetensors"
"""Of a head that was tied to the embeddings, and is its own since the adapter moves it alone."""
SHOWN = 3


@dataclass(frozen=True)
class Change:
    """What becomes of one weight of the base."""

    pair: LoraPair | None = None
    scale: float = 1.0
    magnitude: Tensor | None = None
    """DoRA's: the length of every row."""
    added: Tensor | None = None
    """Of a delta of all weights."""
    instead: Tensor | None = None
    """A bias that was trained in place."""


@dataclass(frozen=True)
class Written:
    changed: int
    """Tensors."""
    head_untied: bool


def write_merged(facts: AdapterFacts, base: Path, anatomy: Anatomy, folder: Path) -> Written:
    """Write base plus adapter into the empty `folder`; the caller has verified the one on the other.

    Raises AdapterError naming all that cannot be merged.
    """
    changes = _changes(facts)
    files = weight_files(base)
    tensors = [tensor for file in files for tensor in read_header(file)]
    held = {place_of(tensor.name): tensor for tensor in tensors}
    twice = sorted(place for place, count in Counter(place_of(t.name) for t in tensors).items() if count > 1)
    if unclear := sorted(changes.keys() & set(twice)):
        raise _refusal(facts, f"the base's files have several weights that end in {_some(unclear)}")
    head = _tied_head(changes, held, anatomy)
    absent = sorted(place for place in changes if place not in held and place != head)
    if absent:
        raise _refusal(facts, f"the base's files have no {_some(absent)} to add it to")
    transposed = bool(facts.config.get("fan_in_fan_out"))
    for file in sorted(base.iterdir()):
        if file.is_file() and file.suffix != ".safetensors" and file.suffix not in PICKLES:
            shutil.copyfile(file, folder / file.name)
    for file in files:
        copy = folder / file.name
        shutil.copyfile(file, copy)
        with copy.open("r+b") as stream:
            for tensor in read_header(copy):
                change = changes.get(place_of(tensor.name))
                if change is not None and place_of(tensor.name) != head:
                    stream.seek(tensor.offset)
                    stream.write(_bytes(_changed(_read(tensor), change, transposed)))
    if head is not None:
        _untie(folder, files, _embedding(held), changes[head], transposed)
    return Written(len(changes), head is not None)


def require_change(facts: AdapterFacts) -> None:
    """AdapterError for a kind of adapter that changes no weight."""
    if facts.payload in (PROMPT, CLASSIFIER):
        raise _refusal(facts, "it changes no weight of the base")
    if is_prefix(facts.config):
        raise _refusal(facts, "it is a learnt prefix of keys and values, which no weight of the base can hold")


def _changes(facts: AdapterFacts) -> dict[str, Change]:
    """Place of a weight -> what becomes of it. AdapterError if anything of the adapter has none."""
    require_change(facts)
    if facts.is_delta:
        return {place_of(name): Change(added=tensor) for name, tensor in facts.tensors.items()}
    left, changes = set(facts.tensors), {}
    for module, pair in facts.pairs.items():
        if pair.experts > 1 or facts.config.get("target_parameters"):
            raise _refusal(facts, f"it adapts fused experts ({module}), which this build does not merge")
        names = (f"{PREFIX}{module}.lora_magnitude_vector{end}" for end in ("", ".weight"))
        magnitude = next((facts.tensors[name] for name in names if name in facts.tensors), None)
        changes[place_of(f"{module}.weight")] = Change(pair, facts.scale(module), magnitude)
        left -= {pair.a.name, pair.b.name, *([magnitude.name] if magnitude else [])}
    for name in sorted(left):
        if name.startswith(PREFIX) and name.endswith(".bias"):
            path = name.removeprefix(PREFIX).replace(".base_layer.", ".")
            changes[place_of(path)] = Change(instead=facts.tensors[name])
            left.discard(name)
    if left:
        raise _refusal(facts, f"it holds more than pairs of matrices and biases ({_some(sorted(left))})")
    return changes


def _tied_head(changes: Mapping[str, Change], held: Mapping[str, Tensor], anatomy: Anatomy) -> str | None:
    """The head's place, if the adapter moves it while the base has it in its embeddings, which must stay."""
    heads = [place_of(f"{layer.path}.weight") for layer in anatomy.modules if layer.role == "head"]
    moved = next((place for place in heads or [HEAD] if changes.get(place) and changes[place].pair), None)
    return moved if anatomy.tied_head else None


def _embedding(held: Mapping[str, Tensor]) -> Tensor:
    return max((tensor for tensor in held.values() if is_table(tensor.name.split(".")[:-1])), key=lambda t: t.size)


def _untie(folder: Path, files: tuple[Path, ...], embedding: Tensor, change: Change, transposed: bool) -> None:
    """Write the head beside the embeddings it was tied to."""
    head = _changed(_read(embedding), change, transposed)
    save_file({HEAD: head.contiguous()}, folder / HEAD_FILE, metadata={"format": "pt"})
    names = {tensor.name: file.name for file in files for tensor in read_header(folder / file.name)}
    if len(files) == 1:  # transformers looks at no index beside a file of this name
        (folder / SINGLE).rename(folder / "model-body.safetensors")
        names = dict.fromkeys(names, "model-body.safetensors")
    names[HEAD] = HEAD_FILE
    total = sum(file.stat().st_size for file in folder.glob("*.safetensors"))
    write_json(folder / INDEX, {"metadata": {"total_size": total}, "weight_map": names})
    config = read_json(folder / "config.json")
    for part in (config, config.get("text_config")):
        if isinstance(part, dict) and (part is config or "tie_word_embeddings" in part):
            part["tie_word_embeddings"] = False
    write_json(folder / "config.json", config)


def _changed(weight: torch.Tensor, change: Change, transposed: bool) -> torch.Tensor:
    """The weight with the change, in its own type."""
    if change.instead is not None:
        return _read(change.instead).to(weight.dtype)
    exact = weight.float()
    if change.added is not None:
        return (exact + _read(change.added).float()).to(weight.dtype)
    assert change.pair is not None
    update = _read(change.pair.b).float() @ _read(change.pair.a).float() * change.scale
    exact = exact.t() if transposed else exact
    if exact.shape != update.shape:
        raise AdapterError(f"a weight lies as {tuple(exact.shape)}, and its update as {tuple(update.shape)}")
    exact = exact + update
    if change.magnitude is not None:
        exact = exact * (_read(change.magnitude).float().flatten() / exact.norm(dim=1)).unsqueeze(1)
    return (exact.t() if transposed else exact).to(weight.dtype).contiguous()


def _read(tensor: Tensor) -> torch.Tensor:
    with safe_open(tensor.file, framework="pt") as file:
        found: torch.Tensor = file.get_tensor(tensor.name)
    return found


def _bytes(tensor: torch.Tensor) -> bytes:
    return tensor.contiguous().flatten().view(torch.uint8).numpy().tobytes()


def _some(names: list[str]) -> str:
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return ", ".join(names[:SHOWN]) + more


def _refusal(facts: AdapterFacts, message: str) -> AdapterError:
    return AdapterError(problems=[Problem("error", "adapter-not-mergeable", str(facts.path), message)])
