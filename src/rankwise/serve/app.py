"""The HTTP API: OpenAI's routes over one base and its adapters, and rankwise's own beside them."""

from __future__ import annotations

import asyncio
import json
import logging
import time
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from datetime import datetime
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, PlainTextResponse, Response, StreamingResponse
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException

from rankwise.catalog import by_shelf
from rankwise.errors import RankwiseError
from rankwise.facts import TaskRecord, read_adapter
from rankwise.serve.answers import Answers
from rankwise.serve.auth import Gate, Key
from rankwise.serve.batcher import Closing, Overloaded
from rankwise.serve.metrics import exposition, make_registry
from rankwise.serve.names import Listed, UnknownModel
from rankwise.serve.plans import CheckRequest, PlanRequest, Plans
from rankwise.serve.pool import PoolBusy
from rankwise.serve.protocol import ChatRequest, CompletionRequest, Generation
from rankwise.serve.refused import AGAIN, ErrorBody, Refused, unknown_model
from rankwise.serve.requests import Event, Failed
from rankwise.serve.service import Job, Service, Tell

MAX_BODY = 2 << 20
REQUESTS_A_MINUTE = 6000
DRAIN_SECONDS = 30.0
LOOK_SECONDS = 1.0
"""How often it is looked whether who asked is still there."""

ERRORS: dict[int | str, dict[str, Any]] = {
    "4XX": {"model": ErrorBody, "description": "The request cannot be answered, and why"},
    "5XX": {"model": ErrorBody, "description": "The server is busy or has failed"},
}
ANSWERS: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "The answer; with `stream`, its parts as server-sent events",
        "content": {"application/json": {"schema": {"type": "object"}}, "text/event-stream": {}},
    }
}
"""Of the description at /openapi.json."""

Queue = asyncio.Queue[tuple[int, Event]]

log = logging.getLogger(__name__)


def make_app(service: Service, plans: Plans, keys: Iterable[Key], port: int) -> FastAPI:
    """The application, with all its guards; `port` is where it will be reached."""

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        yield
        await run_in_threadpool(service.batcher.close, DRAIN_SECONDS)

    # Its pages would load scripts from elsewhere; the description itself stays at /openapi.json.
    app = FastAPI(title="rankwise", lifespan=lifespan, docs_url=None, redoc_url=None, responses=ERRORS)
    app.add_middleware(Gate, keys=tuple(keys), port=port, max_body=MAX_BODY, a_minute=REQUESTS_A_MINUTE)
    _add_errors(app)
    _add_openai(app, service)
    _add_own(app, service, plans)
    _add_health(app, service)
    return app


def _add_openai(app: FastAPI, service: Service) -> None:
    @app.get("/v1/models")
    def models() -> dict[str, Any]:
        return {"object": "list", "data": [_model(listed) for listed in service.names.listed()]}

    @app.get("/v1/models/{name:path}")
    def model(name: str) -> dict[str, Any]:
        found = next((listed for listed in service.names.listed() if listed.id == name), None)
        if found is None:
            raise unknown_model(name)
        return _model(found)

    @app.post("/v1/chat/completions", response_class=Response, responses=ANSWERS)
    async def chat(request: Request, asked: ChatRequest) -> Response:
        return await _answer(request, asked, lambda tell: service.chat(asked, tell), service, chat=True)

    @app.post("/v1/completions", response_class=Response, responses=ANSWERS)
    async def complete(request: Request, asked: CompletionRequest) -> Response:
        return await _answer(request, asked, lambda tell: service.complete(asked, tell), service, chat=False)


def _add_own(app: FastAPI, service: Service, plans: Plans) -> None:
    @app.get("/v1/rankwise/domains")
    def domains() -> dict[str, Any]:
        """Every shelf, with the adapter that answers to its name."""
        entries = service.names.entries()
        told = []
        for shelf, named in by_shelf(entries).items():
            record = read_adapter(named.path).record
            told.append(
                {
                    "domain": shelf,
                    "adapter": named.id,
                    "alias": named.alias,
                    "task": None if record is None else _task(record.task),
                    "metrics": named.metrics,
                    "adapters": [entry.id for entry in entries if entry.shelf == shelf],
                }
            )
        return {"object": "list", "data": told}

    @app.get("/v1/rankwise/domains/{domain}/parameters")
    def parameters(domain: str) -> dict[str, Any]:
        """The plan for a domain on this base."""
        return plans.of_domain(domain)

    @app.post("/v1/rankwise/plan")
    def plan(asked: PlanRequest) -> dict[str, Any]:
        return plans.of_request(asked)

    @app.post("/v1/rankwise/check")
    def check(asked: CheckRequest) -> dict[str, Any]:
        return plans.of_rows(asked)

    @app.get("/v1/rankwise/adapters")
    def seated() -> dict[str, Any]:
        """Adapters in memory."""
        return {"object": "list", "data": [vars(each) for each in service.pool.describe()]}

    @app.delete("/v1/rankwise/adapters/{digest}")
    def unload(digest: str) -> dict[str, Any]:
        """Give its memory back, once nobody uses it; the next request loads it again."""
        if not service.pool.unload(digest):
            raise Refused(404, "adapter_not_loaded", f"no adapter in memory has the digest {digest!r}", "digest")
        return {"digest": digest, "object": "adapter", "unloaded": True}


def _add_health(app: FastAPI, service: Service) -> None:
    registry = make_registry(service)

    @app.get("/health")
    def health() -> dict[str, str]:
        if not service.batcher.alive:
            raise Refused(503, "not_alive", "the batcher has ended")
        return {"status": "ok"}

    @app.get("/ready")
    def ready() -> dict[str, str]:
        return health()

    @app.get("/metrics", response_class=PlainTextResponse)
    def metrics() -> Response:
        return PlainTextResponse(exposition(registry), media_type="text/plain; version=0.0.4")


def _model(listed: Listed) -> dict[str, Any]:
    created = int(datetime.fromisoformat(listed.created).timestamp()) if listed.created else 0
    own = {"id": listed.id, "object": "model", "created": created, "owned_by": "rankwise"}
    return own if listed.adapter is None else {**own, "adapter": listed.adapter}


def _task(task: TaskRecord) -> dict[str, Any]:
    told = task.model_dump(mode="json")
    return {key: told[key] for key in ("kind", "labels", "instruction", "system")}


async def _answer(
    request: Request, asked: Generation, submit: Callable[[Tell], Job], service: Service, chat: bool
) -> Response:
    """Submit, then stream or gather."""
    began = time.perf_counter()
    loop, queue = asyncio.get_running_loop(), Queue()

    def tell(number: int, event: Event) -> None:
        loop.call_soon_threadsafe(queue.put_nowait, (number, event))

    job = await run_in_threadpool(submit, tell)
    answers = Answers(job, service.renderer, chat)
    log.info(
        "accepted",
        extra={"id": answers.id, "model": job.model, "prompt_tokens": job.prompt_tokens, "user": asked.user},
    )
    if asked.stream:
        usage = asked.stream_options is not None and asked.stream_options.include_usage
        return StreamingResponse(_stream(job, answers, queue, usage), media_type="text/event-stream")
    try:
        while not answers.done:
            number, event = await _next(queue, request)
            if isinstance(event, Failed):
                raise Refused(500, "answer_failed", event.message)
            answers.add(number, event)
    finally:
        job.cancel()
    log.info("answered", extra={"id": answers.id, "seconds": round(time.perf_counter() - began, 3)})
    return JSONResponse(answers.whole())


async def _next(queue: Queue, request: Request) -> tuple[int, Event]:
    """The next event; Refused, which nobody reads, once who asked has gone."""
    while True:
        try:
            return await asyncio.wait_for(queue.get(), LOOK_SECONDS)
        except TimeoutError:
            if await request.is_disconnected():
                raise Refused(499, "client_gone", "who asked has gone") from None


async def _stream(job: Job, answers: Answers, queue: Queue, usage: bool) -> AsyncIterator[str]:
    """Server-sent events. Closed early, because who asked has gone, it frees the job's rows."""
    try:
        for chunk in answers.begin():
            yield _event(chunk)
        while not answers.done:
            number, event = await queue.get()
            if isinstance(event, Failed):
                yield _event(Refused(500, "answer_failed", event.message).content)
                return
            answers.add(number, event)
            if (made := answers.chunk(number, event)) is not None:
                yield _event(made)
        if usage:
            yield _event(answers.usage_chunk())
        yield "data: [DONE]\n\n"
    finally:
        job.cancel()


def _event(value: dict[str, Any]) -> str:
    return f"data: {json.dumps(value, ensure_ascii=False)}\n\n"


def _add_errors(app: FastAPI) -> None:
    """Every error in OpenAI's shape, and none with a traceback."""

    def answer(kind: type[Exception], made: Callable[[Any], Refused]) -> None:
        async def handle(_: Request, fault: Exception) -> JSONResponse:
            return made(fault).response()

        app.add_exception_handler(kind, handle)

    answer(Refused, lambda fault: fault)
    answer(UnknownModel, lambda fault: unknown_model(str(fault.args[0])))
    answer(RequestValidationError, _invalid)
    answer(RankwiseError, _unusable)
    busy = "the server is busy; ask again in a moment"
    answer(PoolBusy, lambda fault: Refused(503, "adapters_busy", busy, headers=dict(AGAIN)))
    answer(Overloaded, lambda fault: Refused(503, "overloaded", busy, headers=dict(AGAIN)))
    answer(Closing, lambda fault: Refused(503, "closing", "the server is stopping", headers=dict(AGAIN)))
    answer(HTTPException, _refused)
    answer(Exception, lambda fault: Refused(500, "internal_error", "the server failed; its log says why"))


CODES = {400: "bad_request", 404: "not_found", 405: "method_not_allowed"}


def _refused(fault: HTTPException) -> Refused:
    return Refused(fault.status_code, CODES.get(fault.status_code, "refused"), str(fault.detail))


def _invalid(fault: RequestValidationError) -> Refused:
    """Of the first thing that is wrong; all are in the message."""
    found = [(_place(each["loc"][1:]), str(each["msg"])) for each in fault.errors()]
    message = "; ".join(f"{where}: {what}" if where else what for where, what in found[:10])
    return Refused(400, "invalid_request", message, found[0][0] or None if found else None)


def _place(parts: Iterable[str | int]) -> str:
    """ "messages.0.content", without what pydantic calls the members of a union."""
    return ".".join(str(part) for part in parts if str(part) != "str" and "[" not in str(part))


def _unusable(fault: RankwiseError) -> Refused:
    code = fault.problems[0].code if fault.problems else "unusable"
    if code == "unknown-domain":
        return Refused(404, code, str(fault), "domain")
    return Refused(400, code, str(fault), "model" if code.startswith(("adapter", "base")) else None)
