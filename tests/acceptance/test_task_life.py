"""The life of a task as the specification's author would try it, with `timer.sleep` for everything.

Touches a process over REST; no broker is needed for it.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from support.acceptance import ACCOUNT, NOBODY, House, environment, failure, held, one_process
from support.program import settings

NOT_NOW = (404, "bad_identifier")
LONG_MS = 100_000
#: SIGTERM, and what a child needs to be gone.
LIMIT_S = 3.0


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[House]:
    """Service and gateway in one process, without any broker."""
    async with one_process(environment(NOBODY, tmp_path / "data"), "--bus", "memory://") as house:
        yield house


async def test_memory_bus_needs_no_broker(tmp_path: Path) -> None:
    """`run --bus memory://` serves REST with the shipped modules; the broker of the settings is not even there."""
    given = settings(NOBODY, tmp_path / "data")
    async with one_process(given, "--bus", "memory://") as house:
        task = await house.door.run("knm_converters.normalize", "4157125234")
        assert task["result"] == "+14157125234"
        assert (await house.door.ask("DELETE", task["id"])).data == task
        assert (await house.door.ask("GET")).data == []
        assert await house.service.stop() == 0


async def test_a_sleep_of_a_word_fails(house: House) -> None:
    """With an `error` of the specified shape: `(<a.b.c>) error: reason`, then the stack trace."""
    task = await house.door.run("timer.sleep", "bla")
    found = failure(task)
    assert (task["is_success"], task["is_terminated"], "result" in task) == (False, True, False)
    assert found.worker.startswith("0.")
    assert (found.kind, found.reason) == ("error", "ValueError('bla')")
    assert found.trace
    assert found.trace.startswith("Traceback (most recent call last):\n")
    assert "timer.py" in found.trace


async def test_a_long_sleep_runs(house: House) -> None:
    """It has started and not ended, and has no other keys than the specification shows."""
    task_id = await house.door.add("timer.sleep", LONG_MS)
    started = (await house.door.ask("PATCH", task_id)).data
    assert started == await house.door.task(task_id)
    assert started["is_terminated"] is False
    known = {
        "account_id",
        "arguments",
        "function",
        "id",
        "is_terminated",
        "module",
        "started_at",
        "submitted_at",
    }
    assert set(started) == known


async def test_a_running_task_is_neither_started_again_nor_removed(house: House) -> None:
    """Both are refused, with the underscore of a known thing in the wrong state, and change nothing."""
    task_id = await house.door.launch("timer.sleep", LONG_MS)
    before = await house.door.task(task_id)
    for refused in (await house.door.ask("PATCH", task_id), await house.door.ask("DELETE", task_id)):
        assert refused.fault == NOT_NOW
        assert refused.json["error"] == "404"
        assert refused.data == {"cause": task_id, "message": "bad identifier"}
    assert await house.door.task(task_id) == before


async def test_a_running_task_can_be_stopped(house: House) -> None:
    """The process that slept is gone, and DELETE then gives the task."""
    task_id = await house.door.launch("timer.sleep", LONG_MS)
    with held(house.service.pid) as family:
        assert (await house.door.ask("PATCH", f"{task_id}/stop")).status == 200
        task = await house.door.ended(task_id)
        sleeper = int(failure(task).worker.split(".")[1])
        assert family.dies(sleeper, LIMIT_S)
    assert failure(task).kind == "stopped"
    assert (await house.door.ask("DELETE", task_id)).data == task
    assert (await house.door.ask("GET", task_id)).fault == (404, "bad identifier")


async def test_a_task_that_ended_is_not_started_again_nor_stopped(house: House) -> None:
    """What has ended stays as it is, and can be removed: DELETE gives it as it was."""
    task = await house.door.run("timer.sleep", 0)
    for change in (task["id"], f"{task['id']}/stop"):
        assert (await house.door.ask("PATCH", change)).fault == NOT_NOW
    assert (await house.door.ask("DELETE", task["id"])).data == task


async def test_a_task_that_was_never_started_can_be_removed(house: House) -> None:
    """DELETE gives it, and then it is unknown: the spelling with a space."""
    task_id = await house.door.add("timer.sleep", LONG_MS)
    task = await house.door.task(task_id)
    assert (await house.door.ask("DELETE", task_id)).data == task
    gone = await house.door.ask("DELETE", task_id)
    assert (gone.fault, gone.data) == ((404, "bad identifier"), [task_id])
    assert task["account_id"] == ACCOUNT
