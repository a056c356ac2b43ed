"""The heartbeat on Kazoo's `nodes` exchange, by which a cluster sees the service.

Touches the bus through its port, and the process's own figures; run by assembly.
"""

from __future__ import annotations

import asyncio
import os
from contextlib import suppress
from typing import Final

import psutil

from kazoo_tasks.model.errors import BusUnavailable
from kazoo_tasks.ports import Bus, Outgoing
from kazoo_tasks.wire.reply import Replies, Vitals

#: Kazoo gives a node up after 1.25 times what it announces.
_MILLISECONDS: Final = 1_000


class Heartbeat:
    """Advertises the service at once and then in a steady rhythm."""

    def __init__(
        self, bus: Bus, replies: Replies, started_at: int, zone: str, interval_s: float = 10.0
    ) -> None:
        """Advertise over `bus`; `started_at` is in Gregorian seconds."""
        self._bus = bus
        self._replies = replies
        self._started_at = started_at
        self._zone = zone
        self._interval_s = interval_s
        self._process = psutil.Process()

    async def run(self) -> None:
        """Advertise until cancelled; a beat that cannot be sent is left out, the next one tells as much."""
        while True:
            body = self._replies.advertise(self._vitals(), os.urandom(16).hex())
            with suppress(BusUnavailable):
                await self._bus.send(Outgoing("nodes", "", body))
            await asyncio.sleep(self._interval_s)

    def _vitals(self) -> Vitals:
        return Vitals(
            started_at=self._started_at,
            used_memory=self._process.memory_info().rss,
            processes=1 + len(self._process.children(recursive=True)),
            expires_ms=int(self._interval_s * _MILLISECONDS),
            zone=self._zone,
        )
