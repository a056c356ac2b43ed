"""Turns: what is done to one task happens one after the other, what is done to different tasks does not wait.

Memory only; taken by the desk and the runner from a decision until its changes are folded in.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager


class Turns:
    """Who holds the turn on a key, and who wants it next.

    Several keys may be taken together only by those whose keys cannot meet: a task that ends is not being assigned.
    """

    def __init__(self) -> None:
        """Nobody holds anything."""
        # With those who wait, once there are any: mostly there are none.
        self._held: dict[str, deque[asyncio.Future[None]] | None] = {}

    @asynccontextmanager
    async def take(self, *keys: str) -> AsyncIterator[None]:
        """Wait for the turn on each key and hold them."""
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
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        queue = self._held[key] = self._held[key] or deque()
        queue.append(turn)
        try:
            await turn
        except asyncio.CancelledError:
            # The turn may have come in the very moment in which it was given up.
            if turn.done() and not turn.cancelled():
                self._pass_on(key)
            raise

    def _pass_on(self, key: str) -> None:
        queue = self._held[key]
        while queue:
            turn = queue.popleft()
            if not turn.done():
                turn.set_result(None)
                return
        del self._held[key]
