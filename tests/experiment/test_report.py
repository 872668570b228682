"""The table by hand-made results, and its three forms."""

from __future__ import annotations

import csv
import io
from dataclasses import replace
from html.parser import HTMLParser

import pytest

from rankwise.evaluate.task import Task
from rankwise.experiment.bench import Run, Size
from rankwise.experiment.cells import Cell
from rankwise.experiment.design import Design
from rankwise.experiment.document import csv_of, markdown
from rankwise.experiment.html import html
from rankwise.experiment.report import Report, edge_remarks, make_lines
from rankwise.experiment.results import Result

TASK = Task(("no", "yes"), "all")
REFERENCES = ["yes"] * 100
CELLS = (Cell("Default", ()), Cell("High Rank (r=32)", ()), Cell("<odd> | cell", ()))
DESIGN = Design(
    CELLS, {"QLoRA": "no room"}, 3e-4, Size(200, 200, 1.0, 3, 1.0), ("rows: 200 of 600",), 9, 60.0, 1, (), ()
)


def result(cell: str, rate: float, seed: int, right: int) -> Result:
    answers = tuple(("yes" if i < right else "no", False, None) for i in range(100))
    return Result(Run(cell, rate, seed, 1.0), rate, 0.5, 10, 20.0, 300_000_000, 5_000, 12.0, 10.0, 0.7, answers, None)


def report(design: Design = DESIGN) -> Report:
    scores = {"Default": 60, "High Rank (r=32)": 90, "<odd> | cell": 61}
    results = [result(cell, 3e-4, seed, right) for cell, right in scores.items() for seed in range(3)]
    results += [result("High Rank (r=32)", 9e-4, seed, 95) for seed in range(3)]
    results += [result("Default", 3e-4, seed, 60) for seed in range(3)]
    best = {"Default": 3e-4, "High Rank (r=32)": 9e-4, "<odd> | cell": None}
    found = {done.run.key: done for done in results}
    lines = make_lines(design, found, best, TASK, REFERENCES, range(3), 200, 1_000_000)
    remarks = tuple(edge_remarks(design, best))
    return Report(
        *("ablation", "accuracy", "token", "rows.jsonl", "base", "a processor", 200, 100, design, lines, {}, ()),
        *(remarks, (), 120.0, 2400.0),
    )


def test_every_cell_has_a_line_for_each_rate_and_is_held_against_the_first():
    lines = {(line.cell, line.at): line for line in report().lines}
    assert len(lines) == 5
    high = lines["High Rank (r=32)", "the shared rate"]
    assert high.score.value == 0.9 and high.score.seeds == 3
    assert high.difference is not None and high.difference.value == pytest.approx(0.3)
    assert high.verdict == "better"
    assert lines["Default", "the shared rate"].difference is None
    best = lines["High Rank (r=32)", "its best rate"]
    assert best.difference is not None and best.difference.value == pytest.approx(0.35)
    assert (high.seconds_per_epoch, high.trainable_share, high.peak_memory_bytes) == (10.0, 0.005, 300_000_000)


def test_no_difference_seen_is_never_called_equal():
    told = report()
    said = [sentence for sentence in told.sentences() if "<odd>" in sentence]
    assert len(said) == 1 and said[0].startswith("No difference seen between <odd> | cell and Default")
    for text in (markdown(told.document()), html(told.document()), csv_of(told.plain())):
        assert "no difference seen" in text.lower() and "equal" not in text


def test_what_a_base_cannot_decide_is_undecided():
    told = report(replace(DESIGN, undecided=("High Rank (r=32)",)))
    assert {line.verdict for line in told.lines if line.cell.startswith("High")} == {"undecided here"}
    assert any(sentence.startswith("Undecided on this base: High Rank (r=32)") for sentence in told.sentences())


def test_a_best_rate_at_the_edge_is_remarked():
    assert report().remarks == (
        "The best rate of High Rank (r=32) is the highest probed (0.0009); a higher one may be better.",
    )


def test_csv_has_a_line_for_each_of_the_tables():
    told = report()
    heads, *rows = csv.reader(io.StringIO(csv_of(told.plain())))
    assert len(rows) == len(told.lines) and all(len(row) == len(heads) for row in rows)
    assert [float(row[heads.index("score")]) for row in rows] == [line.score.value for line in told.lines]


def test_markdown_has_one_table_of_one_width():
    rows = [line for line in markdown(report().document()).splitlines() if line.startswith("|")]
    assert len(rows) == 2 + 5 and len({row.count("|") for row in rows}) == 1


class Outline(HTMLParser):
    """Tags that open and close, and what a page asks for from elsewhere."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.elsewhere: list[str] = []
        self.text = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elsewhere += [f"{tag} {key}" for key, _ in attrs if key in ("src", "href", "onload")]
        if tag not in ("meta",):
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elsewhere += [f"{tag} {key}" for key, _ in attrs if key in ("src", "href", "onload")]

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data


def test_the_page_is_whole_and_stands_alone():
    page = Outline()
    page.feed(html(report().document()))
    assert page.open == [] and page.elsewhere == []
    for told in ("<odd> | cell", "Given up for the budget: rows: 200 of 600.", "Not run: QLoRA: no room."):
        assert told in page.text
    assert "<odd>" not in html(report().document())


def test_without_results_there_is_a_report_all_the_same():
    empty = replace(report(), lines=())
    assert "Nothing was measured yet." in html(empty.document()) and markdown(empty.document())
