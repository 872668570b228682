"""An encoder under a head: one seed one head, padding changes nothing, and no weight is left to chance."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from rankwise.data.render import Rendered
from rankwise.errors import BaseError
from rankwise.facts import as_classifier, read_anatomy
from rankwise.facts.classifier import head_shapes
from rankwise.facts.counts import trainable_parameters
from rankwise.model import classifier
from rankwise.model.attach import LoraSettings, attach_new, require_trainable
from rankwise.model.classifier import class_logits, class_losses, load_classifier, mean_class_loss, score_classes
from rankwise.model.lora import fuse

EncoderOf = Callable[[str], Path]
LABELS = ("bad", "good", "so so")
ROWS = [tuple(range(3 + i, 10 + 3 * i)) for i in range(6)]
"""Ids of rows of 7, 9, ... tokens."""
TOLERANCE = 2e-6
"""Largest difference of logits (float32, logits of about 1)."""


def load(folder: Path, labels: tuple[str, ...] = LABELS, seed: int = 0, dtype: str = "float32", kept: str = "none"):
    return load_classifier(folder, labels, dtype, "cpu", seed, kept)


def head_of(model: torch.nn.Module, folder: Path) -> torch.Tensor:
    names = head_shapes(as_classifier(read_anatomy(folder), len(LABELS)))
    found = dict(model.named_parameters())
    return torch.cat([found[name].flatten() for name in names])


def rendered(rows: list[tuple[int, ...]] = ROWS) -> list[Rendered]:
    return [
        Rendered(ids, (*[False] * (len(ids) - 1), True), len(ids), True, LABELS[i % 3]) for i, ids in enumerate(rows)
    ]


def attached(folder: Path, targets: list[str], bias: str = "none", kept: str = "none", dtype: str = "float32"):
    settings = LoraSettings(3, 6, 0.0, targets, bias, False, True)
    adapted = attach_new(load(folder, dtype=dtype, kept=kept), "tiny", settings, 0, "seq_cls")
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for name, p in adapted.named_parameters():
            if "lora_B" in name:
                p.copy_(torch.randn(p.shape, generator=generator) * 0.1)
    return adapted.eval()


@pytest.mark.parametrize("kind", ["bert", "roberta", "distilbert", "bert-classifier"])
def test_one_seed_gives_one_head_and_another_seed_another(kind: str, encoder_of: EncoderOf) -> None:
    """Also where the files have a head: it is for other labels."""
    folder = encoder_of(kind)
    first = head_of(load(folder), folder)
    torch.rand(3)  # whatever was drawn before must not matter
    assert torch.equal(head_of(load(folder), folder), first)
    assert not torch.equal(head_of(load(folder, seed=1), folder), first)
    two = load(folder, LABELS[:2])
    assert two.config.id2label == {0: "bad", 1: "good"} and two.config.label2id == {"bad": 0, "good": 1}
    assert class_logits(two, ROWS).shape == (6, 2)


@pytest.mark.parametrize("kind", ["bert", "roberta", "distilbert"])
def test_padding_changes_nothing(kind: str, encoder_of: EncoderOf) -> None:
    model = load(encoder_of(kind))
    with torch.no_grad():
        together = class_logits(model, ROWS)
        alone = torch.cat([class_logits(model, [row]) for row in ROWS])
    assert float((together - alone).abs().max()) < TOLERANCE
    assert float((together[0] - together[1]).abs().max()) > 1000 * TOLERANCE  # rows differ
    plain = torch.cat([model(input_ids=torch.tensor([row])).logits for row in ROWS])
    assert float((together - plain).abs().max()) < TOLERANCE


def test_the_loss_of_a_row_is_that_of_its_label(encoder_of: EncoderOf) -> None:
    model, rows = load(encoder_of("bert")), rendered()
    classes = {label: number for number, label in enumerate(LABELS)}
    with torch.no_grad():
        shares = class_logits(model, ROWS).softmax(1)
        losses = class_losses(model, rows, classes)
    expected = [-math.log(float(shares[i, i % 3])) for i in range(len(rows))]
    assert losses.tolist() == pytest.approx(expected, abs=1e-5)
    for batch_rows in (1, 4, 6):
        assert mean_class_loss(model, rows, classes, batch_rows) == pytest.approx(sum(expected) / 6, abs=1e-5)


def test_scores_come_in_the_order_of_the_rows(encoder_of: EncoderOf, monkeypatch: pytest.MonkeyPatch) -> None:
    model, told = load(encoder_of("bert")), list[int]()
    with torch.no_grad():
        expected = class_logits(model, ROWS).log_softmax(1)
    monkeypatch.setattr(classifier, "BATCH_TOKENS", 40)
    scores = score_classes(model, ROWS, len(LABELS), told.append)
    assert float((scores - expected).abs().max()) < TOLERANCE
    assert sum(told) == len(ROWS) and len(told) > 2
    assert score_classes(model, [], len(LABELS)).shape == (0, 3)


@pytest.mark.parametrize("bias", ["none", "lora_only", "all"])
@pytest.mark.parametrize("kind", ["bert", "roberta", "distilbert"])
def test_what_becomes_trainable_is_what_is_planned(kind: str, bias: str, encoder_of: EncoderOf) -> None:
    folder = encoder_of(kind)
    anatomy = as_classifier(read_anatomy(folder), len(LABELS))
    targets = [m.path for m in anatomy.modules if m.role not in ("head", "pooler")]
    adapted = attached(folder, targets, bias)
    require_trainable(adapted, trainable_parameters(anatomy, "lora", targets, 3, bias))
    assert fuse(adapted) == len(targets)
    trained = {name for name, p in adapted.named_parameters() if p.requires_grad}
    assert any("modules_to_save" in name for name in trained)
    assert not any("original_module" in name for name in trained)


def test_a_name_that_also_ends_a_layer_of_the_head_adapts_the_body_alone(encoder_of: EncoderOf) -> None:
    """RoBERTa's head has a `dense`, which is trained whole."""
    folder = encoder_of("roberta")
    anatomy = as_classifier(read_anatomy(folder), len(LABELS))
    require_trainable(attached(folder, ["dense"]), trainable_parameters(anatomy, "lora", ["dense"], 3))
    assert anatomy.resolve_targets(["classifier.dense"]).unreachable == ("classifier.dense",)


def test_the_head_is_in_float32_on_a_bfloat16_encoder(encoder_of: EncoderOf) -> None:
    adapted = attached(encoder_of("bert"), ["query", "value"], dtype="bfloat16")
    assert {p.dtype for p in adapted.parameters() if p.requires_grad} == {torch.float32}
    exact = attached(encoder_of("bert"), ["query", "value"])
    with torch.no_grad():
        ours, theirs = class_logits(adapted, ROWS), class_logits(exact, ROWS)
    assert ours.dtype == torch.float32
    assert float((ours - theirs).norm() / theirs.norm()) < 0.1


@pytest.mark.parametrize("kept", ["nf4", "int8"])
@pytest.mark.parametrize("kind", ["bert", "distilbert"])
def test_a_quantised_encoder_keeps_its_head_whole(kind: str, kept: str, encoder_of: EncoderOf) -> None:
    targets = ["q_lin"] if kind == "distilbert" else ["query"]
    adapted = attached(encoder_of(kind), targets, kept=kept)
    heads = [m for name, m in adapted.named_modules() if name.endswith("modules_to_save.default")]
    assert heads and all(type(head) is torch.nn.Linear for head in heads)
    with torch.no_grad():
        together = class_logits(adapted, ROWS)
        alone = torch.cat([class_logits(adapted, [row]) for row in ROWS])
        exact = class_logits(attached(encoder_of(kind), targets), ROWS)
    assert float((together - alone).abs().max()) < 1e-5
    assert float((together - exact).norm() / exact.norm()) < 0.5


def test_weights_that_no_file_and_no_adapter_holds_are_refused(encoder_of: EncoderOf) -> None:
    """A masked language model is saved without a pooler."""
    with pytest.raises(BaseError, match=r"lack 2 of its weights \(bert\.pooler\.dense\.bias, bert\.pooler"):
        load(encoder_of("bert-masked"))


def test_a_base_that_names_no_padding_is_refused(encoder_of: EncoderOf, tmp_path: Path) -> None:
    import json
    import shutil

    folder = Path(shutil.copytree(encoder_of("bert"), tmp_path / "base"))
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"pad_token_id": None}))
    with pytest.raises(BaseError, match="names no pad_token_id"):
        load(folder)


def test_what_transformers_says_of_the_new_head_is_kept_to_itself(
    encoder_of: EncoderOf, capfd: pytest.CaptureFixture[str]
) -> None:
    load(encoder_of("bert"))
    assert "classifier" not in "".join(capfd.readouterr())
