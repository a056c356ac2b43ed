"""Snapshots that somebody asks for: one at a time, and none soon after, since each is a copy of the whole journal.

Touches the journal through its port; asked by the listener.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from math import ceil

from kazoo_tasks.model.errors import TooSoon
from kazoo_tasks.ports import Journal, SnapshotInfo


class AskedSnapshots:
    """Takes a snapshot for all who ask while it is taken, and none soon after."""

    def __init__(self, journal: Journal, monotonic: Callable[[], float], interval_s: float) -> None:
        """Take them from this journal, at most one in each interval."""
        self._journal = journal
        self._monotonic = monotonic
        self._interval_s = interval_s
        self._taking: asyncio.Task[SnapshotInfo] | None = None
        self._free_at = monotonic()

    async def take(self) -> SnapshotInfo:
        """One that was taken since this was asked, or is being taken.

        Raises:
            TooSoon: There was one a moment ago.
            StoreUnavailable: It could not be written.
        """
        if self._taking is None:
            left_s = self._free_at - self._monotonic()
            if left_s > 0:
                raise TooSoon(detail={"retry_in_s": ceil(left_s)})
            self._taking = asyncio.create_task(self._take(), name="asked snapshot")
        # Whoever asked first may be cancelled, and the others still want it.
        return await asyncio.shield(self._taking)

    async def _take(self) -> SnapshotInfo:
        try:
            taken = await self._journal.snapshot(asked=True)
            self._free_at = self._monotonic() + self._interval_s
            return taken
        finally:
            self._taking = None
