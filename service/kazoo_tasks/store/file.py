"""The journal's file as its one thread sees it: opened, read, written, copied, closed.

Touches the data directory and SQLite; every method runs in the writer's thread.
"""

from __future__ import annotations

import os
import shutil
import sqlite3
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final, NamedTuple

import structlog

from kazoo_tasks.model.audit import AuditPage, AuditQuery
from kazoo_tasks.model.change import size_of_answer
from kazoo_tasks.model.errors import CannotStart, StoreBroken, StoreUnavailable
from kazoo_tasks.ports import Loaded
from kazoo_tasks.store import audit as audit_rows
from kazoo_tasks.store import database, row
from kazoo_tasks.store.batch import Batch
from kazoo_tasks.store.directory import DataDirectory, Lock, create_private
from kazoo_tasks.store.retention import PARTIAL, SnapshotRetention
from kazoo_tasks.store.statement import SCHEMA, SQL

#: Pages of a snapshot that are copied at once: a quarter of a megabyte holds up a commit for less than another commit.
_PAGES_AT_ONCE: Final = 64
#: The time for commits between two steps. It keeps a snapshot at 100 MB/s, so that the disk has time for them too, and
#: that is more than they can add to the file, so that a snapshot ends however much is written meanwhile.
_STEP_S: Final = 0.0025
_FORGET_AT_ONCE: Final = 1000
_PROGRESS_EVERY: Final = 100_000

log = structlog.get_logger(__name__)


class Forgetting(NamedTuple):
    """Which answers shall go: those before an instant, and the oldest of more than about so many bytes."""

    before: int = 0
    max_bytes: int = sys.maxsize


class JournalFile:
    """The only connection to the file, for as long as we have the lock on its directory."""

    def __init__(self, directory: DataDirectory) -> None:
        """Name the directory, without touching it."""
        self._directory = directory
        self._lock = Lock(directory)
        self._connection: sqlite3.Connection | None = None
        self._tasks = 0
        self._forgotten = 0
        self._answer_bytes = 0
        self.audit = audit_rows.AuditTable()
        #: Set from the event loop's thread.
        self.forgetting = Forgetting()

    @property
    def _open(self) -> sqlite3.Connection:
        if self._connection is None:
            raise StoreBroken("the journal is not open")
        return self._connection

    def open(self) -> Loaded:
        """Take the lock, open and read the file, and have the new epoch on disk.

        Raises:
            DirectoryInUse: Another instance has it.
            CannotStart: It cannot be used, or the file is damaged.
        """
        self._directory.prepare()
        self._lock.acquire()
        try:
            with self._directory.usable(), self._explained():
                return self._load()
        except BaseException:
            self.abandon()
            raise

    def write(self, batch: Batch) -> None:
        """Make a batch durable.

        Raises:
            StoreUnavailable: There was no room, and nothing was written.
            StoreBroken: It may or may not have been written.
        """
        try:
            with self._transaction() as connection:
                _put(connection, batch)
                audited = self.audit.write(connection, batch.audited)
                forgotten, freed = self._forget(connection)
        except sqlite3.Error as error:
            if database.is_full(error):
                raise StoreUnavailable(
                    f"{self._directory.journal} cannot grow: {database.reason(error)}"
                ) from error
            raise StoreBroken(f"{self._directory.journal} cannot be written: {error}") from error
        self._tasks += batch.growth
        self.audit.count(audited)
        self._forgotten = forgotten
        self._answer_bytes += sum(answer.size for answer in batch.remembered) - freed

    def read_audit(self, query: AuditQuery) -> AuditPage:
        """A page of the audit, as it is on disk.

        Raises:
            sqlite3.Error: It cannot be read.
        """
        return audit_rows.read(self._open, query)

    def copy(self, target: Path, between: Callable[[float], None]) -> int:
        """Copy the file as it is at the end of the copying; gives the number of tasks in the copy.

        What our own connection writes in `between`, which gets its seconds, is carried over into pages that were
        copied before. A transaction that is taken back would start the copy afresh: an error in `between` ends it.

        Raises:
            StoreUnavailable: There is no room for it.
            OSError, sqlite3.Error: It could not be written.
        """
        source = self._open
        _check_room(source, target.parent)
        with _target(target) as copy, target.open("rb") as file:

            def step() -> None:
                # Have the system begin to write it: all at once at the end would hold up the commits' fsync.
                os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
                between(_STEP_S)

            source.backup(copy, pages=_PAGES_AT_ONCE, progress=_unless_done(step), sleep=0)
        return self._tasks

    def close(self) -> None:
        """Mark the stop as clean, fold the write-ahead log into the file, let go of everything."""
        try:
            with self._transaction() as connection:
                connection.execute(SQL["write_meta"], (1, "clean"))
            self._open.execute("PRAGMA wal_checkpoint(truncate)").fetchall()
        except sqlite3.Error as error:
            # The next start checks the file, as after any unclean stop: nothing is lost.
            log.warning("journal.not_clean", reason=str(error))
        self.abandon()

    def abandon(self) -> None:
        """Let go of everything without another word to the file."""
        connection, self._connection = self._connection, None
        if connection is not None:
            with suppress(sqlite3.Error):
                connection.close()
        self._lock.release()

    def _load(self) -> Loaded:
        before = self._directory.epoch()
        if before:
            self._check_there()
        connection = self._connection = database.connect(self._directory.journal)
        if not before and database.is_empty(connection):
            _create(connection)
        meta = self._check_and_upgrade(connection)
        tasks = row.read_tasks(connection, _progress(connection))
        remembered = row.read_remembered(connection)
        documents = row.read_documents(connection)
        self.audit.open(connection)
        self._tasks = len(tasks)
        self._answer_bytes = sum(answer.size for answer in remembered)
        next_seq = max(meta["next_seq"], tasks[-1].seq + 1 if tasks else 1)
        epoch = max(meta["epoch"], before) + 1
        self._begin_epoch(epoch)
        return Loaded(epoch, iter(tasks), iter(remembered), next_seq, iter(documents))

    def _check_there(self) -> None:
        """Refuse before SQLite sees it: to a file without content it makes a new one, and deletes the log beside it."""
        journal = self._directory.journal
        if not journal.exists() or journal.stat().st_size == 0:
            raise CannotStart(f"{journal} is gone or empty, and there was one before; {self._advice()}")

    def _check_and_upgrade(self, connection: sqlite3.Connection) -> dict[str, int]:
        version = database.identify(connection, self._directory.journal)
        is_outdated = version < SCHEMA
        if is_outdated or not _read_meta(connection)["clean"]:
            why = "its schema is to be upgraded" if is_outdated else "the last stop was not clean"
            log.info("journal.checking", reason=why)
            database.check(connection)
        if is_outdated:
            self._keep_copy(connection, version)
            self._upgrade(connection, version)
        return _read_meta(connection)

    def _keep_copy(self, connection: sqlite3.Connection, version: int) -> None:
        """Put the file as it is among the snapshots: the release before can be gone back to, and restore it.

        Its name is none of a snapshot's, so that it stays when those have had their time.
        """
        retention = SnapshotRetention(self._directory.snapshots)
        place = retention.path / f"schema-{version}.sqlite3"
        draft = place.with_name(place.name + PARTIAL)
        self._tasks = _count_tasks(connection)
        try:
            retention.put(draft, place, self.copy(draft, lambda _seconds: None))
        except (OSError, sqlite3.Error, StoreUnavailable, CannotStart) as error:
            message = f"{self._directory.journal} is not upgraded, since no copy of it could be made before: {error}"
            raise CannotStart(message) from error
        finally:
            draft.unlink(missing_ok=True)
        log.info("journal.copied", path=str(place), schema=version)

    def _upgrade(self, connection: sqlite3.Connection, version: int) -> None:
        try:
            mended = database.upgrade(connection, version)
        except sqlite3.Error as error:
            failed = f"the schema of {self._directory.journal} cannot be brought from version {version} to {SCHEMA}"
            raise CannotStart(f"{failed}, and is as it was: {database.reason(error)}") from error
        log.info("journal.upgraded", schema=SCHEMA)
        if mended:
            log.warning("journal.mended", texts=mended, kept=f"snapshots/schema-{version}.sqlite3")

    def _begin_epoch(self, epoch: int) -> None:
        # The mark first: if we die between the two, a number is skipped rather than used twice.
        self._directory.raise_epoch(epoch)
        with self._transaction() as connection:
            connection.executemany(SQL["write_meta"], [(epoch, "epoch"), (0, "clean")])

    def _forget(self, connection: sqlite3.Connection) -> tuple[int, int]:
        """Drop some of the answers that shall go; gives the instant before which all are gone, and bytes freed."""
        before, max_bytes = self.forgetting
        if before <= self._forgotten and self._answer_bytes <= max_bytes:
            return self._forgotten, 0
        oldest = connection.execute(SQL["read_oldest"], (_FORGET_AT_ONCE,)).fetchall()
        freed, last = 0, 0
        for number, reply_bytes, at in oldest:
            if at >= before and self._answer_bytes - freed <= max_bytes:
                break
            freed, last = freed + size_of_answer(reply_bytes), number
        connection.execute(SQL["forget"], (last,))
        # If all that were looked at went, more may have to go.
        is_done = not oldest or last < oldest[-1][0] or len(oldest) < _FORGET_AT_ONCE
        return before if is_done else self._forgotten, freed

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        connection = self._open
        connection.execute("BEGIN IMMEDIATE")
        try:
            yield connection
            connection.execute("COMMIT")
        except BaseException:
            database.take_back(connection)
            raise

    @contextmanager
    def _explained(self) -> Iterator[None]:
        """Turn what SQLite says at the start into a sentence that says what to do."""
        try:
            yield
        except sqlite3.Error as error:
            journal = self._directory.journal
            if not database.is_damage(error):
                raise CannotStart(f"{journal} cannot be opened: {database.reason(error)}") from error
            raise CannotStart(f"{journal} is damaged ({error}); {self._advice()}") from error

    def _advice(self) -> str:
        retention = SnapshotRetention(self._directory.snapshots)
        snapshot = retention.newest_good()
        if snapshot is None:
            return f"there is no good snapshot in {retention.path} to go back to"
        return f"to go back to the newest good snapshot, run: kazoo-tasks restore {snapshot.path} --force"


def _create(connection: sqlite3.Connection) -> None:
    database.upgrade(connection, 0)
    # In the file itself before the mark of a first start: from then on an empty file means a lost one.
    connection.execute("PRAGMA wal_checkpoint(truncate)").fetchall()


def _put(connection: sqlite3.Connection, batch: Batch) -> None:
    row.put_tasks(connection, [task for task in batch.tasks.values() if task])
    row.remember(connection, batch.remembered)
    row.put_documents(connection, batch.documents)
    removed = [seq for seq, task in batch.tasks.items() if task is None]
    if removed:
        row.remove_tasks(connection, removed)
        # The highest `seq` is told by the task that has it; once that is gone, it must stand somewhere.
        connection.execute(SQL["raise_meta"], (max(removed) + 1, "next_seq"))


def _read_meta(connection: sqlite3.Connection) -> dict[str, int]:
    meta: dict[str, int] = dict(connection.execute(SQL["read_meta"]).fetchall())
    if missing := {"clean", "epoch", "next_seq"} - meta.keys():
        raise sqlite3.DatabaseError(f"no {' and no '.join(sorted(missing))} in it")
    return meta


def _count_tasks(connection: sqlite3.Connection) -> int:
    count: int = connection.execute(SQL["count_tasks"]).fetchone()[0]
    return count


def _progress(connection: sqlite3.Connection) -> row.Progress:
    """Says every now and then how far the loading is."""
    total = _count_tasks(connection)

    def say(done: int) -> None:
        if done % _PROGRESS_EVERY == 0:
            log.info("journal.loading", tasks=done, of=total)

    return say


def _check_room(source: sqlite3.Connection, directory: Path) -> None:
    """A snapshot must not take the room that commits need."""
    needed = 2 * int(database.pragma(source, "page_count")) * int(database.pragma(source, "page_size"))
    free = shutil.disk_usage(directory).free
    if free < needed:
        raise StoreUnavailable(
            f"expected {needed} bytes to be free for a snapshot in {directory}, got {free}"
        )


@contextmanager
def _target(path: Path) -> Iterator[sqlite3.Connection]:
    """A new file to copy into. Durability comes with the fsync before the copy gets its name, not here."""
    create_private(path)
    connection = sqlite3.connect(path, isolation_level=None)
    try:
        connection.execute("PRAGMA synchronous = off").fetchall()
        connection.execute("PRAGMA journal_mode = off").fetchall()
        yield connection
    finally:
        connection.close()


def _unless_done(between: Callable[[], None]) -> Callable[[int, int, int], None]:
    """SQLite calls once more after the last page; what is written then would be in the file and not in the copy."""

    def call(status: int, _remaining: int, _total: int) -> None:
        if status != sqlite3.SQLITE_DONE:
            between()

    return call
