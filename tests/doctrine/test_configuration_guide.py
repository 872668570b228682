"""Document 003: its general advice, its four presets, and which of them is meant when."""

from __future__ import annotations

from dataclasses import replace

import pytest

from rankwise.doctrine.configuration_guide import (
    CONFIGURATION_GUIDE,
    LARGE_ROWS,
    LITTLE_MEMORY,
    PRESETS,
    SMALL_ROWS,
    preset_for,
    query_only,
)
from rankwise.doctrine.examples import ELSEWHERE, REFERENCE, with_rows
from rankwise.doctrine.rule import Situation, Value

LLAMA = REFERENCE["Llama-3.1-8B"]
LABELS = replace(LLAMA, labels=4)


def values(situation: Situation) -> dict[str, Value]:
    settled: dict[str, Value] = {}
    situation = replace(situation, settled=settled)
    for key in ("lora.r", *CONFIGURATION_GUIDE.decides):
        advice = CONFIGURATION_GUIDE.advise(key, situation)
        if advice is not None:
            settled[key] = advice.value
    return {key.removeprefix("lora."): value for key, value in settled.items()}


@pytest.mark.parametrize(
    ("situation", "expected"),
    [
        (LABELS, (16, 32, 0.1, ["q_proj", "k_proj", "v_proj", "o_proj"], "none")),
        (ELSEWHERE["DistilBERT, labels"], (16, 32, 0.1, ["q_lin", "k_lin", "v_lin", "out_lin"], "none")),
        (LLAMA, (8, 16, 0.05, ["q_proj", "k_proj", "v_proj", "o_proj"], "none")),
        (ELSEWHERE["T5-small"], (32, 64, 0.1, ["q", "k", "v", "o", "wi", "wo"], "lora_only")),
        (ELSEWHERE["a GPU of 6 GB"], (4, 8, 0.05, ["q_proj"], "none")),
    ],
)
def test_the_documents_configurations(situation: Situation, expected: tuple[Value, ...]) -> None:
    given = values(situation)
    got = tuple(given[key] for key in ("r", "lora_alpha", "lora_dropout", "target_modules", "bias"))
    assert got == expected


def test_little_memory_comes_first_and_takes_four_bits() -> None:
    tiny = replace(ELSEWHERE["DistilBERT, labels"], gpus=1, gpu_bytes=LITTLE_MEMORY - 1)
    assert preset_for(tiny) is PRESETS["under-8gb"]
    assert {key: values(tiny)[key] for key in ("method", "quantization")} == {"method": "qlora", "quantization": "nf4"}
    assert preset_for(replace(tiny, gpu_bytes=LITTLE_MEMORY)) is PRESETS["sentiment"]
    assert "method" not in values(LLAMA) and "quantization" not in values(LLAMA)


@pytest.mark.parametrize(
    ("rows", "dropout"),
    [(SMALL_ROWS - 1, 0.0), (SMALL_ROWS, 0.1), (LARGE_ROWS, 0.1), (LARGE_ROWS + 1, 0.3)],
)
def test_dropout_by_the_size_of_the_data(rows: int, dropout: float) -> None:
    assert values(with_rows(LABELS, rows))["lora_dropout"] == dropout
    preset = values(with_rows(LLAMA, rows))["lora_dropout"]
    assert preset == (0.05 if dropout == 0.1 else dropout)


def test_a_preset_is_translated_to_fused_projections() -> None:
    fused = replace(LLAMA, roles={"query_key_value": ("Wqkv",), "attention_output": ("Wo",)})
    assert PRESETS["under-8gb"].targets(fused) == ["Wqkv"]
    assert PRESETS["sentiment"].targets(fused) == ["Wo", "Wqkv"]


@pytest.mark.parametrize(
    ("key", "value", "objected"),
    [
        ("lora.r", 4, 1),
        ("lora.r", 5, 0),
        ("lora.r", 31, 0),
        ("lora.r", 32, 1),
        ("lora.bias", "all", 1),
        ("lora.bias", "none", 0),
        ("quantization", "nf4", 1),
        ("quantization", "none", 0),
    ],
)
def test_objections(key: str, value: Value, objected: int) -> None:
    settled = replace(LLAMA, settled={key: value})
    assert sum(o.to == key and o.object(settled) is not None for o in CONFIGURATION_GUIDE.objections) == objected


def test_what_a_preset_itself_takes_is_not_objected_to() -> None:
    for situation in ELSEWHERE.values():
        given = values(situation)
        own = {key if key in ("method", "quantization") else f"lora.{key}": value for key, value in given.items()}
        settled = replace(situation, settled=own)
        assert not [o.object(settled) for o in CONFIGURATION_GUIDE.objections if o.object(settled) is not None]


def test_queries_alone_are_objected_to_and_queries_among_others_are_not() -> None:
    assert query_only(replace(LLAMA, settled={"lora.target_modules": ["q_proj"]}))
    for fine in (["q_proj", "v_proj"], ["v_proj"], ["q_proj", "up_proj"], "all-linear"):
        assert query_only(replace(LLAMA, settled={"lora.target_modules": fine})) is None
