"""Task events: tells whoever is bound to `tasks.event.#` what became true.

Touches the bus through its port; told by the ledger, after the commit.
"""

from __future__ import annotations

import asyncio
import os
from collections import deque
from collections.abc import Iterator
from itertools import count
from typing import Final

import structlog

from kazoo_tasks.model.change import Change
from kazoo_tasks.model.errors import BusUnavailable
from kazoo_tasks.ports import Bus, Outgoing
from kazoo_tasks.wire.reply import EVENTS, Replies

#: Events are a convenience and the registry is the truth, so what piles up while the broker is away is dropped.
_MAX_WAITING: Final = 100_000
#: How many are sent before replies get their turn on the event loop again.
_BATCH: Final = 50
_log = structlog.get_logger(__name__)


class Announcer:
    """Sends events in the order of the changes, each at most once."""

    def __init__(self, bus: Bus, replies: Replies) -> None:
        """Send over `bus`, under the name of `replies`."""
        self._bus = bus
        self._replies = replies
        self._waiting: deque[Change] = deque()
        self._wake = asyncio.Event()
        # Nobody answers an event, so its id has to be unique and no more.
        self._ours = os.urandom(8).hex()
        self._numbers = count()
        #: How many events were not sent.
        self.dropped = 0
        #: How many could not be put into words: each is a bug.
        self.unsayable = 0

    def announce(self, change: Change) -> None:
        """Have a change told, soon."""
        if change.kind not in EVENTS:
            return
        if len(self._waiting) == _MAX_WAITING:
            self._waiting.popleft()
            self.dropped += 1
        self._waiting.append(change)
        self._wake.set()

    async def run(self) -> None:
        """Send until cancelled."""
        while True:
            await self._wake.wait()
            await self.flush()
            self._wake.clear()

    async def flush(self) -> None:
        """Send what waits."""
        while self._waiting:
            events = list(self._next_events())
            try:
                await self._bus.send(*events)
            except BusUnavailable as error:
                if not self.dropped:
                    _log.warning("announcer.dropping", reason=str(error))
                self.dropped += len(events)
            await asyncio.sleep(0)

    def _next_events(self) -> Iterator[Outgoing]:
        for _ in range(min(_BATCH, len(self._waiting))):
            change = self._waiting.popleft()
            try:
                yield self._event(change)
            except Exception:  # noqa: BLE001 - logged with its trace, the first time
                # The boundary: whatever is wrong with one task is not to silence the others.
                if not self.unsayable:
                    _log.exception("announcer.unsayable", task=change.task.id)
                self.unsayable += 1

    def _event(self, change: Change) -> Outgoing:
        msg_id = f"{self._ours}{next(self._numbers):016x}"
        return Outgoing("tasks", *self._replies.event(change.kind, change.task, msg_id))
