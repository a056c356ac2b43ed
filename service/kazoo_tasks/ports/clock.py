"""The time, as the core sees it.

No implementation; assembly.clock has one.
"""

from __future__ import annotations

from typing import Protocol


class Clock(Protocol):
    """The time of day, which may be set, and a time that only goes on."""

    def now(self) -> int:
        """Gregorian seconds, UTC."""
        ...

    def monotonic(self) -> float:
        """Seconds since some moment in this process's life, whatever the time of day is set to."""
        ...
