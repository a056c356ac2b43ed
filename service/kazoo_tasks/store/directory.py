"""The data directory: where its files are, who has it, and which start it saw last.

Touches the file system; used by the journal and by what the operator does without a running service.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from kazoo_tasks.model.errors import CannotStart, DirectoryInUse


def sync_directory(path: Path) -> None:
    """Make the names in a directory durable: an fsynced file can still lose its name."""
    handle = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def sync_file(path: Path) -> None:
    """Make a file's content durable."""
    handle = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def create_private(path: Path) -> None:
    """Have a file there that only its owner may read; SQLite gives its side files the same mode."""
    os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))


@dataclass(frozen=True, slots=True)
class DataDirectory:
    """The paths in a data directory, and its high-water mark."""

    path: Path

    @property
    def journal(self) -> Path:
        """The SQLite file; beside it SQLite keeps `-wal` and `-shm`."""
        return self.path / "journal.sqlite3"

    @property
    def snapshots(self) -> Path:
        """The directory of point-in-time copies."""
        return self.path / "snapshots"

    @property
    def task_logs(self) -> Path:
        """The directory of what tasks printed and logged."""
        return self.path / "logs"

    def prepare(self) -> None:
        """Have the directories there.

        Raises:
            CannotStart: They cannot be made, or are no directories.
        """
        with self.usable():
            self.path.mkdir(mode=0o700, parents=True, exist_ok=True)
            self.snapshots.mkdir(mode=0o700, exist_ok=True)

    @contextmanager
    def usable(self) -> Iterator[None]:
        """Turn what the system says about the directory into a sentence."""
        try:
            yield
        except OSError as error:
            message = f"the data directory {self.path} cannot be used: {error.strerror} ({error.filename or self.path})"
            raise CannotStart(message) from error

    def epoch(self) -> int:
        """The highest epoch that ever ran here, whatever file was restored since; 0 before the first start.

        Raises:
            CannotStart: The mark cannot be read.
        """
        mark = self.path / "epoch"
        try:
            return int(mark.read_text("ascii"))
        except FileNotFoundError:
            return 0
        except ValueError as error:
            message = f"expected {mark} to hold the number of the last start, got something else"
            raise CannotStart(message) from error

    def raise_epoch(self, epoch: int) -> None:
        """Keep the mark at this number or above."""
        if epoch <= self.epoch():
            return
        draft = self.path / "epoch.new"
        create_private(draft)
        draft.write_text(f"{epoch}\n", "ascii")
        sync_file(draft)
        draft.replace(self.path / "epoch")
        sync_directory(self.path)


class Lock:
    """The right to be the only one in a data directory; the system takes it back when the process dies."""

    def __init__(self, directory: DataDirectory) -> None:
        """Name the directory, without taking anything yet."""
        self._directory = directory
        self._handle: int | None = None

    def acquire(self) -> None:
        """Take it, and leave our process id for others to read.

        Raises:
            DirectoryInUse: Another instance has it.
            CannotStart: The directory cannot be written.
        """
        with self._directory.usable():
            handle = os.open(self._directory.path / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            try:
                self._take(handle)
            except BaseException:
                os.close(handle)
                raise
        self._handle = handle

    def release(self) -> None:
        """Let go of it, if we have it. The file stays: removing it would let two processes lock two files."""
        handle, self._handle = self._handle, None
        if handle is not None:
            with suppress(OSError):
                os.ftruncate(handle, 0)
            os.close(handle)

    def _take(self, handle: int) -> None:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            pid = os.pread(handle, 20, 0).decode("ascii", "replace").strip() or "unknown"
            message = f"the data directory {self._directory.path} is in use by another instance (pid {pid})"
            raise DirectoryInUse(message) from None
        os.ftruncate(handle, 0)
        os.pwrite(handle, f"{os.getpid()}\n".encode(), 0)
