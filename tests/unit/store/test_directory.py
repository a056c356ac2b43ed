"""The data directory: its lock and its high-water mark."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from kazoo_tasks.model.errors import CannotStart, DirectoryInUse
from kazoo_tasks.store.directory import DataDirectory, Lock


@pytest.fixture
def directory(tmp_path: Path) -> DataDirectory:
    """A data directory that was prepared."""
    directory = DataDirectory(tmp_path / "a" / "b")
    directory.prepare()
    return directory


def test_a_new_directory_is_private(directory: DataDirectory) -> None:
    """Nobody else may look into it."""
    assert [path.stat().st_mode & 0o777 for path in (directory.path, directory.snapshots)] == [0o700, 0o700]


def test_a_file_is_no_directory(tmp_path: Path) -> None:
    """Said with the system's words."""
    (tmp_path / "file").touch()
    with pytest.raises(CannotStart, match=r"the data directory .*file cannot be used: File exists"):
        DataDirectory(tmp_path / "file").prepare()


def test_a_lock_is_for_one(directory: DataDirectory) -> None:
    """The second is told who has it; after the release it may take it."""
    first, second = Lock(directory), Lock(directory)
    first.acquire()
    with pytest.raises(DirectoryInUse, match=rf"in use by another instance \(pid {os.getpid()}\)"):
        second.acquire()
    first.release()
    first.release()
    second.acquire()
    second.release()


def test_the_mark_only_rises(directory: DataDirectory) -> None:
    """A lower number changes nothing."""
    assert directory.epoch() == 0
    directory.raise_epoch(7)
    directory.raise_epoch(3)
    assert directory.epoch() == 7


def test_a_mark_that_is_no_number_is_refused(directory: DataDirectory) -> None:
    """Rather than taken for 0, which would use epochs twice."""
    (directory.path / "epoch").write_text("seven")
    with pytest.raises(CannotStart, match=r"expected .*epoch to hold the number"):
        directory.epoch()
