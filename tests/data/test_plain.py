"""Rows for encoders and encoder-decoders: the text as the tokenizer has every text, and the answer apart from it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import Whitespace
from tokenizers.processors import TemplateProcessing

from rankwise.data.plain import ESTIMATED_SPECIALS, PlainRenderer
from rankwise.data.read import Row

WORDS = {word: i for i, word in enumerate(["[CLS]", "[SEP]", "[UNK]", "pay", "the", "rent", "low", "risk"])}
ROW = Row(
    "rows.jsonl:1", ({"role": "user", "content": "pay the rent"}, {"role": "assistant", "content": "low"}), "", "low"
)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A tokenizer that begins a text with [CLS] and ends it with [SEP], as BERT's does."""
    tokenizer = Tokenizer(WordLevel(WORDS, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = Whitespace()
    tokenizer.post_processor = TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", WORDS["[CLS]"]), ("[SEP]", WORDS["[SEP]"])]
    )
    tokenizer.save(str(tmp_path / "tokenizer.json"))
    return tmp_path


def test_an_encoder_reads_the_text_and_answers_once(folder: Path) -> None:
    shown = PlainRenderer(folder, "encoder").render(ROW)
    assert [*shown.ids] == [WORDS[word] for word in ("[CLS]", "pay", "the", "rent", "[SEP]")]
    assert shown.supervised == (False, False, False, False, True)
    assert shown.label == "low"


def test_a_preview_shows_the_label_beside_the_text(folder: Path) -> None:
    renderer = PlainRenderer(folder, "encoder")
    assert renderer.preview(renderer.render(ROW)) == [("[CLS] pay the rent [SEP]", False), ("low", True)]


def test_an_encoder_decoder_writes_the_answer(folder: Path) -> None:
    shown = PlainRenderer(folder, "encoder-decoder").render(ROW)
    assert [*shown.ids[5:]] == [WORDS[word] for word in ("[CLS]", "low", "[SEP]")]
    assert shown.supervised == (False,) * 5 + (True,) * 3 and shown.prompt == 5
    assert shown.encoded and shown.length == 5  # of either side, the longer
    assert not shown.stops  # [SEP] is no stop token of this base


@pytest.mark.parametrize("ends_texts", [True, False])
def test_an_answer_ends_in_one_stop_token_whether_or_not_the_tokenizer_adds_it(folder: Path, ends_texts: bool) -> None:
    (folder / "config.json").write_text(json.dumps({"eos_token_id": WORDS["[SEP]"]}))
    if not ends_texts:
        tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
        tokenizer.post_processor = TemplateProcessing(single="$A", special_tokens=[])
        tokenizer.save(str(folder / "tokenizer.json"))
    shown = PlainRenderer(folder, "encoder-decoder").render(ROW)
    answer = ["[CLS]", "low", "[SEP]"] if ends_texts else ["low", "[SEP]"]
    assert shown.stops and [*shown.ids[shown.prompt :]] == [WORDS[word] for word in answer]


def test_a_prompt_is_read_as_it_was_in_training(folder: Path) -> None:
    renderer = PlainRenderer(folder, "encoder-decoder")
    shown = renderer.render(ROW)
    assert renderer.prompt(ROW.messages[:-1]) == [*shown.ids[: shown.prompt]]


def test_a_long_text_is_cut_and_keeps_its_ends(folder: Path) -> None:
    row, shown = PlainRenderer(folder, "encoder").shorten(ROW, 4)
    assert [*shown.ids] == [WORDS[word] for word in ("[CLS]", "pay", "the", "[SEP]")]
    assert row.messages[-1] == ROW.messages[-1]


def test_without_a_tokenizer_its_special_tokens_are_counted(tmp_path: Path) -> None:
    shown = PlainRenderer(tmp_path, "encoder", estimate=True).render(ROW)
    assert len(shown.ids) == 4 + ESTIMATED_SPECIALS  # 12 bytes, one token for 3.5
