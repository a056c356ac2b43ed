"""Figures, and what they are held against.

Pure; made by the measures, printed by the report.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from statistics import median


@dataclass(frozen=True, slots=True)
class Figure:
    """One quantity, measured several times.

    Attributes:
        runs: In the order in which they were made.
    """

    what: str
    unit: str
    runs: Sequence[float]

    @property
    def median(self) -> float:
        """What counts."""
        return median(self.runs)

    @property
    def spread(self) -> str:
        """From the least to the most."""
        return f"{shown(min(self.runs))} \N{EN DASH} {shown(max(self.runs))}"


@dataclass(frozen=True, slots=True)
class Check:
    """A value and its goal.

    Attributes:
        at_least: The goal is the least rather than the most.
        unit: Nothing for a ratio.
    """

    what: str
    value: float
    goal: float
    at_least: bool = False
    unit: str = "\N{MULTIPLICATION SIGN}"

    @property
    def met(self) -> bool:
        """Whether it is as good as was wanted."""
        return self.value >= self.goal if self.at_least else self.value <= self.goal

    @property
    def wanted(self) -> str:
        """The goal in words."""
        return f"{'≥' if self.at_least else '≤'} {shown(self.goal)} {self.unit}"


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the table of goals.

    Attributes:
        how: How it was measured, and what could be unfair to either side.
    """

    name: str
    title: str
    figures: Sequence[Figure]
    checks: Sequence[Check]
    how: str


@dataclass(slots=True)
class Results:
    """All that was found out.

    Attributes:
        curves: How something grows with the number of tasks, by what it is.
    """

    rows: list[Row] = field(default_factory=list)
    curves: dict[str, list[tuple[int, float]]] = field(default_factory=dict)


def ratio(ours: Figure, theirs: Figure, what: str, goal: float, *, at_least: bool = False) -> Check:
    """Ours divided by theirs."""
    return Check(what, ours.median / theirs.median, goal, at_least)


def shown(value: float) -> str:
    """Three digits that mean something."""
    if abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:.2f}" if abs(value) < 10 else f"{value:.1f}"
