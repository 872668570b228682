"""Which rows of a batch go with which adapters, and their products: two for neighbours on a bench, or for a prompt."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby, pairwise

import torch

from rankwise.serve.pool import Bench, Seat

LONG = 16
"""So many rows of one adapter in a row, a prompt's, have products of their own, without a copy."""


@dataclass(frozen=True)
class _Run:
    """Rows of one adapter that follow each other."""

    seat: Seat
    rows: slice

    def add(self, group: int, x: torch.Tensor, out: torch.Tensor) -> torch.Tensor:
        a, b = self.seat.bench.a[group][self.seat.place], self.seat.bench.b[group][self.seat.place]
        out[self.rows].addmm_(torch.mm(x[self.rows], a.t()), b)
        return out


@dataclass(frozen=True)
class _Part:
    """The rows of one bench, laid out as (seats n, most rows of a seat m)."""

    bench: Bench
    seats: slice
    n: int
    m: int
    take: torch.Tensor | None
    """(n m): row that stands at each place, 0 where none does; None: the batch is laid out so as it is."""
    rows: torch.Tensor
    """Rows of the batch, and"""
    places: torch.Tensor
    """where they stand in the layout."""

    def add(self, group: int, x: torch.Tensor, out: torch.Tensor) -> torch.Tensor:
        a, b = self.bench.a[group][self.seats].transpose(1, 2), self.bench.b[group][self.seats]
        if self.take is None:
            inner = torch.bmm(x.reshape(self.n, self.m, -1), a)
            return out.view(self.n, self.m, -1).baddbmm_(inner, b).view(out.shape)
        inner = torch.bmm(x.index_select(0, self.take).view(self.n, self.m, -1), a)
        product = torch.bmm(inner, b).view(self.n * self.m, -1)
        return out.index_add_(0, self.rows, product.index_select(0, self.places))


class Segments:
    """The adapters of a batch's rows; rows of the base alone have none. Good for every step with these rows."""

    def __init__(self, seats: Sequence[Seat | None]) -> None:
        self._seats = list(seats)
        runs = list(_runs(seats))
        rest = list(seats)
        for run in runs:
            rest[run.rows] = [None] * (run.rows.stop - run.rows.start)
        benches = {seat.bench: None for seat in rest if seat is not None}
        self._parts: list[_Run | _Part] = [*runs, *(part for bench in benches for part in _parts(bench, rest))]

    def are_of(self, seats: Sequence[Seat | None]) -> bool:
        return self._seats == list(seats)

    def of_row(self, row: int) -> Segments:
        """Of a batch of this row alone."""
        return Segments([self._seats[row]])

    def add(self, group: int, x: torch.Tensor, out: torch.Tensor) -> torch.Tensor:
        """out (rows, width), the base's product of x (rows, in), with the adapters' added; `out` may be used up."""
        for part in self._parts:
            out = part.add(group, x, out)
        return out


def _runs(seats: Sequence[Seat | None]) -> Iterator[_Run]:
    at = 0
    for seat, rows in groupby(seats):
        count = len(list(rows))
        if seat is not None and count >= LONG:
            yield _Run(seat, slice(at, at + count))
        at += count


HEAVY = 2.0
"""A seat with so many times the rows of its bench's mean is laid out by itself, lest all others be padded to it."""


def _parts(bench: Bench, seats: Sequence[Seat | None]) -> list[_Part]:
    of: dict[int, list[int]] = {}
    for row, seat in enumerate(seats):
        if seat is not None and seat.bench is bench:
            of.setdefault(seat.place, []).append(row)
    mean = sum(map(len, of.values())) / len(of)
    heavy = [{place: rows} for place, rows in of.items() if len(rows) > HEAVY * mean]
    rest = {place: rows for place, rows in of.items() if len(rows) <= HEAVY * mean}
    return [_part(bench, each, len(seats)) for each in [*heavy, *_neighbours(rest)]]


GAP = 1
"""Most seats without rows between two of a part: they are read for nothing, which beyond this costs more than the calls
of a part of its own."""


def _neighbours(of: Mapping[int, Sequence[int]]) -> Iterator[Mapping[int, Sequence[int]]]:
    """`of` cut where more than GAP seats in a row have no rows."""
    places = sorted(of)
    cuts = [i for i in range(1, len(places)) if places[i] - places[i - 1] > GAP + 1]
    for start, stop in pairwise([0, *cuts, len(places)]):
        yield {place: of[place] for place in places[start:stop]}


def _part(bench: Bench, of: Mapping[int, Sequence[int]], batch: int) -> _Part:
    """`of`: place on the bench -> rows of the batch, which has `batch` of them."""
    first, last, m = min(of), max(of), max(map(len, of.values()))
    n = last + 1 - first
    take, rows, places = [0] * (n * m), [], []
    for place, its_rows in of.items():
        for i, row in enumerate(its_rows):
            at = (place - first) * m + i
            take[at] = row
            rows.append(row)
            places.append(at)
    device = bench.a[0].device
    as_it_is = batch == n * m == len(rows) and take == list(range(n * m))
    return _Part(
        bench,
        slice(first, last + 1),
        n,
        m,
        None if as_it_is else torch.tensor(take, device=device),
        torch.tensor(rows, device=device),
        torch.tensor(places, device=device),
    )
