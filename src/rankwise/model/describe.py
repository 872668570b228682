"""How many bits a base needs to write down the supervised tokens of rows: one pass, nothing trained.

    python -m rankwise.model.describe FOLDER BASE

FOLDER holds plan.json and data.json, as a run folder does; BASE is the base's folder. Prints one JSON object, the
fields of `plan.capacity.DescriptionLength`, of the training rows in the plan's own dtype.
"""

from __future__ import annotations

import json
import random
import sys
from collections.abc import Iterator, Sequence
from math import fsum, log, sqrt
from pathlib import Path
from statistics import NormalDist

import torch

from rankwise.data.batch import pack
from rankwise.data.corpus import CorpusRequest, build_corpus
from rankwise.data.render import Rendered, Renderer
from rankwise.facts import read_anatomy
from rankwise.files import read_json
from rankwise.model.load import load_base
from rankwise.model.loss import target_losses
from rankwise.plan import Plan
from rankwise.plan.capacity import DescriptionLength

MOST_ROWS = 256
"""Rows that are read; of more, as many are drawn."""
BATCH_TOKENS = 2048
"""Most tokens of one forward pass, a longer row by itself."""
INTERVAL = 0.95


def description_length(
    folder: Path, rows: Sequence[Rendered], dtype: str, device: str = "cpu", seed: int = 0, most_rows: int = MOST_ROWS
) -> DescriptionLength:
    """Of all `rows` under the base in `folder`. Raises BaseError if it cannot be loaded."""
    return describe(load_base(folder, dtype, device), rows, seed, most_rows)


@torch.no_grad()
def describe(
    model: torch.nn.Module, rows: Sequence[Rendered], seed: int = 0, most_rows: int = MOST_ROWS
) -> DescriptionLength:
    """Bits of all `rows`, from at most `most_rows` of them drawn by `seed` without replacement.

    `model`: a base, or one with a fresh adapter, in evaluation mode. A part stands for the whole by its bits per
    token, for the tokens of all rows are known: total = tokens * (bits drawn / tokens drawn), with the normal
    interval of a ratio estimate (Cochran, Sampling Techniques, chapter 6).
    """
    if most_rows < 2:
        raise ValueError(f"most_rows {most_rows}, expected at least 2: one row gives no interval")
    drawn = list(rows) if len(rows) <= most_rows else random.Random(seed).sample(list(rows), most_rows)
    bits, tokens = _row_bits(model, drawn), [row.num_supervised for row in drawn]
    if len(drawn) == len(rows):
        return DescriptionLength(fsum(bits), fsum(bits), fsum(bits), len(drawn))
    rate = fsum(bits) / sum(tokens)
    total = rate * sum(row.num_supervised for row in rows)
    residuals = fsum((b - rate * t) ** 2 for b, t in zip(bits, tokens, strict=True))
    variance = residuals / (len(drawn) - 1) * (1 - len(drawn) / len(rows)) / len(drawn)
    half = NormalDist().inv_cdf((1 + INTERVAL) / 2) * sqrt(variance) * len(rows)
    return DescriptionLength(total, max(0.0, total - half), total + half, len(drawn))


def _row_bits(model: torch.nn.Module, rows: Sequence[Rendered]) -> list[float]:
    """Sum of -log2 p over the supervised tokens of each row, in the order of `rows`."""
    bits = [0.0] * len(rows)
    for places in _batches(rows):
        batch = pack([rows[place] for place in places], share=True)
        for row, loss in zip(batch.row_of, target_losses(model, batch).tolist(), strict=True):
            bits[places[row]] += loss / log(2)
    return bits


def _batches(rows: Sequence[Rendered]) -> Iterator[list[int]]:
    """Places of rows of like length, of at most BATCH_TOKENS tokens together."""
    batch: list[int] = []
    tokens = 0
    for place in sorted(range(len(rows)), key=lambda place: -len(rows[place].ids)):
        if batch and tokens + len(rows[place].ids) > BATCH_TOKENS:
            yield batch
            batch, tokens = [], 0
        batch.append(place)
        tokens += len(rows[place].ids)
    if batch:
        yield batch


def main(folder: Path, base: Path) -> None:
    plan = Plan.model_validate(read_json(folder / "plan.json"))
    corpus = build_corpus(
        CorpusRequest(**read_json(folder / "data.json")), Renderer(base), read_anatomy(base).max_length
    )
    torch.set_num_threads(int(str(plan["threads"])))
    dtype = "bfloat16" if plan["training.bf16"] else "float32"
    seed = int(str(plan["training.seed"]))
    found = description_length(base, corpus.train_rendered, dtype, str(plan["device"]), seed)
    print(json.dumps(found._asdict()), flush=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
