"""What was found out, for the screen and for RESULTS.md.

Touches the standard output and the two files beside it; used by the runner.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from pathlib import Path

from bench.figure import Check, Results, Row, shown
from bench.plot import drawn

HERE = Path(__file__).parent
PLOT = HERE / "growth.svg"
RESULTS = HERE / "RESULTS.md"

_HEAD = """\
# How fast it is

Written by `make bench` on {date}; do not edit. Medians of {runs} runs with the least and the most, ours and the peers'
runs taking turns on one machine with one broker; ours is the real service with its journal on disk. A ratio is ours ÷
the other's. What was missed is said to be.

{machine}

## Goals

{goals}

## Growth

![From 1,000 to 1,000,000 tasks](growth.svg)

## Figures

{figures}
"""


def say(text: str) -> None:
    """Print, at once."""
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def say_row(row: Row) -> None:
    """Print a row as soon as it is there."""
    say(f"\n{row.name}: {row.title}")
    for figure in row.figures:
        say(f"  {figure.what:<58} {shown(figure.median):>9} {figure.unit:<11} [{figure.spread}]")
    for check in row.checks:
        say(f"  {'met   ' if check.met else 'MISSED'} {check.what}: {_value(check)}, goal {check.wanted}")


def write(results: Results, machine: Iterable[tuple[str, str]], runs: int) -> None:
    """Write RESULTS.md and its plot."""
    PLOT.write_text(drawn(results.curves), encoding="utf-8")
    text = _HEAD.format(
        date=datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        runs=runs,
        machine=_table(("", ""), machine),
        goals=_goals(results.rows),
        figures="\n".join(map(_section, results.rows)),
    )
    RESULTS.write_text(text.rstrip("\n") + "\n", encoding="utf-8")


def _goals(rows: Sequence[Row]) -> str:
    lines = [
        (row.name, check.what, _value(check), check.wanted, "met" if check.met else "**missed**")
        for row in rows
        for check in row.checks
    ]
    return _table(("#", "what", "is", "goal", ""), lines)


def _section(row: Row) -> str:
    lines = [(each.what, shown(each.median), each.unit, each.spread) for each in row.figures]
    return f"### {row.name}: {row.title}\n\n{row.how}\n\n{_table(('', 'median', '', 'spread'), lines)}\n"


def _table(head: Sequence[str], lines: Iterable[Sequence[str]]) -> str:
    rows = [head, ["---"] * len(head), *lines]
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def _value(check: Check) -> str:
    return f"{shown(check.value)} {check.unit}"
