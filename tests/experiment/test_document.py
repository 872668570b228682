"""Every part of a report in its three forms, and figures that hold what they are given."""

from __future__ import annotations

import re

from rankwise.experiment.document import (
    Chart,
    Curve,
    Document,
    Interval,
    Intervals,
    Section,
    Table,
    csv_of,
    markdown,
)
from rankwise.experiment.figures import WIDTH, curves_svg, intervals_svg
from rankwise.experiment.html import html

from .test_report import Outline

LONG = "a claim that is said in many more words than one line of a narrow figure can hold"
DOCUMENT = Document(
    "claims",
    "<rows> & labels.jsonl",
    ("a fact",),
    (
        Section("Seen", ("first", "second | third")),
        Section("Values", Intervals((Interval(LONG, "", 0.1, -0.1, 0.3), Interval("b", "at 1", 0, 0, 0)), "c", True)),
        Section(
            "Course",
            Chart(
                (Curve("r=4", ((1e-4, 1.0), (1e-3, 0.5))), Curve("full", ((1e-5, 2.0),), True)),
                "x",
                "y",
                "c",
                logarithmic=True,
            ),
        ),
        Section("Table", Table(("a", "b"), (("1 | 2", "x"),))),
        Section("Nothing", ()),
    ),
)


def test_the_page_is_whole_and_stands_alone():
    page = Outline()
    page.feed(html(DOCUMENT))
    assert page.open == [] and page.elsewhere == []
    assert "<rows> & labels.jsonl" in page.text and "Nothing" not in page.text
    assert "Nothing was measured yet." in html(Document("a", "b", (), (Section("s", Chart((), "x", "y", "c")),)))


def test_markdown_has_sentences_and_tables_and_no_empty_heads():
    text = markdown(DOCUMENT)
    assert "- second | third" in text and "| 1 / 2 | x |" in text
    assert "## Nothing" not in text and "## Course" not in text


def test_csv_leaves_what_is_not_known_empty():
    assert csv_of([("a", "b"), (1.5, None)]) == "a,b\n1.5,\n"


def test_a_long_name_takes_two_lines_and_stays_inside():
    drawn = intervals_svg(Intervals((Interval(LONG, "", 0.1, 0.0, 0.2),), "c"))
    assert drawn is not None
    lines = re.findall(r"<text x=\"14\"[^>]*>([^<]*)", drawn)
    assert lines[:2] == [LONG[: len(lines[0])], LONG[len(lines[0]) + 1 :]]


def test_curves_stay_in_their_frame():
    chart = next(section.part for section in DOCUMENT.sections if isinstance(section.part, Chart))
    drawn = curves_svg(chart)
    assert drawn is not None and drawn.count("<polyline") == 2 and "stroke-dasharray" in drawn
    assert all(0 <= float(x) <= WIDTH for x in re.findall(r'cx="([\d.]+)"', drawn))


def test_one_point_or_one_value_is_drawn_too():
    assert curves_svg(Chart((Curve("a", ((1e-3, 1.0),)),), "x", "y", "c", logarithmic=True))
    assert intervals_svg(Intervals((Interval("a", "", 1.0, 1.0, 1.0),), "c"))
    assert curves_svg(Chart((Curve("a", ((3, 0.0),)),), "x", "y", "c"))
