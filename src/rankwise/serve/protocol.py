"""The requests of OpenAI's API that are understood here. A key that nothing would come of is refused."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from rankwise.data.read import Message

MAX_ANSWERS = 8
"""Most answers to one prompt."""
MAX_TURNS = 256
MAX_NAME = 200
DEFAULT_TOKENS = 512
"""Of an answer, where a chat request does not say."""
COMPLETION_TOKENS = 16
"""Likewise of a plain completion, as in OpenAI's API."""


def _whole(text: str) -> str:
    """Pydantic's own check does not reach the members of a union."""
    try:
        text.encode("utf-8")
    except UnicodeEncodeError as fault:
        half = f"U+{ord(text[fault.start]):04X}"
        raise ValueError(f"holds half a character ({half}) at character {fault.start + 1}; remove it") from None
    return text


Text = Annotated[str, AfterValidator(_whole)]
Stop = Text | Annotated[list[Text], Field(max_length=4)] | None
Seed = Annotated[int, Field(ge=0, le=2**63 - 1 - MAX_ANSWERS)]


class Body(BaseModel):
    model_config = ConfigDict(extra="forbid")


class TextPart(Body):
    type: Literal["text"]
    text: Text


class Turn(Body):
    role: Literal["system", "developer", "user", "assistant", "tool"]
    content: Text | list[TextPart]

    def message(self) -> Message:
        """`developer` is what newer clients call the system."""
        text = self.content if isinstance(self.content, str) else "".join(part.text for part in self.content)
        return {"role": "system" if self.role == "developer" else self.role, "content": text}


class StreamOptions(Body):
    include_usage: bool = False


class JsonSchema(Body):
    name: str = Field(max_length=64)
    json_schema: dict[str, Any] = Field(alias="schema")
    strict: Literal[True] | None = None
    """Answers always keep to their schema."""


class ResponseFormat(Body):
    type: Literal["text", "json_object", "json_schema"]
    json_schema: JsonSchema | None = None

    @model_validator(mode="after")
    def _one_has_the_other(self) -> ResponseFormat:
        if (self.type == "json_schema") != (self.json_schema is not None):
            raise ValueError("json_schema belongs to the type json_schema, and that type needs it")
        return self


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

    @model_validator(mode="after")
    def _streams_what_it_says(self) -> Generation:
        if self.stream_options is not None and not self.stream:
            raise ValueError("stream_options belong to stream: true")
        return self

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

    @model_validator(mode="after")
    def _says_each_thing_once(self) -> ChatRequest:
        if self.top_logprobs is not None and not self.logprobs:
            raise ValueError("top_logprobs belong to logprobs: true")
        if self.max_tokens is not None and self.max_completion_tokens is not None:
            raise ValueError("max_tokens and max_completion_tokens mean the same; give one")
        return self

    @property
    def most_tokens(self) -> int | None:
        return self.max_completion_tokens or self.max_tokens


class CompletionRequest(Generation):
    prompt: Text | list[int]
    max_tokens: int | None = Field(COMPLETION_TOKENS, ge=1)
    logprobs: int | None = Field(None, ge=0, le=5)
