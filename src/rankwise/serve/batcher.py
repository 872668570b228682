"""Continuous batching: one thread steps all running rows together; rows join and leave between steps."""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from threading import Condition, Thread
from typing import Literal

import torch

from rankwise.serve.engine import Engine, Piece
from rankwise.serve.pool import Pool
from rankwise.serve.prefixes import WORTH_KEEPING, Prefixes, shared_tokens
from rankwise.serve.requests import Ended, Event, Failed, Labelled, Request, Said
from rankwise.serve.sampling import Choice, Chooser
from rankwise.serve.segments import Segments
from rankwise.serve.written import Written

PREFILL_TOKENS = 1024
"""Most prompt tokens taken in between two steps: rows that run wait meanwhile."""
IDLE_SECONDS = 1.0

log = logging.getLogger(__name__)


class Overloaded(Exception):
    """As many requests wait as may."""


class Closing(Exception):
    """No request is taken any more."""


@dataclass(eq=False)
class _Row:
    request: Request
    chooser: Chooser
    written: Written
    length: int
    """Tokens its slot holds."""
    reused: int
    token: int = -1
    """Chosen, and not in the slot yet."""
    count: int = 0
    """Tokens of the answer."""
    untold: list[Choice] = field(default_factory=list)
    ended: bool = False


@dataclass
class Counts:
    """Since the start."""

    steps: int = 0
    prompt_tokens: int = 0
    tokens: int = 0
    requests: int = 0
    failures: int = 0


class Batcher:
    """Answers requests until `close`. `decode`: ids -> text; `stop_ids` end an answer."""

    def __init__(
        self,
        engine: Engine,
        pool: Pool,
        decode: Callable[[Sequence[int]], str],
        stop_ids: frozenset[int],
        prefix_bytes: int,
        most_waiting: int,
    ) -> None:
        self._engine, self._pool, self._decode, self._stop_ids = engine, pool, decode, stop_ids
        self.prefixes = Prefixes(prefix_bytes)
        self.counts = Counts()
        self._most_waiting = most_waiting
        self._waiting: deque[Request] = deque()
        self._rows: list[_Row] = []
        self._segments: Segments | None = None
        self._changed = Condition()
        self._closing = False
        self._thread = Thread(target=self._run, name="batcher", daemon=True)
        self._thread.start()

    def submit(self, requests: Sequence[Request]) -> None:
        """All or none. Each must fit a slot. Their seats are given back when they end.

        Raises Overloaded or Closing; the seats then stay the caller's.
        """
        with self._changed:
            if self._closing:
                raise Closing
            if len(self._waiting) + len(requests) > self._most_waiting:
                raise Overloaded
            self._waiting.extend(requests)
            self._changed.notify_all()

    @property
    def waiting(self) -> int:
        return len(self._waiting)

    @property
    def running(self) -> int:
        return len(self._rows)

    @property
    def alive(self) -> bool:
        return self._thread.is_alive()

    def close(self, seconds: float) -> bool:
        """Take no more, and answer what there is within so many seconds; whether all was answered."""
        with self._changed:
            self._closing = True
            self._changed.notify_all()
        self._thread.join(seconds)
        return not self._thread.is_alive()

    def _run(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._waiting or self._rows or self._closing, IDLE_SECONDS)
                if self._closing and not self._waiting and not self._rows:
                    return
            try:
                with torch.inference_mode():
                    self._admit()
                    if self._rows:
                        self._step()
            except Exception:
                log.exception("a step failed; its requests are given up")
                self._give_up()

    def _admit(self) -> None:
        """Take in waiting prompts, as many as there are slots for, up to PREFILL_TOKENS."""
        taken = self._take_waiting()
        if not taken:
            return
        # Labels need a slot for this pass alone, so they stand behind the rows that stay.
        taken.sort(key=lambda request: request.labels is not None)
        rows = [self._new_row(request) for request in taken]
        first = len(self._rows)
        self._rows += rows
        pieces = [self._piece(row, first + i) for i, row in enumerate(rows)]
        for row, piece, logits in zip(rows, pieces, self._engine.prefill(pieces), strict=True):
            request = row.request
            self.counts.requests += 1
            self.counts.prompt_tokens += len(piece.ids)
            if self._engine.keeps_prompts and self.prefixes.is_worth_keeping(request.ids, row.reused):
                kept = self._engine.copy_out(piece.slot, len(request.ids))
                self.prefixes.keep(request.adapter, request.ids, kept)
            if request.labels is not None:
                found = request.labels.log_probabilities(logits[None])[0]
                self._tell(row, Labelled(tuple(found.tolist())))
                self._end(row, "stop")
                continue
            row.length = len(request.ids)
            self._take(row, self._choose(row, logits[-1]))
        self._remove_ended()

    def _take_waiting(self) -> list[Request]:
        """The first in line, and those behind it that fit into the pass and are not better off in the next one."""
        taken: list[Request] = []
        later: list[Request] = []
        tokens = 0
        with self._changed:
            while self._waiting and len(self._rows) + len(taken) < self._engine.slots > len(later):
                request = self._waiting.popleft()
                if request.cancelled:
                    self._release(request)
                    continue
                known = self.prefixes.known(request.adapter, request.ids)
                if self._will_be_known(request, known, taken):
                    later.append(request)
                    continue
                tokens += len(request.ids) - known
                if taken and tokens > PREFILL_TOKENS:
                    later.append(request)
                    break
                taken.append(request)
            self._waiting.extendleft(reversed(later))
        return taken

    def _will_be_known(self, request: Request, known: int, taken: Sequence[Request]) -> bool:
        """Whether this pass computes for another what it begins with, and keeps it, so that the next pass need not."""
        if not self._engine.keeps_prompts:
            return False
        return any(
            shared_tokens(other.ids, request.ids[:-1]) - known >= WORTH_KEEPING
            for other in taken
            if other.adapter == request.adapter and self.prefixes.is_worth_keeping(other.ids, known)
        )

    def _new_row(self, request: Request) -> _Row:
        written = Written(self._decode, request.sampling.stop)
        return _Row(request, Chooser(request.sampling), written, length=0, reused=0)

    def _piece(self, row: _Row, slot: int) -> Piece:
        request = row.request
        known, values = self.prefixes.find(request.adapter, request.ids)
        if values is not None:
            self._engine.copy_in(slot, values, known)
        row.reused = known
        ids = [*request.ids[known:], *(request.labels.tokens if request.labels is not None else ())]
        return Piece(slot, known, ids, request.seat, request.labels)

    def _step(self) -> None:
        rows = self._rows
        if self._segments is None:
            self._segments = Segments([row.request.seat for row in rows])
        tokens, lengths = [row.token for row in rows], [row.length for row in rows]
        logits = self._engine.decode(tokens, lengths, self._segments)
        self.counts.steps += 1
        best = logits.argmax(-1).tolist()
        for row, its_logits, token in zip(rows, logits, best, strict=True):
            row.length += 1
            if row.request.cancelled:
                row.ended = True
                continue
            plain = row.chooser.is_plain and row.request.grammar is None
            self._take(row, Choice(token, None, ()) if plain else self._choose(row, its_logits))
        self._remove_ended()

    def _choose(self, row: _Row, logits: torch.Tensor) -> Choice:
        grammar = row.request.grammar
        return row.chooser.choose(logits if grammar is None else grammar.allow(logits))

    def _take(self, row: _Row, choice: Choice) -> None:
        """The row's next token is chosen."""
        row.token = choice.token
        row.count += 1
        self.counts.tokens += 1
        if choice.token in self._stop_ids:
            self._end(row, "stop")
            return
        if row.request.grammar is not None:
            row.request.grammar.accept(choice.token)
        row.untold.append(choice)
        text = row.written.add(choice.token)
        if text:
            self._say(row, text)
        if row.written.stopped:
            self._end(row, "stop")
        elif row.count >= row.request.sampling.max_tokens or row.length >= self._engine.capacity:
            self._end(row, "length")

    def _say(self, row: _Row, text: str) -> None:
        choices, row.untold = tuple(row.untold), []
        self._tell(row, Said(text, choices))

    def _end(self, row: _Row, reason: Literal["stop", "length"]) -> None:
        rest = row.written.end()
        if rest or (row.untold and row.request.sampling.top_logprobs is not None):
            self._say(row, rest)
        row.ended = True
        self._tell(row, Ended(reason, row.count, row.reused))

    def _remove_ended(self) -> None:
        """Fill the slots of rows that ended with the last ones, so that rows stay the first slots."""
        for slot in reversed(range(len(self._rows))):
            row = self._rows[slot]
            if not row.ended:
                continue
            last = self._rows.pop()
            if last is not row:
                self._engine.move(len(self._rows), slot, last.length)
                self._rows[slot] = last
            self._release(row.request)
        self._segments = None if self._segments_are_old() else self._segments

    def _segments_are_old(self) -> bool:
        return self._segments is None or not self._segments.are_of([row.request.seat for row in self._rows])

    def _give_up(self) -> None:
        self.counts.failures += len(self._rows)
        for row in self._rows:
            self._tell(row, Failed("the server could not finish this answer; its log says why"))
            self._release(row.request)
        self._rows, self._segments = [], None

    def _tell(self, row: _Row, event: Event) -> None:
        if row.request.cancelled:
            return
        try:
            row.request.tell(event)
        except Exception:  # whoever listened is gone
            row.request.cancelled = True

    def _release(self, request: Request) -> None:
        if request.seat is not None:
            self._pool.release(request.seat)
