"""What is answered when something is wrong, in OpenAI's shape."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from pydantic import BaseModel
from starlette.responses import JSONResponse


class WhatIsWrong(BaseModel):
    message: str
    type: str
    param: str | None
    code: str


class ErrorBody(BaseModel):
    """OpenAI's shape of every error, as the description at /openapi.json has it."""

    error: WhatIsWrong


@dataclass(eq=False)
class Refused(Exception):
    """Raised anywhere in the handling of a request."""

    status: int
    code: str
    message: str
    param: str | None = None
    headers: dict[str, str] = field(default_factory=dict)

    @property
    def content(self) -> dict[str, Any]:
        kind = "server_error" if self.status >= 500 else KINDS.get(self.status, "invalid_request_error")
        return {"error": {"message": self.message, "type": kind, "param": self.param, "code": self.code}}

    def response(self) -> JSONResponse:
        return JSONResponse(self.content, self.status, self.headers)


KINDS = {401: "authentication_error", 403: "permission_error", 429: "rate_limit_error"}

AGAIN = {"retry-after": "1"}
"""Clients of OpenAI wait so many seconds and ask again."""


def unknown_model(name: str) -> Refused:
    message = f"the model {name!r} does not exist; GET /v1/models lists those that do"
    return Refused(404, "model_not_found", message, "model")
