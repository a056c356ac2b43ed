"""Whether a figure grows: a line through its later half, and how sure that is.

Pure; used by the soak of the pool.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from typing import NamedTuple


class Trend(NamedTuple):
    """Of one figure.

    Attributes:
        middle: Its median.
        slope: What it grows by in a unit of what it was taken over.
        error: The slope's standard error, as if each rest were chance of its own.
    """

    middle: float
    slope: float
    error: float

    def grows_by(self, least: float) -> bool:
        """Whether it surely grows by more than this: by two standard errors."""
        return self.slope - 2 * self.error > least


def trend(over: Sequence[float], values: Sequence[float]) -> Trend:
    """By least squares over the second half, when caches have filled.

    >>> trend(range(8), [9, 9, 9, 9, 1, 2, 3, 4])
    Trend(middle=2.5, slope=1.0, error=0.0)
    """
    half = len(values) // 2
    x, y = list(map(float, over[half:])), list(map(float, values[half:]))
    line = statistics.linear_regression(x, y)
    rests = sum((value - line.intercept - line.slope * at) ** 2 for at, value in zip(x, y, strict=True))
    spread = sum((at - statistics.mean(x)) ** 2 for at in x)
    error = math.sqrt(rests / (len(x) - 2) / spread)
    return Trend(statistics.median(y), line.slope, error)
