"""Figures of a report as SVG text, narrow enough to be read on a telephone; colours are the page's."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from math import ceil, floor, log10
from textwrap import wrap

from rankwise.experiment.document import Chart, Intervals

ROW, LINE, TOP, WIDTH, EDGE = 46, 18, 12, 460, 14
"""Pixels of a value with its interval, of a line of its name, above the first, across, and at the sides."""
LABEL = 50
"""Characters of a name on one line."""
HEIGHT, LEFT, BOTTOM = 280, 52, 44
"""Of a chart, and what its axes' numbers take."""
COLOURS = 6
MARKS = 5
"""About so many numbers stand along an axis."""


def intervals_svg(figure: Intervals) -> str | None:
    """A line for each value: its name above, a dot at the value, a bar over the interval. None without a value."""
    if not figure.lines:
        return None
    low = min(line.low for line in figure.lines)
    high = max(line.high for line in figure.lines)
    if figure.signed:
        low, high = min(low, 0.0), max(high, 0.0)
    span = (high - low) or 1.0

    def x(value: float) -> float:
        return round(EDGE + (value - low) / span * (WIDTH - 2 * EDGE), 1)

    inside, y = list[str](), TOP
    for line in figure.lines:
        told = f"{line.value:+.3f}" if figure.signed else f"{line.value:.3f}"
        name, note = wrap(line.name, LABEL), f" {line.note}:" if line.note else ":"
        for place, part in enumerate(name):
            last = f'<tspan class="faint">{escape(note)} {told}</tspan>' if place == len(name) - 1 else ""
            inside.append(f'<text x="{EDGE}" y="{y + 14}">{escape(part)}{last}</text>')
            y += LINE
        kind, middle = int(line.second), y + 10
        inside += [
            f'<line class="s{kind}" x1="{x(line.low)}" x2="{x(line.high)}" y1="{middle}" y2="{middle}" '
            'stroke-width="2"/>',
            f'<circle class="f{kind}" cx="{x(line.value)}" cy="{middle}" r="4"/>',
        ]
        y += ROW - LINE
    height = y + 24
    if figure.signed:
        inside.insert(0, f'<line class="rule" x1="{x(0)}" x2="{x(0)}" y1="{TOP}" y2="{height - 22}"/>')
    for value, anchor in ((low, "start"), (high, "end")):
        inside.append(f'<text class="faint" x="{x(value)}" y="{height - 6}" text-anchor="{anchor}">{value:.3f}</text>')
    label = escape(figure.caption, quote=True)
    return f'<svg viewBox="0 0 {WIDTH} {height}" role="img" aria-label="{label}">{"".join(inside)}</svg>'


def curves_svg(chart: Chart) -> str | None:
    """Curves in one frame with marked axes, and a key below. None without a point."""
    points = [point for curve in chart.curves for point in curve.points]
    if not points:
        return None
    xs = [log10(x) if chart.logarithmic else x for x, _ in points]
    ys = [y for _, y in points]
    left, right = _widened(min(xs), max(xs))
    low, high = _widened(min(ys), max(ys))

    def place(x: float, y: float) -> tuple[float, float]:
        at = log10(x) if chart.logarithmic else x
        across = LEFT + (at - left) / (right - left) * (WIDTH - LEFT - EDGE)
        down = TOP + (high - y) / (high - low) * (HEIGHT - TOP - BOTTOM)
        return round(across, 1), round(down, 1)

    inside = []
    for y in _marks(low, high):
        _, down = place(points[0][0], y)
        inside.append(f'<line class="rule" x1="{LEFT}" x2="{WIDTH - EDGE}" y1="{down}" y2="{down}"/>')
        inside.append(f'<text class="faint" x="{LEFT - 6}" y="{down + 4}" text-anchor="end">{y:.3g}</text>')
    for x in _decades(left, right) if chart.logarithmic else _marks(left, right):
        across, _ = place(x, low)
        inside.append(f'<text class="faint" x="{across}" y="{HEIGHT - BOTTOM + 16}" text-anchor="middle">{x:g}</text>')
    for number, curve in enumerate(chart.curves):
        colour = number % COLOURS
        placed = [place(x, y) for x, y in curve.points]
        dash = ' stroke-dasharray="5 4"' if curve.reference else ""
        line = " ".join(f"{x},{y}" for x, y in placed)
        inside.append(f'<polyline class="s{colour}" points="{line}" fill="none" stroke-width="2"{dash}/>')
        inside += [f'<circle class="f{colour}" cx="{x}" cy="{y}" r="3"/>' for x, y in placed]
    inside.append(f'<text class="faint" x="{WIDTH - EDGE}" y="{HEIGHT - 8}" text-anchor="end">{escape(chart.x)}</text>')
    inside.append(f'<text class="faint" x="4" y="{HEIGHT - 8}">{escape(chart.y)} (upward)</text>')
    label = escape(chart.caption, quote=True)
    frame = f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{label}">{"".join(inside)}</svg>'
    return frame + _key(chart)


def _key(chart: Chart) -> str:
    names = []
    for number, curve in enumerate(chart.curves):
        dash = ' stroke-dasharray="5 4"' if curve.reference else ""
        line = f'<line class="s{number % COLOURS}" x1="0" x2="24" y1="6" y2="6" stroke-width="3"{dash}/>'
        names.append(f'<li><svg viewBox="0 0 24 12" aria-hidden="true">{line}</svg>{escape(curve.name)}</li>')
    return f'<ul class="key">{"".join(names)}</ul>'


def _widened(low: float, high: float) -> tuple[float, float]:
    room = 0.05 * (high - low) or 0.05 * abs(high) or 1.0
    return low - room, high + room


def _marks(low: float, high: float) -> Sequence[float]:
    """Round numbers from `low` to `high`."""
    rough = (high - low) / MARKS
    power = 10.0 ** floor(log10(rough))
    step = next(power * times for times in (1, 2, 5, 10) if power * times >= rough)
    return [step * n for n in range(ceil(low / step), floor(high / step) + 1)]


def _decades(left: float, right: float) -> Sequence[float]:
    """The powers of ten; of a narrower range also 3 times them, or more."""
    if right - left > 2.5:
        times: tuple[int, ...] = (1,)
    else:
        times = (1, 3) if right - left > 1 else (1, 2, 3, 5, 7)
    found = [t * 10.0**p for p in range(floor(left), ceil(right) + 1) for t in times]
    return [x for x in found if left <= log10(x) <= right]
