"""What happened to a request, as OpenAI's API tells it: one object at the end, or chunks on the way."""

from __future__ import annotations

import math
import time
import uuid
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from rankwise.data.render import Renderer
from rankwise.serve.requests import Ended, Event, Labelled, Said
from rankwise.serve.sampling import Choice
from rankwise.serve.service import Job


@dataclass
class _Answer:
    text: str = ""
    choices: list[Choice] = field(default_factory=list)
    ended: Ended | None = None
    labelled: Labelled | None = None


class Answers:
    """Gathers the events of one job. `chat`: chat completions, else plain ones."""

    def __init__(self, job: Job, renderer: Renderer, chat: bool) -> None:
        self._job, self._renderer, self._chat = job, renderer, chat
        self._answers = [_Answer() for _ in job.requests]
        self._told = [0] * len(job.requests)
        """Characters of each answer in chunks so far, by which plain completions count."""
        self.id = f"{'chatcmpl' if chat else 'cmpl'}-{uuid.uuid4().hex}"
        self.created = int(time.time())

    @property
    def done(self) -> bool:
        return all(answer.ended is not None for answer in self._answers)

    def add(self, number: int, event: Event) -> None:
        answer = self._answers[number]
        if isinstance(event, Said):
            answer.text += event.text
            answer.choices += event.choices
        elif isinstance(event, Labelled):
            answer.labelled = event
            answer.text = self._job.labels[_best(event.logprobs)]
        elif isinstance(event, Ended):
            answer.ended = event

    def whole(self) -> dict[str, Any]:
        """Once `done`."""
        return {
            **self._head("chat.completion" if self._chat else "text_completion"),
            "choices": [self._choice(number) for number in range(len(self._answers))],
            "usage": self.usage(),
        }

    def begin(self) -> list[dict[str, Any]]:
        """Chunks before any text."""
        if not self._chat:
            return []
        return [self._chunk(number, {"role": "assistant", "content": ""}) for number in range(len(self._answers))]

    def chunk(self, number: int, event: Event) -> dict[str, Any] | None:
        """What `event` adds, after `add`."""
        answer = self._answers[number]
        if isinstance(event, Labelled):
            return {**self._chunk(number, self._delta(answer.text)), "rankwise": self._labels(event)}
        if isinstance(event, Said):
            return self._chunk(number, self._delta(event.text), event.choices)
        if isinstance(event, Ended):
            return self._chunk(number, {} if self._chat else {"text": ""}, reason=event.reason)
        return None

    def usage_chunk(self) -> dict[str, Any]:
        return {**self._head(self._chunk_kind), "choices": [], "usage": self.usage()}

    def usage(self) -> dict[str, Any]:
        ended = [answer.ended for answer in self._answers if answer.ended is not None]
        written = 0 if self._job.labels else sum(each.tokens for each in ended)
        return {
            "prompt_tokens": self._job.prompt_tokens,
            "completion_tokens": written,
            "total_tokens": self._job.prompt_tokens + written,
            "prompt_tokens_details": {"cached_tokens": max((each.reused for each in ended), default=0)},
        }

    @property
    def _chunk_kind(self) -> str:
        return "chat.completion.chunk" if self._chat else "text_completion"

    def _head(self, kind: str) -> dict[str, Any]:
        return {"id": self.id, "object": kind, "created": self.created, "model": self._job.model}

    def _choice(self, number: int) -> dict[str, Any]:
        answer = self._answers[number]
        reason = None if answer.ended is None else answer.ended.reason
        body = {"message": {"role": "assistant", "content": answer.text}} if self._chat else {"text": answer.text}
        made = {"index": number, **body, "finish_reason": reason, "logprobs": self._logprobs(answer.choices, 0)}
        return made if answer.labelled is None else {**made, "rankwise": self._labels(answer.labelled)}

    def _delta(self, text: str) -> dict[str, Any]:
        return {"content": text} if self._chat else {"text": text}

    def _chunk(
        self, number: int, delta: dict[str, Any], choices: Sequence[Choice] = (), reason: str | None = None
    ) -> dict[str, Any]:
        body = {"delta": delta} if self._chat else delta
        logprobs = self._logprobs(choices, self._told[number])
        self._told[number] += len(delta.get("text", ""))
        choice = {"index": number, **body, "finish_reason": reason, "logprobs": logprobs}
        return {**self._head(self._chunk_kind), "choices": [choice]}

    def _logprobs(self, choices: Sequence[Choice], begin: int) -> dict[str, Any] | None:
        """Of tokens whose ln p was asked for; None if it was not."""
        told = [(choice, choice.logprob) for choice in choices if choice.logprob is not None]
        if not told:
            return None
        if self._chat:
            return {
                "content": [
                    {
                        **self._token(choice.token, logprob),
                        "top_logprobs": [self._token(each.token, each.logprob) for each in choice.top],
                    }
                    for choice, logprob in told
                ]
            }
        tokens = [self._text(choice.token) for choice, _ in told]
        return {
            "tokens": tokens,
            "token_logprobs": [logprob for _, logprob in told],
            "top_logprobs": [{self._text(each.token): each.logprob for each in choice.top} for choice, _ in told],
            "text_offset": [begin + sum(map(len, tokens[:i])) for i in range(len(tokens))],
        }

    def _token(self, token: int, logprob: float) -> dict[str, Any]:
        text = self._text(token)
        return {"token": text, "logprob": logprob, "bytes": list(text.encode())}

    def _text(self, token: int) -> str:
        return str(self._renderer.tokenizer.decode([token], skip_special_tokens=False))

    def _labels(self, event: Labelled) -> dict[str, Any]:
        """The answer's label, and the probability of each label among them all."""
        most = max(event.logprobs)
        weights = [math.exp(logprob - most) for logprob in event.logprobs]
        shares = dict(zip(self._job.labels, (weight / sum(weights) for weight in weights), strict=True))
        label = self._job.labels[_best(event.logprobs)]
        return {"label": label, "probability": shares[label], "labels": shares}


def _best(logprobs: Sequence[float]) -> int:
    return max(range(len(logprobs)), key=logprobs.__getitem__)
