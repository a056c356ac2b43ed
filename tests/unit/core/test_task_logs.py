"""Logs of tasks between the pool and the disk: what is kept where, for how long, and who is woken."""

from __future__ import annotations

import asyncio

import pytest

from kazoo_tasks.core.order import Reading
from kazoo_tasks.core.task_logs import TaskLogs
from kazoo_tasks.model.errors import NotFound
from kazoo_tasks.model.task import Task
from kazoo_tasks.model.task_log import LeftOut, LogPart, Stream
from support.build import ACCOUNT, a_task
from support.core import HandClock, HandLogStore, Office

PLENTY = 10_000


def part(text: str) -> LogPart:
    """Something that was printed."""
    return LogPart(1.0, Stream.STDOUT, text.encode())


def running(seq: int = 1) -> Task:
    """A task at its first attempt."""
    return a_task(seq).start(0).assign(1)


class Logs:
    """Logs with a store and a clock in the test's hand."""

    def __init__(self) -> None:
        self.store = HandLogStore()
        self.clock = HandClock()
        self.logs = TaskLogs(self.store, self.clock.monotonic)

    async def text(self, task: Task) -> str:
        """What can be read of the present attempt."""
        page = await self.logs.read((task.id, task.attempt), 0, 0)
        return "".join(part.data.decode() for part in page.parts if isinstance(part, LogPart))


async def test_what_is_on_disk_is_no_longer_in_memory() -> None:
    """And is read from there."""
    desk, task = Logs(), running()
    desk.logs.said(task, part("hello"), PLENTY)
    await desk.logs.write()
    assert desk.logs.size(task) == 5
    desk.logs.ended(task)
    await desk.logs.write()
    assert desk.logs.size(task) == 0
    assert await desk.text(task) == "hello"


async def test_what_cannot_be_written_is_offered_again() -> None:
    """And told for as long as it cannot."""
    desk, task = Logs(), running()
    desk.store.refuses = "the disk is full"
    desk.logs.said(task, part("hello"), PLENTY)
    desk.logs.ended(task)
    await desk.logs.write()
    assert (desk.logs.refused, await desk.text(task)) == ("the disk is full", "hello")
    desk.store.refuses = None
    await desk.logs.write()
    assert (desk.logs.refused, list(desk.store.kept)) == (None, [(task.id, 1)])


async def test_what_cannot_be_written_does_not_fill_the_memory() -> None:
    """The oldest goes, and is counted."""
    desk = Logs()
    desk.store.refuses = "the disk is full"
    for seq in range(1, 5):
        desk.logs.said(running(seq), part("x" * 2**24), 2**26)
        desk.logs.ended(running(seq))
    await desk.logs.write()
    assert desk.logs.lost_bytes == 0
    desk.logs.said(running(5), part("y"), 2**26)
    desk.logs.ended(running(5))
    await desk.logs.write()
    assert desk.logs.lost_bytes == 2**24
    assert (await desk.text(running(1)), await desk.text(running(5))) == ("", "y")


async def test_a_long_log_is_not_written_each_second() -> None:
    """Each time is all of it; the last time does not wait."""
    desk, task = Logs(), running()
    desk.logs.said(task, part("x" * 2**20), 2**22)
    await desk.logs.write()
    desk.logs.said(task, part("y"), 2**22)
    await desk.logs.write()
    assert desk.store.kept[task.id, 1].size == 2**20
    await desk.logs.write(last=True)
    assert desk.store.kept[task.id, 1].size == 2**20 + 1


async def test_what_is_said_too_late_is_counted() -> None:
    """The run is over, and its log on disk."""
    desk, task = Logs(), running()
    desk.logs.said(task, part("in time"), PLENTY)
    desk.logs.ended(task)
    over = task.succeed(1, None)
    desk.logs.said(over, part(", just"), PLENTY)
    await desk.logs.write()
    desk.logs.said(over, part("too late"), PLENTY)
    assert (await desk.text(task), desk.logs.lost_bytes) == ("in time, just", 8)


async def test_who_waits_is_told_of_the_next_word_and_of_the_end() -> None:
    """And of nothing that others say."""
    desk, task = Logs(), running()
    waiting = asyncio.ensure_future(desk.logs.read((task.id, 1), 0, 60))
    await asyncio.sleep(0)
    desk.logs.said(running(2), part("not mine"), PLENTY)
    await asyncio.sleep(0)
    assert not waiting.done()
    desk.logs.said(task, part("mine"), PLENTY)
    assert (await waiting).next == 4
    waiting = asyncio.ensure_future(desk.logs.read((task.id, 1), 4, 60))
    await asyncio.sleep(0)
    desk.logs.ended(task)
    assert (await waiting).parts == []


async def test_only_some_may_wait() -> None:
    """Others are answered at once."""
    desk, task = Logs(), running()
    waiting = [asyncio.ensure_future(desk.logs.read((task.id, 1), 0, 60)) for _ in range(32)]
    await asyncio.sleep(0)
    async with asyncio.timeout(10):
        assert (await desk.logs.read((task.id, 1), 0, 60)).parts == []
    desk.logs.ended(task)
    await asyncio.gather(*waiting)


async def test_a_log_goes_with_its_task() -> None:
    """That of each attempt, in memory and on disk."""
    desk, task = Logs(), running()
    desk.logs.said(task, part("first"), PLENTY)
    desk.logs.ended(task)
    await desk.logs.write()
    again = task.requeue().assign(2)
    desk.logs.said(again, part("second"), PLENTY)
    desk.logs.removed(again)
    await desk.logs.write(last=True)
    assert (desk.store.kept, desk.logs.size(again)) == ({}, 0)


async def test_the_handlers_read_what_the_pool_told() -> None:
    """As much of it as the limit says, of the account that may."""
    office = await Office().open()
    task_id = (await office.add(start=True))["id"]
    for number in range(200):
        assert office.pool.watcher
        office.pool.watcher.said(task_id, part(f"{number:06}\n"))
    excerpt = await office.handlers.log(task_id, ACCOUNT, Reading())
    assert (excerpt.attempt, excerpt.attempts, excerpt.is_over, excerpt.page.size) == (1, 1, False, 1_400)
    (gap,) = [part.size for part in excerpt.page.parts if isinstance(part, LeftOut)]
    assert 1_400 - 1_000 < gap < 1_400 - 700
    office.pool.end(task_id)
    await office.settled()
    assert (await office.handlers.log(task_id, ACCOUNT, Reading(place=1_400, wait_s=60))).is_over
    with pytest.raises(NotFound):
        await office.handlers.log(task_id, "f" * 32, Reading())


async def test_the_log_of_a_task_that_goes_meanwhile_is_over() -> None:
    """Whoever waits for it waits no longer."""
    office = await Office().open()
    pending = (await office.add())["id"]
    waiting = asyncio.ensure_future(office.handlers.log(pending, ACCOUNT, Reading(wait_s=60)))
    await asyncio.sleep(0)
    await office.remove(pending)
    async with asyncio.timeout(10):
        assert (await waiting).is_over
