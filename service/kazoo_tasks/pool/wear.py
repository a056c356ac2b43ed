"""When a child has done enough, and another takes its place: after so many runs, or above so much memory.

Reads /proc; kept by pool.slot. (Celery: `max_tasks_per_child`, `max_memory_per_child`.)
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from kazoo_tasks.pool.usage import usage_of

#: A child is not weighed more often: to look takes longer than the shortest runs.
_INTERVAL_S: Final = 1.0


@dataclass(frozen=True, slots=True)
class Rules:
    """What holds for every slot of a pool; `None` is no bound.

    Attributes:
        stop_grace_s: From SIGTERM to SIGKILL, where a run has no grace of its own.
        start_timeout_s: How long a child may take to be ready.
        max_result_bytes: Longest JSON text of a result.
        max_runs: After so many a child is replaced.
        max_child_bytes: Above so much resident memory after a run it is replaced.
    """

    stop_grace_s: float
    start_timeout_s: float
    max_result_bytes: int
    max_runs: int | None = None
    max_child_bytes: int | None = None


class Wear:
    """Of one child."""

    def __init__(self, rules: Rules, now: Callable[[], float]) -> None:
        """Nothing has run; `now` gives monotonic seconds."""
        self._rules = rules
        self._now = now
        self._runs = 0
        #: Its code is not the present one.
        self.is_outdated = False
        self._weighed_at = now()

    def ran(self, pid: int) -> bool:
        """Count a run that is over; whether that was the child's last."""
        self._runs += 1
        if self.is_outdated:
            return True
        if self._rules.max_runs is not None and self._runs >= self._rules.max_runs:
            return True
        if self._rules.max_child_bytes is None or self._now() - self._weighed_at < _INTERVAL_S:
            return False
        self._weighed_at = self._now()
        return usage_of(pid).memory_bytes > self._rules.max_child_bytes
