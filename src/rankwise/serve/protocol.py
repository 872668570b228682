"""The requests of OpenAI's API that are understood here. A key that nothing would come of is refused."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from rankwise.data.read import Message

MAX_ANSWERS = 8
"""Most answers to one prompt."""
MAX_TURNS = 256
MAX_NAME = 200
DEFAULT_TOKENS = 512
"""Of an answer, where a chat request does not say."""
COMPLETION_TOKENS = 16
"""Likewise of a plain completion, as in OpenAI's API."""

Stop = str | Annotated[list[str], Field(max_length=4)] | None
Seed = Annotated[int, Field(ge=0, le=2**63 - 1 - MAX_ANSWERS)]


class Body(BaseModel):
    model_config = ConfigDict(extra="forbid")


class TextPart(Body):
    type: Literal["text"]
    text: str


class Turn(Body):
    role: Literal["system", "developer", "user", "assistant", "tool"]
    content: str | list[TextPart]
    name: str | None = None

    def message(self) -> Message:
        """`developer` is what newer clients call the system."""
        text = self.content if isinstance(self.content, str) else "".join(part.text for part in self.content)
        return {"role": "system" if self.role == "developer" else self.role, "content": text}


class StreamOptions(Body):
    include_usage: bool = False


class JsonSchema(Body):
    name: str = Field(max_length=64)
    json_schema: dict[str, Any] = Field(alias="schema")
    description: str | None = None
    strict: bool | None = None


class ResponseFormat(Body):
    type: Literal["text", "json_object", "json_schema"]
    json_schema: JsonSchema | None = None


class Generation(Body):
    """What chat and plain completions have in common."""

    model: str = Field(max_length=MAX_NAME)
    temperature: float = Field(1.0, ge=0, le=2)
    top_p: float = Field(1.0, gt=0, le=1)
    n: int = Field(1, ge=1, le=MAX_ANSWERS)
    seed: Seed | None = None
    stop: Stop = None
    stream: bool = False
    stream_options: StreamOptions | None = None
    user: str | None = Field(None, max_length=MAX_NAME)
    """Written to the log."""

    @property
    def stops(self) -> tuple[str, ...]:
        texts = [self.stop] if isinstance(self.stop, str) else self.stop or []
        return tuple(text for text in texts if text)


class ChatRequest(Generation):
    messages: list[Turn] = Field(min_length=1, max_length=MAX_TURNS)
    max_tokens: int | None = Field(None, ge=1)
    max_completion_tokens: int | None = Field(None, ge=1)
    logprobs: bool = False
    top_logprobs: int | None = Field(None, ge=0, le=20)
    response_format: ResponseFormat | None = None

    @property
    def most_tokens(self) -> int | None:
        return self.max_completion_tokens or self.max_tokens


class CompletionRequest(Generation):
    prompt: str | list[int]
    max_tokens: int | None = Field(COMPLETION_TOKENS, ge=1)
    logprobs: int | None = Field(None, ge=0, le=5)
