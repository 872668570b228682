"""Generation of an evaluation against `model.generate` row by row: same prompts, same greedy tokens, seconds of each.

    python benchmarks/generate_speed.py [--rows N] [--tokens N] [--rounds N] [--json]

The embedded base in bfloat16 and float32, prompts of the bundled financial rows' held-out set. Tokens that differ are
counted: in float32 there must be none; in bfloat16 a near tie may fall the other way.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from pathlib import Path
from typing import Any

import torch
from transformers import AutoModelForCausalLM, PreTrainedModel

from rankwise.data.corpus import CorpusRequest, build_corpus
from rankwise.data.render import Renderer
from rankwise.events import ignore
from rankwise.facts import fetch_base, locate_base, read_anatomy, read_machine
from rankwise.model.generate import generate
from rankwise.model.load import load_base
from rankwise.recipe.domains import find_domain


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=48)
    parser.add_argument("--tokens", type=int, default=48)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    torch.set_num_threads(read_machine().usable_cores)
    base = fetch_base(locate_base("smollm2-135m", Path.cwd()), ignore)
    found = {dtype: measure(base, dtype, options) for dtype in ("bfloat16", "float32")}
    if options.json:
        print(json.dumps(found))
    else:
        for dtype, result in found.items():
            print(f"{dtype}: " + ", ".join(f"{key} {value}" for key, value in result.items()))


def measure(base: Path, dtype: str, options: argparse.Namespace) -> dict[str, Any]:
    prompts = held_out_prompts(base, options.rows)
    ours = load_base(base, dtype, "cpu")
    theirs = AutoModelForCausalLM.from_pretrained(base, dtype=getattr(torch, dtype), attn_implementation="sdpa").eval()
    stops = frozenset(stop_ids(theirs))
    row_by_row(theirs, prompts[:2], stops, 4)
    generate(ours, prompts[:2], stops, 4)
    seconds: dict[str, list[float]] = {"ours": [], "theirs": []}
    for _ in range(options.rounds):
        began = time.perf_counter()
        mine = [list(answer.ids) for answer in generate(ours, prompts, stops, options.tokens)]
        middle = time.perf_counter()
        other = row_by_row(theirs, prompts, stops, options.tokens)
        seconds["ours"].append(middle - began)
        seconds["theirs"].append(time.perf_counter() - middle)
    ratios = [b / a for a, b in zip(seconds["ours"], seconds["theirs"], strict=True)]
    return {
        "rows": len(prompts),
        "new_tokens": sum(map(len, other)),
        "rows_that_differ": sum(a != b for a, b in zip(mine, other, strict=True)),
        "seconds": round(statistics.median(seconds["ours"]), 2),
        "seconds_row_by_row": round(statistics.median(seconds["theirs"]), 2),
        "ratio": round(statistics.median(ratios), 2),
        "ratio_range": [round(min(ratios), 2), round(max(ratios), 2)],
    }


def held_out_prompts(base: Path, rows: int) -> list[tuple[int, ...]]:
    domain = find_domain("financial")
    request = CorpusRequest(str(domain.train), str(domain.held_out), None, None, "error", "all", 0)
    corpus = build_corpus(request, Renderer(base), read_anatomy(base).max_length)
    return [row.ids[: row.prompt] for row in corpus.held_out_rendered[:rows]]


def stop_ids(model: PreTrainedModel) -> list[int]:
    stops = model.generation_config.eos_token_id
    return stops if isinstance(stops, list) else [stops]


def row_by_row(
    model: PreTrainedModel, prompts: list[tuple[int, ...]], stops: frozenset[int], tokens: int
) -> list[list[int]]:
    answers = []
    for prompt in prompts:
        ids = torch.tensor([prompt])
        with torch.no_grad():
            out = model.generate(
                ids, attention_mask=torch.ones_like(ids), do_sample=False, max_new_tokens=tokens, use_cache=True
            )
        written = out[0, len(prompt) :].tolist()
        answers.append([token for token in written if token not in stops])
    return answers


if __name__ == "__main__":
    main()
