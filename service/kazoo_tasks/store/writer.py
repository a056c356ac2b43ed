"""The journal's thread: it takes the commits that wait, writes them together and tells who waited.

Touches one thread and the event loop; owned by the SQLite journal. What writing means is given to it.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from queue import Empty, SimpleQueue
from threading import Thread
from typing import TypeVar

import structlog

from kazoo_tasks.model.audit import AuditEntry
from kazoo_tasks.model.change import Change, Remembered
from kazoo_tasks.model.errors import KazooTasksError, StoreBroken, StoreUnavailable
from kazoo_tasks.model.schedule import Document
from kazoo_tasks.store.batch import MAX_BYTES, Batch, Commit

T = TypeVar("T")
log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Job:
    """Something else to do in the thread; it ends by settling its own future.

    Attributes:
        is_short: It neither writes nor takes long, so that it is done as soon as its turn comes, also beside a job.
    """

    do: Callable[[], None]
    is_short: bool = False


class Writer:
    """One thread, in which everything that touches the file happens, in the order in which it was asked for.

    No timer gathers commits: while one transaction waits for the disk, the next one collects.
    """

    def __init__(self, write: Callable[[Batch], None]) -> None:
        """Start the thread. `write` makes a batch durable or raises `StoreUnavailable` or `StoreBroken`."""
        self._write = write
        self._loop = asyncio.get_running_loop()
        self._inbox: SimpleQueue[Commit | Job | None] = SimpleQueue()
        self._later: deque[Job | None] = deque()
        self._gathered: list[Commit] = []
        self._broken: StoreBroken | None = None
        # A daemon: whoever leaves without closing the journal shall not hang.
        self._thread = Thread(target=self._run, name="journal", daemon=True)
        self._thread.start()

    @property
    def is_broken(self) -> bool:
        """Whether a write failed for good: nothing is written any more."""
        return self._broken is not None

    def commit(
        self,
        changes: Sequence[Change],
        remembered: Sequence[Remembered],
        audited: Sequence[AuditEntry] = (),
        documents: Sequence[Document] = (),
    ) -> asyncio.Future[None]:
        """Have it written with whatever else waits."""
        future: asyncio.Future[None] = self._loop.create_future()
        if not self._gathered:
            self._loop.call_soon(self._hand_over)
        self._gathered.append(Commit(changes, remembered, audited, documents, future))
        return future

    def run(self, call: Callable[[], T]) -> asyncio.Future[T]:
        """Have something else done in the thread, after the commits before it."""
        return self._put(call, is_short=False)

    def read(self, call: Callable[[], T]) -> asyncio.Future[T]:
        """Have something read in the thread, after what is durable by now; a snapshot does not hold it up."""
        return self._put(call, is_short=True)

    def _put(self, call: Callable[[], T], *, is_short: bool) -> asyncio.Future[T]:
        future: asyncio.Future[T] = self._loop.create_future()

        def do() -> None:
            try:
                result = call()
            # Whatever it is, it belongs to the one who asked; the thread goes on.
            except BaseException as error:  # noqa: BLE001 (see above)
                self._tell(partial(_fail, future, error))
            else:
                self._tell(partial(_settle, [future], result))

        # What was committed before comes before it.
        self._hand_over()
        self._inbox.put(Job(do, is_short))
        return future

    def flush(self, for_s: float) -> None:
        """Write the commits that come in this time, or the first megabyte of them.

        For jobs that take long; they call it in the thread.

        Raises:
            StoreUnavailable, StoreBroken: It failed; those who waited were told.
        """
        deadline = time.monotonic() + for_s
        size = 0
        with suppress(Empty):
            while (left := deadline - time.monotonic()) > 0 and size < MAX_BYTES:
                if batch := self._gather(self._inbox.get(timeout=left)):
                    self._commit(batch)
                    size += batch.size

    def stop(self, last: Callable[[], None]) -> asyncio.Future[None]:
        """End the thread after everything before this and one last thing, whether that is waited for or not."""
        future = self.run(last)
        self._inbox.put(None)
        return future

    def _hand_over(self) -> None:
        """Give the thread what came up in one turn of the loop; each waking of it costs more than a commit."""
        for commit in self._gathered:
            self._inbox.put(commit)
        self._gathered.clear()

    def _run(self) -> None:
        while (entry := self._next()) is not None:
            if isinstance(entry, Job):
                entry.do()
            elif batch := self._gather(entry):
                with suppress(KazooTasksError):  # those who waited were told
                    self._commit(batch)

    def _next(self) -> Commit | Job | None:
        return self._later.popleft() if self._later else self._inbox.get()

    def _gather(self, first: Commit | Job | None) -> Batch | None:
        """As many waiting commits as go into one transaction; other things wait until it is written."""
        batch = Batch()
        entry = first
        while True:
            if isinstance(entry, Commit):
                batch.add(entry)
            elif isinstance(entry, Job) and entry.is_short:
                entry.do()
            else:
                self._later.append(entry)
            if batch.is_full:
                break
            try:
                entry = self._inbox.get_nowait()
            except Empty:
                break
        return batch if batch.futures else None

    def _commit(self, batch: Batch) -> None:
        try:
            self._attempt(batch)
        except (StoreUnavailable, StoreBroken) as error:
            self._tell(partial(_fail_all, batch.futures, error))
            raise
        self._tell(partial(_settle, batch.futures, None))

    def _attempt(self, batch: Batch) -> None:
        if self._broken:
            raise StoreBroken(str(self._broken)) from self._broken
        try:
            self._write(batch)
        except StoreUnavailable:
            raise
        # Anything else leaves the state of the file unknown; the thread must live to say so to everyone after.
        except Exception as error:
            log.exception("journal.broken")
            self._broken = StoreBroken(str(error) if isinstance(error, StoreBroken) else repr(error))
            raise self._broken from error

    def _tell(self, call: Callable[[], None]) -> None:
        """Wake the loop once for all that waited. When it is closed, nobody waits any more."""
        with suppress(RuntimeError):
            self._loop.call_soon_threadsafe(call)


def _settle(futures: Sequence[asyncio.Future[T]], result: T) -> None:
    for future in futures:
        if not future.done():  # whoever waited may have been cancelled
            future.set_result(result)


def _fail(future: asyncio.Future[T], error: BaseException) -> None:
    if not future.done():
        future.set_exception(error)


def _fail_all(futures: Sequence[asyncio.Future[None]], error: KazooTasksError) -> None:
    """Each gets an error of its own: one that is raised in many places collects all their tracebacks."""
    for future in futures:
        own = type(error)(str(error))
        own.__cause__ = error
        _fail(future, own)
