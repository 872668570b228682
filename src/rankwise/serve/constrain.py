"""Answers that keep to a JSON schema, by llguidance."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import torch
from llguidance import LLMatcher, LLTokenizer

from rankwise.data.render import Renderer
from rankwise.errors import DataError, Problem

ANY_OBJECT: dict[str, Any] = {"type": "object"}
"""What `response_format: json_object` allows."""


COMPACT: Any = {"whitespace_flexible": False}
"""No white space between parts of an answer: a base may write it without end."""


class Constraints:
    """Makes grammars for one base's tokenizer."""

    def __init__(self, renderer: Renderer, vocabulary: int) -> None:
        """`vocabulary`: logits of the base, which may be more than its tokenizer has tokens."""
        stop = min(renderer.stop_ids, default=None)
        text = (renderer.folder / "tokenizer.json").read_text(encoding="utf-8")
        self._tokenizer = LLTokenizer(text, n_vocab=vocabulary, eos_token=stop)

    def of_schema(self, schema: dict[str, Any]) -> JsonGrammar:
        """DataError with what is wrong if the schema cannot be kept to."""
        try:
            grammar = LLMatcher.grammar_from_json_schema(json.dumps(schema), defaults=COMPACT)
            fault = LLMatcher.validate_grammar(grammar, self._tokenizer)
        except ValueError as error:
            fault = str(error)
        if fault and not fault.startswith("WARNING"):
            message = f"this JSON schema cannot be kept to: {fault}"
            raise DataError(problems=[Problem("error", "schema-refused", "response_format", message)])
        return JsonGrammar(LLMatcher(self._tokenizer, grammar, log_level=0))


class JsonGrammar:
    """One answer's state."""

    def __init__(self, matcher: LLMatcher) -> None:
        self._matcher = matcher

    def allow(self, logits: torch.Tensor) -> torch.Tensor:
        bits = np.frombuffer(self._matcher.compute_bitmask(), dtype=np.uint8)
        allowed = torch.from_numpy(np.unpackbits(bits, bitorder="little")[: len(logits)].astype(bool))
        return logits.masked_fill(~allowed.to(logits.device), float("-inf"))

    def accept(self, token: int) -> None:
        """RuntimeError if it may not come here, which `allow` sees to."""
        if not self._matcher.consume_token(token):
            raise RuntimeError(f"the grammar does not take token {token}: {self._matcher.get_error()}")
