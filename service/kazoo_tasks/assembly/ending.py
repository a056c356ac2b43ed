"""How a process ends: by the operator's signals, or because it cannot go on; and what systemd hears of it.

Touches signals and systemd's socket; used by every program.
"""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Any, TypeVar

from kazoo_tasks.assembly.systemd import Notifier
from kazoo_tasks.model.errors import KazooTasksError
from kazoo_tasks.settings import load_supervisor

T = TypeVar("T")


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
        if not os.isatty(0):
            # It asks for a reload, where there is something to reload, and else for nothing.
            loop.add_signal_handler(signal.SIGHUP, _nothing)
        elif signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:
            # The terminal is gone, and nobody has asked by `nohup` to outlive it.
            loop.add_signal_handler(signal.SIGHUP, self._signalled)

    def on_hangup(self, call: Callable[[], object]) -> None:
        """Do this at each SIGHUP, unless there is a terminal, which says by it that it is gone."""
        if not os.isatty(0):
            asyncio.get_running_loop().add_signal_handler(signal.SIGHUP, call)

    async def unless_asked(self, starting: Coroutine[Any, Any, T]) -> T:
        """What something comes to that may take long; it is given up when the operator asks for an end.

        Raises:
            _AskedFirst: That came first; `supervised` ends with it, and nothing is wrong.
        """
        work, asked = asyncio.ensure_future(starting), asyncio.ensure_future(self.asked.wait())
        try:
            await asyncio.wait([work, asked], return_when=asyncio.FIRST_COMPLETED)
            if not work.done():
                raise _AskedFirst
            return work.result()
        finally:
            asked.cancel()
            work.cancel()
            await asyncio.wait([work])

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


def _nothing() -> None:
    pass


class _AskedFirst(Exception):
    """The operator asked for an end before the start was over."""


@asynccontextmanager
async def supervised() -> AsyncIterator[Ending]:
    """Listen to the operator, and tell systemd that the event loop turns, until the very end."""
    ending = Ending(Notifier(load_supervisor()))
    ending.listen()
    alive = asyncio.create_task(ending.notifier.live())
    try:
        with suppress(_AskedFirst):
            yield ending
    finally:
        alive.cancel()
