"""A report as one HTML page that needs nothing beside it: no script, no font, no picture from elsewhere."""

from __future__ import annotations

from collections.abc import Iterable
from html import escape

from rankwise.experiment.document import Document, Intervals, Part, Table
from rankwise.experiment.figures import curves_svg, intervals_svg

STYLE = """
:root { color-scheme: light dark; --ink: #1b1f24; --paper: #ffffff; --faint: #5b6573; --rule: #d8dee6;
  --band: #eef3fb; --c0: #2458b3; --c1: #b3541e; --c2: #1f7a55; --c3: #8a3d91; --c4: #8a6a00; --c5: #b0294e; }
@media (prefers-color-scheme: dark) { :root { --ink: #e6e9ee; --paper: #15181d; --faint: #9aa4b2; --rule: #343b45;
  --band: #1d2633; --c0: #7fa8f0; --c1: #f0a070; --c2: #6fcfa3; --c3: #d79add; --c4: #dcbc55; --c5: #f08aa5; } }
body { font: 16px/1.5 system-ui, sans-serif; color: var(--ink); background: var(--paper);
  max-width: 62rem; margin: 0 auto; padding: 1.5rem 1rem 4rem; }
h1 { font-size: 1.5rem; line-height: 1.25; margin: 0 0 1rem; overflow-wrap: anywhere; }
h2 { font-size: 1.1rem; line-height: 1.3; margin: 2rem 0 .5rem; }
ul { padding-left: 1.2rem; } li { margin: .3rem 0; overflow-wrap: anywhere; }
.scroll { overflow-x: auto; border: solid var(--rule); border-width: 1px 0; }
table { border-collapse: collapse; font-size: .9rem; font-variant-numeric: tabular-nums; }
th, td { padding: .35rem .7rem; text-align: left; border-bottom: 1px solid var(--rule); vertical-align: top;
  min-width: 3rem; max-width: 22rem; }
td { white-space: nowrap; } td.long { white-space: normal; min-width: 14rem; }
th { color: var(--faint); font-weight: 600; white-space: nowrap; }
th:first-child, td:first-child { position: sticky; left: 0; background: var(--paper); white-space: normal;
  min-width: 6rem; max-width: 11rem; }
tbody tr:first-child td { background: var(--band); } tbody tr:last-child td { border-bottom: 0; }
figure { margin: 0; } figcaption { color: var(--faint); font-size: .9rem; margin-top: .3rem; }
svg { width: 100%; height: auto; max-width: 46rem; display: block; }
svg text { font: 13px system-ui, sans-serif; fill: var(--ink); paint-order: stroke; stroke: var(--paper);
  stroke-width: 4px; } svg .faint { fill: var(--faint); }
svg .rule { stroke: var(--rule); }
.key { display: flex; flex-wrap: wrap; gap: .1rem 1rem; padding: 0; margin: .3rem 0; list-style: none;
  font-size: .9rem; }
.key svg { width: 1.6rem; height: .9rem; display: inline-block; vertical-align: middle; margin-right: .35rem; }
""" + "".join(f"svg .s{n} {{ stroke: var(--c{n}); }} svg .f{n} {{ fill: var(--c{n}); }}\n" for n in range(6))
LONG = 40
"""Characters of a table's cell from which its text is wrapped."""


def html(document: Document) -> str:
    """The whole report."""
    parts = [f"<h1>{escape(document.title)}</h1>", _list(document.facts)]
    for section in document.sections:
        if section.part != ():
            parts += [f"<h2>{escape(section.title)}</h2>", _part(section.part)]
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{escape(document.title)}</title><style>{STYLE}</style></head>\n<body>\n"
        + "\n".join(parts)
        + "\n</body></html>\n"
    )


def _part(part: Part) -> str:
    if isinstance(part, tuple):
        return _list(part)
    if isinstance(part, Table):
        return _table(part)
    drawn = intervals_svg(part) if isinstance(part, Intervals) else curves_svg(part)
    if drawn is None:
        return "<p>Nothing was measured yet.</p>"
    return f"<figure>{drawn}<figcaption>{escape(part.caption)}</figcaption></figure>"


def _list(sentences: Iterable[str]) -> str:
    return "<ul>" + "".join(f"<li>{escape(sentence)}</li>" for sentence in sentences) + "</ul>"


def _table(table: Table) -> str:
    head = "".join(f"<th>{escape(text)}</th>" for text in table.heads)
    body = "".join("<tr>" + "".join(map(_cell, row)) + "</tr>" for row in table.rows)
    return f'<div class="scroll" tabindex="0"><table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>'


def _cell(text: str) -> str:
    return f'<td class="long">{escape(text)}</td>' if len(text) > LONG else f"<td>{escape(text)}</td>"
