"""The server as a process: what it is started with, where it listens, how it logs and how it ends."""

from __future__ import annotations

import json
import logging
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

import uvicorn

from rankwise.facts import Machine, identify_base, load_measurement
from rankwise.serve.app import DRAIN_SECONDS, make_app
from rankwise.serve.auth import Key, require_safe
from rankwise.serve.plans import Plans
from rankwise.serve.service import Service

KEEP_ALIVE_SECONDS = 30
CONNECTIONS = 1024
"""Most at once; more are answered 503."""


def serving_dtype(base: Path, machine: Machine) -> str:
    """The dtype in which the base is fastest here, as measured for plans; where nothing was, bfloat16 if the processor
    computes in it."""
    if machine.device != "cpu":
        return "bfloat16"
    measured = load_measurement(identify_base(base).weights, machine)
    if measured is not None and measured.forward_tokens_per_second:
        return max(measured.forward_tokens_per_second, key=measured.forward_tokens_per_second.__getitem__)
    return "bfloat16" if any("bf16" in flag for flag in machine.cpu_flags) else "float32"


def make_server(service: Service, plans: Plans, keys: Sequence[Key], host: str, port: int) -> uvicorn.Server:
    """Ready to `run`. SIGTERM and SIGINT let it answer what it has begun, for DRAIN_SECONDS at most.

    Raises RunError where other machines would reach it without a key.
    """
    require_safe(host, keys)
    config = uvicorn.Config(
        make_app(service, plans, keys, port),
        host=host,
        port=port,
        log_config=None,
        access_log=False,
        server_header=False,
        limit_concurrency=CONNECTIONS,
        timeout_keep_alive=KEEP_ALIVE_SECONDS,
        timeout_graceful_shutdown=int(DRAIN_SECONDS),
    )
    return uvicorn.Server(config)


class JsonLines(logging.Formatter):
    """One JSON object a line: time, level, what happened, and what was said beside it."""

    PLAIN = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "color_message", "taskName"}

    def format(self, record: logging.LogRecord) -> str:
        told = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "event": record.getMessage(),
            **{key: value for key, value in vars(record).items() if key not in self.PLAIN and value is not None},
        }
        if record.exc_info:
            told["traceback"] = self.formatException(record.exc_info)
        return json.dumps(told, ensure_ascii=False, default=str)


def log_to_standard_error() -> None:
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonLines())
    logging.basicConfig(level=logging.INFO, handlers=[handler], force=True)
