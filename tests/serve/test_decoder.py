"""Our forward against the base's own: alone, in batches, with prompts in parts, with labels as a tree."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from transformers import AutoModelForCausalLM

from rankwise.model.generate import LabelTree, score_labels
from rankwise.model.load import load_base
from rankwise.serve.decoder import Decoder
from rankwise.serve.engine import Engine, Piece
from rankwise.serve.own_forward import OwnForward
from rankwise.serve.segments import Segments
from tests.model.conftest import make_base

CLOSE = {"rtol": 1e-4, "atol": 1e-4}
PROMPTS = ([5, 9, 31, 7], [8] * 3 + [40, 2], list(range(60, 100)))


@pytest.fixture(scope="module")
def bases(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    made: dict[str, Path] = {}

    def get(kind: str) -> Path:
        if kind not in made:
            made[kind] = make_base(tmp_path_factory.mktemp("bases") / kind, kind)
        return made[kind]

    return get


def own_logits(base: Path, ids: list[int]) -> torch.Tensor:
    with torch.inference_mode():
        return AutoModelForCausalLM.from_pretrained(base).eval()(torch.tensor([ids])).logits[0]


def engine_of(kind: str, base: Path) -> Engine:
    model = load_base(base, "float32", "cpu")
    if kind == "own":
        return OwnForward(model, 4, 64)
    decoder = Decoder.of(model, 4, 64)
    assert decoder is not None
    return decoder


def test_which_bases_are_built_as_llamas_are(bases: Callable[[str], Path]) -> None:
    found = {
        kind: Decoder.of(load_base(bases(kind), "float32", "cpu"), 2, 64) is not None
        for kind in ("llama", "qwen2", "qwen3", "gemma3", "mistral", "mixtral")
    }
    assert found == {
        "llama": True, "qwen2": True, "qwen3": False, "gemma3": False, "mistral": False, "mixtral": False
    }  # fmt: skip


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="the memory of a process is read as Linux tells it")
@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_slots_that_no_row_reached_take_no_memory(dtype: str, bases: Callable[[str], Path]) -> None:
    def resident() -> int:
        return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")

    model = load_base(bases("llama"), dtype, "cpu")
    before = resident()
    decoder = Decoder.of(model, 1024, 4096)
    assert decoder is not None and decoder.kv.dtype == getattr(torch, dtype)
    assert decoder.kv.nbytes > 1 << 29 and resident() - before < decoder.kv.nbytes / 8


@pytest.mark.parametrize(
    ("engine", "architecture"), [("decoder", "llama"), ("decoder", "qwen2"), ("own", "qwen3"), ("own", "mistral")]
)
def test_rows_of_a_batch_have_the_logits_of_each_alone(
    engine: str, architecture: str, bases: Callable[[str], Path]
) -> None:
    base = bases(architecture)
    runs = engine_of(engine, base)
    logits = runs.prefill([Piece(slot, 0, ids, None) for slot, ids in enumerate(PROMPTS)])
    rows = [list(ids) for ids in PROMPTS]
    for ids, found in zip(rows, logits, strict=True):
        torch.testing.assert_close(found, own_logits(base, ids)[-1:], **CLOSE)
    for step in range(3):
        tokens = [3 + step, 50, 77 - step]
        found = runs.decode(tokens, [len(ids) for ids in rows], Segments([None] * 3))
        for row, token in zip(rows, tokens, strict=True):
            row.append(token)
        for ids, its_logits in zip(rows, found, strict=True):
            torch.testing.assert_close(its_logits, own_logits(base, ids)[-1], **CLOSE)
    runs.move(2, 0, len(rows[2]))
    found = runs.decode([11, 12], [len(rows[2]), len(rows[1])], Segments([None] * 2))
    torch.testing.assert_close(found[0], own_logits(base, [*rows[2], 11])[-1], **CLOSE)
    torch.testing.assert_close(found[1], own_logits(base, [*rows[1], 12])[-1], **CLOSE)


def test_a_prompt_may_come_in_parts_and_begin_as_another_did(bases: Callable[[str], Path]) -> None:
    base, ids = bases("llama"), list(range(30, 55))
    runs = engine_of("decoder", base)
    runs.prefill([Piece(0, 0, ids[:20], None)])
    kept = runs.copy_out(0, 20)
    assert kept is not None
    runs.copy_in(1, kept, 18)
    whole, part = runs.prefill([Piece(0, 20, ids[20:], None), Piece(1, 18, ids[18:], None)])
    expected = own_logits(base, ids)[-1:]
    torch.testing.assert_close(whole, expected, **CLOSE)
    torch.testing.assert_close(part, expected, **CLOSE)


@pytest.mark.parametrize("engine", ["decoder", "own"])
def test_labels_have_the_probabilities_that_evaluation_gives_them(engine: str, bases: Callable[[str], Path]) -> None:
    base, answers = bases("llama"), [[7, 8, 257], [7, 9, 257], [11, 257]]
    tree = LabelTree(answers)
    runs = engine_of(engine, base)
    pieces = [Piece(slot, 0, [*ids, *tree.tokens], None, tree) for slot, ids in enumerate(PROMPTS)]
    found = torch.stack([tree.log_probabilities(logits[None])[0] for logits in runs.prefill(pieces)])
    expected = score_labels(load_base(base, "float32", "cpu"), PROMPTS, answers)
    torch.testing.assert_close(found, expected, **CLOSE)
