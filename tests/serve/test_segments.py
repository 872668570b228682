"""The adapters' products of any rows, against each row's by itself."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from rankwise.serve.pool import Bench, Group, Seat
from rankwise.serve.segments import GAP, LONG, Segments

GROUP = Group(("q", "k"), 6, (5, 3))
RANK, SEATS = 8, 12


@pytest.fixture(scope="module")
def benches() -> list[Bench]:
    torch.manual_seed(0)
    made = [Bench([GROUP], RANK, SEATS, torch.float64, "cpu") for _ in range(2)]
    for bench in made:
        for tensor in (*bench.a, *bench.b):
            tensor.normal_()
    return made


@st.composite
def places(draw: st.DrawFn) -> list[tuple[int, int] | None]:
    """Of each row its bench and seat, in runs as prompts are, or one by one as in a step."""
    seat = st.none() | st.tuples(st.integers(0, 1), st.integers(0, SEATS - 1))
    runs = draw(st.lists(st.tuples(seat, st.integers(1, LONG + 3)), min_size=1, max_size=6))
    rows = [each for each, count in runs for _ in range(count)] + draw(st.lists(seat, max_size=20))
    return draw(st.permutations(rows)) if draw(st.booleans()) else rows


@settings(deadline=None)
@given(places())
def test_every_row_gets_its_own_adapters_product(benches: list[Bench], rows: list[tuple[int, int] | None]) -> None:
    seats = {at: Seat(str(at), benches[at[0]], at[1]) for at in rows if at is not None}
    generator = torch.Generator().manual_seed(len(rows))
    x = torch.randn(len(rows), GROUP.in_features, dtype=torch.float64, generator=generator)
    out = torch.randn(len(rows), GROUP.width, dtype=torch.float64, generator=generator)
    expected = out.clone()
    for number, at in enumerate(rows):
        if at is not None:
            bench, place = benches[at[0]], at[1]
            expected[number] += bench.b[0][place].T @ (bench.a[0][place] @ x[number])
    segments = Segments([None if at is None else seats[at] for at in rows])
    torch.testing.assert_close(segments.add(0, x, out), expected)


def test_seats_far_apart_are_not_read_for_nothing(benches: list[Bench]) -> None:
    def parts(*taken: int) -> int:
        return len(Segments([Seat(str(place), benches[0], place) for place in taken])._parts)

    assert parts(0, 1, 2) == parts(2, 0, 1) == parts(0, 1 + GAP) == 1
    assert parts(0, 2 + GAP) == 2 and parts(0, 5, 6, 11) == 3
