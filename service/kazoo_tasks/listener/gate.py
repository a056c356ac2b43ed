"""Who is in: messages in hand together, or a single one that is suspected, alone.

Memory only; held by the listener while it works on a message.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Final

#: Longer than a request takes. A slow disk, or a snapshot, is not to hold everybody up: then it is not quite alone.
_PATIENCE_S: Final = 5.0


class Gate:
    """Open for all, or shut behind one."""

    def __init__(self) -> None:
        """Nobody is in."""
        self._inside = 0
        self._alone = asyncio.Lock()
        self._emptied: asyncio.Event | None = None

    @property
    def shut(self) -> bool:
        """Whether somebody is alone inside, or about to be."""
        return self._alone.locked()

    def enter(self) -> None:
        """One more is in; only while it is not shut, or by the one for whom it is."""
        self._inside += 1

    def leave(self) -> None:
        """One less."""
        self._inside -= 1
        if self._emptied is not None and not self._inside:
            self._emptied.set()

    async def opened(self) -> None:
        """Wait until it is not shut; whoever enters in the same breath is in."""
        async with self._alone:
            pass

    @asynccontextmanager
    async def alone(self) -> AsyncIterator[None]:
        """Shut it, with nobody else inside, until whatever enters meanwhile has left."""
        async with self._alone:
            await self._empty()
            yield
            await self._empty()

    async def _empty(self) -> None:
        self._emptied = asyncio.Event()
        try:
            with suppress(TimeoutError):
                async with asyncio.timeout(_PATIENCE_S):
                    while self._inside:
                        self._emptied.clear()
                        await self._emptied.wait()
        finally:
            self._emptied = None
