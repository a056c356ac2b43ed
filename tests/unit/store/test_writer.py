"""The journal's thread: groups, failures, order."""

from __future__ import annotations

import asyncio
from threading import Event

import pytest

from kazoo_tasks.model.change import Change, Kind
from kazoo_tasks.model.errors import StoreBroken, StoreUnavailable
from kazoo_tasks.store.batch import Batch
from kazoo_tasks.store.writer import Writer
from support.build import a_task


class Disk:
    """Takes batches; stands still while it is held, fails as it is told."""

    def __init__(self) -> None:
        self.batches: list[int] = []
        self.errors: list[Exception] = []
        self.free = Event()
        self.free.set()

    def write(self, batch: Batch) -> None:
        assert self.free.wait(10)
        self.batches.append(len(batch.futures))
        if self.errors:
            raise self.errors.pop(0)


async def stopped(writer: Writer) -> None:
    """The thread has ended."""
    await writer.stop(lambda: None)


async def test_what_waits_for_the_disk_is_written_together() -> None:
    """While one transaction is under way, all others become the next one."""
    disk = Disk()
    disk.free.clear()
    writer = Writer(disk.write)
    commits = [writer.commit((), ()) for _ in range(50)]
    disk.free.set()
    await asyncio.gather(*commits)
    assert sum(disk.batches) == 50
    assert len(disk.batches) <= 2
    await stopped(writer)


async def test_nobody_is_told_before_the_disk_has_it() -> None:
    """While the disk stands still, the commit is not done."""
    disk = Disk()
    disk.free.clear()
    writer = Writer(disk.write)
    commit = writer.commit((), ())
    done, _ = await asyncio.wait([commit], timeout=0.05)
    assert not done
    disk.free.set()
    await commit
    await stopped(writer)


async def test_a_full_disk_fails_its_batch_and_no_other() -> None:
    """Each waiter gets an error of its own; the next commit succeeds."""
    disk = Disk()
    disk.errors = [StoreUnavailable("full")]
    writer = Writer(disk.write)
    with pytest.raises(StoreUnavailable, match="full"):
        await writer.commit((), ())
    await writer.commit((), ())
    assert not writer.is_broken
    await stopped(writer)


@pytest.mark.parametrize("error", [StoreBroken("gone"), ValueError("gone")])
async def test_any_other_failure_is_the_end(error: Exception) -> None:
    """All waiters and all later commits are told, and nothing is written any more."""
    disk = Disk()
    disk.errors = [error]
    writer = Writer(disk.write)
    for _ in range(3):
        with pytest.raises(StoreBroken, match="gone"):
            await writer.commit((), ())
    assert (disk.batches, writer.is_broken) == ([1], True)
    await stopped(writer)


async def test_waiters_of_a_failed_batch_get_errors_of_their_own() -> None:
    """A shared one would collect the tracebacks of all who raise it."""
    disk = Disk()
    disk.free.clear()
    writer = Writer(disk.write)
    first = writer.commit((), ())
    disk.errors = [StoreUnavailable("full")] * 3
    commits = [first, *(writer.commit((), ()) for _ in range(5))]
    disk.free.set()
    errors = await asyncio.gather(*commits, return_exceptions=True)
    assert len({id(error) for error in errors}) == 6
    await stopped(writer)


async def test_something_is_read_beside_a_job_that_writes_commits() -> None:
    """It need not wait for the end of it; other jobs do."""
    disk = Disk()
    writer = Writer(disk.write)
    order: list[str] = []
    may_end = Event()

    def long_job() -> None:
        while not may_end.is_set():
            writer.flush(0.001)
        order.append("long")

    long = writer.run(long_job)
    other = writer.run(lambda: order.append("other"))
    await writer.read(lambda: order.append("read"))
    may_end.set()
    await asyncio.gather(long, other)
    assert order == ["read", "long", "other"]
    await stopped(writer)


async def test_an_job_comes_after_the_commits_before_it() -> None:
    """And its error belongs to the one who asked."""
    disk = Disk()
    writer = Writer(disk.write)
    _ = writer.commit([Change(Kind.ADDED, a_task())], ())
    assert await writer.run(lambda: list(disk.batches)) == [1]
    with pytest.raises(ZeroDivisionError):
        await writer.run(lambda: 1 // 0)
    await writer.commit((), ())
    await stopped(writer)


async def test_a_long_job_lets_commits_pass_and_other_jobs_wait() -> None:
    """Flush writes what waits; an job among it gets its turn afterwards."""
    disk = Disk()
    writer = Writer(disk.write)
    order: list[str] = []
    asked = Event()

    def long() -> None:
        assert asked.wait(10)
        writer.flush(0.05)
        order.append(f"long, {sum(disk.batches)} written")

    first = writer.run(long)
    second = writer.run(lambda: order.append("second"))
    commit = writer.commit((), ())
    asked.set()
    await asyncio.gather(first, second, commit)
    assert order == ["long, 1 written", "second"]
    await stopped(writer)


async def test_a_failed_flush_ends_the_job() -> None:
    """Those who waited for the commit are told, and so is the one who sent the job."""
    disk = Disk()
    disk.errors = [StoreUnavailable("full")]
    writer = Writer(disk.write)
    asked = Event()
    job = writer.run(lambda: writer.flush(0.05) if asked.wait(10) else None)
    commit = writer.commit((), ())
    asked.set()
    errors = await asyncio.gather(job, commit, return_exceptions=True)
    assert [type(error) for error in errors] == [StoreUnavailable, StoreUnavailable]
    await stopped(writer)


def test_a_closed_loop_is_no_harm() -> None:
    """The thread goes on and writes; there is nobody to tell."""
    disk = Disk()
    disk.free.clear()

    async def ask() -> Writer:
        writer = Writer(disk.write)
        _ = writer.commit((), ())
        return writer

    writer = asyncio.run(ask())
    writer._inbox.put(None)
    disk.free.set()
    writer._thread.join(10)
    assert disk.batches == [1]
