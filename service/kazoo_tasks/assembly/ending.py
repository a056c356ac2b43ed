"""How a process ends: by the operator's signals, or because it cannot go on; and what systemd hears of it.

Touches signals and systemd's socket; used by every program.
"""

from __future__ import annotations

import asyncio
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from kazoo_tasks.assembly.systemd import Notifier
from kazoo_tasks.model.errors import KazooTasksError
from kazoo_tasks.settings import load_supervisor


@dataclass(slots=True)
class Ending:
    """What the operator's signals mean: the first asks for an end, the second for haste."""

    notifier: Notifier
    asked: asyncio.Event = field(default_factory=asyncio.Event)
    hurry: asyncio.Event = field(default_factory=asyncio.Event)

    def listen(self) -> None:
        """Take the signals over from Python."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._signalled)

    async def come(self, broken: asyncio.Future[KazooTasksError] | None = None) -> None:
        """Say that everything is ready, and wait until it is to end.

        Raises:
            KazooTasksError: What `broken` came to: nothing is to be waited for any more.
        """
        self.notifier.tell("READY=1")
        asked: asyncio.Future[Any] = asyncio.ensure_future(self.asked.wait())
        await asyncio.wait([asked, broken] if broken else [asked], return_when=asyncio.FIRST_COMPLETED)
        asked.cancel()
        self.notifier.tell("STOPPING=1")
        if broken and broken.done():
            self.hurry.set()
            raise broken.result()

    def _signalled(self) -> None:
        (self.hurry if self.asked.is_set() else self.asked).set()


@asynccontextmanager
async def supervised() -> AsyncIterator[Ending]:
    """Listen to the operator, and tell systemd that the event loop turns, until the very end."""
    ending = Ending(Notifier(load_supervisor()))
    ending.listen()
    alive = asyncio.create_task(ending.notifier.live())
    try:
        yield ending
    finally:
        alive.cancel()
