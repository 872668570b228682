"""Tokens estimated from bytes, where a base has no tokenizer beside it."""

from __future__ import annotations

import json
from math import ceil
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rankwise.data.estimate import BYTES_PER_TOKEN, EstimatedTokenizer
from rankwise.data.read import Row
from rankwise.data.render import Renderer
from rankwise.errors import BaseError
from rankwise.recipe.domains.profiles import ROWS

CHATML = "{% for m in messages %}<|im_start|>{{ m['role'] }}\n{{ m['content'] }}<|im_end|>\n{% endfor %}"
PROMPT = "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
PIECES = st.sampled_from(["<|im_end|>", "<|im_start|>", "word ", "Straße", "東京", "🙂", "\n"])


@given(st.lists(PIECES | st.text(max_size=30), max_size=12).map("".join))
def test_every_character_is_in_one_token_and_can_be_read_back(text):
    tokenizer = EstimatedTokenizer(CHATML, ())
    encoded = tokenizer.encode(text)
    assert tokenizer.decode(encoded.ids, skip_special_tokens=False) == text
    assert [text[a:b] for a, b in encoded.offsets] == [tokenizer.decode([i], False) for i in encoded.ids]
    assert all(a < b for a, b in encoded.offsets)
    assert encoded.ids == tokenizer.encode(text).ids


@given(st.text(st.characters(max_codepoint=126), max_size=300))
def test_plain_text_has_a_token_for_so_many_bytes(text):
    assert len(EstimatedTokenizer("", ()).encode(text).ids) == ceil(len(text) / BYTES_PER_TOKEN)


@given(st.text(st.characters(min_codepoint=0x80, exclude_categories=["Cs"]), max_size=300))
def test_wide_characters_count_by_their_bytes_and_are_never_cut(text):
    count = len(EstimatedTokenizer("", ()).encode(text).ids)
    assert count <= min(len(text), ceil(len(text.encode()) / BYTES_PER_TOKEN))
    assert count >= min(len(text), len(text.encode()) // 4)


def test_special_tokens_are_one_token_each():
    tokenizer = EstimatedTokenizer(CHATML, ["<eot>"])
    shown = [tokenizer.decode([i], False) for i in tokenizer.encode("<|im_start|>ab<eot>\n<|im_end|>").ids]
    assert shown == ["<|im_start|>", "ab", "<eot>", "\n", "<|im_end|>"]
    assert tokenizer.decode(tokenizer.encode("ab<|im_end|>").ids) == "ab"


ROW = Row(
    where="rows.jsonl:1",
    question="what is due?",
    answer="the rent, in May",
    messages=({"role": "user", "content": "what is due?"}, {"role": "assistant", "content": "the rent, in May"}),
)


def test_a_row_is_rendered_and_supervised_as_with_a_tokenizer(tmp_path):
    renderer = Renderer(tmp_path, estimate=True)
    shown = renderer.preview(renderer.render(ROW))
    assert shown == [("### User:\nwhat is due?\n\n### Assistant:\n", False), ("the rent, in May</s>", True)]
    rendered = renderer.render(ROW)
    assert rendered.stops and rendered.num_supervised == ceil(len("the rent, in May") / BYTES_PER_TOKEN) + 1
    assert renderer.estimated


def test_the_bases_own_template_is_used_where_it_is_there(tmp_path):
    (tmp_path / "chat_template.jinja").write_text(CHATML + PROMPT)
    renderer = Renderer(tmp_path, estimate=True)
    assert renderer.preview(renderer.render(ROW))[-1] == ("the rent, in May<|im_end|>", True)
    row, rendered = renderer.shorten(ROW, len(renderer.render(ROW).ids) - 2)
    assert len(rendered.ids) == len(renderer.render(ROW).ids) - 2
    assert str(ROW.messages[0]["content"]).startswith(str(row.messages[0]["content"]))


def test_without_being_asked_to_estimate_nothing_is_guessed(tmp_path, tiny_base):
    with pytest.raises(BaseError, match=r"no tokenizer\.json"):
        Renderer(tmp_path)
    there = Renderer(tiny_base, estimate=True)
    assert not there.estimated
    assert there.render(ROW) == Renderer(tiny_base).render(ROW)


def test_the_constant_is_that_of_the_sample_rows(embedded_base: Path):
    tokenizer = Renderer(embedded_base)
    texts = [
        value if isinstance(value, str) else json.dumps(value)
        for file in ROWS.glob("*.jsonl")
        for line in file.read_text(encoding="utf-8").splitlines()
        for value in json.loads(line).values()
    ]
    tokens = sum(len(tokenizer.encode(text)) for text in texts)
    assert sum(len(text.encode()) for text in texts) / tokens == pytest.approx(BYTES_PER_TOKEN, rel=0.1)
