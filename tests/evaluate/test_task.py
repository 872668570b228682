"""What is asked, and by which metric answers are compared."""

from __future__ import annotations

from pathlib import Path

import pytest

from rankwise.data.render import Renderer
from rankwise.data.table import Row
from rankwise.evaluate.task import Task, answer_tokens, with_examples


def row(text: str, answer: str, system: str | None = None) -> Row:
    turns = [{"role": "user", "content": text}, {"role": "assistant", "content": answer}]
    first = [] if system is None else [{"role": "system", "content": system}]
    return Row("rows.jsonl:1", (*first, *turns), text, answer)


@pytest.fixture(scope="module")
def renderer(tiny_base: Path) -> Renderer:
    return Renderer(tiny_base)


@pytest.mark.parametrize(
    ("labels", "references", "kind", "metric"),
    [
        (("a", "b"), ["a", "b"], "labels", "accuracy"),
        ((), ['{"date": "May"}', '{"date": "June"}'], "open", "field_f1"),
        ((), ["12 May", "14 June 2020"], "open", "exact_match"),
        ((), ["a b c d e", "a b c d e"], "open", "exact_match"),
        ((), ["a b c d e", "a b c d e f"], "open", "rouge_l"),
    ],
)
def test_the_answers_choose_the_metric(labels: tuple[str, ...], references: list[str], kind: str, metric: str) -> None:
    task = Task(labels, "all")
    assert (task.kind, task.metric(references)) == (kind, metric)


def test_a_labels_tokens_are_those_training_supervises(renderer: Renderer) -> None:
    rows = [row("the tenant pays rent", label) for label in ("good", "very bad")]
    tokens = answer_tokens(renderer, rows[0], ["good", "very bad"])
    for shown, own in zip((renderer.render(each, "last") for each in rows), tokens, strict=True):
        supervised = tuple(token for token, on in zip(shown.ids, shown.supervised, strict=True) if on)
        assert own == supervised and own[-1] in renderer.stop_ids


def test_examples_are_earlier_turns_under_the_rows_own_system_message(renderer: Renderer) -> None:
    asked = row("clause nine", "low", system="You sort clauses.")
    examples = [row("clause one", "high", system="You sort clauses."), row("clause two", "low")]
    shown = with_examples(renderer, asked, examples)
    assert renderer.tokenizer.decode(list(shown.ids[: shown.prompt]), skip_special_tokens=False) == (
        "<|im_start|>system\nYou sort clauses.<|im_end|>\n"
        "<|im_start|>user\nclause one<|im_end|>\n<|im_start|>assistant\nhigh<|im_end|>\n"
        "<|im_start|>user\nclause two<|im_end|>\n<|im_start|>assistant\nlow<|im_end|>\n"
        "<|im_start|>user\nclause nine<|im_end|>\n<|im_start|>assistant\n"
    )
    alone = renderer.render(asked, "last")
    assert shown.ids[shown.prompt :] == alone.ids[alone.prompt :]
