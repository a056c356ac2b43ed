"""The journal without a disk: for tests, and for a first look that forgets everything.

Touches nothing outside; same contract as the SQLite journal, by the same tests.
"""

from __future__ import annotations

import asyncio
import sys
from collections import Counter
from collections.abc import Sequence
from itertools import count

from kazoo_tasks.model.audit import AuditEntry, AuditPage, AuditQuery, named, page_of
from kazoo_tasks.model.change import Change, Remembered
from kazoo_tasks.model.errors import KazooTasksError, StoreBroken, StoreUnavailable
from kazoo_tasks.model.schedule import Document
from kazoo_tasks.model.task import Task
from kazoo_tasks.ports import Loaded, SnapshotInfo
from kazoo_tasks.store.batch import Batch, Commit


class MemoryJournal:
    """`ports.Journal` in memory: durable as long as the object lives.

    A second `load` is what a restart sees, after `close` or without it.
    """

    def __init__(self) -> None:
        """Begin empty."""
        self._tasks: dict[int, Task] = {}
        self._remembered: list[Remembered] = []
        self._audit: list[AuditEntry] = []
        self._documents: dict[tuple[str, str], bytes | None] = {}
        self._audit_kept: tuple[int, int] = 0, sys.maxsize
        self._next_seq = 1
        self._epoch = 0
        self._forgetting: tuple[int, int] | None = None
        self._waiting: list[Commit] = []
        self._failures: list[KazooTasksError] = []
        self._broken: KazooTasksError | None = StoreBroken("the journal is not open")
        self._snapshots = count(1)

    def fail_next(self, error: KazooTasksError, times: int = 1) -> None:
        """Have the next commits fail: a seam for tests of what happens then.

        With `StoreBroken` all after it fail as well, until the next `load`.
        """
        self._failures += [error] * times

    async def load(self) -> Loaded:
        """What was committed until now; commits under way are lost, as in a crash."""
        self._waiting.clear()
        self._broken = None
        self._epoch += 1
        documents = [Document(*key, text) for key, text in self._documents.items() if text is not None]
        tasks = sorted(self._tasks.values(), key=lambda task: task.seq)
        return Loaded(self._epoch, iter(tasks), iter(list(self._remembered)), self._next_seq, documents)

    def commit(
        self,
        changes: Sequence[Change],
        remembered: Sequence[Remembered] = (),
        audited: Sequence[AuditEntry] = (),
        documents: Sequence[Document] = (),
    ) -> asyncio.Future[None]:
        """Keep it in the next turn of the event loop, never before: nobody shall rely on it sooner.

        Raises (when awaited):
            StoreUnavailable, StoreBroken: As `fail_next` was told; `StoreBroken` also while it is not open.
        """
        loop = asyncio.get_running_loop()
        future: asyncio.Future[None] = loop.create_future()
        if not self._waiting:
            loop.call_soon(self._write)
        self._waiting.append(
            Commit(tuple(changes), tuple(remembered), tuple(audited), tuple(documents), future)
        )
        return future

    def forget(self, before: int, max_bytes: int) -> None:
        """Drop answers with the next commit: those older than these Gregorian seconds, and the oldest of too many."""
        self._forgetting = before, max_bytes

    async def audit(self, query: AuditQuery) -> AuditPage:
        """A page of the audit.

        Raises:
            StoreUnavailable: It is not open.
        """
        if self._broken:
            raise StoreUnavailable(str(self._broken))
        found = [entry for entry in reversed(self._audit) if entry.account_id == query.account_id]
        if query.task_id is not None:
            found = named([entry for entry in found if entry.is_about(query.task_id)])
        if query.start is not None:
            found = [entry for entry in found if entry.number <= query.start]
        return page_of(found, query.page_size)

    def keep_audit(self, since: int, number: int) -> None:
        """Drop entries with each later commit."""
        self._audit_kept = since, number

    async def snapshot(self, *, asked: bool = False) -> SnapshotInfo:  # noqa: ARG002 - none is kept, so none is kept apart
        """Say that there is one.

        Raises:
            StoreUnavailable: It is not open.
        """
        if self._broken:
            raise StoreUnavailable(str(self._broken))
        return SnapshotInfo(f"memory:{next(self._snapshots)}", len(self._tasks), 0)

    async def close(self) -> None:
        """Keep what was asked for and refuse everything after."""
        self._write()
        self._broken = StoreBroken("the journal is not open")

    def _write(self) -> None:
        waiting, self._waiting = self._waiting, []
        for commit in waiting:
            error = self._error()
            if error is None:
                self._keep(commit)
            if commit.future.done():
                continue
            if error is None:
                commit.future.set_result(None)
            else:
                commit.future.set_exception(type(error)(str(error)))

    def _error(self) -> KazooTasksError | None:
        if self._broken is None and self._failures:
            error = self._failures.pop(0)
            if isinstance(error, StoreBroken):
                self._broken = error
            return error
        return self._broken

    def _keep(self, commit: Commit) -> None:
        batch = Batch()
        batch.add(commit)
        for seq, task in batch.tasks.items():
            self._next_seq = max(self._next_seq, seq + 1)
            if task is None:
                self._tasks.pop(seq, None)
            else:
                self._tasks[seq] = task
        self._documents.update(batch.documents)
        self._remembered += batch.remembered
        self._keep_audited(batch.audited)
        if self._forgetting is not None:
            before, max_bytes = self._forgetting
            self._remembered = [answer for answer in self._remembered if answer.at >= before]
            while sum(answer.size for answer in self._remembered) > max_bytes:
                del self._remembered[0]
            self._forgetting = None

    def _keep_audited(self, entries: Sequence[AuditEntry]) -> None:
        since, most = self._audit_kept
        last = self._audit[-1].number if self._audit else 0
        self._audit += [entry._replace(number=number) for number, entry in enumerate(entries, last + 1)]
        counts = Counter(entry.account_id for entry in self._audit)
        kept: list[AuditEntry] = []
        for entry in self._audit:
            if entry.at < since or counts[entry.account_id] > most:
                counts[entry.account_id] -= 1
            else:
                kept.append(entry)
        self._audit = kept
