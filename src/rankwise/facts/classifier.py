"""A base as a sequence classifier: its body, and the head that transformers puts on it for so many labels."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from rankwise.facts.base import Anatomy, describe
from rankwise.facts.folder import base_error, read_config

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
    head = [m for m in made.modules if m.role == "head"]
    trained = [m for m in head if m.path.partition(".")[0].endswith(TRAINED)]
    biases = sum(m.out_features for m in trained if m.has_bias)
    return replace(
        made,
        source=anatomy.source,
        dtype=anatomy.dtype,
        bias_parameters=made.bias_parameters - biases,
        classifier_parameters=sum(m.in_features * m.out_features for m in trained) + biases,
    )


def _as_classifier(config: Mapping[str, Any], architecture: str, labels: int) -> dict[str, Any]:
    names = {str(number): f"LABEL_{number}" for number in range(labels)}
    without = {key: value for key, value in config.items() if key not in ("label2id", "num_labels")}
    return {**without, "architectures": [_TASK.sub("", architecture) + "ForSequenceClassification"], "id2label": names}
