"""Description length against transformers' own probabilities, row by row."""

from __future__ import annotations

import json
import math
import random
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from transformers import AutoModelForCausalLM

from rankwise.data.corpus import CorpusRequest, build_corpus
from rankwise.data.render import Rendered, Renderer
from rankwise.facts import read_anatomy
from rankwise.model.attach import LoraSettings, attach_new
from rankwise.model.describe import BATCH_TOKENS, _batches, describe, description_length
from rankwise.model.load import load_base

BaseOf = Callable[[str], Path]


def some_rows(count: int, seed: int = 0) -> list[Rendered]:
    """Rows of 4 to 24 tokens, the last 1 to 6 of them supervised, behind one common beginning."""
    draw = random.Random(seed)
    rows = []
    for _ in range(count):
        answer = draw.randint(1, 6)
        body = [draw.randrange(250) for _ in range(draw.randint(3, 18) + answer)]
        ids = (*range(20), *body)
        rows.append(Rendered(ids, tuple(i >= len(ids) - answer for i in range(len(ids))), len(ids) - answer, True))
    return rows


def direct_bits(folder: Path, rows: list[Rendered]) -> list[float]:
    """-log2 p of the supervised tokens of each row, by transformers alone, one row at a time."""
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
    bits = []
    for row in rows:
        with torch.no_grad():
            logs = model(torch.tensor([row.ids])).logits[0].double().log_softmax(-1)
        bits.append(-sum(float(logs[i - 1, row.ids[i]]) for i, on in enumerate(row.supervised) if on) / math.log(2))
    return bits


@pytest.mark.parametrize("architecture", ["llama", "qwen3", "gemma3"])
def test_all_rows_give_the_sum_that_transformers_gives(architecture: str, base_of: BaseOf) -> None:
    rows = some_rows(30)
    found = description_length(base_of(architecture), rows, "float32")
    assert found.bits == pytest.approx(sum(direct_bits(base_of(architecture), rows)), rel=1e-5)
    assert (found.low, found.high, found.rows_used) == (found.bits, found.bits, 30)


def test_a_uniform_base_needs_the_logarithm_of_its_vocabulary(base_of: BaseOf) -> None:
    model = load_base(base_of("qwen2"), "float32", "cpu")
    model.get_output_embeddings().weight.data.zero_()
    rows = some_rows(40)
    tokens = sum(row.num_supervised for row in rows)
    for most in (40, 10):  # every token costs the same, so a part says it all
        found = describe(model, rows, most_rows=most)
        assert found == pytest.approx((tokens * math.log2(260), *[tokens * math.log2(260)] * 2, most), rel=1e-5)


def test_a_part_of_the_rows_gives_an_interval_that_holds_the_whole(base_of: BaseOf) -> None:
    """Nineteen times in twenty; of 60 draws, at least 50 (fewer has probability 0.0003 at 95%)."""
    rows, model = some_rows(120), load_base(base_of("llama"), "float32", "cpu")
    whole = describe(model, rows).bits
    drawn = [describe(model, rows, seed=seed, most_rows=40) for seed in range(60)]
    assert sum(each.low <= whole <= each.high for each in drawn) >= 50
    assert all(each.low < each.bits < each.high and each.rows_used == 40 for each in drawn)
    assert len({each.bits for each in drawn}) > 50
    assert describe(model, rows, seed=3, most_rows=40) == drawn[3]
    wider = describe(model, rows, seed=3, most_rows=10)
    assert wider.high - wider.low > drawn[3].high - drawn[3].low


def test_one_row_is_no_sample(base_of: BaseOf) -> None:
    with pytest.raises(ValueError, match="at least 2"):
        description_length(base_of("llama"), some_rows(3), "float32", most_rows=1)


def test_a_fresh_adapter_changes_nothing(base_of: BaseOf) -> None:
    rows, model = some_rows(10), load_base(base_of("llama"), "float32", "cpu")
    bare = describe(model, rows)
    adapted = attach_new(model, "llama", LoraSettings(4, 8, 0.0, ["q_proj"], "none", False, True), seed=0).eval()
    assert describe(adapted, rows) == pytest.approx(bare, rel=1e-6)


def test_batches_hold_every_row_once_within_the_limit() -> None:
    long = Rendered((1,) * (BATCH_TOKENS + 5), (False,) * (BATCH_TOKENS + 4) + (True,), BATCH_TOKENS + 4, True)
    rows = [*some_rows(200), long]
    batches = list(_batches(rows))
    assert sorted(place for batch in batches for place in batch) == list(range(201))
    assert batches[0] == [200]
    sizes = [sum(len(rows[place].ids) for place in batch) for batch in batches[1:]]
    assert max(sizes) <= BATCH_TOKENS and len(sizes) > 1
    assert list(_batches([])) == []


def test_in_a_process_of_its_own(tmp_path: Path, base_of: BaseOf) -> None:
    """The rows are the run's own: those that data.json names, the held-out ones left out."""
    base, rows = base_of("llama"), tmp_path / "rows.jsonl"
    rows.write_text(
        "".join(json.dumps({"prompt": f"say {i}", "completion": f"it is {i * i}"}) + "\n" for i in range(20))
    )
    request = CorpusRequest(str(rows), 0.25, None, None, "error", "all", 0)
    corpus = build_corpus(request, Renderer(base), read_anatomy(base).max_length)
    assert len(corpus.train) == 15
    decisions = {"training.bf16": False, "threads": 1, "device": "cpu", "training.seed": 0}
    plan = {
        "decisions": {key: {"value": value, "reason": "", "source": ""} for key, value in decisions.items()},
        "trainable_parameters": 1,
        "total_parameters": 2,
        "capacity": {"status": "AMPLE", "message": "", "capacity_bits": 2, "required_bits": 1, "suggested_rank": 1},
        "memory_bytes": 3,
        "seconds": None,
        "problems": [],
    }
    (tmp_path / "plan.json").write_text(json.dumps(plan))
    (tmp_path / "data.json").write_text(json.dumps(request.as_json()))
    command = [sys.executable, "-m", "rankwise.model.describe", str(tmp_path), str(base)]
    found = json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
    assert found.keys() == {"bits", "low", "high", "rows_used"}
    assert found["rows_used"] == 15
    assert found["bits"] == pytest.approx(sum(direct_bits(base, list(corpus.train_rendered))), rel=1e-5)
