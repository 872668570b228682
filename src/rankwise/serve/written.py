"""The text of an answer as its tokens come: whole characters only, and nothing of a stop string."""

from __future__ import annotations

from collections.abc import Callable, Sequence

UNFINISHED = "\ufffd"
"""What a decoder makes of bytes that are no whole character yet."""
CONTEXT = 8
"""Tokens decoded again with each new one, for its text may depend on those before it."""


class Written:
    """Text of one answer. `decode`: ids -> text, special tokens left out."""

    def __init__(self, decode: Callable[[Sequence[int]], str], stop: Sequence[str]) -> None:
        self._decode, self._stop = decode, tuple(stop)
        self._ids: list[int] = []
        self._done = 0
        """Tokens whose text is in `_text`."""
        self._text = ""
        self._told = 0
        """Characters handed out."""
        self.stopped = False
        """A stop string came; what it begins and all after it is cut off."""

    def add(self, token: int) -> str:
        """Text that has become certain with this token."""
        self._ids.append(token)
        before = max(0, self._done - CONTEXT)
        known = self._decode(self._ids[before : self._done])
        now = self._decode(self._ids[before:])
        if now.endswith(UNFINISHED) or not now.startswith(known):
            return ""
        return self._take(now[len(known) :])

    def end(self) -> str:
        """The rest, once no token will follow."""
        last = ""
        if not self.stopped:
            before = max(0, self._done - CONTEXT)
            known = self._decode(self._ids[before : self._done])
            last = self._take(self._decode(self._ids[before:])[len(known) :])
        held, self._told = self._text[self._told :], len(self._text)
        return last + held

    def _take(self, new: str) -> str:
        """Append, look for stop strings where they may end in what is new, and tell all but what may begin one."""
        self._done = len(self._ids)
        longest = max(map(len, self._stop), default=0)
        look = max(self._told, len(self._text) - longest)
        self._text += new
        found = [at for text in self._stop if (at := self._text.find(text, look)) >= 0]
        if found:
            self.stopped = True
            self._text = self._text[: min(found)]
        end = len(self._text) if found else len(self._text) - self._held()
        told, self._told = self._text[self._told : end], max(end, self._told)
        return told

    def _held(self) -> int:
        """Characters at the end that may become a stop string."""
        most = max(map(len, self._stop), default=0)
        for count in range(min(most, len(self._text)), 0, -1):
            if any(text.startswith(self._text[-count:]) for text in self._stop):
                return count
        return 0
