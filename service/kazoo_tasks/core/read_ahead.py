"""Read-ahead: how many runs may be made durable before there is a slot for them, so that none waits for the disk.

Pure; kept by the scheduler. What is claimed ahead counts as interrupted after a crash, though it never ran: so it is
only ever as much as runs in the blink of an eye, and for no longer than another.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

#: What would run within this time in one slot may be claimed ahead for it.
_HORIZON_S: Final = 0.010
#: The shortest runs take some 30 µs, a commit behind another about 1 ms: fewer would leave slots without work.
_MOST_AHEAD: Final = 32
#: What was claimed ahead and finds no slot for so long is given back, since it does wait after all.
PATIENCE_S: Final = 0.1
_FORGETTING: Final = 0.9


class ReadAhead:
    """Learns how long runs take: at once when they get longer, slowly when they get shorter."""

    def __init__(self, now: Callable[[], float]) -> None:
        """`now` gives monotonic seconds. Nothing is known, so nothing is claimed ahead."""
        self._now = now
        self._began: dict[str, float] = {}
        self._run_s: float | None = None

    def begin(self, task_id: str) -> None:
        """A run begins."""
        self._began[task_id] = self._now()

    def end(self, task_id: str) -> None:
        """A run is over."""
        began = self._began.pop(task_id, None)
        if began is not None:
            self._learn(self._now() - began)

    def is_overdue(self, since: float) -> bool:
        """Whether something has waited for a slot since then for longer than claiming ahead is meant for.

        Then runs have become long, and nothing more is claimed ahead until they are short again.
        """
        waited_s = self._now() - since
        if waited_s < PATIENCE_S:
            return False
        self._learn(waited_s)
        return True

    def now(self) -> float:
        """Monotonic seconds."""
        return self._now()

    @property
    def ahead(self) -> int:
        """How many runs may be claimed ahead for each slot."""
        if self._run_s is None:
            return 0
        return _MOST_AHEAD if self._run_s * _MOST_AHEAD < _HORIZON_S else int(_HORIZON_S / self._run_s)

    def _learn(self, run_s: float) -> None:
        if self._run_s is None or run_s > self._run_s:
            self._run_s = run_s
        else:
            self._run_s = _FORGETTING * self._run_s + (1 - _FORGETTING) * run_s
