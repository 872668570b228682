"""The server as a client meets it, over a socket: every route, what it refuses, and the stock client."""

from __future__ import annotations

import json
import socket
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

import pytest

from rankwise import api, catalog
from rankwise.errors import RunError
from rankwise.serve.auth import OPEN, new_key, read_keys, require_safe
from rankwise.serve.plans import Plans
from rankwise.serve.server import make_server
from rankwise.serve.service import Service, Settings

LABELS = ("low", "high", "very high")
HELLO = [{"role": "user", "content": "the tenant pays"}]


@dataclass
class Reply:
    status: int
    headers: dict[str, str]
    text: str

    @property
    def json(self) -> Any:
        return json.loads(self.text)

    @property
    def code(self) -> str:
        error = self.json["error"]
        assert error.keys() == {"message", "type", "param", "code"} and error["message"]
        return error["code"]


class Site:
    """A running server."""

    def __init__(self, service: Service, plans: Plans, keys: tuple[Any, ...] = ()) -> None:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        self.server = make_server(service, plans, keys, "127.0.0.1", self.port)
        self.app = self.server.config.app
        self.thread = threading.Thread(target=self.server.run, daemon=True)
        self.thread.start()
        while not self.server.started:
            assert self.thread.is_alive()
            time.sleep(0.01)

    def __call__(self, method: str, path: str, body: Any = None, **headers: str) -> Reply:
        connection = HTTPConnection("127.0.0.1", self.port, timeout=60)
        data = body if isinstance(body, bytes | None) else json.dumps(body).encode()
        given = {name.replace("_", "-"): value for name, value in headers.items()}
        if data is not None:
            given.setdefault("content-type", "application/json")
        connection.request(method, path, data, given)
        answer = connection.getresponse()
        reply = Reply(answer.status, {k.lower(): v for k, v in answer.getheaders()}, answer.read().decode())
        connection.close()
        return reply

    def stop(self) -> None:
        self.server.should_exit = True
        self.thread.join(60)
        assert not self.thread.is_alive()


@dataclass
class World:
    service: Service
    plans: Plans
    ids: dict[str, str]
    """Domain -> `shelf/digest`."""


@pytest.fixture(scope="module")
def world(own_home: Path, tiny_base: Path, adapter: Callable[..., Path]) -> World:
    made = {
        "legal": adapter(tiny_base, 1, domain="legal", labels=LABELS),
        "retail": adapter(tiny_base, 2, domain="retail", system="Be brief."),
        "financial": adapter(tiny_base, 3, domain="financial"),
    }
    ids = {domain: catalog.register(folder).id for domain, folder in made.items()}
    service = Service(tiny_base, "tiny", "float32", "cpu", Settings(slots=6, slot_bytes=1 << 24))
    plans = Plans(
        str(tiny_base), lambda asked: {"domain": asked.recipe.domain}, lambda asked: api.check(asked).as_json()
    )
    return World(service, plans, ids)


@pytest.fixture(scope="module")
def site(world: World) -> Iterator[Site]:
    made = Site(world.service, world.plans)
    yield made
    made.stop()
    assert not world.service.batcher.alive  # it was closed with the server


def chat(**fields: Any) -> dict[str, Any]:
    return {"model": "financial", "messages": HELLO, "max_tokens": 6, "temperature": 0, **fields}


def test_models_are_the_base_every_domain_and_every_adapter(site: Site, world: World) -> None:
    listed = [each["id"] for each in site("GET", "/v1/models").json["data"]]
    assert listed[0] == "tiny"
    assert sorted(listed[1:]) == sorted([*world.ids, *world.ids.values()])
    assert site("GET", f"/v1/models/{world.ids['legal']}").json["id"] == world.ids["legal"]
    assert site("GET", "/v1/models/nobody").code == "model_not_found"


@pytest.mark.parametrize("name", ["nobody", "legal/000000000000", "../adapters", "/etc/passwd", "tiny\x00", ""])
def test_an_unknown_model_is_never_the_default(site: Site, name: str) -> None:
    for path, body in (("/v1/chat/completions", chat(model=name)), ("/v1/completions", {"model": name, "prompt": "a"})):
        reply = site("POST", path, body)
        assert (reply.status, reply.code) == (404, "model_not_found")


def test_a_chat_is_answered_whole_and_in_chunks_alike(site: Site, world: World) -> None:
    whole = site("POST", "/v1/chat/completions", chat()).json
    assert whole["model"] == world.ids["financial"] and whole["object"] == "chat.completion"
    usage = whole["usage"]
    assert usage["total_tokens"] == usage["prompt_tokens"] + usage["completion_tokens"]
    streamed = site("POST", "/v1/chat/completions", chat(stream=True, stream_options={"include_usage": True}))
    assert streamed.headers["content-type"].startswith("text/event-stream")
    events = streamed.text.strip().split("\n\n")
    assert events[-1] == "data: [DONE]"
    chunks = [json.loads(event.removeprefix("data: ")) for event in events[:-1]]
    deltas = [c["choices"][0]["delta"].get("content", "") for c in chunks if c["choices"]]
    assert "".join(deltas) == whole["choices"][0]["message"]["content"]
    assert chunks[-1]["usage"]["completion_tokens"] == usage["completion_tokens"]


def test_every_model_says_its_own(site: Site) -> None:
    said = {
        name: site("POST", "/v1/chat/completions", chat(model=name, max_tokens=12)).json["choices"][0]["message"]
        for name in ("tiny", "retail", "financial")
    }
    assert len({message["content"] for message in said.values()}) == 3


def test_a_label_domain_answers_a_label_and_its_probability(site: Site) -> None:
    choice = site("POST", "/v1/chat/completions", chat(model="legal")).json["choices"][0]
    told = choice["rankwise"]
    assert choice["message"]["content"] == told["label"] in LABELS
    assert set(told["labels"]) == set(LABELS) and sum(told["labels"].values()) == pytest.approx(1)
    assert told["probability"] == max(told["labels"].values())
    assert site("POST", "/v1/chat/completions", chat(model="legal", n=2)).code == "not_for_labels"


def test_several_answers_seeds_stops_and_logprobs(site: Site) -> None:
    body = chat(n=3, seed=5, temperature=1.5, logprobs=True, top_logprobs=2, max_tokens=8)
    first, again = (site("POST", "/v1/chat/completions", body).json["choices"] for _ in range(2))
    assert first == again and [choice["index"] for choice in first] == [0, 1, 2]
    assert len({choice["message"]["content"] for choice in first}) > 1
    for choice in first:
        for token in (choice["logprobs"] or {"content": []})["content"]:
            assert token["logprob"] <= 0 and len(token["top_logprobs"]) == 2
    plain = {"model": "tiny", "prompt": "the", "temperature": 0}
    text = site("POST", "/v1/completions", plain).json["choices"][0]["text"]
    assert len(text) >= 4
    stop = text[2:4]
    cut = site("POST", "/v1/completions", {**plain, "stop": stop}).json
    assert cut["choices"][0] == {
        "index": 0, "text": text[: text.index(stop)], "finish_reason": "stop", "logprobs": None
    }  # fmt: skip


def test_an_answer_keeps_to_a_json_schema(site: Site) -> None:
    pytest.importorskip("llguidance")
    schema = {"type": "object", "properties": {"risk": {"enum": ["low", "high"]}}, "required": ["risk"],
              "additionalProperties": False}  # fmt: skip
    wanted = {"type": "json_schema", "json_schema": {"name": "risk", "schema": schema}}
    reply = site("POST", "/v1/chat/completions", chat(response_format=wanted, max_tokens=40, temperature=1, seed=1))
    assert json.loads(reply.json["choices"][0]["message"]["content"])["risk"] in ("low", "high")
    wanted["json_schema"]["schema"] = {"type": "no such type"}
    assert site("POST", "/v1/chat/completions", chat(response_format=wanted)).code == "schema-refused"


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({"model": "tiny"}, "messages"),
        (chat(temperature=3), "temperature"),
        (chat(frequency_penalty=1), "frequency_penalty"),
        (chat(messages=[{"role": "user", "content": [{"type": "image_url"}]}]), None),
        (chat(n=99), "n"),
        (chat(top_logprobs=2), None),
        (chat(stream_options={"include_usage": True}), None),
        (chat(response_format={"type": "json_schema"}), None),
        (chat(max_completion_tokens=5), None),
        (chat(max_tokens=100_000), "max_tokens"),
        (b"{", None),
        (b"[1]", None),
    ],
)
def test_what_cannot_be_done_is_refused_with_its_name(site: Site, body: Any, param: str | None) -> None:
    reply = site("POST", "/v1/chat/completions", body)
    assert reply.status == 400 and reply.code
    assert param is None or reply.json["error"]["param"] == param


def routes(app: Any) -> list[tuple[str, str]]:
    """(method, path) of every route, its parameters filled in."""
    found = [
        (method, route.path.replace("{name:path}", "tiny").replace("{domain}", "legal").replace("{digest}", "0" * 12))
        for route in app.routes
        for method in sorted(route.methods - {"HEAD"})
    ]
    assert len(found) >= 13
    return found


def test_without_keys_only_this_machines_own_programs_are_answered(site: Site) -> None:
    own = f"127.0.0.1:{site.port}"
    for method, path in routes(site.app):
        for headers in (
            {"host": "evil.example"},
            {"host": f"evil.example:{site.port}"},
            {"host": "127.0.0.1:1"},
            {"host": own, "origin": "http://evil.example"},
            {"host": own, "origin": "null"},
        ):
            reply = site(method, path, **headers)
            assert path in OPEN or (reply.status, reply.code) == (403, "not_local"), (method, path, headers)
    assert site("GET", "/v1/models", host=own, origin=f"http://{own}").status == 200
    with pytest.raises(RunError, match="no API keys"):
        require_safe("0.0.0.0", ())


def test_with_keys_every_route_needs_one(world: World, own_home: Path) -> None:
    secrets = {"chat": new_key("chat"), "admin": new_key("admin")}
    keys = read_keys()
    stored = (own_home / "api-keys.json").read_text()
    assert len(keys) == 2 and not any(secret in stored for secret in secrets.values())
    (own_home / "api-keys.json").unlink()
    service = Service(world.service.renderer.folder, "tiny", "float32", "cpu", Settings(slots=2, slot_bytes=1 << 22))
    guarded = Site(service, world.plans, keys)
    try:
        for method, path in routes(guarded.app):
            for headers in ({}, {"authorization": "Bearer rw-wrong"}, {"authorization": secrets["chat"]}):
                reply = guarded(method, path, **headers)
                assert path in OPEN or (reply.status, reply.code) == (401, "invalid_api_key"), (method, path)
            by_chat = guarded(method, path, authorization=f"Bearer {secrets['chat']}")
            only_admin = path.startswith(("/v1/rankwise/adapters", "/metrics"))
            assert (by_chat.status == 403) == only_admin
            assert guarded(method, path, authorization=f"Bearer {secrets['admin']}").status not in (401, 403)
    finally:
        guarded.stop()


def test_bodies_are_bounded(site: Site) -> None:
    assert site("POST", "/v1/chat/completions", b" ", content_length=str(3 << 20)).status == 413


def test_own_routes(site: Site, world: World) -> None:
    domains = {each["domain"]: each for each in site("GET", "/v1/rankwise/domains").json["data"]}
    assert domains.keys() == world.ids.keys() and domains["legal"]["task"]["labels"] == list(LABELS)
    assert site("GET", "/v1/rankwise/domains/legal/parameters").json == {"domain": "legal"}
    rows = [{"text": f"clause {i}", "label": "low" if i % 2 else "high"} for i in range(20)]
    assert site("POST", "/v1/rankwise/check", {"rows": rows}).json["inspection"]
    assert site("POST", "/v1/rankwise/plan", {"domain": "legal", "data": {"train": "/etc/passwd"}}).status == 400
    site("POST", "/v1/chat/completions", chat())
    digest = world.ids["financial"].partition("/")[2]
    assert digest in {each["key"] for each in site("GET", "/v1/rankwise/adapters").json["data"]}
    assert site("DELETE", f"/v1/rankwise/adapters/{digest}").json["unloaded"]
    while digest in {each["key"] for each in site("GET", "/v1/rankwise/adapters").json["data"]}:
        time.sleep(0.01)  # the answer was told a moment before its row let go of the seat
    assert site("DELETE", f"/v1/rankwise/adapters/{digest}").code == "adapter_not_loaded"
    assert "rankwise_tokens_total" in site("GET", "/metrics").text
    assert site("GET", "/health").json == site("GET", "/ready").json == {"status": "ok"}


def test_the_stock_client_chats(site: Site) -> None:
    openai = pytest.importorskip("openai")
    client = openai.OpenAI(base_url=f"http://127.0.0.1:{site.port}/v1", api_key="none")
    asked = {"model": "retail", "messages": HELLO, "max_tokens": 6, "temperature": 0}
    whole = client.chat.completions.create(**asked).choices[0].message.content
    parts = [c.choices[0].delta.content or "" for c in client.chat.completions.create(**asked, stream=True)]
    assert "".join(parts) == whole
    assert "tiny" in {model.id for model in client.models.list()}
    with pytest.raises(openai.NotFoundError):
        client.chat.completions.create(**{**asked, "model": "nobody"})


def test_no_answer_is_ever_another_adapters(site: Site, world: World) -> None:
    """200 requests to three models at once, while adapters are unloaded under them."""
    expected = {
        name: site("POST", "/v1/chat/completions", chat(model=name)).json["choices"][0]["message"]["content"]
        for name in ("tiny", "retail", "financial")
    }
    names = [list(expected)[i % 3] for i in range(200)]
    wrong: list[tuple[str, str]] = []
    left = iter(names)
    lock = threading.Lock()

    def work() -> None:
        while True:
            with lock:
                name = next(left, None)
            if name is None:
                return
            said = site("POST", "/v1/chat/completions", chat(model=name)).json["choices"][0]["message"]["content"]
            if said != expected[name]:
                wrong.append((name, said))

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    while any(thread.is_alive() for thread in threads):
        for name in ("retail", "financial"):
            world.service.pool.unload(world.ids[name].partition("/")[2])
        time.sleep(0.05)
    assert wrong == []


@pytest.mark.parametrize(
    ("path", "given"),
    [
        ("chat/completions", {"messages": [{"role": "user", "content": "a\ud800"}]}),
        ("chat/completions", {"messages": [{"role": "user", "content": [{"type": "text", "text": "a\ud800"}]}]}),
        ("chat/completions", {"messages": HELLO, "stop": "a\ud800"}),
        ("completions", {"prompt": "a\ud800"}),
        ("completions", {"prompt": "a", "stop": ["a\ud800"]}),
    ],
)
def test_half_a_character_is_refused(site: Site, path: str, given: dict[str, Any]) -> None:
    reply = site("POST", f"/v1/{path}", {"model": "tiny", "max_tokens": 2, **given})
    assert (reply.status, reply.code) == (400, "invalid_request") and "(U+D800) at character 2" in reply.json["error"][
        "message"
    ]


def test_a_domain_is_any_text(site: Site) -> None:
    """Beyond the first plane as well, which JSON escapes as two halves."""
    reply = site("GET", "/v1/rankwise/domains/%F0%AF%B7%9C/parameters")
    assert (reply.status, reply.json) == (200, {"domain": "\U0002fddc"})
