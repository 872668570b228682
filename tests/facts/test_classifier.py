"""A base as a sequence classifier: counts against what transformers and PEFT build for the task."""

from __future__ import annotations

import json
import shutil
import warnings
from collections.abc import Callable
from pathlib import Path

import pytest

from rankwise.errors import BaseError
from rankwise.facts import Anatomy, as_classifier, read_anatomy, require_body
from rankwise.facts.classifier import head_shapes
from rankwise.facts.counts import trainable_parameters

from .conftest import TINY

ENCODERS = (
    *("bert", "bert-masked", "bert-classifier", "roberta", "roberta-masked", "distilbert", "distilbert-masked"),
    *("distilbert-classifier", "llama-bare", "llama-classifier"),
)
LABELS = 7


def built(kind: str):
    """The tiny model of `kind` as transformers makes it for LABELS labels."""
    import transformers as tf

    _, config, settings = TINY[kind]
    made = getattr(tf, config)(**{**settings, "num_labels": LABELS})
    return tf.AutoModelForSequenceClassification.from_config(made)


def body(anatomy: Anatomy) -> list[str]:
    """Full paths of all layers but the head and the pooler."""
    return [m.path for m in anatomy.modules if m.role not in ("head", "pooler")]


@pytest.mark.parametrize("bias", ["none", "lora_only", "all"])
@pytest.mark.parametrize("kind", ENCODERS)
def test_counts_are_what_peft_trains(kind: str, bias: str, config_only: Callable[[str], Path]) -> None:
    import torch
    from peft import LoraConfig, get_peft_model

    anatomy = as_classifier(read_anatomy(config_only(kind)), LABELS)
    with warnings.catch_warnings(), torch.device("meta"):
        warnings.simplefilter("ignore")
        model = built(kind)
        assert anatomy.total_parameters == sum(p.numel() for p in model.parameters())
        config = LoraConfig(task_type="SEQ_CLS", r=3, target_modules=body(anatomy), bias=bias)
        adapted = get_peft_model(model, config)
    trained = sum(p.numel() for p in adapted.parameters() if p.requires_grad)
    assert anatomy.trainable_parameters(body(anatomy), 3, bias) + anatomy.classifier_parameters == trained
    assert trainable_parameters(anatomy, "lora", body(anatomy), 3, bias) == trained
    assert anatomy.classifier_parameters > 0


def test_with_weights_the_body_is_the_same(tiny: Callable[[str], Path]) -> None:
    """Of a masked language model that lies there whole: its own head goes, the classifier's comes."""
    before = read_anatomy(tiny("bert-masked"))
    after = as_classifier(before, LABELS)
    assert after.source == before.source == "headers"
    assert body(after) == [path for path in body(before) if not path.startswith("cls.")]
    assert after.classifier_parameters == (32 + 1) * LABELS
    assert [m.path for m in after.modules if m.role == "head"] == ["classifier"]


def test_an_architecture_without_a_closed_form_is_built_on_meta(tmp_path: Path) -> None:
    import transformers as tf

    config = tf.ElectraConfig(
        vocab_size=64, embedding_size=32, hidden_size=32, num_hidden_layers=2, num_attention_heads=4
    )
    config.architectures = ["ElectraForMaskedLM"]
    config.save_pretrained(tmp_path)
    anatomy = as_classifier(read_anatomy(tmp_path), LABELS)
    config.num_labels = LABELS
    assert anatomy.total_parameters == tf.ElectraForSequenceClassification(config).num_parameters()
    assert anatomy.classifier_parameters == 32 * 32 + 32 + (32 + 1) * LABELS


def test_a_config_that_names_no_architecture_is_refused(tiny: Callable[[str], Path], tmp_path: Path) -> None:
    shutil.copytree(tiny("distilbert-masked"), tmp_path / "base")
    file = tmp_path / "base" / "config.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), "architectures": None}))
    with pytest.raises(BaseError, match="name one there"):
        as_classifier(read_anatomy(tmp_path / "base"), LABELS)


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        ("bert", {"classifier.weight": (LABELS, 32), "classifier.bias": (LABELS,)}),
        (
            "roberta",
            {
                **{"classifier.dense.weight": (32, 32), "classifier.dense.bias": (32,)},
                **{"classifier.out_proj.weight": (LABELS, 32), "classifier.out_proj.bias": (LABELS,)},
            },
        ),
        ("llama-bare", {"score.weight": (LABELS, 32)}),
    ],
)
def test_the_heads_tensors_are_named_with_their_shapes(
    kind: str, expected: dict[str, tuple[int, ...]], config_only: Callable[[str], Path]
) -> None:
    assert head_shapes(as_classifier(read_anatomy(config_only(kind)), LABELS)) == expected


@pytest.mark.parametrize("kind", ["bert", "roberta", "distilbert", "distilbert-masked", "bert-classifier"])
def test_a_body_whatever_it_is_called_is_enough(kind: str, tiny: Callable[[str], Path]) -> None:
    base = read_anatomy(tiny(kind))
    require_body(base, as_classifier(base, LABELS))


def test_a_body_without_its_pooler_is_not(tiny: Callable[[str], Path]) -> None:
    base = read_anatomy(tiny("bert-masked"))
    with pytest.raises(BaseError, match=r"also needs bert\.pooler\.dense"):
        require_body(base, as_classifier(base, LABELS))


def test_an_encoder_whose_head_peft_does_not_train_is_refused(tmp_path: Path) -> None:
    import transformers as tf

    sizes = {"vocab_size": 64, "d_model": 32, "n_layer": 2, "n_head": 4, "d_inner": 48}
    tf.XLNetModel(tf.XLNetConfig(**sizes)).save_pretrained(tmp_path)
    base = read_anatomy(tmp_path)
    with pytest.raises(BaseError, match="no head called classifier or score"):
        require_body(base, as_classifier(base, LABELS))
