"""Losses against closed forms."""

from __future__ import annotations

import json
import math
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch.nn import functional as F

from rankwise.data.batch import pack
from rankwise.data.render import Rendered
from rankwise.model import head as head_module
from rankwise.model.attach import LoraSettings, attach_new
from rankwise.model.load import load_base
from rankwise.model.loss import mean_loss, row_losses, target_losses
from rankwise.model.packing import Packing


def row(*ids: int, supervised: int) -> Rendered:
    first = len(ids) - supervised
    return Rendered(ids, tuple(i >= first for i in range(len(ids))), first, True)


def test_a_head_of_zeros_gives_the_logarithm_of_the_vocabulary(base_of: Callable[[str], Path]) -> None:
    model = load_base(base_of("qwen2"), "float32", "cpu")
    model.get_output_embeddings().weight.data.zero_()
    rows = [row(1, 2, 3, 4, supervised=2), row(5, 6, 7, supervised=1)]
    losses = target_losses(model, pack(rows, share=False))
    assert losses.dtype == torch.float32
    assert losses.tolist() == pytest.approx([math.log(260)] * 3, abs=1e-6)
    assert mean_loss(model, rows, 1, True) == pytest.approx(math.log(260), abs=1e-6)


def test_a_certain_head_gives_nothing_or_its_margin(base_of: Callable[[str], Path]) -> None:
    """A head that adds 30 to token 9 alone: sure of 9, wrong about all else by 30."""
    model = load_base(base_of("qwen2"), "float32", "cpu")
    head = torch.nn.Linear(32, 260)
    head.weight.data.zero_()
    head.bias.data.zero_()[9] = 30
    model.set_output_embeddings(head)
    losses = target_losses(model, pack([row(1, 2, 9, 9, 3, supervised=3)], share=False)).tolist()
    assert losses == pytest.approx([0, 0, 30], abs=1e-4)


def test_the_mean_counts_tokens_not_rows(base_of: Callable[[str], Path]) -> None:
    model = load_base(base_of("llama"), "float32", "cpu")
    rows = [row(1, 2, 3, supervised=1), row(*range(5, 25), supervised=15)]
    with torch.no_grad():
        losses = [target_losses(model, pack([each], share=False)) for each in rows]
    assert mean_loss(model, rows, 2, False) == pytest.approx(float(torch.cat(losses).mean()), abs=1e-5)


def test_losses_of_rows_are_in_their_order_and_add_up_to_the_mean(base_of: Callable[[str], Path]) -> None:
    model = load_base(base_of("llama"), "float32", "cpu")
    rows = [row(1, 2, 3, supervised=1), row(*range(5, 25), supervised=15), row(*range(7, 15), supervised=4)]
    found = row_losses(model, rows, 2, True)
    assert [tokens for _, tokens in found] == [1, 15, 4]
    for each, (nats, _) in zip(rows, found, strict=True):
        assert nats == pytest.approx(float(target_losses(model, pack([each], share=False)).sum()), abs=1e-4)
    assert sum(nats for nats, _ in found) / 20 == pytest.approx(mean_loss(model, rows, 2, True), abs=1e-5)


def by_definition(model: torch.nn.Module, rows: list[Rendered]) -> torch.Tensor:
    """The whole logits of the batch, and torch's own cross-entropy."""
    batch = pack(rows, share=False)
    packing = Packing(batch.lengths, batch.prefix)
    logits = model(
        input_ids=torch.tensor([batch.ids]), position_ids=packing.positions(), packing=packing, use_cache=False
    ).logits[0]
    return F.cross_entropy(logits[batch.at], torch.tensor(batch.targets), reduction="none")


@pytest.mark.parametrize("targets", [["q_proj", "down_proj"], ["q_proj", "lm_head"]])
@pytest.mark.parametrize("held", [1, 260 * 3, 1 << 30])
def test_losses_and_gradients_do_not_depend_on_how_many_logits_are_held(
    targets: list[str], held: int, base_of: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Frozen heads and heads with an adapter, each token's loss weighed differently."""
    model = attach_new(
        load_base(base_of("qwen2"), "float32", "cpu"), "x", LoraSettings(2, 4, 0.0, targets, "none", False, True), 0
    )
    for name, p in model.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(p, std=0.1)
    rows = [row(1, 2, 3, 4, supervised=2), row(5, 6, 7, 8, 9, supervised=4), row(8, 9, supervised=1)]
    weights = torch.tensor([1.0, -2.0, 0.5, 3.0, 0.0, 1.0, 1.0])
    trained = {name: p for name, p in model.named_parameters() if p.requires_grad}
    expected = by_definition(model, rows)
    (expected * weights).sum().backward()
    gradients = {name: p.grad for name, p in trained.items()}
    for p in trained.values():
        p.grad = None
    monkeypatch.setattr(head_module, "LOGITS_HELD", {"cpu": held})
    losses = target_losses(model, pack(rows, share=False))
    torch.testing.assert_close(losses, expected, rtol=1e-5, atol=1e-5)
    (losses * weights).sum().backward()
    assert len(trained) == (3 + 3 if "down_proj" in targets else 3 + 1) * 2
    for name, p in trained.items():
        torch.testing.assert_close(p.grad, gradients[name], rtol=1e-4, atol=1e-5)


def test_logits_that_the_model_bends_after_its_head_are_the_models_own(
    base_of: Callable[[str], Path], tmp_path: Path
) -> None:
    """A cap on the logits (Gemma's) lies behind the head, so the head's output alone is not the logits."""
    folder = tmp_path / "capped"
    shutil.copytree(base_of("gemma3"), folder)
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"final_logit_softcapping": 0.5}))
    rows = [row(1, 2, 3, 4, supervised=2)]
    plain = target_losses(load_base(base_of("gemma3"), "float32", "cpu"), pack(rows, share=False))
    capped = load_base(folder, "float32", "cpu")
    bent = target_losses(capped, pack(rows, share=False))
    torch.testing.assert_close(bent, by_definition(capped, rows))
    assert not torch.allclose(plain, bent, atol=1e-2)
