"""What a step minimises where a head labels rows: the mean over the rows of the step, however it is cut."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from rankwise.data.batch import split_evenly
from rankwise.data.render import Rendered
from rankwise.model.attach import LoraSettings, attach_new
from rankwise.model.classifier import class_losses, load_classifier
from rankwise.train.objectives import labelling

LABELS = ("bad", "good", "so so")
Rows = list[Rendered]


def stay() -> None:
    """Never leaves early."""


@pytest.fixture(scope="module")
def model(encoder_of: Callable[[str], Path]) -> torch.nn.Module:
    base = load_classifier(encoder_of("bert"), LABELS, "float32", "cpu", 0)
    adapted = attach_new(base, "tiny", LoraSettings(4, 8, 0.0, ["query", "value"], "all", False, True), 0, "seq_cls")
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for name, p in adapted.named_parameters():
            if "lora_B" in name:
                p.copy_(torch.randn(p.shape, generator=generator) * 0.1)
    return adapted.eval()  # dropout would tell the cuts apart


@pytest.fixture(scope="module")
def rows() -> Rows:
    """Eight rows of different lengths."""
    made = []
    for i in range(8):
        ids = tuple(range(3 + i, 9 + 4 * i))
        made.append(Rendered(ids, (*[False] * (len(ids) - 1), True), len(ids), True, LABELS[i % 3]))
    return made


def gradient(model: torch.nn.Module, parts: list[Rows]) -> tuple[float, torch.Tensor]:
    model.zero_grad()
    loss = float(labelling(LABELS).backward(model, parts, stay))
    return loss, torch.cat([p.grad.flatten() for p in model.parameters() if p.requires_grad and p.grad is not None])


def test_how_a_step_is_cut_changes_neither_loss_nor_gradient(model: torch.nn.Module, rows: Rows) -> None:
    alone = [gradient(model, [[row]]) for row in rows]
    loss = sum(one for one, _ in alone) / len(rows)
    grad = torch.stack([one for _, one in alone]).mean(0)
    assert float(grad.norm()) > 0.01
    for accumulation in (1, 2, 3, 4, 8):
        got, got_grad = gradient(model, split_evenly(rows, accumulation))
        assert got == pytest.approx(loss, abs=1e-6)
        assert float((got_grad - grad).norm() / grad.norm()) < 1e-5


def test_the_gradient_reaches_adapter_head_and_biases(model: torch.nn.Module, rows: Rows) -> None:
    gradient(model, [rows])
    trained = {name: p.grad for name, p in model.named_parameters() if p.requires_grad}
    for part in ("lora_A", "lora_B", "classifier.modules_to_save.default.weight", "pooler.dense.bias"):
        found = [grad for name, grad in trained.items() if part in name]
        assert found and all(grad is not None and float(grad.norm()) > 0 for grad in found), part


def test_the_held_out_loss_is_in_nats_a_row(model: torch.nn.Module, rows: Rows) -> None:
    objective = labelling(LABELS)
    classes = {label: number for number, label in enumerate(LABELS)}
    with torch.no_grad():
        expected = float(class_losses(model, rows, classes).mean())
    assert objective.per == "row"
    for batch_rows in (1, 3, 8):
        assert objective.mean_loss(model, rows, batch_rows, stay) == pytest.approx(expected, abs=1e-6)


def test_one_may_leave_between_two_passes(model: torch.nn.Module, rows: Rows) -> None:
    class Left(Exception):
        pass

    passes = 0

    def leave() -> None:
        nonlocal passes
        passes += 1
        if passes == 2:
            raise Left

    with pytest.raises(Left):
        labelling(LABELS).backward(model, [rows[:4], rows[4:]], leave)
    passes = 0
    with pytest.raises(Left):
        labelling(LABELS).mean_loss(model, rows, 4, leave)
