"""What is due at a time of day: one heap of it, and one wait for the first.

Touches the event loop; kept by whoever has something to do later.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from heapq import heapify, heappop, heappush
from typing import Final, NamedTuple

#: The time of day may be set meanwhile, so it is looked at that often, and oftener in the second before the next one.
_LOOK_S: Final = 0.5
_LOOK_CLOSELY_S: Final = 0.05
#: So that many that are due together hold nobody up.
_AT_ONCE: Final = 100
#: Timers that were unset stay in the heap until they are that many and the most of it.
_FEW: Final = 64


class _Timer(NamedTuple):
    due_at: int
    order: int
    key: str


class Timers:
    """The time of day decides, as whoever named it would read it.

    If the clock is set forward what is due by then is due, if it is set back what is not yet due waits.
    """

    def __init__(self, now: Callable[[], int]) -> None:
        """Nothing is due; `now` gives Gregorian seconds."""
        self._now = now
        self._heap: list[_Timer] = []
        self._timers: dict[str, _Timer] = {}
        self._earlier = asyncio.Event()

    def __len__(self) -> int:
        """How many are set."""
        return len(self._timers)

    def __contains__(self, key: str) -> bool:
        """Whether one is set."""
        return key in self._timers

    def set(self, key: str, due_at: int, order: int = 0) -> None:
        """Set one, instead of what it was set to; of those that are due together the lower order comes first."""
        timer = self._timers[key] = _Timer(due_at, order, key)
        self._push(timer)

    def unset(self, key: str) -> None:
        """Forget one, if it is set."""
        if self._timers.pop(key, None) is not None and len(self._heap) > max(_FEW, 2 * len(self._timers)):
            self._heap = [timer for timer in self._heap if self._holds(timer)]
            heapify(self._heap)

    def again(self, key: str) -> None:
        """Have one that was taken be due again, as long as it is set."""
        if (timer := self._timers.get(key)) is not None:
            self._push(timer)

    def is_due(self, key: str) -> bool:
        """Whether one is set, and its time has come."""
        timer = self._timers.get(key)
        return timer is not None and timer.due_at <= self._now()

    def begin(self) -> None:
        """Have all that are set be due again when their time comes, whatever a turn that failed had in hand."""
        self._heap = sorted(self._timers.values())

    async def due(self) -> list[str]:
        """Wait until something is due, and take some of it; each stays set until it is unset."""
        while (left_s := self._left_s()) is None or left_s > 0:
            self._earlier.clear()
            # Seconds are whole: the one in which it is due begins somewhere in the next.
            look_s = None if left_s is None else _LOOK_CLOSELY_S if left_s <= 1 else _LOOK_S
            try:
                async with asyncio.timeout(look_s):
                    await self._earlier.wait()
            except TimeoutError:
                continue
        return self.take_due()

    def take_due(self) -> list[str]:
        """What is due now, or some of it."""
        due: list[str] = []
        while len(due) < _AT_ONCE and (left_s := self._left_s()) is not None and left_s <= 0:
            due.append(heappop(self._heap).key)
        return due

    def _push(self, timer: _Timer) -> None:
        heappush(self._heap, timer)
        if self._heap[0] is timer:
            self._earlier.set()

    def _left_s(self) -> int | None:
        while self._heap and not self._holds(self._heap[0]):
            heappop(self._heap)
        return self._heap[0].due_at - self._now() if self._heap else None

    def _holds(self, timer: _Timer) -> bool:
        return self._timers.get(timer.key) is timer
