"""A request is put to an adapter as its training rows were, and never twice."""

from __future__ import annotations

from pathlib import Path

import pytest

from rankwise.data.render import Renderer
from rankwise.facts import TaskRecord
from rankwise.serve.chat import as_taught, label_tree, prompt_ids

TAUGHT = TaskRecord(
    kind="labels", scorer="accuracy", labels=("low", "very low"), instruction="Sort it.", system="Be brief.",
    shape="labels",
)  # fmt: skip
USER = {"role": "user", "content": "the clause"}
SYSTEM = {"role": "system", "content": "Be brief."}


@pytest.mark.parametrize(
    ("messages", "expected"),
    [
        ([USER], [SYSTEM, {"role": "user", "content": "Sort it.\nthe clause"}]),
        ([{"role": "system", "content": "Mine."}, USER], [{"role": "system", "content": "Mine."}, USER]),
        (
            [USER, {"role": "assistant", "content": "low"}, USER],
            [SYSTEM, USER, {"role": "assistant", "content": "low"}, USER],
        ),
    ],
)
def test_the_adapters_own_words_stand_where_the_request_leaves_room(messages, expected) -> None:
    assert list(as_taught(messages, TAUGHT)) == expected
    assert list(as_taught(messages, None)) == messages


def test_labels_are_what_follows_the_prompt_in_a_training_row(tiny_base: Path) -> None:
    renderer = Renderer(tiny_base)
    prompt = prompt_ids(renderer, [USER], None)
    tree = label_tree(renderer, [USER], TAUGHT)
    whole = renderer.encode("<|im_start|>user\nthe clause<|im_end|>\n<|im_start|>assistant\n")
    assert prompt == whole
    beginnings = {tuple(renderer.encode(f"{label}<|im_end|>")[:i]) for label in TAUGHT.labels for i in range(1, 99)}
    ends = {tuple(renderer.encode(f"{label}<|im_end|>")) for label in TAUGHT.labels}
    assert tree.num_labels == 2 and tree.num_nodes == len(beginnings - ends)
