"""How often a slot may get a new child: OTP's restart intensity, with a back-off.

Pure, the time is passed in; used by pool.supervisor.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

FIRST_BACKOFF_S = 0.1
LONGEST_BACKOFF_S = 30.0


@dataclass(frozen=True, slots=True)
class Restart:
    """What is to happen after a death.

    Attributes:
        delay_s: How long to wait for the new child.
        rests: Whether the limit is passed, so that it waits the longest time and somebody should know.
    """

    delay_s: float
    rests: bool = False


class Intensity:
    """The deaths of one slot within a sliding window.

    Args:
        max_restarts: How many deaths within the period are made good without rest.
        period_s: The length of the window.
    """

    def __init__(self, max_restarts: int, period_s: float) -> None:
        """Begin with no deaths."""
        self._max_restarts = max_restarts
        self._period_s = period_s
        self._deaths: deque[float] = deque()
        self._stillborn = 0

    def ready(self) -> None:
        """Note that a child came up: the back-off begins anew, the window does not."""
        self._stillborn = 0

    def died(self, now: float) -> Restart:
        """Note a death that nobody asked for.

        A child that had been ready is replaced at once; only children that never come up are waited for longer and
        longer, since replacing them faster helps nobody.
        """
        self._deaths.append(now)
        while self._deaths[0] <= now - self._period_s:
            self._deaths.popleft()
        if len(self._deaths) > self._max_restarts:
            return Restart(LONGEST_BACKOFF_S, rests=True)
        delay_s = (
            min(FIRST_BACKOFF_S * 2 ** (self._stillborn - 1), LONGEST_BACKOFF_S) if self._stillborn else 0.0
        )
        return Restart(delay_s)

    def stillborn(self, now: float) -> Restart:
        """Note the death of a child that never came up."""
        self._stillborn += 1
        return self.died(now)
