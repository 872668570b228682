"""SIGINT and SIGTERM, for work that must end soon and leave nothing half done."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

STOPPING = (signal.SIGINT, signal.SIGTERM)


class Interrupted(BaseException):
    """A signal asked to stop. Like KeyboardInterrupt it is no Exception, so no `except Exception` swallows it."""

    def __init__(self, number: int) -> None:
        self.number = number
        super().__init__(f"stopped by {signal.Signals(number).name}")


class Stop:
    """Whether a signal asked to stop, and where that may be answered at once."""

    def __init__(self) -> None:
        self.number: int | None = None
        self._may_raise = False

    def check(self) -> None:
        """Raise Interrupted if a signal came."""
        if self.number is not None:
            raise Interrupted(self.number)

    @contextmanager
    def at_once(self) -> Iterator[None]:
        """For the block, a signal raises Interrupted wherever it finds the work; elsewhere it waits for `check`.

        Only for work that changes nothing which is kept, or whose changes are undone.
        """
        self.check()
        self._may_raise = True
        try:
            yield
        finally:
            self._may_raise = False

    def ask(self, number: int) -> None:
        """What a signal does."""
        self.number = number
        if self._may_raise:
            raise Interrupted(number)


_listening: list[Stop] = []
"""Outermost first. An inner one takes over what came where an exception is swallowed, in a destructor say."""


@contextmanager
def stop_on_signals(at_once: bool = False) -> Iterator[Stop]:
    """A Stop that SIGINT and SIGTERM ask; a second signal does what it did before.

    `at_once`: the whole block may be interrupted anywhere. Outside the main thread no signal is listened to: whoever
    runs us there handles them.
    """
    stop = Stop()
    stop.number = next((outer.number for outer in _listening if outer.number is not None), None)
    before = {number: signal.getsignal(number) for number in STOPPING}

    def restore() -> None:
        for number, handler in before.items():
            signal.signal(number, handler)

    def note(number: int, frame: FrameType | None) -> None:
        if not at_once:
            restore()
        stop.ask(number)

    try:
        for number in before:
            signal.signal(number, note)
    except ValueError:
        before = {}
    _listening.append(stop)
    try:
        if at_once:
            with stop.at_once():
                yield stop
            stop.check()
        else:
            yield stop
    finally:
        _listening.remove(stop)
        restore()
