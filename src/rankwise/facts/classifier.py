"""A base as a sequence classifier: its body, and the head that transformers puts on it for so many labels."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from rankwise.facts.base import Anatomy, describe
from rankwise.facts.folder import base_error, read_config
from rankwise.facts.modules import Module
from rankwise.recipe.schema import ProblemType

SINGLE: ProblemType = "single_label_classification"
MULTI: ProblemType = "multi_label_classification"
THRESHOLD = 0.5
"""Of a head for any number of labels: a label is given where the sigmoid of its logit is over it."""
TRAINED = ("classifier", "score")
"""PEFT saves and trains, beside the adapter of a SEQ_CLS task, every module whose name ends so: DistilBERT's
`pre_classifier` too."""
_TASK = re.compile(r"(For[A-Z]\w*|Model)$")


def as_classifier(anatomy: Anatomy, labels: int) -> Anatomy:
    """What `AutoModelForSequenceClassification.from_pretrained(..., num_labels=labels)` makes of the base.

    The head of its own task is gone. `source` is still what the base's own shapes were read from. Raises BaseError.
    """
    config = read_config(anatomy.path)
    if not anatomy.architecture:
        fault = "config.json names no architectures, so which classifier it becomes is unknown; name one there"
        raise base_error("base-unreadable", anatomy.path, fault)
    made = describe(anatomy.path, anatomy.name, _as_classifier(config, anatomy.architecture, labels), weights=False)
    trained = _trained(made)
    biases = sum(m.out_features for m in trained if m.has_bias)
    return replace(
        made,
        source=anatomy.source,
        dtype=anatomy.dtype,
        bias_parameters=made.bias_parameters - biases,
        classifier_parameters=sum(m.in_features * m.out_features for m in trained) + biases,
    )


def head_shapes(classifier: Anatomy) -> dict[str, tuple[int, ...]]:
    """The tensors of the head that is trained whole, by their names in the model."""
    shapes: dict[str, tuple[int, ...]] = {}
    for m in _trained(classifier):
        shapes[f"{m.path}.weight"] = (m.out_features, m.in_features)
        if m.has_bias:
            shapes[f"{m.path}.bias"] = (m.out_features,)
    return shapes


def require_body(base: Anatomy, classifier: Anatomy) -> None:
    """BaseError unless `base` has every layer of `classifier` below a head that PEFT trains: any other would be random
    numbers, which no adapter holds."""
    if not classifier.classifier_parameters:
        message = (
            f"{classifier.architecture} has no head called {' or '.join(TRAINED)}, which is what PEFT trains beside an "
            "adapter; choose an encoder like BERT, RoBERTa or DistilBERT"
        )
        raise base_error("base-without-head", base.path, message)
    trained = _trained(classifier)
    lacking = [m.path for m in classifier.modules if m not in trained and not any(_same(m, b) for b in base.modules)]
    if lacking:
        message = (
            f"a classifier on {base.architecture} also needs {', '.join(lacking)}, which is not in its files and would "
            "be random numbers that no adapter holds; take the base with all of its body, or another encoder"
        )
        raise base_error("base-without-layers", base.path, message)


def _trained(classifier: Anatomy) -> tuple[Module, ...]:
    head = [m for m in classifier.modules if m.role == "head"]
    return tuple(m for m in head if m.path.partition(".")[0].endswith(TRAINED))


def _same(one: Module, other: Module) -> bool:
    """Whether they are one layer, whatever the body is called in either model: `bert.pooler.dense`, `pooler.dense`."""
    return f".{one.path}".endswith(f".{other.path}") or f".{other.path}".endswith(f".{one.path}")


def _as_classifier(config: Mapping[str, Any], architecture: str, labels: int) -> dict[str, Any]:
    names = {str(number): f"LABEL_{number}" for number in range(labels)}
    without = {key: value for key, value in config.items() if key not in ("label2id", "num_labels")}
    return {**without, "architectures": [_TASK.sub("", architecture) + "ForSequenceClassification"], "id2label": names}
