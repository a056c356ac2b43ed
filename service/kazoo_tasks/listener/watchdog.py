"""The watchdog: proves by a canary through the broker that requests still arrive.

Touches the bus through its port; run by assembly. A connection that looks alive and brings nothing is the worst kind.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass

import structlog

from kazoo_tasks.model.errors import BusUnavailable, RequestsStopped
from kazoo_tasks.ports import Bus, Outgoing
from kazoo_tasks.wire.reply import Replies

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Watch:
    """How closely to watch.

    Attributes:
        interval_s: From one canary to the next.
        patience_s: How long nothing at all may arrive after one.
        strikes: After so many in a row a new connection is no help, and the process must end.
    """

    interval_s: float = 5.0
    patience_s: float = 3.0
    strikes: int = 5


class Watchdog:
    """Has the connection made anew when nothing arrives over it, and gives up when that does not help.

    While the broker blocks us it looks away: no canary gets out, the reason is known, and no connection helps.
    """

    def __init__(self, bus: Bus, replies: Replies, arrived: Callable[[], int], watch: Watch) -> None:
        """`arrived` tells how many requests have arrived so far: any of them is a proof, under load a sooner one."""
        self._bus = bus
        self._replies = replies
        self._arrived = arrived
        self._watch = watch
        #: How many canaries in a row brought nothing.
        self.strikes = 0

    async def run(self) -> None:
        """Watch until cancelled.

        Raises:
            RequestsStopped: Nothing arrives, whatever is tried.
        """
        while True:
            await asyncio.sleep(self._watch.interval_s)
            if self._watched():
                await self._look()

    async def _look(self) -> None:
        before = self._arrived()
        with suppress(BusUnavailable):
            await self._bus.send(
                Outgoing("tasks", "tasks.canary", self._replies.canary(os.urandom(16).hex()))
            )
        await asyncio.sleep(self._watch.patience_s)
        if self._arrived() != before:
            self.strikes = 0
        elif self._watched():
            self._strike()

    def _watched(self) -> bool:
        # Without a connection there is nothing to be proved: the bus is at it already.
        return self._bus.connected and self._bus.blocked is None

    def _strike(self) -> None:
        self.strikes += 1
        why = f"no request arrived for {self._watch.patience_s:g} s after a canary"
        if self.strikes >= self._watch.strikes:
            raise RequestsStopped(f"{why}, {self.strikes} times in a row")
        _log.warning("watchdog.strike", strikes=self.strikes)
        self._bus.reconnect(why)
