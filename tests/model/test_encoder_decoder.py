"""An encoder-decoder: its losses are transformers' own, and neither padding nor batches change them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from rankwise.data.plain import PlainRenderer
from rankwise.data.read import Row
from rankwise.data.render import Rendered
from rankwise.errors import BaseError
from rankwise.files import read_json, write_json
from rankwise.model.attach import LoraSettings, attach_new
from rankwise.model.encoder_decoder import (
    answer_losses,
    generate_answers,
    is_encoder_decoder,
    load_encoder_decoder,
    mean_answer_loss,
    score_answers,
)
from rankwise.model.load import load_base
from rankwise.train.objectives import answering

EncoderDecoderOf = Callable[[str], Path]
KINDS = ("t5", "t5-gated", "mt5", "bart")
TOLERANCE = 5e-5
"""Largest relative difference of losses and of gradients, in float32."""
TEXTS = (
    ("who pays the rent", "the tenant"),
    ("when may the supplier end this agreement without giving a reason", "any time"),
    ("revenue", "rose by twelve percent while costs fell"),
    ("is a contract clause about payment and notice sorted by risk", "no"),
)


def rows_of(folder: Path) -> list[Rendered]:
    renderer = PlainRenderer(folder, "encoder-decoder")
    rows = [
        Row("rows:1", ({"role": "user", "content": q}, {"role": "assistant", "content": a}), q, a) for q, a in TEXTS
    ]
    return [renderer.render(row) for row in rows]


@pytest.fixture(scope="module", params=KINDS)
def folder(request: pytest.FixtureRequest, encoder_decoder_of: EncoderDecoderOf) -> Path:
    return encoder_decoder_of(request.param)


@pytest.fixture(scope="module")
def model(folder: Path) -> Any:
    return load_encoder_decoder(folder, "float32", "cpu")


def test_the_losses_are_those_of_transformers(model: Any, folder: Path) -> None:
    """Row by row and without padding, with the decoder's start as the library itself shifts it."""
    rows = rows_of(folder)
    expected = []
    for row in rows:
        labels = torch.tensor([row.ids[row.prompt :]])
        logits = model(input_ids=torch.tensor([row.ids[: row.prompt]]), labels=labels).logits[0]
        expected += (-logits.log_softmax(-1)[torch.arange(labels.numel()), labels[0]]).tolist()
    with torch.no_grad():
        assert answer_losses(model, rows).tolist() == pytest.approx(expected, rel=TOLERANCE)
    mean = sum(expected) / len(expected)
    assert max(expected) - min(expected) > 1  # the tokens matter
    for batch_rows in (1, 3, 4):
        assert mean_answer_loss(model, rows, batch_rows) == pytest.approx(mean, rel=TOLERANCE)


def test_labels_are_scored_as_whole_answers(model: Any, folder: Path) -> None:
    rows = rows_of(folder)
    answers = [row.ids[row.prompt :] for row in rows]
    assert len(set(map(len, answers))) > 1
    told: list[int] = []
    scores = score_answers(model, [row.ids[: row.prompt] for row in rows], answers, told.append)
    for i, row in enumerate(rows):
        for label, answer in enumerate(answers):
            ids = (*row.ids[: row.prompt], *answer)
            asked = Rendered(ids, (True,) * len(ids), row.prompt, True, encoded=True)
            with torch.no_grad():
                expected = -float(answer_losses(model, [asked]).sum())
            assert float(scores[i, label]) == pytest.approx(expected, rel=TOLERANCE)
    assert sum(told) == len(rows)


def test_it_writes_what_transformers_writes(model: Any, folder: Path) -> None:
    """Greedily, in one batch as alone, up to the limit and up to a stop token."""
    rows, most = rows_of(folder), 12
    prompts = [row.ids[: row.prompt] for row in rows]
    written = generate_answers(model, prompts, frozenset(), most)
    for prompt, answer in zip(prompts, written, strict=True):
        assert answer.truncated and len(answer.ids) == most
        tokens = list(answer.ids)
        given = torch.tensor([[model.config.decoder_start_token_id, *tokens[:-1]]])
        with torch.no_grad():
            logits = model(input_ids=torch.tensor([prompt]), decoder_input_ids=given).logits[0]
        assert logits.argmax(-1).tolist() == tokens
    stop = written[0].ids[5]
    for answer, whole in zip(generate_answers(model, prompts, frozenset([stop]), most), written, strict=True):
        ids = whole.ids[: whole.ids.index(stop)] if stop in whole.ids else whole.ids
        assert (answer.ids, answer.truncated) == (ids, stop not in whole.ids)


@pytest.mark.parametrize("parts", [1, 2, 4])
def test_micro_batches_change_neither_loss_nor_gradient(parts: int, folder: Path) -> None:
    rows = rows_of(folder)
    names = ["q", "v"] if "bart" not in folder.name else ["q_proj", "v_proj"]
    settings = LoraSettings(4, 8, 0.0, names, "none", False, True)

    def gradients(batches: list[list[Rendered]]) -> tuple[float, torch.Tensor]:
        base = load_encoder_decoder(folder, "float32", "cpu")
        adapted = attach_new(base, "base", settings, 0, "seq_2_seq_lm").eval()  # no dropout
        for name, p in adapted.named_parameters():
            if "lora_B" in name:
                torch.nn.init.normal_(p, std=0.1, generator=torch.Generator().manual_seed(len(name)))
        loss = answering().backward(adapted, batches, lambda: None)
        return float(loss), torch.cat([p.grad.flatten() for p in adapted.parameters() if p.grad is not None])

    loss, gradient = gradients([rows])
    size = len(rows) // parts
    cut = [rows[i : i + size] for i in range(0, len(rows), size)]
    again, other = gradients(cut)
    assert again == pytest.approx(loss, rel=TOLERANCE)
    assert float((other - gradient).norm() / gradient.norm()) < TOLERANCE


def test_a_base_that_names_no_start_is_refused(encoder_decoder_of: EncoderDecoderOf, tmp_path: Path) -> None:
    import shutil

    folder = Path(shutil.copytree(encoder_decoder_of("t5"), tmp_path / "t5"))
    config = read_json(folder / "config.json")
    write_json(folder / "config.json", {**config, "decoder_start_token_id": None})
    with pytest.raises(BaseError, match="no decoder_start_token_id"):
        load_encoder_decoder(folder, "float32", "cpu")


def test_bases_are_told_apart(model: Any, tiny_base: Path) -> None:
    assert is_encoder_decoder(model)
    assert not is_encoder_decoder(load_base(tiny_base, "float32", "cpu"))
