"""What an ablation found: one table, and a sentence for each comparison."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from statistics import mean
from typing import Any, Literal

from rankwise.errors import Problem
from rankwise.evaluate.task import Task
from rankwise.experiment.bench import Run
from rankwise.experiment.cells import Cell
from rankwise.experiment.design import Design, rates
from rankwise.experiment.document import Document, Interval, Intervals, Plain, Section, Table
from rankwise.experiment.results import Result
from rankwise.experiment.statistics import Estimate, Tallies, difference, estimate, holm, verdict

At = Literal["the shared rate", "its best rate", "its own rate"]
COLUMNS = (
    *("Cell", "Learning rate", "Score (95%)", "Against {first}", "Held-out {bits}"),
    *("Trainable", "Peak memory", "s/epoch", "rows/s"),
)

CSV_BEFORE = (
    *("cell", "at", "learning_rate", "seeds", "score", "score_low", "score_high"),
    *("difference", "difference_low", "difference_high", "p_corrected", "verdict"),
)
CSV_AFTER = ("trainable_share", "peak_memory_bytes", "seconds_per_epoch", "rows_per_second")
"""Columns before and after the bits, whose name says what they are a unit of."""


@dataclass(frozen=True)
class Line:
    """One cell at one learning rate, over its seeds."""

    cell: str
    at: At
    learning_rate: float
    score: Estimate
    difference: Estimate | None
    """To the first cell at the same kind of rate; None of that cell itself, and where no seed is common."""
    p: float | None
    """Of the difference, corrected for all the table's comparisons."""
    verdict: str
    bits: float | None
    trainable_share: float
    """Of the base's parameters."""
    peak_memory_bytes: float | None
    seconds_per_epoch: float
    rows_per_second: float


@dataclass(frozen=True)
class Report:
    kind: str
    metric: str
    bits_per: str
    """token, row or label"""
    data: str
    base: str
    machine: str
    train_rows: int
    scored_rows: int
    design: Design
    lines: tuple[Line, ...]
    failed: Mapping[str, str]
    """Runs that could not be done -> why."""
    left_out: tuple[str, ...]
    """Runs for which the budget had no time left."""
    remarks: tuple[str, ...]
    problems: tuple[Problem, ...]
    """What the rows were warned of."""
    seconds: float
    """Spent on all runs so far."""
    budget: float | None

    @property
    def first(self) -> str:
        return self.design.cells[0].name

    def as_json(self) -> dict[str, Any]:
        told = asdict(self)
        told["design"] = self.design.as_json()
        told["sentences"] = list(self.sentences())
        return told

    def sentences(self) -> Iterator[str]:
        """What was seen of each comparison; what was not seen is said to be that, not to be equal."""
        compared = [line for line in self.lines if line.difference is not None]
        for line in sorted(compared, key=lambda line: line.verdict not in ("better", "worse")):
            assert line.difference is not None and line.p is not None
            low, high = line.difference.interval
            seeds = "1 seed" if line.difference.seeds == 1 else f"{line.difference.seeds} seeds"
            evidence = (
                f"{line.difference.value:+.3f}, 95% interval {low:+.3f} to {high:+.3f}, p = {line.p:.3f} after "
                f"correction for {len(compared)} comparisons, {seeds}"
            )
            if line.verdict == "no difference seen":
                yield f"No difference seen between {line.cell} and {self.first} at {line.at}: {evidence}."
            elif line.verdict == "undecided here":
                yield f"Undecided on this base: {line.cell} against {self.first} at {line.at}: {evidence}."
            elif line.verdict == "too few seeds":
                yield f"Undecided, too few seeds: {line.cell} against {self.first} at {line.at}: {evidence}."
            else:
                yield f"{line.cell} is {line.verdict} than {self.first} at {line.at}: {evidence}."

    def facts(self) -> Iterator[str]:
        """What the table rests on."""
        size = self.design.size
        yield (
            f"{self.data} on {self.base}: {self.train_rows} training rows in the same order for all, "
            f"{self.scored_rows} held-out rows scored, as many to choose rates and steps by; {size.seeds} seeds; "
            f"{self.machine}."
        )
        limit = "no limit" if self.budget is None else f"a budget of {self.budget / 60:.0f} minutes"
        yield f"{self.seconds / 60:.1f} minutes spent on runs, under {limit}."
        if any(cell.tuned for cell in self.design.cells):
            yield (
                f"Shared learning rate {self.design.learning_rate:g}; the best of "
                f"{', '.join(f'{rate:g}' for rate in rates(self.design.learning_rate))} for each cell, by loss."
            )
        yield "A seed decides the adapter's start, the order of rows and the dropout."

    def gaps(self) -> Iterator[str]:
        """What is not there, and why."""
        yield from (f"Given up for the budget: {told}." for told in self.design.gave_up)
        yield from (f"Not run: {name}: {why}." for name, why in self.design.absent.items())
        yield from (f"Failed: {name}: {why}" for name, why in self.failed.items())
        if self.left_out:
            yield f"No time was left in the budget for {len(self.left_out)} runs: {'; '.join(self.left_out)}."
        yield from (f"{note}." for note in self.design.notes)
        yield from self.remarks

    def document(self) -> Document:
        seen = [line for line in self.lines if line.difference is not None]
        heads, rows = self.table()
        sections = [
            Section(
                f"Scores: {self.metric}, with 95% intervals over rows and seeds",
                Intervals(
                    tuple(_interval(line, line.score) for line in self.lines),
                    "Dots: mean over seeds. Intervals overlap where cells may still differ: see below.",
                ),
            )
        ]
        if seen:
            sections.append(
                Section(
                    f"Difference to {self.first}, on the same rows and seeds",
                    Intervals(
                        tuple(_interval(line, line.difference) for line in seen if line.difference is not None),
                        "Right of the line at 0 is better. An interval over 0: no difference seen.",
                        signed=True,
                    ),
                )
            )
        sections += [
            Section("What was seen", tuple(self.sentences())),
            Section("Table", Table(tuple(heads), tuple(map(tuple, rows)))),
            Section("What to know", tuple(self.gaps())),
        ]
        return Document(self.kind, self.data, tuple(self.facts()), tuple(sections))

    def plain(self) -> Plain:
        """The table with plain numbers, one line a cell and rate."""
        return [[*CSV_BEFORE, f"bits_per_{self.bits_per}", *CSV_AFTER], *map(_numbers, self.lines)]

    def table(self) -> tuple[list[str], list[list[str]]]:
        """Heads and cells, as text."""
        names = {"first": self.first, "bits": f"bits/{self.bits_per}"}
        return [title.format(**names) for title in COLUMNS], [_texts(line) for line in self.lines]


def make_lines(
    design: Design,
    found: Mapping[str, Result],
    best: Mapping[str, float | None],
    task: Task,
    references: Sequence[str],
    seeds: Sequence[int],
    train_rows: int,
    total_parameters: int,
) -> tuple[Line, ...]:
    """The table. `best`: cell -> the best of its probed rates; None where not all are probed."""
    chosen: list[tuple[Cell, At, list[Result], Tallies]] = []
    for cell in design.cells:
        kinds: list[tuple[At, float | None]] = [("its own rate", None)]
        if cell.tuned:
            kinds = [("the shared rate", design.learning_rate)]
            kinds += [("its best rate", rate)] if (rate := best[cell.name]) is not None else []
        for at, rate in kinds:
            of_seed = {seed: found.get(Run(cell.name, rate, seed, design.size.share).key) for seed in seeds}
            tallies = {seed: result.tally(task, references) for seed, result in of_seed.items() if result is not None}
            scored = {seed: tally for seed, tally in tallies.items() if tally is not None}
            if scored:
                chosen.append((cell, at, [result for seed in scored if (result := of_seed[seed])], scored))
    first = {at: tallies for cell, at, _, tallies in chosen if cell is design.cells[0]}
    differences = [
        None
        if cell is design.cells[0] or not first.get(at, {}).keys() & tallies.keys()
        else difference(tallies, first[at])
        for cell, at, _, tallies in chosen
    ]
    corrected = iter(holm([found.p for found in differences if found is not None]))
    return tuple(
        _line(
            cell,
            at,
            results,
            tallies,
            apart,
            None if apart is None else next(corrected),
            cell.name in design.undecided,
            train_rows,
            total_parameters,
        )
        for (cell, at, results, tallies), apart in zip(chosen, differences, strict=True)
    )


def _line(
    cell: Cell,
    at: At,
    results: Sequence[Result],
    tallies: Tallies,
    apart: Estimate | None,
    p: float | None,
    undecided: bool,
    train_rows: int,
    total_parameters: int,
) -> Line:
    speed = mean(result.rows_per_second for result in results)
    peaks = [result.peak_memory_bytes for result in results if result.peak_memory_bytes is not None]
    bits = [result.bits for result in results if result.bits is not None]
    return Line(
        cell=cell.name,
        at=at,
        learning_rate=results[0].learning_rate or 0.0,
        score=estimate(tallies),
        difference=apart,
        p=p,
        verdict=_said(apart, p, undecided),
        bits=mean(bits) if bits else None,
        trainable_share=results[0].trainable_parameters / total_parameters,
        peak_memory_bytes=mean(peaks) if peaks else None,
        seconds_per_epoch=train_rows / speed,
        rows_per_second=speed,
    )


def _said(apart: Estimate | None, p: float | None, undecided: bool) -> str:
    if apart is None or p is None:
        return ""
    return "undecided here" if undecided else verdict(apart, p)


def edge_remarks(design: Design, best: Mapping[str, float | None]) -> Iterator[str]:
    """Cells whose best rate is the first or last of those probed."""
    probed = rates(design.learning_rate)
    for end, most, more in ((probed[0], "lowest", "lower"), (probed[-1], "highest", "higher")):
        names = [name for name, rate in best.items() if rate == end]
        if names:
            yield f"The best rate of {', '.join(names)} is the {most} probed ({end:g}); a {more} one may be better."


def _interval(line: Line, found: Estimate) -> Interval:
    note = f"at {line.at}, {line.learning_rate:g}"
    return Interval(line.cell, note, found.value, *found.interval, second=line.at == "its best rate")


def _numbers(line: Line) -> list[str | float | None]:
    apart = line.difference
    return [
        line.cell,
        line.at,
        line.learning_rate,
        line.score.seeds,
        line.score.value,
        *line.score.interval,
        *((None, None, None) if apart is None else (apart.value, *apart.interval)),
        line.p,
        line.verdict,
        line.bits,
        line.trainable_share,
        line.peak_memory_bytes,
        line.seconds_per_epoch,
        line.rows_per_second,
    ]


def _texts(line: Line) -> list[str]:
    low, high = line.score.interval
    apart = line.difference
    against = "" if apart is None else f"{apart.value:+.3f} ({apart.interval[0]:+.3f} to {apart.interval[1]:+.3f})"
    return [
        line.cell,
        f"{line.learning_rate:g}, {line.at}",
        f"{line.score.value:.3f} ({low:.3f} to {high:.3f})",
        f"{against}: {line.verdict}" if against else "",
        "-" if line.bits is None else f"{line.bits:.3f}",
        f"{line.trainable_share:.2%}",
        "-" if line.peak_memory_bytes is None else f"{line.peak_memory_bytes / 1e6:,.0f} MB",
        f"{line.seconds_per_epoch:.1f}",
        f"{line.rows_per_second:.1f}",
    ]
