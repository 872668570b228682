"""Rows under chat templates of several families: what is supervised, what is asked, and what is refused."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors

from rankwise.data.render import DEFAULT_TEMPLATE_NAME, Rendered, Renderer
from rankwise.data.table import Message, Row
from rankwise.errors import BaseError, DataError
from rankwise.facts.identity import read_chat_template

CHATML = (
    "{% for m in messages %}<|im_start|>{{ m['role'] }}\n{{ m['content'] }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
LLAMA3 = (
    "{% set loop_messages = messages %}{% for message in loop_messages %}"
    "{% set content = '<|start_header_id|>' + message['role'] + '<|end_header_id|>\n\n' + message['content'] | trim "
    "+ '<|eot_id|>' %}{% if loop.index0 == 0 %}{% set content = bos_token + content %}{% endif %}{{ content }}"
    "{% endfor %}{% if add_generation_prompt %}{{ '<|start_header_id|>assistant<|end_header_id|>\n\n' }}{% endif %}"
)
GEMMA = (
    "{{ bos_token }}{% if messages[0]['role'] == 'system' %}{{ raise_exception('System role not supported') }}"
    "{% endif %}{% for message in messages %}{% if (message['role'] == 'user') != (loop.index0 % 2 == 0) %}"
    "{{ raise_exception('Conversation roles must alternate') }}{% endif %}"
    "{% set role = 'model' if message['role'] == 'assistant' else message['role'] %}"
    "{{ '<start_of_turn>' + role + '\n' + message['content'] | trim + '<end_of_turn>\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<start_of_turn>model\n' }}{% endif %}"
)
MISTRAL = (
    "{{ bos_token }}{% for message in messages %}{% if message['role'] == 'user' %}"
    "{{ '[INST] ' + message['content'] + ' [/INST]' }}{% elif message['role'] == 'assistant' %}"
    "{{ ' ' + message['content'] + eos_token }}{% endif %}{% endfor %}"
)
# The template marks answers, and lays out tools as JSON.
MARKED = (
    "{% if tools %}TOOLS {{ tools | tojson(indent=1) }}\n{% endif %}"
    "{%- for m in messages %}<|im_start|>{{ m.role }}\n"
    "{% if m.role == 'assistant' %}{% generation %}{{ m.content }}"
    "{% for c in m.tool_calls or [] %}CALL {{ c.function | tojson }}{% endfor %}<|im_end|>{% endgeneration %}"
    "{% else %}{{ m.content }}<|im_end|>{% endif %}{{ '\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)
# Reasoning of earlier turns is dropped once the user speaks again, as Qwen 3 and its kin do.
FORGETFUL = (
    "{% for m in messages %}<|im_start|>{{ m.role }}\n"
    "{% if m.role == 'assistant' and not loop.last %}{{ m.content.split('</think>')[-1] }}"
    "{% else %}{{ m.content }}{% endif %}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
SPECIAL = ["<s>", "</s>", "<|im_start|>", "<|im_end|>", "<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>"]
SPECIAL += ["<start_of_turn>", "<end_of_turn>"]
STOPS = {CHATML: "<|im_end|>", LLAMA3: "<|eot_id|>", GEMMA: "<end_of_turn>", MISTRAL: "</s>", MARKED: "<|im_end|>"}
FAMILIES = {"chatml": CHATML, "llama3": LLAMA3, "gemma": GEMMA, "mistral": MISTRAL, "marked": MARKED}


def make_base(folder: Path, template: str | None, stop: str | None = None, begins: bool = False) -> Renderer:
    """A tokenizer of one token a byte; `begins`: it puts <s> before every text."""
    tokenizer = Tokenizer(models.BPE({c: i for i, c in enumerate(sorted(pre_tokenizers.ByteLevel.alphabet()))}, []))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens(SPECIAL)
    if begins:
        pair = ("<s>", tokenizer.token_to_id("<s>"))
        tokenizer.post_processor = processors.TemplateProcessing(single="<s> $A", special_tokens=[pair])
    folder.mkdir(parents=True, exist_ok=True)
    tokenizer.save(str(folder / "tokenizer.json"))
    config = {"bos_token": "<s>", "eos_token": stop or STOPS.get(template or "", "</s>")}
    if template is not None:
        config["chat_template"] = template
    (folder / "tokenizer_config.json").write_text(json.dumps(config))
    return Renderer(folder)


def turns(*contents: str, system: str | None = None) -> tuple[Message, ...]:
    """User and assistant in turn."""
    messages = [{"role": ("user", "assistant")[i % 2], "content": text} for i, text in enumerate(contents)]
    return (*([{"role": "system", "content": system}] if system else []), *messages)


def row(messages: Sequence[Message], tools: tuple[dict, ...] | None = None, where: str = "rows.jsonl:7") -> Row:
    return Row(where, tuple(messages), str(messages[-2]["content"]), str(messages[-1]["content"]), tools=tools)


def runs(renderer: Renderer, rendered: Rendered, supervised: bool) -> list[str]:
    return [text for text, on in renderer.preview(rendered) if on is supervised]


def whole(renderer: Renderer, rendered: Rendered) -> str:
    return renderer.tokenizer.decode(list(rendered.ids), skip_special_tokens=False)


@pytest.mark.parametrize("family", FAMILIES)
def test_the_answer_and_its_stop_token_are_supervised_and_nothing_else(family: str, tmp_path: Path) -> None:
    renderer = make_base(tmp_path, FAMILIES[family])
    rendered = renderer.render(row(turns("What is due?", "The rent.")))
    stop = STOPS[FAMILIES[family]]
    space = " " if family == "mistral" else ""
    assert runs(renderer, rendered, True) == [f"{space}The rent.{stop}"]
    assert rendered.supervised == (False,) * rendered.prompt + (True,) * (len(rendered.ids) - rendered.prompt)
    assert rendered.num_supervised == len(space) + len("The rent.") + 1
    assert rendered.stops and rendered.ids[-1] == renderer.tokenizer.token_to_id(stop)


EXPECTED = {
    "chatml": "<|im_start|>user\nQ<|im_end|>\n<|im_start|>assistant\nA<|im_end|>",
    "llama3": "<s><|start_header_id|>user<|end_header_id|>\n\nQ<|eot_id|>"
    "<|start_header_id|>assistant<|end_header_id|>\n\nA<|eot_id|>",
    "gemma": "<s><start_of_turn>user\nQ<end_of_turn>\n<start_of_turn>model\nA<end_of_turn>",
    "mistral": "<s>[INST] Q [/INST] A</s>",
    "marked": "<|im_start|>user\nQ<|im_end|>\n<|im_start|>assistant\nA<|im_end|>",
}


@pytest.mark.parametrize("family", FAMILIES)
def test_a_row_reads_as_its_family_writes_it(family: str, tmp_path: Path) -> None:
    renderer = make_base(tmp_path, FAMILIES[family])
    assert renderer.template_name == "the base's own"
    assert whole(renderer, renderer.render(row(turns("Q", "A")))) == EXPECTED[family]


@pytest.mark.parametrize("family", FAMILIES)
def test_what_is_asked_at_serving_is_what_was_before_the_answer_in_training(family: str, tmp_path: Path) -> None:
    renderer = make_base(tmp_path, FAMILIES[family])
    for messages in (turns("Q", "A"), turns("Who?", "Me.", "When, Zoë?", "Now: 漢字 🙂.")):
        for kind in ("all", "last"):
            rendered = renderer.render(row(messages), kind)
            assert list(rendered.ids[: rendered.prompt]) == renderer.prompt(messages[:-1])


@pytest.mark.parametrize("family", FAMILIES)
def test_prompts_and_whole_rows_are_those_of_transformers(family: str, tmp_path: Path) -> None:
    from transformers import AutoTokenizer

    renderer = make_base(tmp_path, FAMILIES[family])
    (tmp_path / "config.json").write_text('{"model_type": "llama"}')
    own = AutoTokenizer.from_pretrained(tmp_path)
    tools = ({"type": "function", "function": {"name": "look", "description": "Zoë <b>"}},)
    messages = turns("Who?", "Me.", "When?", "Now.")
    shown = own.apply_chat_template(
        list(messages[:-1]), tools=list(tools), add_generation_prompt=True, return_dict=False
    )
    assert renderer.prompt(messages[:-1], tools) == shown
    text = own.apply_chat_template(list(messages), tools=list(tools), tokenize=False)
    assert text.startswith(whole(renderer, renderer.render(row(messages, tools))))


@pytest.mark.parametrize("family", FAMILIES)
def test_of_several_turns_all_or_the_last_are_supervised(family: str, tmp_path: Path) -> None:
    renderer = make_base(tmp_path, FAMILIES[family])
    stop = STOPS[FAMILIES[family]]
    space = " " if family == "mistral" else ""
    chat = row(turns("Who?", "Me.", "When?", "Now.", "Why?", "So."))
    every = renderer.render(chat, "all")
    last = renderer.render(chat, "last")
    assert runs(renderer, every, True) == [f"{space}{text}{stop}" for text in ("Me.", "Now.", "So.")]
    assert runs(renderer, last, True) == [f"{space}So.{stop}"]
    assert (every.ids, every.prompt) == (last.ids, last.prompt)


def test_only_the_completion_of_a_prompt_with_turns_is_supervised(tmp_path: Path) -> None:
    renderer = make_base(tmp_path, CHATML)
    chat = Row("r:1", turns("Who?", "Me.", "When?", "Now."), "When?", "Now.", completion_start=3)
    assert runs(renderer, renderer.render(chat, "all"), True) == ["Now.<|im_end|>"]


def test_system_turns_tools_and_tool_calls(tmp_path: Path) -> None:
    renderer = make_base(tmp_path, MARKED)
    tools = ({"type": "function", "function": {"name": "look"}},)
    call = {"type": "function", "function": {"name": "look", "arguments": {"at": "Zoë <b>"}}}
    messages = (
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "Q"},
        {"role": "assistant", "content": "", "tool_calls": [call]},
        {"role": "tool", "content": "seen"},
        {"role": "assistant", "content": "A"},
    )
    rendered = renderer.render(row(messages, tools))
    assert runs(renderer, rendered, True) == [
        'CALL {"name": "look", "arguments": {"at": "Zoë <b>"}}<|im_end|>',  # as it is: no HTML or ASCII escapes
        "A<|im_end|>",
    ]
    text = whole(renderer, rendered)
    assert text.startswith('TOOLS [\n {\n  "type": "function",') and "<|im_start|>system\nBe brief.<|im_end|>" in text
    assert list(rendered.ids[: rendered.prompt]) == renderer.prompt(messages[:-1], tools)
    assert "TOOLS" not in whole(renderer, renderer.render(row(messages)))


def codes(error: pytest.ExceptionInfo[DataError]) -> list[tuple[str, str]]:
    return [(problem.code, problem.where) for problem in error.value.problems]


def test_a_template_that_refuses_the_system_role_names_the_row(tmp_path: Path) -> None:
    renderer = make_base(tmp_path, GEMMA)
    with pytest.raises(DataError, match="System role not supported; roles here: system, user, assistant") as caught:
        renderer.render(row(turns("Q", "A", system="S")))
    assert codes(caught) == [("template-refuses-row", "rows.jsonl:7")]
    with pytest.raises(DataError, match="System role not supported"):
        renderer.prompt(turns("Q", system="S"))


def test_a_template_that_rewrites_earlier_turns_is_refused_but_for_the_last_answer(tmp_path: Path) -> None:
    renderer = make_base(tmp_path, FORGETFUL, "<|im_end|>")
    chat = row(turns("Q", "<think>hm</think>A", "R", "<think>ah</think>B"))
    with pytest.raises(DataError, match=r"data\.assistant_turns: last") as caught:
        renderer.render(chat, "all")
    assert codes(caught) == [("template-rewrites-turns", "rows.jsonl:7")]
    rendered = renderer.render(chat, "last")
    assert runs(renderer, rendered, True) == ["<think>ah</think>B<|im_end|>"]
    assert "hm" not in whole(renderer, rendered)


def test_a_generation_prompt_that_no_answer_begins_with_is_refused_with_fitting_advice(tmp_path: Path) -> None:
    renderer = make_base(tmp_path, CHATML.replace("assistant\n{% endif", "assistant\n<think>{% endif"))
    for kind in ("all", "last"):
        with pytest.raises(DataError, match="its generation prompt is not how it begins an answer"):
            renderer.render(row(turns("Q", "A")), kind)


@pytest.mark.parametrize(
    "fault", ["{{ messages[0].content + 1 }}", "{{ 1 / 0 }}", "{{ none() }}", "{% for i in range(10**9) %}{% endfor %}"]
)
def test_a_template_that_fails_in_its_own_way_is_an_error_of_the_row(fault: str, tmp_path: Path) -> None:
    with pytest.raises(DataError) as caught:
        make_base(tmp_path, fault + CHATML).render(row(turns("Q", "A")))
    assert codes(caught) == [("template-refuses-row", "rows.jsonl:7")]


@pytest.mark.parametrize(
    "attack",
    [
        "{{ ''.__class__.__mro__[1].__subclasses__() }}",
        "{{ messages.__class__.__base__ }}",
        "{{ raise_exception.__globals__['json'] }}",
        "{{ self.__init__.__globals__ }}",
        "{{ strftime_now.__code__.co_consts }}",
        "{{ messages.append(1) }}",
        "{{ ('' | attr('__class__')).__mro__ }}",
        "{{ '{0.__class__.__mro__}'.format('') }}",
    ],
)
def test_a_template_that_reaches_out_of_its_sandbox_is_refused(attack: str, tmp_path: Path) -> None:
    renderer = make_base(tmp_path, attack + CHATML)
    with pytest.raises(DataError) as caught:
        renderer.render(row(turns("Q", "A")))
    assert codes(caught) == [("template-refuses-row", "rows.jsonl:7")]


def test_a_template_cannot_read_files(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("s3cret")
    for statement in (f"{{% include '{tmp_path}/secret' %}}", f"{{% import '{tmp_path}/secret' as x %}}"):
        with pytest.raises(DataError):
            make_base(tmp_path / "base", statement + CHATML).render(row(turns("Q", "A")))


def test_a_template_that_does_not_parse_is_an_error_of_the_base(tmp_path: Path) -> None:
    for template in ("{% for %}", "{{ x | nofilter }}", "{% generation %}"):
        with pytest.raises(BaseError, match="chat template does not parse"):
            make_base(tmp_path, template)


def test_a_base_without_a_template_gets_plain_turns_and_still_learns_to_stop(tmp_path: Path) -> None:
    renderer = make_base(tmp_path, None)
    assert renderer.template_name == DEFAULT_TEMPLATE_NAME
    rendered = renderer.render(row(turns("Q", "A", "R", "B", system="S")))
    assert whole(renderer, rendered) == (
        "### System:\nS\n\n### User:\nQ\n\n### Assistant:\nA</s>\n\n### User:\nR\n\n### Assistant:\nB</s>"
    )
    assert runs(renderer, rendered, True) == ["A</s>", "B</s>"]
    assert list(rendered.ids[: rendered.prompt]) == renderer.prompt(turns("Q", "A", "R", system="S"))


def test_plain_turns_begin_as_the_tokenizer_begins_every_text(tmp_path: Path) -> None:
    renderer = make_base(tmp_path, None, begins=True)
    assert whole(renderer, renderer.render(row(turns("Q", "A")))).startswith("<s>### User:\nQ")
    own = make_base(tmp_path / "own", CHATML, begins=True)  # a template of the base's own says it itself
    assert whole(own, own.render(row(turns("Q", "A")))).startswith("<|im_start|>")


def test_where_a_template_is_looked_for(tmp_path: Path) -> None:
    make_base(tmp_path, "from the config")
    (tmp_path / "chat_template.jinja").write_text(CHATML)
    assert Renderer(tmp_path).template == CHATML
    (tmp_path / "chat_template.jinja").unlink()
    config = json.loads((tmp_path / "tokenizer_config.json").read_text())
    several = [{"name": "rag", "template": "no"}, {"name": "default", "template": GEMMA}]
    for named, expected in ((several, GEMMA), (several[:1], "no")):
        (tmp_path / "tokenizer_config.json").write_text(json.dumps({**config, "chat_template": named}))
        assert Renderer(tmp_path).template == read_chat_template(tmp_path) == expected
    (tmp_path / "chat_template.jinja").write_bytes(b"\xff")
    with pytest.raises(BaseError, match="chat template cannot be read"):
        Renderer(tmp_path)


def test_a_template_that_asks_for_the_day_gets_the_same_on_every_day(tmp_path: Path) -> None:
    renderer = make_base(tmp_path, "Today is {{ strftime_now('%Y-%m-%d') }}.\n" + CHATML, "<|im_end|>")
    shown = renderer.render(row(turns("Q", "A")))
    assert whole(renderer, shown).startswith("Today is 2024-07-26.\n<|im_start|>user")
    assert list(shown.ids[: shown.prompt]) == renderer.prompt(turns("Q"))
    other = Renderer(tmp_path, datetime(2031, 2, 3))
    assert whole(other, other.render(row(turns("Q", "A")))).startswith("Today is 2031-02-03.\n")


def test_stop_tokens_come_from_every_place_that_names_one(tmp_path: Path) -> None:
    make_base(tmp_path, CHATML)
    config = json.loads((tmp_path / "tokenizer_config.json").read_text())
    config["eos_token"] = {"content": "<|im_end|>", "__type": "AddedToken"}
    (tmp_path / "tokenizer_config.json").write_text(json.dumps(config))
    (tmp_path / "config.json").write_text('{"eos_token_id": 3}')
    (tmp_path / "generation_config.json").write_text('{"eos_token_id": [5, 6]}')
    renderer = Renderer(tmp_path)
    assert renderer.stop_ids == {3, 5, 6, renderer.tokenizer.token_to_id("<|im_end|>")}


def test_an_answer_without_a_stop_token_says_so(tmp_path: Path) -> None:
    rendered = make_base(tmp_path, CHATML, stop="</s>").render(row(turns("Q", "A")))
    assert not rendered.stops and rendered.num_supervised > 0


@pytest.mark.parametrize("name", ["tokenizer.json", "tokenizer_config.json"])
@pytest.mark.parametrize("content", ["", "{", '{"model": 3}'])
def test_a_damaged_tokenizer_is_an_error_of_the_base(name: str, content: str, tmp_path: Path) -> None:
    make_base(tmp_path, CHATML)
    (tmp_path / name).write_text(content)
    if (name, content) == ("tokenizer_config.json", '{"model": 3}'):
        assert Renderer(tmp_path).template_name == DEFAULT_TEMPLATE_NAME
        return
    with pytest.raises(BaseError, match=f"{name}: cannot be read"):
        Renderer(tmp_path)


def test_a_base_without_a_fast_tokenizer_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BaseError, match=r"no tokenizer\.json"):
        Renderer(tmp_path)


@pytest.fixture(scope="module")
def chatml(tmp_path_factory: pytest.TempPathFactory) -> Renderer:
    return make_base(tmp_path_factory.mktemp("chatml"), CHATML)


texts = st.text(st.characters(codec="utf-8", exclude_characters="\0<"), min_size=1, max_size=40)


@settings(max_examples=60, deadline=None)
@given(question=texts, answer=texts, less=st.integers(0, 60))
def test_shortening_cuts_the_question_at_a_character_and_leaves_the_answer(
    chatml: Renderer, question: str, answer: str, less: int
) -> None:
    asked = row(turns(question, answer))
    full = chatml.render(asked)
    limit = len(full.ids) - less
    try:
        short, rendered = chatml.shorten(asked, limit)
    except DataError as error:
        assert [p.code for p in error.problems] == ["cannot-truncate"]
        # One token a byte: a first character would not have fitted.
        assert less > len(question.encode()) - len(question[0].encode())
        return
    kept = short.messages[0]["content"]
    assert len(rendered.ids) <= limit and rendered == chatml.render(short)
    assert kept and question.startswith(kept)
    assert runs(chatml, rendered, True) == runs(chatml, full, True)
    assert short.messages[1:] == asked.messages[1:]
    # No character was cut for nothing.
    if kept != question:
        assert len(rendered.ids) + len(question[len(kept)].encode()) > limit


def test_of_several_questions_the_last_is_cut(chatml: Renderer) -> None:
    asked = row(turns("x" * 30, "A", "y" * 30, "B"))
    short, _ = chatml.shorten(asked, len(chatml.render(asked).ids) - 12)
    assert [m["content"] for m in short.messages] == ["x" * 30, "A", "y" * 18, "B"]


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(texts, texts), min_size=1, max_size=4))
def test_whatever_is_said_the_supervised_text_is_the_answers(chatml: Renderer, pairs: list[tuple[str, str]]) -> None:
    rendered = chatml.render(row(turns(*(text for pair in pairs for text in pair))))
    ids = [token for token, on in zip(rendered.ids, rendered.supervised, strict=True) if on]
    assert ids == [token for _, answer in pairs for token in chatml.encode(answer + "<|im_end|>")]
    assert rendered.stops and len(rendered.ids) == len(rendered.supervised)
