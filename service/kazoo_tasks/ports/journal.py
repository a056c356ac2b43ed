"""The journal: what makes changes durable.

No implementation; the rooms of the store have two.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Protocol

from kazoo_tasks.model.audit import AuditEntry, AuditPage, AuditQuery
from kazoo_tasks.model.change import Change, Remembered
from kazoo_tasks.model.schedule import Document
from kazoo_tasks.model.task import Task


@dataclass(frozen=True, slots=True)
class Loaded:
    """What the journal held at the start.

    Attributes:
        epoch: The number of this start, higher than of any before; already on disk.
        tasks: Every task, ascending by `seq`; consumed once.
        remembered: Every remembered answer, oldest first; consumed once. A later one for the same request replaces
            an earlier one.
        next_seq: The lowest `seq` that was never given to a task.
        documents: Every document; consumed once.
    """

    epoch: int
    tasks: Iterable[Task]
    remembered: Iterable[Remembered]
    next_seq: int
    documents: Iterable[Document] = ()


@dataclass(frozen=True, slots=True)
class SnapshotInfo:
    """A finished, verified snapshot."""

    path: str
    tasks: int
    size_bytes: int


class Journal(Protocol):
    """Durable changes. One commit is all or nothing, and commits keep the order in which they were asked for."""

    async def load(self) -> Loaded:
        """Open it and read what is there.

        Raises:
            CannotStart: It is in use, unwritable or damaged; the message says what to do.
        """
        ...

    def commit(
        self,
        changes: Sequence[Change],
        remembered: Sequence[Remembered] = (),
        audited: Sequence[AuditEntry] = (),
        documents: Sequence[Document] = (),
    ) -> asyncio.Future[None]:
        """Make changes and all that belongs to them durable together, whether it is awaited or not.

        The futures are resolved in the order of the calls.

        Raises (when awaited):
            StoreUnavailable: Nothing was written (disk full); the same may succeed later.
            StoreBroken: Nothing is certain any more; the process must end.
        """
        ...

    def forget(self, before: int, max_bytes: int) -> None:
        """Drop remembered answers older than these Gregorian seconds, and the oldest of more than about so many bytes.

        With some later commit.
        """
        ...

    async def audit(self, query: AuditQuery) -> AuditPage:
        """A page of the audit, newest first; it may be shorter than was asked for.

        Raises:
            StoreUnavailable: It cannot be read.
        """
        ...

    def keep_audit(self, since: int, number: int) -> None:
        """Drop entries from before these Gregorian seconds, and the oldest of an account's more than so many.

        Some with each later commit; in the order in which they were written.
        """
        ...

    async def snapshot(self, *, asked: bool = False) -> SnapshotInfo:
        """Write and verify a point-in-time copy while commits go on.

        What was asked for is kept apart from what is due, so that it takes the place of no other.

        Raises:
            StoreUnavailable: It could not be written; older snapshots are untouched.
        """
        ...

    async def close(self) -> None:
        """Finish what was asked for, mark the stop as clean and let go of the file."""
        ...
