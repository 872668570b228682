"""Files to rendered rows: policies for long rows, one prompt for all, and every fault at once."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from rankwise.data.corpus import ROWS_NAMED, Corpus, CorpusRequest, asked, build_corpus, default_instruction
from rankwise.data.render import Renderer
from rankwise.errors import DataError

LABELS = [{"text": f"note {i} on {'rent' if i % 2 else 'notice'}", "label": "ab"[i % 2]} for i in range(20)]
ALPACA = [{"instruction": "Say it.", "input": f"thing {i}", "output": f"answer {i}"} for i in range(10)]


@pytest.fixture(scope="module")
def renderer(tiny_base: Path) -> Renderer:
    return Renderer(tiny_base)


def write(path: Path, rows: list[dict]) -> str:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return str(path)


def request(train: str, held_out: str | float = 0.2, **changes: object) -> CorpusRequest:
    return replace(CorpusRequest(train, held_out, None, None, "error", "all", 0), **changes)


def codes(error: pytest.ExceptionInfo[DataError]) -> list[str]:
    return [problem.code for problem in error.value.problems if problem.severity == "error"]


def text_of(renderer: Renderer, corpus: Corpus, place: int = 0) -> str:
    return "".join(text for text, _ in renderer.preview(corpus.train_rendered[place]))


def test_label_rows_get_one_prompt_and_a_balanced_split(renderer: Renderer, tmp_path: Path) -> None:
    corpus = build_corpus(request(write(tmp_path / "r.jsonl", LABELS)), renderer, 512)
    assert (corpus.shape, corpus.labels) == ("labels", ("a", "b"))
    assert corpus.instruction == "Classify the text. Answer with one of: a, b." == default_instruction(["a", "b"])
    assert (len(corpus.train), len(corpus.held_out)) == (16, 4)
    assert sorted(row.label or "" for row in corpus.held_out) == ["a", "a", "b", "b"]
    row = corpus.train[0]
    assert text_of(renderer, corpus) == (
        f"<|im_start|>user\n{corpus.instruction}\n{row.question}<|im_end|>\n<|im_start|>assistant\n{row.label}<|im_end|>"
    )
    assert corpus.supervised_tokens == 2 * 16  # a letter and the stop token
    assert corpus.max_length == max(len(r.ids) for r in corpus.train_rendered + corpus.held_out_rendered)
    assert corpus == build_corpus(corpus.request, renderer, 512)
    other = build_corpus(replace(corpus.request, seed=1), renderer, 512)
    assert {r.where for r in other.held_out} != {r.where for r in corpus.held_out}


def test_the_given_prompt_is_used_and_other_rows_keep_theirs(renderer: Renderer, tmp_path: Path) -> None:
    labels = write(tmp_path / "r.jsonl", LABELS)
    corpus = build_corpus(request(labels, instruction="Which?"), renderer, 512)
    assert text_of(renderer, corpus).startswith(f"<|im_start|>user\nWhich?\n{corpus.train[0].question}<|im_end|>")
    # Building on rows that hold their prompt already changes nothing.
    assert asked(corpus.train[0], "Which?").messages == corpus.train[0].messages
    alpaca = build_corpus(request(write(tmp_path / "a.jsonl", ALPACA), instruction="Which?"), renderer, 512)
    assert (alpaca.instruction, alpaca.labels) == ("Say it.", ())
    assert "Which?" not in text_of(renderer, alpaca)


def test_many_labels_are_not_listed() -> None:
    assert default_instruction([f"l{i}" for i in range(31)]) == "Classify the text. Answer with its label."


def test_a_held_out_file_is_taken_whole(renderer: Renderer, tmp_path: Path) -> None:
    train, held = write(tmp_path / "r.jsonl", LABELS[:14]), write(tmp_path / "h.jsonl", LABELS[14:])
    corpus = build_corpus(request(train, held), renderer, 512)
    assert (len(corpus.train), corpus.held_out[0].where) == (14, "h.jsonl:1")
    assert len(corpus.held_out) == 6 and corpus.train_sha256 != corpus.held_out_sha256


def test_faults_of_both_files_come_together(renderer: Renderer, tmp_path: Path) -> None:
    train, held = tmp_path / "r.jsonl", tmp_path / "h.jsonl"
    train.write_text('{"text": "x"\n')
    held.write_text('{"text": 1, "label": "a"}\n')
    with pytest.raises(DataError) as caught:
        build_corpus(request(str(train), str(held)), renderer, 512)
    assert {problem.where.split(":")[0] for problem in caught.value.problems} >= {"r.jsonl", "h.jsonl"}


def test_held_out_rows_of_another_kind_are_refused(renderer: Renderer, tmp_path: Path) -> None:
    train, held = write(tmp_path / "r.jsonl", LABELS), write(tmp_path / "h.jsonl", ALPACA)
    with pytest.raises(DataError) as caught:
        build_corpus(request(train, held), renderer, 512)
    assert codes(caught) == ["held-out-shape"]


@pytest.fixture
def long(tmp_path: Path) -> str:
    """Two rows of the twenty are long."""
    rows = [dict(row) for row in LABELS]
    for i in (3, 8):
        rows[i]["text"] += " and so on" * 30
    return write(tmp_path / "long.jsonl", rows)


def test_long_rows_are_one_error_that_counts_and_names_them(long: str, renderer: Renderer) -> None:
    with pytest.raises(DataError) as caught:
        build_corpus(request(long, max_length=100), renderer, 512)
    assert set(codes(caught)) == {"row-too-long"}
    told = [f"{p.where} {p.message}" for p in caught.value.problems if p.code == "row-too-long"]
    assert len(told) <= 2  # one a side
    assert all(any(place in line for line in told) for place in ("long.jsonl:4", "long.jsonl:9"))
    with pytest.raises(DataError) as caught:
        build_corpus(request(long, max_length=8), renderer, 512)
    told = [p.message for p in caught.value.problems if p.code == "row-too-long"]
    assert [message.split("so are ")[1].split()[0] for message in told] == ["15", "3"]  # 16 and 4 rows
    assert told[0].count("long.jsonl:") == ROWS_NAMED - 1 and ", ...; raise" in told[0]
    assert build_corpus(request(long), renderer, 1024).max_length > 100
    with pytest.raises(DataError, match="over the limit of 120"):  # what the base takes
        build_corpus(request(long), renderer, 120)


def test_long_rows_are_dropped_and_counted(long: str, renderer: Renderer) -> None:
    corpus = build_corpus(request(long, max_length=100, too_long="drop"), renderer, 512)
    assert len(corpus.train) + len(corpus.held_out) == 18
    assert not {"long.jsonl:4", "long.jsonl:9"} & {row.where for row in corpus.train + corpus.held_out}
    said = [p.message for p in corpus.problems if p.code == "rows-over-limit"]
    assert sum(int(message.split()[0]) for message in said) == 2
    assert set(corpus.inspection.over_limit) == {"long.jsonl:4", "long.jsonl:9"}


@pytest.mark.parametrize(("too_long", "done"), [("drop", "left out"), ("truncate", "cut at the end of their question")])
def test_long_rows_are_counted_on_their_own_side(
    too_long: str, done: str, long: str, renderer: Renderer, tmp_path: Path
) -> None:
    held = write(tmp_path / "held.jsonl", [LABELS[0], {"text": "and so on " * 30, "label": "b"}])
    corpus = build_corpus(request(long, held, max_length=100, too_long=too_long), renderer, 512)
    assert [(p.where, p.message) for p in corpus.problems if p.code == "rows-over-limit"] == [
        (long, f"2 training rows over 100 tokens were {done}, as data.too_long says; the first is long.jsonl:4"),
        (held, f"1 held-out row over 100 tokens was {done}, as data.too_long says; the first is held.jsonl:2"),
    ]
    assert corpus.inspection.over_limit == ("long.jsonl:4", "long.jsonl:9", "held.jsonl:2")


@pytest.fixture
def lost(tmp_path: Path) -> str:
    """Both rows of the label `a long name of a label` are long."""
    rows = [{"text": f"clause {i}" + " and so on" * 30, "label": "a long name of a label"} for i in range(2)]
    return write(tmp_path / "lost.jsonl", [*LABELS, *rows])


def test_a_label_of_which_every_training_row_was_dropped_is_no_label(
    lost: str, renderer: Renderer, tmp_path: Path
) -> None:
    held = write(tmp_path / "held.jsonl", LABELS[:4])
    corpus = build_corpus(request(lost, held, max_length=120, too_long="drop"), renderer, 512)
    assert (corpus.labels, corpus.instruction) == (("a", "b"), default_instruction(["a", "b"]))
    assert "a long name" not in text_of(renderer, corpus)
    [problem] = [p for p in corpus.problems if p.code == "label-left-out"]
    assert problem.where == "lost.jsonl:21" and "all its training rows (2) are over 120 tokens" in problem.message
    assert corpus.inspection.over_limit == ("lost.jsonl:21", "lost.jsonl:22")
    assert [p.message.split()[0] for p in corpus.problems if p.code == "rows-over-limit"] == ["2"]
    whole = build_corpus(request(lost, held, max_length=120, too_long="truncate"), renderer, 512)
    assert "a long name of a label" in whole.labels and "a long name of a label" in str(whole.instruction)


def test_rows_that_the_shorter_prompt_lets_in_are_kept(renderer: Renderer, tmp_path: Path) -> None:
    rows = [{"text": f"clause {i}" + " and so on" * (5 * (i > 3)), "label": "ab"[i % 2]} for i in range(8)]
    train = write(tmp_path / "r.jsonl", [*rows, {"text": "and so on " * 30, "label": "another"}])
    held = write(tmp_path / "h.jsonl", rows[:2])
    prompts = default_instruction(["a", "another", "b"]), default_instruction(["a", "b"])
    three, two = (build_corpus(request(train, held, instruction=p), renderer, 512).train_lengths[:8] for p in prompts)
    limit = max(two)
    assert max(three[:4]) <= limit < min(three[4:])
    corpus = build_corpus(request(train, held, max_length=limit, too_long="drop"), renderer, 512)
    assert [row.where for row in corpus.train] == [f"r.jsonl:{i}" for i in range(1, 9)]


def test_every_training_row_too_long_is_too_few_rows(lost: str, renderer: Renderer) -> None:
    with pytest.raises(DataError) as caught:
        build_corpus(request(lost, max_length=5, too_long="drop"), renderer, 512)
    assert codes(caught) == ["too-few-rows"]


def chat(system: str | None, tools: list[dict] | None, i: int) -> dict:
    first = [] if system is None else [{"role": "system", "content": system}]
    turns = [{"role": "user", "content": f"note {i}"}, {"role": "assistant", "content": f"answer {i}"}]
    return {"messages": [*first, *turns], **({} if tools is None else {"tools": tools})}


def test_a_system_message_and_tools_count_where_every_training_row_has_them(renderer: Renderer, tmp_path: Path) -> None:
    tools = [{"type": "function", "function": {"name": "look"}}]
    held = write(tmp_path / "held.jsonl", [chat(None, None, 9)])
    for other, expected in (
        (chat("Be brief.", tools, 8), ("Be brief.", tuple(tools))),
        (chat("Be long.", None, 8), (None, None)),
        (chat(None, tools, 8), (None, tuple(tools))),
    ):
        rows = [*(chat("Be brief.", tools, i) for i in range(4)), other]
        corpus = build_corpus(request(write(tmp_path / "c.jsonl", rows), held), renderer, 512)
        assert (corpus.system, corpus.tools) == expected
    plain = build_corpus(request(write(tmp_path / "r.jsonl", LABELS)), renderer, 512)
    assert (plain.system, plain.tools) == (None, None)


def test_long_rows_are_cut_in_the_question(long: str, renderer: Renderer) -> None:
    corpus = build_corpus(request(long, max_length=100, too_long="truncate"), renderer, 512)
    assert len(corpus.train) + len(corpus.held_out) == 20
    rendered = zip(corpus.train + corpus.held_out, corpus.train_rendered + corpus.held_out_rendered, strict=True)
    for row, shown in rendered:
        assert len(shown.ids) <= 100 and shown.num_supervised == 2 and shown.stops
        if row.where in ("long.jsonl:4", "long.jsonl:9"):
            assert len(shown.ids) > 90
            assert row.messages[0]["content"].startswith(f"{corpus.instruction}\nnote ")


def test_an_answer_that_does_not_fit_cannot_be_truncated(renderer: Renderer, tmp_path: Path) -> None:
    rows = [*ALPACA, {"instruction": "Say it.", "input": "all", "output": "word " * 200}]
    with pytest.raises(DataError) as caught:
        build_corpus(request(write(tmp_path / "a.jsonl", rows), max_length=60, too_long="truncate"), renderer, 512)
    assert codes(caught) == ["cannot-truncate"]


def test_a_limit_beyond_the_base_is_refused(renderer: Renderer, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="600 is more than the 512 tokens the base takes") as caught:
        build_corpus(request(write(tmp_path / "r.jsonl", LABELS), max_length=600), renderer, 512)
    assert codes(caught) == ["max-length-over-base"]


def base_with(folder: Path, tiny_base: Path, template: str, **config: object) -> Renderer:
    folder.mkdir()
    (folder / "tokenizer.json").write_bytes((tiny_base / "tokenizer.json").read_bytes())
    (folder / "tokenizer_config.json").write_text(json.dumps({"chat_template": template, **config}))
    return Renderer(folder)


def test_every_row_a_template_refuses_is_named(tiny_base: Path, tmp_path: Path) -> None:
    template = "{% if messages[0].role == 'system' %}{{ raise_exception('no system') }}{% endif %}" + "x"
    rows = [
        {"messages": [{"role": role, "content": f"{role} {i}"} for role in ("system", "user", "assistant")]}
        for i in range(5)
    ]
    with pytest.raises(DataError) as caught:
        build_corpus(request(write(tmp_path / "c.jsonl", rows)), base_with(tmp_path / "base", tiny_base, template), 512)
    assert codes(caught) == ["template-refuses-row"] * 5
    assert {p.where for p in caught.value.problems if p.severity == "error"} == {f"c.jsonl:{i}" for i in range(1, 6)}


def test_a_template_that_never_ends_an_answer_is_refused(tiny_base: Path, tmp_path: Path) -> None:
    template = "{% for m in messages %}{{ m.role }}: {{ m.content }}\n{% endfor %}{% if add_generation_prompt %}"
    renderer = base_with(tmp_path / "base", tiny_base, template + "assistant: {% endif %}", eos_token="<|im_end|>")
    with pytest.raises(DataError) as caught:
        build_corpus(request(write(tmp_path / "r.jsonl", LABELS)), renderer, 512)
    assert codes(caught) == ["stop-never-supervised"]


def test_a_template_without_answers_is_refused(tiny_base: Path, tmp_path: Path) -> None:
    renderer = base_with(tmp_path / "base", tiny_base, "{{ messages[0].content }}")
    with pytest.raises(DataError) as caught:
        build_corpus(request(write(tmp_path / "r.jsonl", LABELS)), renderer, 512)
    assert set(codes(caught)) == {"nothing-supervised", "stop-never-supervised"}


def test_a_request_survives_json(tmp_path: Path) -> None:
    made = request("x.jsonl", max_length=64)
    assert CorpusRequest(**json.loads(json.dumps(made.as_json()))) == made
