"""Children that die in the middle of a task, by somebody else's hand or their own.

Touches processes and files; the program is seen over REST, and no broker is needed for it.
"""

from __future__ import annotations

import os
import signal
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from support.acceptance import NOBODY, Door, House, environment, failure, one_process
from support.pool import written


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[House]:
    """A program with two slots."""
    async with one_process(environment(NOBODY, tmp_path / "data"), "--bus", "memory://") as house:
        yield house


async def both_slots_work(door: Door, folder: Path) -> bool:
    """Whether two tasks run at the same time: neither ends before both have begun."""
    marks = [folder / "one", folder / "other"]
    end = folder / "end"
    tasks = [await door.launch("acceptance_tasks.await_file", str(mark), str(end)) for mark in marks]
    pids = {await written(mark) for mark in marks}
    end.touch()
    return len(pids) == 2 and all([(await door.ended(task))["result"] == "it came" for task in tasks])


async def test_a_child_killed_from_outside_is_told_and_replaced(house: House, tmp_path: Path) -> None:
    """The task ends as `killed: signal 9`, and both slots work afterwards."""
    task_id = await house.door.launch("acceptance_tasks.hold", str(tmp_path / "mark"))
    pid = await written(tmp_path / "mark")
    os.kill(pid, signal.SIGKILL)
    told = failure(await house.door.ended(task_id))
    assert (told.kind, told.reason, told.trace) == ("killed", "signal 9 (SIGKILL)", None)
    assert told.worker.startswith(f"0.{pid}.")
    assert await both_slots_work(house.door, tmp_path)


async def test_a_child_that_ends_itself_is_told_and_replaced(house: House, tmp_path: Path) -> None:
    """The task ends as `exit: exit code 3`, and both slots work afterwards."""
    told = failure(await house.door.run("acceptance_tasks.leave", 3))
    assert (told.kind, told.reason, told.trace) == ("exit", "exit code 3", None)
    assert await both_slots_work(house.door, tmp_path)


async def test_a_waiting_task_outlives_the_children(house: House, tmp_path: Path) -> None:
    """With both slots' children killed at once, what waited for one of them runs next."""
    marks = [tmp_path / name for name in ("one", "other")]
    held = [await house.door.launch("acceptance_tasks.hold", str(mark)) for mark in marks]
    pids = [await written(mark) for mark in marks]
    waiting = await house.door.launch("acceptance_tasks.whoami")
    for pid in pids:
        os.kill(pid, signal.SIGKILL)
    assert {failure(await house.door.ended(task)).kind for task in held} == {"killed"}
    assert (await house.door.ended(waiting))["result"] not in pids
