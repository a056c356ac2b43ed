"""Keyed locks: what is done to one task happens one after the other, what is done to different tasks does not wait.

Memory only; taken by the handlers and the runner from a decision until its changes are folded in.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager


class KeyedLocks:
    """Who holds the lock of a key, and who wants it next.

    Several keys may be taken together only by those whose keys cannot meet: a task that ends is not being assigned.
    """

    def __init__(self) -> None:
        """Nobody holds anything."""
        # With those who wait, once there are any: mostly there are none.
        self._held: dict[str, deque[asyncio.Future[None]] | None] = {}

    def __contains__(self, key: str) -> bool:
        """Whether somebody holds the lock of a key."""
        return key in self._held

    @asynccontextmanager
    async def hold(self, *keys: str) -> AsyncIterator[None]:
        """Wait for the lock of each key and hold them."""
        taken: list[str] = []
        try:
            for key in keys:
                if key in self._held:
                    await self._wait(key)
                else:
                    self._held[key] = None
                taken.append(key)
            yield
        finally:
            for key in taken:
                self._pass_on(key)

    async def _wait(self, key: str) -> None:
        lock: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        queue = self._held[key] = self._held[key] or deque()
        queue.append(lock)
        try:
            await lock
        except asyncio.CancelledError:
            # The lock may have come in the very moment in which it was given up.
            if lock.done() and not lock.cancelled():
                self._pass_on(key)
            raise

    def _pass_on(self, key: str) -> None:
        queue = self._held[key]
        while queue:
            lock = queue.popleft()
            if not lock.done():
                lock.set_result(None)
                return
        del self._held[key]
