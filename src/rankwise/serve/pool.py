"""Adapters in memory, seated side by side, so that one product takes in all those of a batch.

A bench holds the matrices of a few adapters of like rank stacked for every group of projections; an adapter's place on
it is its seat. Seats are filled from adapter folders, and emptied, the longest unused first, to stay within a budget.
A folder is immutable and named by its content, so an adapter that replaces another is another one here.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field
from threading import Condition
from time import monotonic

import torch
from safetensors import safe_open

from rankwise.errors import AdapterError, Problem
from rankwise.facts import AdapterFacts
from rankwise.facts.payload import CLASSIFIER, PROMPT
from rankwise.facts.prefix import is_prefix

SEATS = 16
"""Most adapters on one bench: each bench in a batch costs a product of its own in every group."""
LEAST_RANK = 8
"""Ranks are rounded up to a power of two, and to this, so that few kinds of benches are needed."""
WAIT = 30.0
"""Seconds that a request waits for a seat while all are in use."""


class PoolBusy(Exception):
    """Every seat was in use for `WAIT` seconds."""


@dataclass(frozen=True)
class Group:
    """Projections that read the same input, and so share a product."""

    modules: tuple[str, ...]
    """Their paths in the base."""
    in_features: int
    out_features: tuple[int, ...]

    @property
    def width(self) -> int:
        return sum(self.out_features)


class Bench:
    """For each group, of R = `rank`: A (seats, modules x R, in), and B transposed, its modules' blocks on the diagonal,
    (seats, modules x R, width), alpha / r in it.

    Zeros of B are read for nothing; a product for each module would cost more than that.
    """

    def __init__(
        self, groups: Sequence[Group], rank: int, seats: int, dtype: torch.dtype, device: torch.device | str
    ) -> None:
        self.rank = rank
        self.a = [torch.empty(seats, len(g.modules) * rank, g.in_features, dtype=dtype, device=device) for g in groups]
        self.b = [torch.empty(seats, len(g.modules) * rank, g.width, dtype=dtype, device=device) for g in groups]
        self.bytes = sum(tensor.nbytes for tensor in (*self.a, *self.b))
        self.taken: dict[int, Seat] = {}
        self.seats = seats

    def free_place(self) -> int | None:
        return next((place for place in range(self.seats) if place not in self.taken), None)


@dataclass(eq=False)
class Seat:
    """An adapter's place; in use while a request counts on it."""

    key: str
    """The adapter's digest."""
    bench: Bench
    place: int
    users: int = 0
    ready: bool = False
    unwanted: bool = False
    """To be emptied as soon as nobody uses it."""
    used: float = field(default_factory=monotonic)


@dataclass(frozen=True)
class Seated:
    """What `Pool.describe` tells of one adapter."""

    key: str
    rank: int
    users: int


class Pool:
    """The adapters in memory. Any thread may call any method."""

    def __init__(
        self, groups: Sequence[Group], dtype: torch.dtype, budget: int, device: torch.device | str = "cpu"
    ) -> None:
        """`budget`: bytes that all benches together may take."""
        self._groups, self._dtype, self._budget, self._device = list(groups), dtype, budget, device
        self._modules = frozenset(module for group in groups for module in group.modules)
        self._benches: list[Bench] = []
        self._seats: dict[str, Seat] = {}
        self._changed = Condition()

    def acquire(self, facts: AdapterFacts) -> Seat:
        """The adapter's seat, filled from its folder if it has none; to be given back by `release`.

        Raises AdapterError if it cannot be served or read, PoolBusy if every seat stays in use.
        """
        rank = require_servable(facts, self._modules)
        with self._changed:
            seat = self._seats.get(facts.digest) or self._reserve(facts, rank)
            fresh = not (seat.ready or seat.users)
            seat.users += 1
            seat.unwanted = False
            if not fresh:
                self._changed.wait_for(lambda: seat.ready or self._seats.get(seat.key) is not seat)
                if not seat.ready:
                    raise AdapterError(f"{facts.path}: its weights cannot be read; rebuild the catalogue")
                return seat
        try:
            _fill(seat, facts, self._groups)
        except Exception as fault:
            with self._changed:
                self._empty(seat)
                self._changed.notify_all()
            raise AdapterError(f"{facts.path}: its weights cannot be read ({fault}); rebuild the catalogue") from fault
        with self._changed:
            seat.ready = True
            self._changed.notify_all()
        return seat

    def release(self, seat: Seat) -> None:
        with self._changed:
            seat.users -= 1
            seat.used = monotonic()
            if seat.unwanted and not seat.users:
                self._empty(seat)
            self._changed.notify_all()

    def unload(self, key: str) -> bool:
        """Empty the adapter's seat, at once or when its last request is answered; whether it had one."""
        with self._changed:
            seat = self._seats.get(key)
            if seat is None:
                return False
            seat.unwanted = True
            if not seat.users:
                self._empty(seat)
                self._changed.notify_all()
            return True

    @property
    def bytes(self) -> int:
        with self._changed:
            return sum(bench.bytes for bench in self._benches)

    def describe(self) -> list[Seated]:
        with self._changed:
            return [Seated(seat.key, seat.bench.rank, seat.users) for seat in self._seats.values()]

    def _reserve(self, facts: AdapterFacts, rank: int) -> Seat:
        """A place on a bench of `rank`: a free one, one on a new bench, or the longest unused. Call with the lock."""
        until = monotonic() + WAIT
        while (waited := self._seats.get(facts.digest)) is None:
            for bench in (b for b in self._benches if b.rank == rank):
                if (place := bench.free_place()) is not None:
                    seat = bench.taken[place] = self._seats[facts.digest] = Seat(facts.digest, bench, place)
                    return seat
            if self._add_bench(facts, rank) or self._make_room(rank):
                continue
            if not self._changed.wait(until - monotonic()):
                raise PoolBusy(f"all {len(self._seats)} adapters in memory are in use")
        return waited

    def _add_bench(self, facts: AdapterFacts, rank: int) -> bool:
        each = seat_bytes(self._groups, rank, self._dtype)
        if each > self._budget:
            message = f"it takes {each:,} bytes, all adapters together may take {self._budget:,}; give the pool more"
            raise AdapterError(problems=[Problem("error", "adapter-too-large", str(facts.path), message)])
        left = self._budget - sum(bench.bytes for bench in self._benches)
        if each > left:
            return False
        self._benches.append(Bench(self._groups, rank, min(SEATS, left // each), self._dtype, self._device))
        return True

    def _make_room(self, rank: int) -> bool:
        """Empty the longest unused seat of `rank`; where there is none, take away a bench that nobody uses."""
        idle = [s for s in self._seats.values() if not s.users and s.ready and s.bench.rank == rank]
        if idle:
            self._empty(min(idle, key=lambda seat: seat.used))
            return True
        unused = [b for b in self._benches if not any(seat.users for seat in b.taken.values())]
        if not unused:
            return False
        bench = min(unused, key=lambda b: max((seat.used for seat in b.taken.values()), default=0.0))
        for seat in list(bench.taken.values()):
            self._empty(seat)
        self._benches.remove(bench)
        return True

    def _empty(self, seat: Seat) -> None:
        del self._seats[seat.key], seat.bench.taken[seat.place]


def seat_bytes(groups: Sequence[Group], rank: int, dtype: torch.dtype) -> int:
    return sum(len(g.modules) * rank * (g.in_features + g.width) for g in groups) * dtype.itemsize


def require_servable(facts: AdapterFacts, modules: Collection[str]) -> int:
    """The rank of the bench it belongs on. AdapterError naming all that a shared batch cannot do."""
    faults = list(_unservable(facts, modules))
    if faults:
        instead = _instead(facts)
        message = f"it cannot be served beside others: {'; '.join(faults)}; {instead}"
        raise AdapterError(problems=[Problem("error", "adapter-not-servable", str(facts.path), message)])
    return max(LEAST_RANK, 1 << (facts.r - 1).bit_length())


def _instead(facts: AdapterFacts) -> str:
    if facts.payload == CLASSIFIER:
        return "score rows with rankwise evaluate"
    alone = is_prefix(facts.config) or facts.payload == PROMPT
    return "ask it with rankwise chat" if alone else "merge it into its base and serve that"


def _unservable(facts: AdapterFacts, modules: Collection[str]) -> Iterator[str]:
    record = facts.record
    if facts.is_delta:
        yield "it moves every weight of the base, which the others need as it is"
        return
    if facts.payload == PROMPT:
        yield "it is examples for the base's prompt, and attaches nothing: send them as earlier messages to the base"
        return
    if facts.payload == CLASSIFIER:
        yield "it is a linear head on the base's states, and writes nothing"
        return
    kind = str(facts.config.get("peft_type"))
    if is_prefix(facts.config):
        yield "it is a learnt prefix of keys and values, not a pair of matrices for each layer"
        return
    if kind != "LORA":
        yield f"its method is {kind}, not LoRA"
    if facts.config.get("use_dora"):
        yield "it is a DoRA, whose products are scaled by norms of its own"
    if record is not None and record.task.task == "seq_cls":
        yield "it has a head of its own over labels"
    if record is not None and record.base.quantization != "none":
        yield f"it was trained on the base in {record.base.quantization}"
    paired = {tensor.name for pair in facts.pairs.values() for tensor in (pair.a, pair.b)}
    if more := sorted(facts.tensors.keys() - paired):
        yield f"it holds more than pairs of matrices ({', '.join(more[:3])})"
    if away := sorted(facts.pairs.keys() - modules):
        yield f"it adapts what is adapted in no batch here ({', '.join(away[:3])})"
    if not facts.pairs:
        yield "it adapts nothing"


def _fill(seat: Seat, facts: AdapterFacts, groups: Sequence[Group]) -> None:
    rank, bench = seat.bench.rank, seat.bench
    file_name = next(iter(facts.pairs.values())).a.file
    with torch.inference_mode(), safe_open(file_name, framework="pt") as file:
        for a, b, group in zip(bench.a, bench.b, groups, strict=True):
            here, there = a[seat.place].zero_(), b[seat.place].zero_()
            column = 0
            for part, (module, width) in enumerate(zip(group.modules, group.out_features, strict=True)):
                pair = facts.pairs.get(module)
                if pair is not None:
                    rows = slice(part * rank, part * rank + pair.r)
                    here[rows] = file.get_tensor(pair.a.name)
                    scaled = file.get_tensor(pair.b.name).float() * facts.scale(module)
                    there[rows, column : column + width] = scaled.t()
                column += width
