"""Who may ask what: API keys kept as digests, or, without keys, this machine's own programs alone."""

from __future__ import annotations

import secrets
import time
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from hmac import compare_digest
from pathlib import Path
from typing import Literal

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from rankwise.errors import RunError
from rankwise.files import home, read_json, sha256_bytes, write_json
from rankwise.serve.refused import AGAIN, Refused

Scopes = Literal["chat", "admin"]
OPEN = frozenset({"/health", "/ready"})
"""Paths that tell nothing and need no key."""
ADMIN = ("/v1/rankwise/adapters", "/metrics")
"""What begins so is for admin keys; all else is for any key."""
LOOPBACK = frozenset({"127.0.0.1", "::1", "localhost"})


@dataclass(frozen=True)
class Key:
    """A key is 256 random bits, so a plain digest keeps it as safe as a slow one would."""

    sha256: str
    scope: Scopes
    created: str


def keys_file() -> Path:
    return home() / "api-keys.json"


def read_keys() -> tuple[Key, ...]:
    """Raises RunError if the file cannot be read: a server must not start without the keys it was given."""
    if not keys_file().exists():
        return ()
    try:
        return tuple(Key(**entry) for entry in read_json(keys_file()))
    except (OSError, ValueError, TypeError) as fault:
        raise RunError(f"{keys_file()}: cannot be read ({fault}); mend it, or remove it and make new keys") from None


def new_key(scope: Scopes) -> str:
    """A fresh key, which is told here and never again."""
    secret = f"rw-{secrets.token_urlsafe(32)}"
    key = Key(sha256_bytes(secret.encode()), scope, datetime.now(UTC).isoformat(timespec="seconds"))
    write_json(keys_file(), [asdict(each) for each in (*read_keys(), key)])
    keys_file().chmod(0o600)
    return secret


class Gate:
    """Lets through what is allowed, and refuses the rest before anything reads it.

    With keys, all but OPEN needs one, sent as a bearer token. Without, a request must come from this machine, to the
    server's own name, and from no page of another origin. Either way bodies are bounded, and requests a minute.
    """

    def __init__(self, app: ASGIApp, keys: Iterable[Key], port: int, max_body: int, a_minute: int) -> None:
        self._app, self._keys, self._max_body = app, tuple(keys), max_body
        self._hosts = {f"{host}:{port}" for host in ("127.0.0.1", "localhost", "[::1]")}
        self._rate = Rate(a_minute)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        if scope["type"] != "http":
            raise RuntimeError(f"{scope['type']} is not served")
        try:
            if scope["path"] not in OPEN:
                self._admit(scope)
            await self._app(scope, self._bounded(scope, receive), send)
        except Refused as refused:
            await refused.response()(scope, receive, send)

    def _admit(self, scope: Scope) -> None:
        headers = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in scope["headers"]}
        who = self._by_key(scope["path"], headers) if self._keys else self._by_place(scope, headers)
        if not self._rate.allows(who):
            raise Refused(429, "rate_limit_exceeded", "too many requests in this minute; wait", headers=dict(AGAIN))

    def _by_key(self, path: str, headers: dict[str, str]) -> str:
        kind, _, secret = headers.get("authorization", "").partition(" ")
        digest = sha256_bytes(secret.strip().encode("utf-8", "surrogatepass"))
        held = [key for key in self._keys if compare_digest(key.sha256, digest)]
        if kind.lower() != "bearer" or not held:
            raise Refused(401, "invalid_api_key", "no valid API key; send one as: Authorization: Bearer KEY")
        if path.startswith(ADMIN) and not any(key.scope == "admin" for key in held):
            raise Refused(403, "insufficient_scope", f"{path} needs an admin key")
        return digest

    def _by_place(self, scope: Scope, headers: dict[str, str]) -> str:
        client = (scope.get("client") or ("",))[0]
        host, origin = headers.get("host", ""), headers.get("origin")
        if client not in LOOPBACK or host not in self._hosts or origin not in (None, f"http://{host}"):
            message = "without API keys only this machine is answered; make one: rankwise serve --new-key chat"
            raise Refused(403, "not_local", message)
        return client

    def _bounded(self, scope: Scope, receive: Receive) -> Receive:
        too_large = Refused(413, "body_too_large", f"the body is over {self._max_body} bytes")
        announced = dict(scope["headers"]).get(b"content-length", b"0")
        if not announced.isdigit() or int(announced) > self._max_body:
            raise too_large
        seen = 0

        async def bounded() -> Message:
            nonlocal seen
            message = await receive()
            seen += len(message.get("body", b""))
            if seen > self._max_body:
                raise too_large
            return message

        return bounded


class Rate:
    """So many requests a minute of each caller, in a bucket that fills steadily."""

    def __init__(self, a_minute: int) -> None:
        self._a_minute = a_minute
        self._left: dict[str, tuple[float, float]] = {}
        """Caller -> (requests left, when that was)."""

    def allows(self, who: str) -> bool:
        now = time.monotonic()
        left, then = self._left.get(who, (float(self._a_minute), now))
        left = min(self._a_minute, left + (now - then) * self._a_minute / 60)
        self._left[who] = (left - 1 if left >= 1 else left, now)
        return left >= 1


def require_safe(host: str, keys: Iterable[Key]) -> None:
    """RunError for a server that the network reaches and nobody guards."""
    if host not in LOOPBACK and not tuple(keys):
        raise RunError(
            f"--host {host} is reached from other machines, and there are no API keys; make one first: "
            "rankwise serve --new-key chat"
        )
