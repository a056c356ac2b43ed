"""The machine's time of day, as Kazoo counts it, and its time that only goes on.

Touches the system's clock; given to whoever needs to know what time it is.
"""

import time

from kazoo_tasks.model.gregorian import from_unix


class SystemClock:
    """See `ports.Clock`."""

    def now(self) -> int:
        """Gregorian seconds, UTC."""
        return from_unix(time.time())

    def monotonic(self) -> float:
        """Seconds since some moment."""
        return time.monotonic()
