"""Tasks that are started later, as a stranger has them: over REST, by a command, and over a restart."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

import pytest

from support.acceptance import NOBODY, Door, environment, one_process, two_processes
from support.acceptance_command import command

GREGORIAN = 62_167_219_200


def now() -> float:
    """Gregorian seconds."""
    return time.time() + GREGORIAN


async def begun(door: Door, task_id: str) -> float:
    """When a task is seen to have been started, in Gregorian seconds."""
    async with asyncio.timeout(20):
        while "started_at" not in await door.task(task_id):
            pass
    return now()


async def test_a_task_starts_when_it_was_said_to(amqp_url: str, tmp_path: Path) -> None:
    """Within a tenth of a second, which is asked for here in a machine's terms; and is told to wait until then."""
    async with two_processes(environment(amqp_url, tmp_path)) as house:
        door = house.door
        data = {"module": "timer", "function": "sleep", "arguments": [1], "delay": 2}
        answer = await door.ask("PUT", data=data)
        assert answer.status == 201, answer
        task = answer.data
        assert task["start_at"] == task["submitted_at"] + 2
        assert await door.explained(task["id"]) == {
            "reason": "start_at",
            "waits_for": "its start",
            "start_at": task["start_at"],
        }
        assert 0 <= await begun(door, task["id"]) - task["start_at"] < 1
        ended = await door.ended(task["id"])
        assert ended["started_at"] == ended["start_at"] == task["start_at"]

        pending = await door.add("timer.sleep", 1)
        later = await door.ask("PATCH", pending, data={"delay": 1_000})
        assert (later.status, "started_at" in later.data) == (200, False)
        said = await command("start", pending, "--delay", "1", given=environment(amqp_url, tmp_path))
        assert said.values[0]["start_at"] < later.data["start_at"]
        await begun(door, pending)
        assert (await door.ask("PATCH", pending, data={"delay": 1})).fault == (404, "bad_identifier")


@pytest.mark.parametrize(
    ("when", "path"),
    [
        ({"start_at": "tomorrow"}, "start_at"),
        ({"delay": -1}, "delay"),
        ({"start_at": 63_000_000_000, "delay": 1}, "delay"),
    ],
)
async def test_what_is_no_time_is_refused(tmp_path: Path, when: dict[str, object], path: str) -> None:
    """By name, whether a task is added or started."""
    async with one_process(environment(NOBODY, tmp_path), "--bus", "memory://") as house:
        data = {"module": "timer", "function": "sleep", "arguments": [1], **when}
        answer = await house.door.ask("PUT", data=data)
        assert (answer.status, list(answer.data)) == (400, [path])
        pending = await house.door.add("timer.sleep", 1)
        answer = await house.door.ask("PATCH", pending, data=when)
        assert (answer.status, list(answer.data)) == (400, [path])
        assert "started_at" not in await house.door.task(pending)


async def test_a_start_survives_a_kill(tmp_path: Path) -> None:
    """What comes due meanwhile starts at once, and just once."""
    given = environment(NOBODY, tmp_path)
    async with one_process(given, "--bus", "memory://") as house:
        data = {"module": "timer", "function": "sleep", "arguments": [1]}
        added = await house.door.ask("PUT", data=[{**data, "delay": 1}, {**data, "delay": 86_400}])
        due, tomorrow = (task["id"] for task in added.data)
        await house.service.kill()
    async with one_process(given, "--bus", "memory://") as house:
        assert (await house.door.ended(due))["is_success"]
        assert "started_at" not in await house.door.task(tomorrow)
        listed = await house.door.ask("GET")
        assert [task["id"] for task in listed.data] == [due, tomorrow]
