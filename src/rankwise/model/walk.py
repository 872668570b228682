"""The weights of a config's architecture, built on the meta device: `python -m rankwise.model.walk FOLDER`.

One JSON object on standard output: `weights` [[name, dtype, shape], ...] with a tied weight once, `linear` and
`transposed` (paths of modules); or `error`. No weights are allocated, and no code of the folder's is run.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import torch
import transformers
from transformers.pytorch_utils import Conv1D


def walk(folder: Path) -> dict[str, list[object]]:
    """Raises ValueError with what transformers lacks or refuses."""
    config = transformers.AutoConfig.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
    name = (config.architectures or [""])[0]
    build = getattr(transformers, name, None)
    if not (isinstance(build, type) and issubclass(build, transformers.PreTrainedModel)):
        raise ValueError(f"transformers {transformers.__version__} knows no architecture {name!r}")
    with torch.device("meta"):
        model = build(config)
    dtype = str(config.dtype or torch.float32).removeprefix("torch.")
    linear = {path: m for path, m in model.named_modules() if isinstance(m, torch.nn.Linear | Conv1D)}
    return {
        "weights": [[path, dtype, list(p.shape)] for path, p in model.named_parameters()],
        "linear": list(linear),
        "transposed": [path for path, m in linear.items() if isinstance(m, Conv1D)],
    }


def main(folder: str) -> int:
    try:
        told: dict[str, object] = {**walk(Path(folder))}
    except Exception as error:  # transformers raises a dozen kinds for a config it cannot build
        told = {"error": (str(error).strip().splitlines() or [type(error).__name__])[0].rstrip(".")}
    print(json.dumps(told))
    return 2 if "error" in told else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
