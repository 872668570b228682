"""The files of a base model's folder: its config, and which files hold its weights. Pickles are refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from rankwise.errors import BaseError, Problem
from rankwise.facts.header import HeaderError, Tensor, read_header
from rankwise.files import read_json

PICKLES = (".bin", ".pt", ".pth", ".pkl", ".ckpt")
INDEX = "model.safetensors.index.json"


def read_config(path: Path) -> dict[str, Any]:
    """`config.json` of the base in folder `path`. Raises BaseError."""
    try:
        config = read_json(path / "config.json")
    except FileNotFoundError:
        raise base_error(
            "base-no-config", path, "no config.json in it; give the folder of a transformers model"
        ) from None
    except (OSError, ValueError) as error:
        raise base_error("base-unreadable", path, f"config.json cannot be read ({error})") from None
    if not isinstance(config, dict):
        raise base_error("base-unreadable", path, "config.json is not a JSON object")
    return config


def has_weights(path: Path) -> bool:
    """Whether the folder holds weights in any form, whole or not: then they are to be read, and their faults told."""
    return any(path.glob("*.safetensors")) or (path / INDEX).is_file() or bool(_pickles(path))


def _pickles(path: Path) -> list[str]:
    return sorted(p.name for p in path.glob("*") if p.suffix in PICKLES)


def weight_files(path: Path) -> tuple[Path, ...]:
    """The safetensors files that hold the base's weights: `model.safetensors`, or the shards its index names.

    Raises BaseError: none there, pickles only, or shards missing.
    """
    single, index = path / "model.safetensors", path / INDEX
    if single.is_file():
        return (single,)
    if index.is_file():
        try:
            names = sorted(set(read_json(index)["weight_map"].values()))
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise base_error("base-unreadable", path, f"{index.name} cannot be read ({error})") from None
        odd = [n for n in names if not isinstance(n, str) or Path(n).name != n or not n.endswith(".safetensors")]
        if odd:
            raise base_error(
                "base-unreadable", path, f"{index.name} points at {odd[0]!r}, not at a safetensors file beside it"
            )
        absent = [n for n in names if not (path / n).is_file()]
        if absent:
            raise base_error(
                "base-torn", path, f"{len(absent)} of {len(names)} weight files are missing, first {absent[0]}"
            )
        return tuple(path / n for n in names)
    if pickles := _pickles(path):
        advice = (
            "pickles can run code and are never read; save the model with save_pretrained, which writes safetensors"
        )
        raise base_error("base-pickle", path, f"its weights are pickled ({pickles[0]}): {advice}")
    raise base_error("base-no-weights", path, "no model.safetensors in it, nor an index of shards")


def read_weights(path: Path) -> tuple[Tensor, ...]:
    """The headers of all weight files of the base in folder `path`. Raises BaseError with every torn file."""
    tensors: list[Tensor] = []
    problems: list[Problem] = []
    for file in weight_files(path):
        try:
            tensors += read_header(file)
        except (HeaderError, OSError) as error:
            problems.append(Problem("error", "base-torn", str(path), f"{error}; fetch or copy the base again"))
    if problems:
        raise BaseError(problems=problems)
    return tuple(tensors)


def base_error(code: str, path: Path, message: str) -> BaseError:
    """One fault of the base in folder `path`."""
    return BaseError(problems=[Problem("error", code, str(path), message)])
