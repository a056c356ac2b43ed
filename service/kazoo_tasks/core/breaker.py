"""Circuit breakers: a function whose runs die one after the other is left alone for a while.

Pure; told by the scheduler how runs end, asked by it before one begins.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from math import inf
from typing import Final, NamedTuple

from kazoo_tasks.model.outcome import Failed, Failure, Outcome

#: Ends that no function means: it was killed, for its memory too, or took its process with it.
_DEATHS: Final = frozenset({Failure.KILLED, Failure.EXIT})


class BreakerPolicy(NamedTuple):
    """When a breaker opens, and for how long.

    Attributes:
        deaths: So many within `window_s` open it; 0 for never.
        window_s: Seconds.
        pause_s: Seconds until one run is tried.
    """

    deaths: int = 10
    window_s: float = 60.0
    pause_s: float = 60.0


class BreakerState(NamedTuple):
    """Of a function whose breaker is not closed.

    Attributes:
        until: Seconds of the clock that only goes on; infinite if an operator is to close it, past while one is tried.
        probe: The task that is tried.
    """

    until: float
    probe: str | None = None


class Breakers:
    """One for each function: closed, open for a pause, then half open for one run, whose end decides."""

    def __init__(
        self,
        policy: BreakerPolicy,
        monotonic: Callable[[], float],
        tell: Callable[[str, BreakerState | None], None],
    ) -> None:
        """All are closed; `tell` hears of each that opens, and with no state of each that closes."""
        self._tell = tell
        self._policy = policy
        self._monotonic = monotonic
        self._deaths: dict[str, deque[float]] = {}
        #: Those that are open or half open, by `module.function`; changed here only.
        self.not_closed: dict[str, BreakerState] = {}

    def open(self, function: str) -> None:
        """Let it run nothing until it is closed."""
        self._open(function, inf)

    def close(self, function: str) -> bool:
        """Let it run again; whether it did not."""
        self._deaths.pop(function, None)
        if self.not_closed.pop(function, None) is None:
            return False
        self._tell(function, None)
        return True

    def took(self, function: str, task_id: str) -> None:
        """Learn that a run is about to begin; while half open it is the one that is tried."""
        state = self.not_closed.get(function)
        if state is not None:
            self.not_closed[function] = state._replace(probe=task_id)

    def ended(self, function: str, task_id: str, outcome: Outcome) -> bool:
        """Learn how a run ended; whether that opened or closed the breaker."""
        died = isinstance(outcome, Failed) and outcome.failure in _DEATHS
        state = self.not_closed.get(function)
        if state is None:
            return died and self._died(function)
        if state.probe != task_id or state.until == inf:
            return False
        if died:
            self._open(function, self._monotonic() + self._policy.pause_s)
            return True
        if isinstance(outcome, Failed) and outcome.failure is Failure.STOPPED:
            # It says nothing of the function: another one is tried.
            self.not_closed[function] = state._replace(probe=None)
            return False
        return self.close(function)

    def _died(self, function: str) -> bool:
        if not self._policy.deaths:
            return False
        now = self._monotonic()
        deaths = self._deaths.setdefault(function, deque(maxlen=self._policy.deaths))
        deaths.append(now)
        if len(deaths) < self._policy.deaths or deaths[0] < now - self._policy.window_s:
            return False
        self._open(function, now + self._policy.pause_s)
        return True

    def _open(self, function: str, until: float) -> None:
        self._deaths.pop(function, None)
        self.not_closed[function] = BreakerState(until)
        self._tell(function, self.not_closed[function])
