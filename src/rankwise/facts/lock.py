"""One process at a time: a lock that vanishes with its holder."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from rankwise.errors import Problem, RunError

LOCK = ".lock"
"""The lock file of a run folder. Its content, the holder's process id, is for people only."""


@contextmanager
def locked(path: Path, waiting: Callable[[], None] = lambda: None) -> Iterator[None]:
    """Hold the lock file `path` for the block; `waiting` is called once if another process holds it.

    The kernel lets go of the lock when its holder ends, however it ends, so the file may stay.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a") as stream:
        try:
            fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            waiting()
            fcntl.flock(stream, fcntl.LOCK_EX)
        yield


@contextmanager
def owned(run: Path) -> Iterator[None]:
    """Hold the run folder `run` for the block. RunError at once if another process holds it."""
    with (run / LOCK).open("a+", encoding="utf-8") as stream:
        try:
            fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            stream.seek(0)
            holder = f" (process {pid})" if (pid := stream.read(20).strip()) else ""
            message = f"another process{holder} is at work in this run; wait for it, stop it, or give another --output"
            raise RunError(problems=[Problem("error", "run-in-use", str(run), message)]) from None
        stream.truncate(0)
        stream.write(f"{os.getpid()}\n")
        stream.flush()
        yield
