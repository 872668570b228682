"""A conversation becomes a prompt by the one renderer that rows are trained with, its template in a sandbox.

An adapter is asked as it was taught. Where a request brings no system message, the one that every training row had
stands first; where it is a single question, the instruction of the training rows stands above it. Tools are those of
the training rows.
"""

from __future__ import annotations

from collections.abc import Sequence

from rankwise.data.read import Message, Row
from rankwise.data.render import Renderer
from rankwise.facts import TaskRecord
from rankwise.model.generate import LabelTree


def as_taught(messages: Sequence[Message], task: TaskRecord | None) -> tuple[Message, ...]:
    """The conversation with the adapter's own system message and instruction, where the request leaves room."""
    if task is None or any(message["role"] == "system" for message in messages):
        return tuple(messages)
    asked = list(messages)
    if task.instruction and [message["role"] for message in asked] == ["user"]:
        asked = [{**asked[0], "content": f"{task.instruction}\n{asked[0]['content']}"}]
    return (*([] if task.system is None else [{"role": "system", "content": task.system}]), *asked)


def prompt_ids(renderer: Renderer, messages: Sequence[Message], task: TaskRecord | None) -> list[int]:
    """DataError if the template refuses the conversation."""
    return renderer.prompt(messages, None if task is None else task.tools)


def label_tree(renderer: Renderer, messages: Sequence[Message], task: TaskRecord) -> LabelTree:
    """The answers the adapter was taught, as it would write them after this conversation."""
    answers = []
    for label in task.labels:
        turns = (*messages, {"role": "assistant", "content": label})
        shown = renderer.render(Row("request", turns, "", label, tools=task.tools), "last")
        answers.append(shown.ids[shown.prompt :])
    return LabelTree(answers)
