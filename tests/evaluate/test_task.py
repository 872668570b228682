"""What is asked, and by which metric answers are compared."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from rankwise.data.corpus import CorpusRequest, build_corpus
from rankwise.data.few_shot import with_examples
from rankwise.data.render import Renderer
from rankwise.data.table import Row
from rankwise.errors import DataError
from rankwise.evaluate.task import Task, answer_tokens, ask, chat_row
from rankwise.facts import TaskRecord


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


LOOK = {"type": "function", "function": {"name": "look", "parameters": {"zone": 1, "at": 2}}}
CHAT = {
    "messages": [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "TEXT"},
        {"role": "assistant", "content": "low"},
    ]
}


@pytest.mark.parametrize(
    "fields",
    [
        {"text": "TEXT", "label": "low"},
        {"instruction": "Sum up.", "input": "TEXT", "output": "low"},
        {"prompt": "TEXT", "completion": "low"},
        CHAT,
        CHAT | {"tools": [LOOK]},
    ],
)
def test_chat_asks_the_tokens_that_training_had_before_the_answer(
    fields: dict, tiny_base: Path, tmp_path: Path
) -> None:
    folder, file = tmp_path / "base", tmp_path / "rows.jsonl"
    shutil.copytree(tiny_base, folder)
    template = (folder / "chat_template.jinja").read_text()
    (folder / "chat_template.jinja").write_text("{% if tools %}{{ tools | tojson }}{% endif %}" + template)
    renderer = Renderer(folder)
    texts = [f"clause {i} on rent" for i in range(6)]
    file.write_text("".join(json.dumps(fields).replace("TEXT", text) + "\n" for text in texts))
    corpus = build_corpus(CorpusRequest(str(file), 0.2, None, None, "error", "all", 0), renderer, 512)
    made = TaskRecord(
        kind="labels" if corpus.labels else "open",
        scorer="auto",
        labels=corpus.labels,
        instruction=corpus.instruction,
        system=corpus.system,
        tools=corpus.tools,
        shape=corpus.shape,
    )
    task = TaskRecord.model_validate_json(made.model_dump_json())
    for each, shown in zip(corpus.train, corpus.train_rendered, strict=True):
        text = texts[int(each.where.split(":")[1]) - 1]
        chat = chat_row(task, text)
        assert renderer.prompt(chat.messages[:-1], chat.tools) == list(shown.ids[: shown.prompt])
    assert ("look" in renderer.decode(corpus.train_rendered[0].ids)) is ("tools" in fields)


def test_an_answer_ends_where_the_context_does(renderer: Renderer, tiny_base: Path) -> None:
    from rankwise.model.generate import generate
    from rankwise.model.load import load_base

    model = load_base(tiny_base, "float32", "cpu")
    task = TaskRecord(kind="open", scorer="auto", shape="messages")
    chat = chat_row(task, "a clause")
    prompt = renderer.prompt(chat.messages[:-1])
    expected = generate(model, [prompt], renderer.stop_ids, 3)[0]
    assert expected.truncated
    answer = ask(model, renderer, task, "a clause", len(prompt) + 3)
    assert (answer.text, answer.truncated) == (renderer.decode(expected.ids), True)
    with pytest.raises(DataError, match=f"{len(prompt)} tokens and 1 for the answer, over the {len(prompt)}"):
        ask(model, renderer, task, "a clause", len(prompt))

    labels = TaskRecord(kind="labels", scorer="auto", shape="labels", labels=("low", "very very high"))
    longest = max(map(len, answer_tokens(renderer, chat, labels.labels)))
    assert ask(model, renderer, labels, "a clause", len(prompt) + longest).text in labels.labels
    with pytest.raises(DataError) as caught:
        ask(model, renderer, labels, "a clause", len(prompt) + longest - 1)
    assert [(p.code, p.severity) for p in caught.value.problems] == [("prompt-too-long", "error")]
