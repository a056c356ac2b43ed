"""What an operator does with snapshots while no service runs: look, check, go back to one.

Touches the data directory; called by the CLI. (A running service takes and rotates them itself.)
"""

from __future__ import annotations

import os
import shutil
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Final

from kazoo_tasks.model.errors import CannotStart
from kazoo_tasks.ports import SnapshotInfo
from kazoo_tasks.store import database
from kazoo_tasks.store.directory import DataDirectory, Lock, sync_directory, sync_file
from kazoo_tasks.store.inspection import inspect
from kazoo_tasks.store.retention import Snapshot, SnapshotRetention, verify
from kazoo_tasks.store.statement import SQL

__all__ = ["Snapshot", "has_journal", "list_snapshots", "restore", "verify"]

_CHUNK: Final = 1 << 20

#: Told how many bytes are copied, and of how many.
Progress = Callable[[int, int], None]


def list_snapshots(data_dir: Path) -> list[Snapshot]:
    """The finished snapshots of a data directory, newest first."""
    return SnapshotRetention(DataDirectory(data_dir.absolute()).snapshots).snapshots()


def has_journal(data_dir: Path) -> bool:
    """Whether a service ever ran on a data directory."""
    return DataDirectory(data_dir.absolute()).journal.exists()


def restore(
    snapshot: Path, data_dir: Path, *, force: bool = False, progress: Progress = lambda _done, _total: None
) -> SnapshotInfo:
    """Make a snapshot the journal of a data directory; the next start gets an epoch above any before.

    A crash in the middle leaves the old journal or the new one. (When the old one is too damaged to be opened, it may
    leave none, and a start says so; the damaged one is kept beside as `journal.sqlite3.damaged`.)

    Raises:
        DirectoryInUse: A service runs there.
        CannotStart: The snapshot is not good, there is a journal and no `force`, or the directory cannot be written.
    """
    directory = DataDirectory(data_dir.absolute())
    directory.prepare()
    lock = Lock(directory)
    lock.acquire()
    try:
        return _restore(snapshot, directory, force=force, progress=progress)
    finally:
        lock.release()


def _restore(snapshot: Path, directory: DataDirectory, *, force: bool, progress: Progress) -> SnapshotInfo:
    info = verify(snapshot)
    if _size(directory.journal) and not force:
        raise CannotStart(f"there is a journal in {directory.path} already; --force replaces it")
    draft = directory.path / "journal.sqlite3.new"
    with directory.usable():
        _check_room(info.size_bytes, directory.path)
        # A link would be followed, and what it leads to overwritten.
        draft.unlink(missing_ok=True)
        try:
            _copy(snapshot, draft, progress)
            # The copy, since it is what becomes the journal; and all of it, before anything gives way to it.
            inspect(draft)
            # A start that finds no journal must know that there was one.
            directory.raise_epoch(_epoch(draft))
            _set_aside(directory.journal)
            draft.replace(directory.journal)
        finally:
            draft.unlink(missing_ok=True)
        sync_directory(directory.path)
    return SnapshotInfo(str(directory.journal), info.tasks, info.size_bytes)


def _copy(source: Path, target: Path, progress: Progress) -> None:
    os.close(os.open(target, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600))
    total = _size(source)
    with source.open("rb") as reader, target.open("wb") as writer:
        while chunk := reader.read(_CHUNK):
            writer.write(chunk)
            progress(writer.tell(), total)
    sync_file(target)


def _check_room(size: int, directory: Path) -> None:
    free = shutil.disk_usage(directory).free
    if free < size:
        raise CannotStart(f"expected {size} bytes to be free in {directory}, got {free}")


def _epoch(path: Path) -> int:
    connection = database.connect_readonly(path)
    try:
        epoch: int = dict(connection.execute(SQL["read_meta"]).fetchall()).get("epoch", 0)
        return epoch
    finally:
        connection.close()


def _set_aside(journal: Path) -> None:
    """Leave nothing that SQLite would play into the file that takes the journal's name.

    A write-ahead log belongs to its file only by its name. Folded in, the old journal is one file, and renaming the
    new one over it is the whole change. Where that fails, the file must go before its log does: without the log it
    would be an older state that looks whole.
    """
    if journal.exists() and not _fold(journal):
        journal.replace(journal.with_name(f"{journal.name}.damaged"))
        sync_directory(journal.parent)
    for suffix in ("-wal", "-shm"):
        Path(f"{journal}{suffix}").unlink(missing_ok=True)


def _fold(journal: Path) -> bool:
    """Whether the write-ahead log could be written into the journal."""
    connection = sqlite3.connect(journal, isolation_level=None)
    try:
        connection.execute("PRAGMA wal_checkpoint(truncate)").fetchall()
    except sqlite3.Error:
        return False
    finally:
        connection.close()
    return _size(Path(f"{journal}-wal")) == 0


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0
