"""How many starts there were within the last second, for accounts that may have no more than some.

Touches pyrate-limiter, which counts; given to the core by the service.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from pyrate_limiter import InMemoryBucket, Rate, RateItem

_SECOND_MS: Final = 1_000


class StartRate:
    """See `core.concurrency.Rate`: any second, not each one by the clock, has no more than the limit."""

    def __init__(self, limit: int, monotonic: Callable[[], float]) -> None:
        """Nothing was started."""
        self._monotonic = monotonic
        self._limit = limit
        self._bucket = InMemoryBucket([Rate(limit, _SECOND_MS)])

    def wait_s(self) -> float:
        """See `core.concurrency.Rate`."""
        # The start that must be over a second ago before there is another.
        latest = self._bucket.peek(self._limit - 1)
        return (
            0.0
            if latest is None
            else max(0, latest.timestamp + _SECOND_MS + 1 - self._now().timestamp) / _SECOND_MS
        )

    def take(self) -> None:
        """See `core.concurrency.Rate`."""
        now = self._now()
        self._bucket.leak(now.timestamp)
        self._bucket.put(now)

    def is_idle(self) -> bool:
        """See `core.concurrency.Rate`."""
        self._bucket.leak(self._now().timestamp)
        return not self._bucket.count()

    def _now(self) -> RateItem:
        return RateItem("", int(self._monotonic() * _SECOND_MS))
