"""Logs of tasks as files: what is written is read, what is damaged is read as far as it goes, strays are swept."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from kazoo_tasks.core.task_logs import TaskLogs
from kazoo_tasks.model.errors import StoreUnavailable
from kazoo_tasks.model.task_log import KeptLog, LogPart, Stream
from kazoo_tasks.store.task_logs import TaskLogFiles
from support.build import a_running_task
from support.core import HandClock
from support.disk import may_mount, small_disk

TASK = "ab" * 15
KEPT = KeptLog(
    99,
    [
        (0, LogPart(1.25, Stream.STDOUT, b"out\x00\xff")),
        (5, LogPart(2.5, Stream.STDERR, b"err")),
        (97, LogPart(3.75, Stream.LOGGING, b"{}")),
    ],
)


@pytest.fixture
async def files(tmp_path: Path) -> AsyncIterator[TaskLogFiles]:
    """Logs in an empty directory."""
    opened = TaskLogFiles(tmp_path)
    yield opened
    await opened.close()


async def test_what_is_written_is_read(files: TaskLogFiles, tmp_path: Path) -> None:
    """Each attempt by itself, readable by nobody else; what is not there is empty."""
    await files.write(TASK, 1, KEPT)
    await files.write(TASK, 2, KeptLog(0, []))
    assert await files.read(TASK, 1) == KEPT
    assert await files.read(TASK, 2) == await files.read(TASK, 3) == KeptLog(0, [])
    assert (tmp_path / "logs" / "ab" / f"{TASK}.1").stat().st_mode & 0o077 == 0


async def test_every_cut_leaves_what_comes_before_it(files: TaskLogFiles, tmp_path: Path) -> None:
    """And is told."""
    await files.write(TASK, 1, KEPT)
    file = tmp_path / "logs" / "ab" / f"{TASK}.1"
    whole = file.read_bytes()
    told = {}
    for end in range(len(whole)):
        file.write_bytes(whole[:end])
        with capture_logs() as lines:
            parts = (await files.read(TASK, 1)).parts
        assert parts == KEPT.parts[: len(parts)]
        told[end] = len(parts), len(lines)
    assert {count for count, _ in told.values()} == {0, 1, 2}
    # At the end of a part nothing is seen to be missing.
    assert sorted(count for count, lines in told.values() if not lines) == [0, 1, 2]
    file.write_bytes(b"something else")
    with capture_logs() as lines:
        assert (await files.read(TASK, 1)).parts == []
    assert [line["event"] for line in lines] == ["task_logs.damaged"]


async def test_a_log_is_removed_after_it_was_written(files: TaskLogFiles, tmp_path: Path) -> None:
    """In the order in which it was asked for."""
    await files.write(TASK, 1, KEPT)
    await files.write(TASK, 2, KEPT)
    files.remove({TASK: 2})
    await files.close()
    assert list((tmp_path / "logs").glob("*/*")) == []


async def test_strays_are_swept(files: TaskLogFiles, tmp_path: Path) -> None:
    """Those of tasks that are gone, and drafts that a crash has left."""
    other = "cd" * 15
    await files.write(TASK, 1, KEPT)
    await files.write(other, 1, KEPT)
    (tmp_path / "logs" / "ab" / f"{TASK}.2.partial").write_bytes(b"half")
    with capture_logs() as lines:
        await files.keep_only({TASK}.__contains__)
    assert [file.name for file in (tmp_path / "logs").glob("*/*")] == [f"{TASK}.1"]
    assert [(line["event"], line["files"]) for line in lines] == [("task_logs.swept", 2)]


@pytest.mark.skipif(not may_mount(), reason="making a file system takes root")
async def test_a_full_disk_leaves_what_was_there(tmp_path: Path) -> None:
    """And says what could not be written."""
    with small_disk(tmp_path / "disk") as disk:
        files = TaskLogFiles(disk)
        await files.write(TASK, 1, KEPT)
        with pytest.raises(StoreUnavailable, match="cannot be written: No space left on device"):
            await files.write(TASK, 1, KeptLog(2**26, [(0, LogPart(0.0, Stream.STDOUT, b"x" * 2**26))]))
        assert await files.read(TASK, 1) == KEPT
        assert len(list(disk.glob("logs/*/*"))) == 1
        await files.close()


async def test_a_task_that_goes_while_another_is_written_leaves_no_file(tmp_path: Path) -> None:
    """Nothing would remove it any more."""
    files = TaskLogFiles(tmp_path)
    logs = TaskLogs(files, HandClock().monotonic)
    tasks = [a_running_task(seq) for seq in (1, 2)]
    for task in tasks:
        logs.said(task, LogPart(1.0, Stream.STDOUT, b"words"), 1_000)
    writing = asyncio.ensure_future(logs.write())
    await asyncio.sleep(0)
    logs.removed(tasks[1])
    await writing
    await files.close()
    assert stems(tmp_path) == [tasks[0].id]


def stems(data_dir: Path) -> list[str]:
    """Of which tasks there are logs."""
    return [file.stem for file in data_dir.glob("logs/*/*")]
