"""Rows become token ids and a loss mask, by the base's own chat template: one way for training, evaluation, serving.

The template runs in jinja2's sandbox. A conversation is cut where the template itself puts the answers: the text
before an answer is the template's output for the turns before it with its generation prompt, so the ids a model is
trained on before an answer are exactly the ids it is given when it is asked. Each piece is tokenised by itself for
the same reason. Supervised are the answers' tokens and the stop token that ends each; nothing else.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Any, Literal

import jinja2
from jinja2 import nodes
from jinja2.ext import Extension, loopcontrols
from jinja2.parser import Parser
from jinja2.sandbox import ImmutableSandboxedEnvironment
from tokenizers import Tokenizer

from rankwise.data.estimate import END, EstimatedTokenizer
from rankwise.data.read import Message, Row
from rankwise.errors import BaseError, DataError, Problem
from rankwise.facts.identity import read_chat_template

DEFAULT_TEMPLATE_NAME = "plain-turns"
DEFAULT_TEMPLATE = (
    "{{ bos_token }}{% for message in messages %}### {{ message['role'] | capitalize }}:\n{{ message['content'] }}"
    "{% if message['role'] == 'assistant' %}{{ eos_token }}{% endif %}{{ '\n\n' }}{% endfor %}"
    "{% if add_generation_prompt %}### Assistant:\n{% endif %}"
)

TEMPLATE_DATE = datetime(2024, 7, 26)
"""Today, to templates that ask (`strftime_now`): rows must be the same tokens on any day. It is the date that Llama 3's
template names where it has no clock."""

TooLong = Literal["error", "drop", "truncate"]
AssistantTurns = Literal["all", "last"]


@dataclass(frozen=True)
class Rendered:
    """A row as the model sees it."""

    ids: tuple[int, ...]
    supervised: tuple[bool, ...]
    """Per token: is it trained on (predicted from the token before it)?"""
    prompt: int
    """Tokens before the last answer; `ids[:prompt]` is what a model is asked with."""
    stops: bool
    """A supervised stop token ends every supervised answer."""
    label: str | None = None
    """What an encoder is to say of the text, which it does not write; None: the answer is among the tokens."""
    labels: tuple[str, ...] | None = None
    """Where it is to say any number of labels: these, as `label` lists them."""

    def told_by(self, labels: Sequence[str]) -> bool:
        """Whether a head over `labels` can say what is to be said; where nothing is asked of a head, True."""
        own = self.labels if self.labels is not None else () if self.label is None else (self.label,)
        return set(own) <= set(labels)

    rejected: tuple[int, ...] | None = None
    """Preference rows only: the tokens of the worse answer, stop token included, which continue `ids[:prompt]` too."""
    encoded: bool = False
    """An encoder reads `ids[:prompt]`, and a decoder, whose positions begin anew, writes the rest."""

    @property
    def num_supervised(self) -> int:
        return sum(self.supervised)

    @property
    def length(self) -> int:
        """Positions that the row takes; of a preference with the longer of its two answers, of an encoder-decoder those
        of its longer side."""
        if self.encoded:
            return max(self.prompt, len(self.ids) - self.prompt)
        return max(len(self.ids), self.prompt + len(self.rejected or ()))


class _Generation(Extension):
    """Reads the `{% generation %}` tag some templates mark answers with; it prints its body."""

    tags = {"generation"}  # noqa: RUF012  jinja2 declares it so

    def parse(self, parser: Parser) -> list[nodes.Node]:
        next(parser.stream)
        return parser.parse_statements(("name:endgeneration",), drop_needle=True)


def _raise_exception(message: str) -> None:
    raise jinja2.TemplateError(message)


def _to_json(
    value: Any,
    ensure_ascii: bool = False,
    indent: int | None = None,
    separators: tuple[str, str] | None = None,
    sort_keys: bool = False,
) -> str:
    """As transformers' filter of this name: jinja2's own escapes HTML."""
    return json.dumps(value, ensure_ascii=ensure_ascii, indent=indent, separators=separators, sort_keys=sort_keys)


def _environment(today: datetime) -> ImmutableSandboxedEnvironment:
    environment = ImmutableSandboxedEnvironment(
        trim_blocks=True, lstrip_blocks=True, extensions=[_Generation, loopcontrols]
    )
    environment.filters["tojson"] = _to_json
    environment.globals["raise_exception"] = _raise_exception
    environment.globals["strftime_now"] = lambda pattern: today.strftime(pattern)
    return environment


class Renderer:
    """A base's tokenizer and chat template, read from its folder without transformers or torch.

    `today` is the date its template is told if it asks for one: always `TEMPLATE_DATE`, so that a row trained on in
    one month is asked the same way in the next. `estimate`: where there is no tokenizer.json, count tokens by bytes
    rather than raise BaseError; the ids are then good for planning alone.
    """

    def __init__(self, folder: Path, today: datetime = TEMPLATE_DATE, estimate: bool = False) -> None:
        self.folder = folder
        self.takes_prompt = True
        """Whether a text/label row is asked under an instruction."""
        self.encodes = False
        """Whether a prompt is read by an encoder, so that it takes none of the answer's positions."""
        config = _read(folder / "tokenizer_config.json")
        self._special = {
            name: _token_text(config.get(name)) for name in ("bos_token", "eos_token", "pad_token", "unk_token")
        }
        template = read_chat_template(folder)
        self.template_name = "the base's own" if template is not None else DEFAULT_TEMPLATE_NAME
        self.template = DEFAULT_TEMPLATE if template is None else template
        self.estimated = estimate and not (folder / "tokenizer.json").is_file()
        """Whether tokens are counted by bytes, for want of a tokenizer."""
        self.tokenizer: Tokenizer | EstimatedTokenizer
        if self.estimated:
            self._special["eos_token"] = self._special["eos_token"] or END
            self.tokenizer = EstimatedTokenizer(self.template, self._special.values())
            self.stop_ids = self.tokenizer.special_ids
        else:
            self.tokenizer = _read_tokenizer(folder)
            self.stop_ids = self._find_stop_ids(self.tokenizer)
            if template is None:
                self._begin_and_end_as(self.tokenizer)
        try:
            self._compiled = _environment(today).from_string(self.template)
        except jinja2.TemplateSyntaxError as fault:
            raise BaseError(f"{folder}: the chat template does not parse: {fault}") from None

    def _begin_and_end_as(self, tokenizer: Tokenizer) -> None:
        """For the default template: a text begins as the tokenizer has every text begin (Llama 2 and Gemma with <s>,
        GPT-2 with nothing), and an answer ends in a token it knows."""
        begin = tokenizer.encode("").ids[:1]
        if begin != [tokenizer.token_to_id(self._special["bos_token"])]:
            self._special["bos_token"] = ""
        if not self._special["eos_token"]:
            stop = min(self.stop_ids, default=None)
            self._special["eos_token"] = "" if stop is None else tokenizer.id_to_token(stop) or ""

    def _find_stop_ids(self, tokenizer: Tokenizer) -> frozenset[int]:
        stops: set[int] = set()
        for name in ("generation_config.json", "config.json"):
            value = _read(self.folder / name).get("eos_token_id")
            stops.update([value] if isinstance(value, int) else value or [])
        if self._special["eos_token"]:
            found = tokenizer.token_to_id(self._special["eos_token"])
            if found is not None:
                stops.add(found)
        return frozenset(stops)

    def encode(self, text: str) -> list[int]:
        ids: list[int] = self.tokenizer.encode(text, add_special_tokens=False).ids
        return ids

    def decode(self, ids: Sequence[int]) -> str:
        """Text of `ids`, special tokens left out."""
        return str(self.tokenizer.decode(list(ids), skip_special_tokens=True))

    def _text(
        self, messages: Sequence[Message], tools: Sequence[Mapping[str, Any]] | None, prompt: bool, where: str = ""
    ) -> str:
        try:
            return self._compiled.render(
                messages=list(messages),
                tools=None if tools is None else list(tools),
                add_generation_prompt=prompt,
                **self._special,
            )
        except Exception as fault:  # a template is a program; it may fail in any way
            roles = ", ".join(str(message["role"]) for message in messages)
            reason = f"the base's chat template refuses this conversation: {fault}; roles here: {roles}"
            raise DataError(problems=[Problem("error", "template-refuses-row", where, reason)]) from None

    def _pieces(self, row: Row, turns: AssistantTurns) -> Iterator[tuple[str, bool]]:
        """The row's text in order, cut at the answers: (text, is it an answer that is trained on)."""
        messages = row.messages
        first = row.completion_start or 0
        answers = [i for i, message in enumerate(messages) if message["role"] == "assistant" and i >= first]
        if turns == "last":
            answers = answers[-1:]
        whole = self._text(messages, row.tools, False, row.where)
        cursor = 0
        for i in answers:
            before = self._text(messages[:i], row.tools, True, row.where)
            through = whole if i == len(messages) - 1 else self._text(messages[: i + 1], row.tools, False, row.where)
            if not (whole.startswith(through) and through.startswith(before)):
                advice = (
                    "train on the last answer only (data.assistant_turns: last)"
                    if len(answers) > 1
                    else "its generation prompt is not how it begins an answer; mend chat_template.jinja in the base"
                )
                raise DataError(
                    problems=[
                        Problem(
                            "error",
                            "template-rewrites-turns",
                            row.where,
                            "the base's chat template writes earlier turns differently once later ones follow, so its "
                            f"answers cannot be told apart; {advice}",
                        )
                    ]
                )
            yield before[cursor:], False
            yield through[len(before) :], True
            cursor = len(through)

    def render(self, row: Row, turns: AssistantTurns = "all") -> Rendered:
        """Ids and loss mask of one row; DataError with the row's place if the template refuses it.

        Of a preference row the better answer, and the worse one beside it.
        """
        shown = self._render(row, turns)
        if row.rejected is None:
            return shown
        other = {"role": "assistant", "content": row.rejected}
        worse = self._render(replace(row, messages=(*row.messages[:-1], other)), turns)
        if worse.ids[: worse.prompt] != shown.ids[: shown.prompt]:
            message = "the base's chat template writes the prompt differently before the rejected answer"
            raise DataError(problems=[Problem("error", "template-rewrites-turns", row.where, message)])
        return replace(shown, rejected=worse.ids[worse.prompt :], stops=shown.stops and worse.stops)

    def _render(self, row: Row, turns: AssistantTurns) -> Rendered:
        ids: list[int] = []
        supervised: list[bool] = []
        prompt, stops = 0, True
        for text, answer in self._pieces(row, turns):
            piece = self.encode(text)
            end = 0
            if answer:
                prompt = len(ids)
                ends = [i for i, token in enumerate(piece) if token in self.stop_ids]
                end = ends[-1] + 1 if ends else len(piece)
                stops = stops and (bool(ends) or self.estimated)  # what ends a turn of its own template is a guess
            ids += piece
            supervised += [True] * end + [False] * (len(piece) - end)
        # What follows the last stop token (a newline, say) teaches nothing and is not seen again.
        while ids and not supervised[-1]:
            ids.pop()
            supervised.pop()
        return Rendered(tuple(ids), tuple(supervised), prompt, stops)

    def prompt(self, messages: Sequence[Message], tools: Sequence[Mapping[str, Any]] | None = None) -> list[int]:
        """Ids that ask for the next assistant turn; DataError if the template refuses the conversation."""
        return self.encode(self._text(messages, tools, prompt=True))

    def shorten(self, row: Row, max_length: int, turns: AssistantTurns = "all") -> tuple[Row, Rendered]:
        """The row with the end of its last question cut until it fits `max_length` tokens; answers stay whole."""
        at = max(i for i, message in enumerate(row.messages) if message["role"] == "user")
        rendered = self.render(row, turns)
        while rendered.length > max_length:
            content = str(row.messages[at]["content"])
            places = self.tokenizer.encode(content, add_special_tokens=False).offsets
            keep = len(places) - max(1, rendered.length - max_length)
            # Cut between characters: a token may hold part of one.
            end = min(places[keep][0], len(content) - 1) if keep > 0 else 0
            if end < 1:
                raise DataError(
                    problems=[
                        Problem(
                            "error",
                            "cannot-truncate",
                            row.where,
                            f"{rendered.length} tokens, and {max_length} cannot be reached by cutting the question; "
                            "raise data.max_length or choose data.too_long: drop",
                        )
                    ]
                )
            messages = list(row.messages)
            messages[at] = {**messages[at], "content": content[:end]}
            row = replace(row, messages=tuple(messages))
            rendered = self.render(row, turns)
        return row, rendered

    def preview(self, rendered: Rendered) -> list[tuple[str, bool]]:
        """The row's text in runs of (text, supervised), special tokens shown."""
        runs: list[tuple[str, bool]] = []
        start = 0
        for i in range(1, len(rendered.ids) + 1):
            if i == len(rendered.ids) or rendered.supervised[i] != rendered.supervised[start]:
                text = self.tokenizer.decode(list(rendered.ids[start:i]), skip_special_tokens=False)
                runs.append((text, rendered.supervised[start]))
                start = i
        return runs


def _read_tokenizer(folder: Path) -> Tokenizer:
    file = folder / "tokenizer.json"
    if not file.is_file():
        raise BaseError(
            f"{folder}: no tokenizer.json; rankwise renders rows with the base's own fast tokenizer. "
            "Save one beside the weights (AutoTokenizer.from_pretrained(...).save_pretrained(folder))."
        )
    try:
        tokenizer = Tokenizer.from_file(str(file))
    except Exception as fault:  # the library raises no narrower kind
        raise BaseError(f"{file}: cannot be read ({fault}); fetch the base again") from None
    tokenizer.no_padding()
    tokenizer.no_truncation()
    return tokenizer


def _read(file: Path) -> dict[str, Any]:
    if not file.is_file():
        return {}
    try:
        value = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as fault:
        raise BaseError(f"{file}: cannot be read ({fault}); fetch the base again") from None
    return value if isinstance(value, dict) else {}


def _token_text(token: Any) -> str:
    return str(token.get("content", "")) if isinstance(token, dict) else str(token or "")
