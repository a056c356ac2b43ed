"""Small multiples of curves as an SVG, written by hand: a picture needs no library.

Pure; used by the report.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import log10
from typing import Final

from bench.figure import shown

_WIDTH, _HEIGHT, _MARGIN, _TOP = 300, 200, 46, 34
_COLUMNS: Final = 3
_STYLE: Final = (
    "text{font:11px system-ui,sans-serif;fill:#444}.t{font-weight:600;fill:#111}"
    ".a{stroke:#bbb;fill:none}.c{stroke:#1660a8;stroke-width:2;fill:none}.d{fill:#1660a8}"
)
Points = Sequence[tuple[int, float]]


def drawn(curves: Mapping[str, Points]) -> str:
    """Each curve in a panel of its own; tasks on a logarithmic axis, values on a linear one from 0."""
    rows = -(-len(curves) // _COLUMNS)
    size = f'width="{_COLUMNS * _WIDTH}" height="{rows * _HEIGHT}"'
    panels = "\n".join(_panel(place, title, points) for place, (title, points) in enumerate(curves.items()))
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" {size} role="img">\n<style>{_STYLE}</style>\n'
        f'<rect width="100%" height="100%" fill="#fff"/>\n{panels}\n</svg>\n'
    )


def _panel(place: int, title: str, points: Points) -> str:
    left, top = place % _COLUMNS * _WIDTH, place // _COLUMNS * _HEIGHT
    most = max(value for _, value in points) * 1.15
    first, last = log10(points[0][0]), log10(points[-1][0])

    def x(count: int) -> float:
        return _MARGIN + (log10(count) - first) / (last - first or 1) * (_WIDTH - 2 * _MARGIN)

    def y(value: float) -> float:
        return _HEIGHT - _TOP - value / most * (_HEIGHT - 2 * _TOP)

    line = " ".join(f"{x(count):.1f},{y(value):.1f}" for count, value in points)
    marks = "".join(
        f'<circle class="d" cx="{x(count):.1f}" cy="{y(value):.1f}" r="3"/>'
        f'<text x="{x(count):.1f}" y="{y(value) - 8:.1f}" text-anchor="middle">{shown(value)}</text>'
        f'<text x="{x(count):.1f}" y="{_HEIGHT - _TOP + 15}" text-anchor="middle">{_count(count)}</text>'
        for count, value in points
    )
    axes = f"M{_MARGIN - 12},{_TOP}V{_HEIGHT - _TOP}H{_WIDTH - _MARGIN + 12}"
    return (
        f'<g transform="translate({left},{top})"><text class="t" x="{_MARGIN - 12}" y="20">{title}</text>'
        f'<path class="a" d="{axes}"/><polyline class="c" points="{line}"/>{marks}</g>'
    )


def _count(count: int) -> str:
    return f"{count // 1_000_000}M" if count >= 1_000_000 else f"{count // 1_000}k"
