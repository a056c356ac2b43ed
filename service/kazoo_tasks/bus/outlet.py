"""Put what we say into the connection: in the order in which it was said, many frames with one system call.

Touches only aiormq's write queue; each Link has one, shared by its channels.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import Final

from aiormq.abc import ChannelFrame

from kazoo_tasks.model.errors import BusUnavailable

#: How much may wait for a socket that takes nothing (frozen broker, memory alarm) before senders wait too.
MAX_WAITING_BYTES: Final = 1024 * 1024


class Outlet:
    """Everything written goes out as a whole and in order, or the connection is lost.

    aiormq hands each frame to the socket alone, and keeps on doing so when nobody reads it at the other end.
    Here everything that came up while the last batch was going out makes up the next, and no batch follows
    before the socket took the last.
    """

    def __init__(self, frames: asyncio.Queue[ChannelFrame], patience_s: float) -> None:
        """Take the connection's write queue, and how long a sender waits for room."""
        self._frames = frames
        self._patience_s = patience_s
        self._waiting: list[bytes] = []
        self._size = 0
        self._crowd: list[asyncio.Future[None]] = []
        self._written = asyncio.Event()
        self._idle = asyncio.Event()
        self._idle.set()

    def write(self, frame: bytes) -> None:
        """Write without ever waiting: for acks, which are small, and fewer than the prefetch."""
        self._waiting.append(frame)
        self._size += len(frame)
        self._written.set()
        self._idle.clear()

    def fits(self, frame: bytes) -> bool:
        """Whether its sender need not wait."""
        return self._size + len(frame) <= MAX_WAITING_BYTES

    async def send(self, frame: bytes) -> None:
        """Write, and wait while too much is waiting already.

        Raises:
            BusUnavailable: It did not become less in time; the frame was taken back.
        """
        fits = self.fits(frame)
        # Into the line first, so that waiting does not change the order.
        self.write(frame)
        if not fits:
            await self._taken(frame)

    async def run(self) -> None:
        """Carry frames to the socket until cancelled."""
        while True:
            await self._written.wait()
            await self._carry(self._take())
            if not self._waiting:
                self._idle.set()

    async def flush(self) -> None:
        """Wait until the socket took everything."""
        await self._idle.wait()

    def _take(self) -> bytes:
        batch = b"".join(self._waiting)
        self._waiting.clear()
        self._size = 0
        self._written.clear()
        for waiter in self._crowd:
            if not waiter.done():
                waiter.set_result(None)
        self._crowd.clear()
        return batch

    async def _carry(self, batch: bytes) -> None:
        drained = asyncio.get_running_loop().create_future()
        await self._frames.put(ChannelFrame(payload=batch, should_close=False, drain_future=drained))
        await drained

    async def _taken(self, frame: bytes) -> None:
        taken = asyncio.get_running_loop().create_future()
        self._crowd.append(taken)
        try:
            async with asyncio.timeout(self._patience_s):
                await taken
        except TimeoutError:
            self._take_back(frame)

    def _take_back(self, frame: bytes) -> None:
        # It may have been taken in the very moment in which the time was up: then it is sent.
        with suppress(ValueError):
            self._waiting.remove(frame)
            self._size -= len(frame)
            raise BusUnavailable("the broker takes no messages now")
