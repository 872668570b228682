"""Rows for bases without a chat template: an encoder reads the text alone and gives it a label, an encoder-decoder
reads it and writes the answer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

from rankwise.data.read import Message, Row
from rankwise.data.render import AssistantTurns, Rendered, Renderer
from rankwise.errors import DataError, Problem

ESTIMATED_SPECIALS = 2
"""Around a text where there is no tokenizer to ask: BERT's [CLS] and [SEP]; T5 adds one."""


class PlainRenderer(Renderer):
    """As `Renderer`; what it renders is the text as the tokenizer has every text begin and end."""

    def __init__(self, folder: Path, kind: Literal["encoder", "encoder-decoder"], estimate: bool = False) -> None:
        super().__init__(folder, estimate=estimate)
        self.kind = kind
        self.template_name = "none"
        self.takes_prompt = self.encodes = kind != "encoder"

    def render(self, row: Row, turns: AssistantTurns = "all") -> Rendered:
        """Of an encoder the last position stands for the label: one answer a row. Only the last answer is asked for."""
        source = self.prompt(row.messages[:-1])
        if self.kind == "encoder":
            label = row.label if row.label is not None else row.answer
            return Rendered(tuple(source), (*[False] * (len(source) - 1), True), len(source), True, label, row.labels)
        if row.tools:
            message = "a base without a chat template has no place for tools; leave them out, or take a causal base"
            raise DataError(problems=[Problem("error", "tools-not-read", row.where, message)])
        target, stops = self._answer(str(row.messages[-1]["content"] or ""))
        supervised = [False] * len(source) + [True] * len(target)
        return Rendered((*source, *target), tuple(supervised), len(source), stops, encoded=True)

    def prompt(self, messages: Sequence[Message], tools: Sequence[Mapping[str, Any]] | None = None) -> list[int]:
        """Ids that are read before the answer: all that was said, a line each."""
        return self._with_specials("\n".join(str(message["content"] or "") for message in messages))

    def _answer(self, text: str) -> tuple[list[int], bool]:
        """Ids that the decoder writes, and whether they end in a stop token; one is added where the tokenizer, as it
        begins and ends every text, adds none."""
        ids = self._with_specials(text)
        if not self.estimated and not self.stop_ids.intersection(ids[-1:]):
            ids += sorted(self.stop_ids)[:1]
        return ids, self.estimated or bool(self.stop_ids.intersection(ids[-1:]))

    def preview(self, rendered: Rendered) -> list[tuple[str, bool]]:
        """Of an encoder the text, and then its label, which is no part of it."""
        if rendered.label is None:
            return super().preview(rendered)
        return [(self.tokenizer.decode(list(rendered.ids), skip_special_tokens=False), False), (rendered.label, True)]

    def _with_specials(self, text: str) -> list[int]:
        if self.estimated:
            return self.encode(text) + sorted(self.stop_ids)[:1] * ESTIMATED_SPECIALS
        ids: list[int] = self.tokenizer.encode(text, add_special_tokens=True).ids
        return ids


def make_renderer(
    folder: Path, kind: Literal["causal", "encoder", "encoder-decoder"], estimate: bool = False
) -> Renderer:
    """What renders the rows of a base of this kind."""
    return Renderer(folder, estimate=estimate) if kind == "causal" else PlainRenderer(folder, kind, estimate)
