"""What an operator sees of running and waiting tasks: over REST, AMQP and by commands.

Touches processes and a broker.
"""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

from support.acceptance import ACCOUNT, Door, House, environment, two_processes
from support.acceptance_command import command
from support.acceptance_wire import Stranger


async def get(door: Door, path: str) -> tuple[int, Any]:
    """A GET below the account's tasks."""
    url = f"http://127.0.0.1:{door.port}/v2/accounts/{ACCOUNT}/tasks/{path}"
    async with door.session.get(
        url, headers={"X-Auth-Token": "dev-token-dev-token-dev-token-dev"}
    ) as response:
        return response.status, (await response.json())["data"]


async def running(house: House) -> str:
    """A task that a child is at."""
    task_id = await house.door.launch("timer.sleep", 60_000)
    async with asyncio.timeout(20):
        while not (await house.door.explained(task_id)).get("pid"):
            pass
    return task_id


async def test_tasks_are_explained(amqp_url: str, tmp_path: Path) -> None:
    """What each waits for, and what the one that runs takes and may take; without being asked nothing is said of it."""
    async with two_processes(environment(amqp_url, tmp_path / "data", pool_size="1", drain_s="0")) as house:
        door = house.door
        runs = await running(house)
        waits = await door.launch("timer.sleep", 60_000)
        pending = await door.add("timer.sleep", 60_000)
        explained = {task: await door.explained(task) for task in (runs, waits, pending)}
        assert (explained[runs]["slot"], explained[runs]["processes"]) == (1, 1)
        assert explained[runs]["log_bytes"] == 0
        assert explained[runs]["limits"] == {
            "timeout_s": 86_400.0,
            "memory_bytes": 2**31,
            "processes": 256,
            "result_bytes": 65_536,
            "log_bytes": 2**20,
        }
        assert (explained[waits], explained[pending]) == (
            {"reason": "pool_full", "waits_for": "a slot", "behind": 0, "of_account": 0},
            {"reason": "not_started", "waits_for": "its start"},
        )
        assert "explain" not in (await get(door, runs))[1]
        await door.ask("PATCH", f"{runs}/stop")
        assert await door.explained(runs) == {}


async def test_a_running_task_shows_its_stack(amqp_url: str, tmp_path: Path) -> None:
    """The same over REST, AMQP and by the command; one that does not run is refused."""
    given = environment(amqp_url, tmp_path / "data", drain_s="0")
    async with two_processes(given) as house:
        task_id = await running(house)
        status, told = await get(house.door, f"{task_id}/stack")
        assert (status, told["id"]) == (200, task_id)
        assert "in sleep" in told["stack"]
        with Stranger(amqp_url) as stranger:
            reply = await asyncio.to_thread(stranger.ask, "stack_req", Task_ID=task_id)
        assert "in sleep" in reply.json["Reply"]["stack"]
        said = await command("stack", task_id, given=given)
        assert (said.code, "in sleep" in said.out) == (0, True)
        pending = await house.door.add("timer.sleep", 1)
        assert (await get(house.door, f"{pending}/stack"))[0] == 404
        assert (await get(house.door, f"{'0' * 30}/stack"))[0] == 404
        assert await house.service.stop() == 0
        stopped = await house.service.logged("service.stopped")
    # Those that mean something to the log itself, which fails on others' values under them.
    assert not stopped.keys() & {"stack", "stack_info", "exception", "exc_info"}
    assert stopped["requests"]["stack"] == 5


async def test_the_pool_is_shown(amqp_url: str, tmp_path: Path) -> None:
    """A slot a line, with what it runs."""
    given = environment(amqp_url, tmp_path / "data", drain_s="0")
    async with two_processes(given) as house:
        task_id = await running(house)
        said = await command("pool", given=given)
        slots = [json.loads(line) for line in said.out.splitlines()]
        assert [slot["slot"] for slot in slots] == [1, 2]
        assert [slot.get("task_id") for slot in slots if slot["state"] == "busy"] == [task_id]
        assert "task_id" not in next(slot for slot in slots if slot["state"] == "idle")
