"""An encoder-decoder's plan: two sides padded apart, in closed form."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from rankwise.data.corpus import build_corpus
from rankwise.data.plain import PlainRenderer
from rankwise.data.request import corpus_request
from rankwise.facts import Located, Machine, read_anatomy
from rankwise.plan import Plan, Prepared, advise
from rankwise.plan.encoder_decoder import largest_sides
from rankwise.plan.memory import LOGIT_BYTES, LOGITS_HELD, MicroBatch, training_memory
from rankwise.plan.method import Costs
from rankwise.recipe import parse_recipe

BATCH = 4


@pytest.fixture
def prepared(encoder_decoder_of: Callable[[str], Path], tmp_path: Path) -> Prepared:
    """Twenty rows; the longest prompt and the longest answer are of different ones."""
    base = encoder_decoder_of("t5")
    rows = [
        {"instruction": f"{'pay ' * (20 - i)}rent {chr(97 + i)}", "output": "good " * (1 + i % 7)} for i in range(20)
    ]
    (tmp_path / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    asked = parse_recipe(recipe(base, tmp_path), "recipe.yaml", tmp_path)
    renderer, anatomy = PlainRenderer(base, "encoder-decoder"), read_anatomy(base)
    corpus = build_corpus(corpus_request(asked, None), renderer, anatomy.max_length)
    located = Located("folder", base.name, str(base), base, True)
    return Prepared(located, base, anatomy, renderer, None, corpus, None)


def recipe(base: Path, folder: Path, more: str = "") -> str:
    return (
        f"model: {base}\ndata: {{train: {folder / 'rows.jsonl'}}}\n{more}"
        f"training: {{per_device_train_batch_size: {BATCH}}}\nlora: {{r: 4}}\n"
    )


@pytest.fixture
def made(prepared: Prepared, machine: Machine, tmp_path: Path) -> Plan:
    return advise(parse_recipe(recipe(prepared.path, tmp_path), "recipe.yaml", tmp_path), prepared, machine, None)


def test_either_side_is_as_long_as_its_longest(prepared: Prepared) -> None:
    rows = prepared.corpus.train_rendered
    read, written = max(row.prompt for row in rows), max(row.num_supervised for row in rows)
    assert not any((row.prompt, row.num_supervised) == (read, written) for row in rows)
    found = largest_sides(prepared.corpus, BATCH)
    assert found == MicroBatch(BATCH * (read + written), BATCH * written, max(read, written), at_once=True)
    assert largest_sides(prepared.corpus, 1000).tokens == len(rows) * (read + written)


def test_all_logits_of_a_batch_are_held(prepared: Prepared) -> None:
    """A causal base holds but so many at once."""
    outputs = prepared.anatomy.vocab_size
    targets = 2 * LOGITS_HELD["cpu"] // outputs
    for at_once, held in ((True, targets * outputs), (False, LOGITS_HELD["cpu"])):
        batch = MicroBatch(10, targets, 10, at_once)
        part = training_memory(prepared.anatomy, "lora", 0, "float32", batch)
        assert part.logits == held * (2 * 4 + LOGIT_BYTES)


def test_the_plan_holds_it(made: Plan, prepared: Prepared) -> None:
    anatomy, corpus = prepared.anatomy, prepared.corpus
    # q, k, v, o of three attentions, wi and wo of two stacks; two layers each, 32 wide, 48 inside
    assert made.trainable_parameters == 4 * (2 * 3 * 4 * 64 + 2 * 2 * 2 * 80)
    assert made.memory is not None
    batch = largest_sides(corpus, BATCH)
    expected = training_memory(anatomy, "lora", made.trainable_parameters, "float32", batch)
    assert made.memory.training == expected
    assert made.capacity is not None and made.capacity.required_bits == corpus.supervised_tokens
    assert "read and written apart" in made.decisions["data.max_length"].reason
    assert made["data.max_length"] == max(row.length for row in corpus.train_rendered)
    assert made.decisions["chat_template"].value is None and "its tokenizer" in made.decisions["chat_template"].reason
    assert made.memory is not None and made.memory.merging == 0  # not built for this task


def test_a_token_passes_one_of_the_stacks(made: Plan, prepared: Prepared) -> None:
    anatomy, corpus = prepared.anatomy, prepared.corpus
    body = sum(p.in_features * p.out_features * p.count for p in anatomy.projections if p.role != "head") / 2
    tokens = sum(len(row.ids) for row in corpus.train_rendered)
    head = 32 * anatomy.vocab_size * corpus.supervised_tokens / tokens
    lora = 2 * (body + head) + 3 * made.trainable_parameters / 2
    assert Costs(made, made.values(), anatomy, corpus).time("full") == pytest.approx(3 * (body + head) / lora)
