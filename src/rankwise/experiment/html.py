"""The report as one HTML page that needs nothing beside it: no script, no font, no picture from elsewhere."""

from __future__ import annotations

from collections.abc import Iterable
from html import escape

from rankwise.experiment.report import Line, Report

STYLE = """
:root { color-scheme: light dark; --ink: #1b1f24; --paper: #ffffff; --faint: #667080; --rule: #d8dee6;
  --shared: #2458b3; --best: #b3541e; --band: #eef3fb; }
@media (prefers-color-scheme: dark) { :root { --ink: #e6e9ee; --paper: #15181d; --faint: #9aa4b2; --rule: #343b45;
  --shared: #7fa8f0; --best: #f0a070; --band: #1d2633; } }
body { font: 16px/1.5 system-ui, sans-serif; color: var(--ink); background: var(--paper);
  max-width: 62rem; margin: 0 auto; padding: 1.5rem 1rem 4rem; }
h1 { font-size: 1.5rem; line-height: 1.25; margin: 0 0 1rem; overflow-wrap: anywhere; }
h2 { font-size: 1.1rem; margin: 2rem 0 .5rem; }
li { margin: .3rem 0; overflow-wrap: anywhere; }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; font-size: .9rem; font-variant-numeric: tabular-nums; }
th, td { padding: .35rem .7rem; text-align: left; border-bottom: 1px solid var(--rule); white-space: nowrap; }
th { color: var(--faint); font-weight: 600; }
tr:first-child td { background: var(--band); }
figure { margin: 0; } figcaption { color: var(--faint); font-size: .9rem; }
svg { width: 100%; height: auto; max-width: 46rem; display: block; }
svg text { font: 13px system-ui, sans-serif; fill: var(--ink); } svg .faint { fill: var(--faint); }
svg line { stroke: var(--rule); } svg .shared { stroke: var(--shared); fill: var(--shared); }
svg .best { stroke: var(--best); fill: var(--best); }
"""
ROW, TOP, WIDTH = 46, 12, 460
"""Pixels of a line of a figure, above the first, and across; narrow enough to be read on a telephone."""
EDGE = 14


def html(report: Report) -> str:
    """The whole report."""
    heads, rows = report.table()
    compared = [line for line in report.lines if line.difference is not None]
    parts = [
        f"<h1>{escape(report.kind.capitalize())}: {escape(report.data)}</h1>",
        _list(report.facts()),
        f"<h2>Scores: {escape(report.metric)}, with 95% intervals over rows and seeds</h2>",
        _figure(
            report.lines, "score", "Dots: mean over seeds. Intervals overlap where cells may still differ: see below."
        ),
    ]
    if compared:
        parts += [
            f"<h2>Difference to {escape(report.first)}, on the same rows and seeds</h2>",
            _figure(
                compared, "difference", "Right of the line at 0 is better. An interval over 0: no difference seen."
            ),
        ]
    parts += ["<h2>What was seen</h2>", _list(report.sentences()), "<h2>Table</h2>", _table(heads, rows)]
    gaps = list(report.gaps())
    if gaps:
        parts += ["<h2>What to know</h2>", _list(gaps)]
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{escape(report.kind)}: {escape(report.data)}</title><style>{STYLE}</style></head>\n<body>\n"
        + "\n".join(parts)
        + "\n</body></html>\n"
    )


def _list(sentences: Iterable[str]) -> str:
    return "<ul>" + "".join(f"<li>{escape(sentence)}</li>" for sentence in sentences) + "</ul>"


def _table(heads: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    head = "".join(f"<th>{escape(text)}</th>" for text in heads)
    body = "".join("<tr>" + "".join(f"<td>{escape(text)}</td>" for text in row) + "</tr>" for row in rows)
    return f'<div class="scroll"><table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>'


def _figure(lines: Iterable[Line], field: str, caption: str) -> str:
    """A line for each cell and rate: its name above, a dot at the value, a bar over the interval."""
    shown = [(line, line.score if field == "score" else line.difference) for line in lines]
    drawn = [(line, found) for line, found in shown if found is not None]
    if not drawn:
        return "<p>Nothing was measured yet.</p>"
    low = min(found.interval[0] for _, found in drawn)
    high = max(found.interval[1] for _, found in drawn)
    if field == "difference":
        low, high = min(low, 0.0), max(high, 0.0)
    span = (high - low) or 1.0

    def x(value: float) -> float:
        return round(EDGE + (value - low) / span * (WIDTH - 2 * EDGE), 1)

    height = TOP + ROW * len(drawn) + 24
    inside = []
    if field == "difference":
        inside.append(f'<line x1="{x(0)}" x2="{x(0)}" y1="{TOP}" y2="{height - 22}"/>')
    for place, (line, found) in enumerate(drawn):
        kind = "best" if line.at == "its best rate" else "shared"
        text, y = TOP + ROW * place + 14, TOP + ROW * place + 28
        told = f"{found.value:+.3f}" if field == "difference" else f"{found.value:.3f}"
        inside += [
            f'<text x="{EDGE}" y="{text}">{escape(line.cell)}<tspan class="faint"> at {escape(line.at)}, '
            f"{line.learning_rate:g}: {told}</tspan></text>",
            f'<line class="{kind}" x1="{x(found.interval[0])}" x2="{x(found.interval[1])}" y1="{y}" y2="{y}" '
            'stroke-width="2"/>',
            f'<circle class="{kind}" cx="{x(found.value)}" cy="{y}" r="4"/>',
        ]
    for value, anchor in ((low, "start"), (high, "end")):
        inside.append(f'<text class="faint" x="{x(value)}" y="{height - 6}" text-anchor="{anchor}">{value:.3f}</text>')
    label = escape(caption, quote=True)
    svg = f'<svg viewBox="0 0 {WIDTH} {height}" role="img" aria-label="{label}">{"".join(inside)}</svg>'
    return f"<figure>{svg}<figcaption>{escape(caption)}</figcaption></figure>"
