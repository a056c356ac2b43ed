"""Snapshot retention: the names of those that are kept, which is the newest good one, which have had their time.

Touches the snapshot directory; used by the journal and by what the operator does without a running service.
"""

from __future__ import annotations

import re
import sqlite3
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

from kazoo_tasks.model.errors import CannotStart
from kazoo_tasks.model.gregorian import to_unix
from kazoo_tasks.ports import SnapshotInfo
from kazoo_tasks.store import database
from kazoo_tasks.store.directory import sync_directory, sync_file
from kazoo_tasks.store.inspection import check_size
from kazoo_tasks.store.statement import SQL

_STAMP: Final = "%Y%m%dT%H%M%SZ"
_ASKED: Final = "-asked"
_NAME: Final = re.compile(rf"(\d{{8}}T\d{{6}}Z)-(\d+)-(\d+)({_ASKED})?\.sqlite3")
#: A clock that is set ahead makes all of them old at once: so many of the newest stay whatever their age.
_AGELESS: Final = 3
PARTIAL: Final = ".partial"


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A snapshot file as its name tells of it.

    Attributes:
        epoch: The service's start that took it.
        number: Which one of that start.
        asked: Somebody asked for it; it was not due.
    """

    path: Path
    taken_at: datetime
    epoch: int
    number: int
    size_bytes: int
    asked: bool = False


@dataclass(frozen=True, slots=True)
class Keep:
    """How many snapshots are kept, and how long; the newest three always are.

    Attributes:
        asked: How many of those that somebody asked for, which are counted apart.
    """

    count: int = 24
    days: float = 7
    asked: int = 3


@dataclass(frozen=True, slots=True)
class SnapshotRetention:
    """A directory of snapshots."""

    path: Path

    def place(self, taken_at: int, epoch: int, number: int, *, asked: bool = False) -> Path:
        """Where a new one goes; names sort by Gregorian time first."""
        stamp = datetime.fromtimestamp(to_unix(taken_at), UTC).strftime(_STAMP)
        return self.path / f"{stamp}-{epoch:06}-{number:04}{_ASKED if asked else ''}.sqlite3"

    def snapshots(self) -> list[Snapshot]:
        """All finished ones, newest first: by start and number, since a clock may have been set back between them."""
        if not self.path.is_dir():
            return []
        found = [snapshot for path in self.path.iterdir() if (snapshot := _read(path))]
        return sorted(found, key=lambda snapshot: (snapshot.epoch, snapshot.number), reverse=True)

    def newest_good(self) -> Snapshot | None:
        """The newest that can be restored."""
        return next((snapshot for snapshot in self.snapshots() if _is_good(snapshot.path)), None)

    def put(self, partial: Path, place: Path, tasks: int) -> SnapshotInfo:
        """Give a finished copy its name, once it is proven good and on the disk.

        Raises:
            CannotStart, OSError, sqlite3.Error: It is not.
        """
        _seal(partial)
        info = verify(partial)
        if info.tasks != tasks:
            raise CannotStart(f"expected the copy to hold {tasks} tasks, got {info.tasks}")
        sync_file(partial)
        partial.replace(place)
        sync_directory(self.path)
        return SnapshotInfo(str(place), info.tasks, info.size_bytes)

    def rotate(self, keep: Keep, now: int) -> list[Path]:
        """Remove those that are too many or too old; gives what was removed."""
        oldest = datetime.fromtimestamp(to_unix(now), UTC) - timedelta(days=keep.days)
        found = self.snapshots()
        due = [snapshot for snapshot in found if not snapshot.asked]
        asked = [snapshot for snapshot in found if snapshot.asked]
        gone = [
            snapshot.path
            for snapshots, count in ((due, keep.count), (asked, keep.asked))
            for place, snapshot in enumerate(snapshots)
            if place and (place >= count or (place >= _AGELESS and snapshot.taken_at < oldest))
        ]
        for path in gone:
            path.unlink(missing_ok=True)
        return gone

    def sweep(self) -> None:
        """Remove what a snapshot left behind that was cut short."""
        for path in self.path.glob(f"*{PARTIAL}*"):
            path.unlink(missing_ok=True)


def verify(path: Path) -> SnapshotInfo:
    """Read all of a snapshot.

    Raises:
        CannotStart: It is not a whole snapshot of a journal that this release can read.
    """
    if not path.is_file():
        raise CannotStart(f"expected {path} to be a snapshot, got no file there")
    if _has_wal(path):
        raise CannotStart(f"expected {path} to be a snapshot, got a journal with a write-ahead log beside it")
    check_size(path)
    try:
        tasks = _inspect(path)
    except sqlite3.Error as error:
        raise CannotStart(f"{path} is damaged: {error}") from error
    return SnapshotInfo(str(path), tasks, path.stat().st_size)


def _inspect(path: Path) -> int:
    connection = database.connect_readonly(path)
    try:
        database.identify(connection, path)
        database.check(connection)
        tasks: int = connection.execute(SQL["count_tasks"]).fetchone()[0]
        return tasks
    finally:
        connection.close()


def _seal(path: Path) -> None:
    """Make the copy one file that needs no write-ahead log: its first page was copied from one that has it."""
    connection = sqlite3.connect(path, isolation_level=None)
    try:
        connection.execute(
            "PRAGMA synchronous = off"
        ).fetchall()  # the fsync comes when all of it is proven good
        connection.execute("PRAGMA journal_mode = delete").fetchall()
    finally:
        connection.close()


def _has_wal(path: Path) -> bool:
    wal = path.with_name(path.name + "-wal")
    return wal.exists() and wal.stat().st_size > 0


def _is_good(path: Path) -> bool:
    try:
        verify(path)
    except (CannotStart, OSError):
        return False
    return True


def _read(path: Path) -> Snapshot | None:
    match = _NAME.fullmatch(path.name)
    if not match:
        return None
    stamp, epoch, number, asked = match.groups()
    taken_at = datetime.strptime(stamp, _STAMP).replace(tzinfo=UTC)
    return Snapshot(path, taken_at, int(epoch), int(number), path.stat().st_size, asked is not None)
