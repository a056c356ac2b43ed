"""The journal in a SQLite file, with snapshots beside it.

Touches the data directory, through the file in a thread of its own; made by assembly, called by the core.
"""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import structlog

from kazoo_tasks.model.audit import AuditEntry, AuditPage, AuditQuery
from kazoo_tasks.model.change import Change, Remembered
from kazoo_tasks.model.errors import CannotStart, StoreBroken, StoreUnavailable
from kazoo_tasks.model.schedule import Document
from kazoo_tasks.ports import Clock, Loaded, SnapshotInfo
from kazoo_tasks.store.directory import DataDirectory
from kazoo_tasks.store.file import Forgetting, JournalFile
from kazoo_tasks.store.retention import PARTIAL, Keep, SnapshotRetention
from kazoo_tasks.store.writer import Writer

log = structlog.get_logger(__name__)

_KEEP = Keep()


class SqliteJournal:
    """`ports.Journal` on a file: once a commit is done, it survives the process, the system and a power cut."""

    def __init__(self, data_dir: Path, clock: Clock, keep: Keep = _KEEP) -> None:
        """Name the directory, without touching it.

        Args:
            data_dir: Made, for us alone, when it is missing; on a local disk (SQLite and `flock` need one).
            clock: Dates the snapshots.
            keep: Which snapshots outlive the next one.
        """
        directory = DataDirectory(data_dir.absolute())
        self._clock = clock
        self._keep = keep
        self._file = JournalFile(directory)
        self._retention = SnapshotRetention(directory.snapshots)
        self._writer: Writer | None = None
        self._epoch = 0
        self._snapshots = 0

    async def load(self) -> Loaded:
        """Take the directory, open the file, and read it all in the journal's thread.

        Raises:
            DirectoryInUse: Another instance has it.
            CannotStart: It is unwritable or damaged; the message says what to do.
        """
        writer = Writer(self._file.write)
        try:
            loaded = await writer.run(self._file.open)
        except BaseException:
            # Cancelled or refused: what the thread has opened meanwhile is let go of there.
            _ = writer.stop(self._file.abandon)
            raise
        self._writer = writer
        self._epoch = loaded.epoch
        self._retention.sweep()
        return loaded

    def commit(
        self,
        changes: Sequence[Change],
        remembered: Sequence[Remembered] = (),
        audited: Sequence[AuditEntry] = (),
        documents: Sequence[Document] = (),
    ) -> asyncio.Future[None]:
        """Have it written, with whatever else waits, in the order of the calls.

        The future may be left alone or cancelled: what was asked for is written all the same.

        Raises (when awaited):
            StoreUnavailable: Nothing was written (disk full); the same may succeed later.
            StoreBroken: Nothing is certain any more; the process must end.
        """
        if self._writer is None:
            return _refused(StoreBroken("the journal is not open"))
        return self._writer.commit(changes, remembered, audited, documents)

    def forget(self, before: int, max_bytes: int) -> None:
        """Drop answers older than these Gregorian seconds and the oldest of too many, some with each later commit.

        Only the oldest in order of arrival are looked at: one from before a clock was set back waits for its turn.
        """
        self._file.forgetting = Forgetting(max(self._file.forgetting.before, before), max_bytes)

    async def audit(self, query: AuditQuery) -> AuditPage:
        """Read a page of the audit between two transactions; nothing of it is in memory.

        Raises:
            StoreUnavailable: It cannot be read.
        """
        if self._writer is None:
            raise StoreUnavailable("the journal is not open")
        try:
            return await self._writer.read(partial(self._file.read_audit, query))
        except sqlite3.Error as error:
            raise StoreUnavailable(f"the audit cannot be read: {error}") from error

    def keep_audit(self, since: int, number: int) -> None:
        """Drop entries from before these Gregorian seconds and the oldest of too many, some with each later commit."""
        self._file.audit.keep(since, number)

    async def snapshot(self, *, asked: bool = False) -> SnapshotInfo:
        """Copy the file, verify the copy and let the oldest ones go.

        Commits go on between the steps of the copying; verification works on the copy alone, in another thread.

        Raises:
            StoreUnavailable: It could not be written; older snapshots are untouched.
            StoreBroken: A commit failed for good meanwhile.
        """
        if self._writer is None:
            raise StoreUnavailable("the journal is not open")
        self._snapshots += 1
        place = self._retention.place(self._clock.now(), self._epoch, self._snapshots, asked=asked)
        draft = place.with_name(place.name + PARTIAL)
        try:
            tasks = await self._writer.run(partial(self._file.copy, draft, self._writer.flush))
            return await asyncio.to_thread(self._put_away, draft, place, tasks)
        except (OSError, sqlite3.Error, CannotStart) as error:
            raise StoreUnavailable(f"no snapshot was made: {error}") from error
        finally:
            draft.unlink(missing_ok=True)

    async def close(self) -> None:
        """Write what was asked for, mark the stop as clean, let go of the file; again is no harm."""
        writer, self._writer = self._writer, None
        if writer is None:
            return
        # Asked in the thread, after the last commit: a stop after a failed one is not clean.
        await writer.stop(lambda: self._file.abandon() if writer.is_broken else self._file.close())

    def _put_away(self, draft: Path, place: Path, tasks: int) -> SnapshotInfo:
        info = self._retention.put(draft, place, tasks)
        gone = self._retention.rotate(self._keep, self._clock.now())
        log.info("snapshot.taken", path=info.path, tasks=tasks, bytes=info.size_bytes, removed=len(gone))
        return info


def _refused(error: StoreBroken) -> asyncio.Future[None]:
    future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    future.set_exception(error)
    return future
