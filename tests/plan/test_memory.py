"""Memory and disk, part by part: closed forms, and what grows with what."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import astuple
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rankwise.data.batch import pack
from rankwise.data.corpus import Corpus
from rankwise.facts import Anatomy, read_anatomy
from rankwise.plan import Plan
from rankwise.plan import memory as planned
from rankwise.plan.memory import (
    EVALUATION_LOGITS,
    EVALUATION_TOKENS,
    PROCESS,
    MicroBatch,
    disk_bytes,
    frozen_bytes,
    largest_micro_batch,
    plan_memory,
    run_disk_bytes,
    training_memory,
)
from rankwise.recipe import parse_recipe

COUNTS = st.integers(0, 10**6)


@given(trainable=COUNTS, tokens=COUNTS, targets=COUNTS)
def test_it_grows_with_adapter_tokens_and_targets(
    tiny_anatomy: Anatomy, trainable: int, tokens: int, targets: int
) -> None:
    def bytes_of(trainable: int, tokens: int, targets: int, dtype: str = "float32") -> int:
        return training_memory(tiny_anatomy, "lora", trainable, dtype, MicroBatch(tokens, targets)).total

    least = bytes_of(trainable, tokens, targets)
    assert least >= PROCESS + 4 * tiny_anatomy.total_parameters + 16 * trainable
    assert bytes_of(trainable + 1, tokens, targets) == least + 16
    assert bytes_of(trainable, tokens + 1, targets) > least
    assert bytes_of(trainable, tokens, targets + 1) >= least  # only so many logits are held at once
    assert bytes_of(trainable, tokens, targets, "bfloat16") < least


def test_the_parts_are_closed_forms(tiny_anatomy: Anatomy) -> None:
    """The tiny base: 2 layers, 32 wide, 64 at the widest."""
    part = training_memory(tiny_anatomy, "lora", 1000, "bfloat16", MicroBatch(tokens=50, targets=7))
    assert (part.base, part.process) == (2 * tiny_anatomy.total_parameters, PROCESS)
    assert (part.adapter, part.gradients, part.optimizer) == (4000, 4000, 8000)
    kept = planned.HIDDEN_KEPT * 32 + planned.INNER_KEPT["cpu"] * 64
    assert part.activations == 50 * (2 * kept + planned.PASSING * 64) * 2
    assert part.logits == 7 * tiny_anatomy.vocab_size * (2 * 2 + planned.LOGIT_BYTES)
    assert part.total == sum(astuple(part))

    longest = training_memory(tiny_anatomy, "lora", 1000, "bfloat16", MicroBatch(50, 7, keys=128))
    assert longest.activations == part.activations + 50 * 2 * (32 * 128 // planned.HEAD_SIZE) * 2
    again = training_memory(tiny_anatomy, "lora", 1000, "bfloat16", MicroBatch(50, 7), checkpointing=True)
    assert again.activations == 50 * (2 * 32 + kept + planned.PASSING * 64) * 2
    many = training_memory(tiny_anatomy, "lora", 1000, "bfloat16", MicroBatch(50, 10**6))
    assert many.logits == planned.LOGITS_HELD["cpu"] * (2 * 2 + planned.LOGIT_BYTES)


def test_evaluation_and_merging_hold_the_adapter_alone(tiny_anatomy: Anatomy) -> None:
    made = plan_memory(tiny_anatomy, "lora", 1000, "float32", MicroBatch(50, 7))
    held = PROCESS + 4 * tiny_anatomy.total_parameters + 4 * 1000
    live = EVALUATION_TOKENS * (planned.HIDDEN_LIVE * 32 + planned.INNER_LIVE * 64) * 4
    cache = EVALUATION_TOKENS * 2 * 16 * 2 * 4  # keys and values, 16 wide, of 2 layers
    assert made.evaluation == held + live + cache + EVALUATION_LOGITS * tiny_anatomy.vocab_size * 8
    largest = tiny_anatomy.vocab_size * 32  # the head
    assert made.merging == held + 2 * largest * 4


def test_by_method(tiny_anatomy: Anatomy) -> None:
    weights = tiny_anatomy.total_parameters
    assert frozen_bytes(tiny_anatomy, "lora", "float32") == frozen_bytes(tiny_anatomy, "dora", "float32") == 4 * weights
    assert frozen_bytes(tiny_anatomy, "lora", "bfloat16") == 2 * weights
    assert frozen_bytes(tiny_anatomy, "qlora", "bfloat16") < 2 * weights
    assert frozen_bytes(tiny_anatomy, "full", "float32") == 4 * weights  # the best so far
    whole = plan_memory(tiny_anatomy, "full", weights, "float32", MicroBatch(50, 7))
    assert whole.training.adapter == 4 * weights
    largest = tiny_anatomy.vocab_size * 32  # the head
    assert whole.merging == PROCESS + 2 * 4 * weights + 2 * 4 * largest  # the base, and what is added to all of it
    bits = whole.training
    assert bits.base + bits.adapter + bits.gradients + bits.optimizer == (4 + 4 + 4 + 8) * weights


def test_a_shared_beginning_counts_once_a_micro_batch(
    tmp_path: Path, corpus_of: Callable[..., Corpus], rows_file: Path
) -> None:
    asked = parse_recipe(f"data: {{train: {rows_file.name}, held_out: 0.2}}", "recipe.yaml", tmp_path)
    corpus = corpus_of(asked)
    longest = sorted(corpus.train_rendered, key=lambda row: len(row.ids))[-4:]
    packed = pack(longest, share=True)
    assert packed.prefix > 0
    batch = largest_micro_batch(corpus, 4, share=True)
    whole = largest_micro_batch(corpus, 4, share=False)
    assert whole.tokens == sum(len(row.ids) for row in longest)
    # These four may share more than all rows do, never less.
    assert len(packed.ids) <= batch.tokens < whole.tokens
    assert batch.targets == whole.targets >= len(packed.targets)
    assert largest_micro_batch(corpus, 1, share=True).tokens == len(longest[-1].ids)


def test_the_plan_says_each_part(plan_of: Callable[..., Plan]) -> None:
    made = plan_of()
    told = json.loads(json.dumps(made.as_json()))
    assert made.memory_bytes == sum(told["memory"]["training"].values())
    parts = {"base", "adapter", "gradients", "optimizer", "activations", "logits", "process"}
    assert set(told["memory"]["training"]) == parts
    assert set(told["memory"]) == {"training", "evaluation", "merging"}
    assert set(told["disk_bytes"]) == {"checkpoints", "adapter"}
    assert Plan.model_validate(told) == made
    older = {key: value for key, value in told.items() if key not in ("memory", "disk_bytes")}
    assert Plan.model_validate(older).memory is None


@pytest.mark.parametrize("trainable", [0, 1, 10**6])
def test_disk(trainable: int) -> None:
    needed = disk_bytes(trainable)
    by_place = run_disk_bytes(needed)
    assert needed.adapter == 4 * trainable + planned.SMALL_FILES == by_place.catalogue
    assert needed.checkpoints == 3 * (16 * trainable + planned.SMALL_FILES)
    assert by_place.run == needed.checkpoints + needed.adapter
    doubled = disk_bytes(trainable, doubled=True)
    assert doubled.checkpoints == needed.checkpoints and doubled.adapter == needed.adapter + 4 * trainable


def test_constants_of_the_engine_are_the_engines() -> None:
    """The plan may not import torch, so it has copies."""
    from rankwise.model import blocks, generate, head

    assert (EVALUATION_TOKENS, EVALUATION_LOGITS) == (generate.BATCH_TOKENS, generate.BATCH_LOGITS)
    assert (planned.WEIGHTS_KEPT["cpu"], planned.LOGITS_HELD) == (blocks.WEIGHTS_KEPT, head.LOGITS_HELD)


@pytest.mark.parametrize(
    ("tokens", "targets", "measured"), [(8 * 1024, 8 * 256, 53.50e9), (560 + 32 * 48, 32 * 8, 26.64e9)]
)
def test_peaks_that_a_gpu_had(tokens: int, targets: int, measured: float, tmp_path: Path) -> None:
    """docs/evidence/gpu.md: Llama-3.1-8B's shape, r=16 on all linear layers."""
    config = {
        "architectures": ["LlamaForCausalLM"],
        "model_type": "llama",
        "hidden_size": 4096,
        "intermediate_size": 14336,
        "num_hidden_layers": 32,
        "num_attention_heads": 32,
        "num_key_value_heads": 8,
        "vocab_size": 128256,
        "torch_dtype": "bfloat16",
        "max_position_embeddings": 8192,
    }
    (tmp_path / "config.json").write_text(json.dumps(config))
    anatomy, batch = read_anatomy(tmp_path), MicroBatch(tokens, targets, 1024)
    told = training_memory(anatomy, "lora", 41_943_040, "bfloat16", batch, device="cuda")
    assert 0.95 * measured < told.total - told.process < 1.15 * measured
