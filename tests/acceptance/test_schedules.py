"""What is started again and again, as a stranger has it: over REST, by commands, and over a kill."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

from support.acceptance import NOBODY, Door, environment, one_process, two_processes
from support.acceptance_command import command

WHAT = {"module": "timer", "function": "sleep", "arguments": [1]}


async def of_schedule(door: Door, schedule: str, least: int) -> list[dict[str, Any]]:
    """The tasks that a schedule has started, once there are so many."""
    async with asyncio.timeout(20):
        while True:
            tasks = (await door.ask("GET")).data
            own = [task for task in tasks if task.get("schedule_id") == schedule]
            if len(own) >= least:
                return own


async def test_a_schedule_starts_tasks_until_it_is_removed(amqp_url: str, tmp_path: Path) -> None:
    """And is seen, paused, run and changed at both doors."""
    given = environment(amqp_url, tmp_path)
    async with two_processes(given) as house:
        door = house.door
        answer = await door.ask("PUT", "schedules", data={**WHAT, "interval": 1})
        assert answer.status == 201, answer
        schedule = answer.data["id"]
        tasks = await of_schedule(door, schedule, 2)
        assert tasks[1]["started_at"] > tasks[0]["started_at"]
        assert [each["id"] for each in (await door.ask("GET", "schedules")).data] == [schedule]

        paused = await command("schedule", "pause", schedule, given=given)
        assert (paused.values[0]["paused"], paused.values[0]["next"]) == (True, [])
        changed = await door.ask(
            "PATCH",
            f"schedules/{schedule}",
            data={"cron": "30 2 * * *", "time_zone": "Europe/Berlin", "paused": False},
        )
        assert (changed.status, len(changed.data["next"])) == (200, 5)
        before = len(await of_schedule(door, schedule, 2))
        ran = await door.ask("PATCH", f"schedules/{schedule}/run")
        assert ran.status == 200
        assert len(await of_schedule(door, schedule, before + 1)) == before + 1
        assert (await door.ended(ran.data["last_task"]))["is_success"]

        shown = await command("schedule", "list", "1a2b3c4d5e6f708192a3b4c5d6e7f809", given=given)
        assert [each["cron"] for each in shown.values] == ["30 2 * * *"]
        assert (await door.ask("DELETE", f"schedules/{schedule}")).status == 200
        assert (await door.ask("GET", f"schedules/{schedule}")).fault == (404, "bad identifier")
        told = (await door.ask("GET", "audit")).data
        verbs = [each["verb"] for each in told if each["verb"].startswith("schedule")]
        assert verbs == [
            "schedule_remove",
            "schedule_run",
            "schedule_change",
            "schedule_change",
            "schedule_add",
        ]


async def test_a_schedule_survives_a_kill(tmp_path: Path) -> None:
    """Each of its times has one task, whatever was killed between."""
    given = environment(NOBODY, tmp_path)
    async with one_process(given, "--bus", "memory://") as house:
        data = {**WHAT, "interval": 1, "misfire": "catch_up", "catch_up": 100}
        schedule = (await house.door.ask("PUT", "schedules", data=data)).data["id"]
        await of_schedule(house.door, schedule, 1)
        await house.service.kill()
    async with one_process(given, "--bus", "memory://") as house:
        shown = (await house.door.ask("GET", f"schedules/{schedule}")).data
        first = shown["created_at"] + 1
        async with asyncio.timeout(20):
            while shown["last_due_at"] < first + 3:
                shown = (await house.door.ask("GET", f"schedules/{schedule}")).data
        assert (await house.door.ask("PATCH", f"schedules/{schedule}", data={"paused": True})).status == 200
        shown = (await house.door.ask("GET", f"schedules/{schedule}")).data
        tasks = await of_schedule(house.door, schedule, 1)
        assert len(tasks) == shown["last_due_at"] - shown["created_at"]


WRONG: list[tuple[dict[str, Any], str]] = [
    ({}, "data"),
    ({"cron": "* * * * *", "interval": 1}, "data"),
    ({"cron": "0 0 30 2 *"}, "cron"),
    ({"cron": "@hourly"}, "cron"),
    ({"cron": "0 0 * * *", "time_zone": "Mars/Phobos"}, "time_zone"),
    ({"interval": 0}, "interval"),
    ({"interval": 1, "misfire": "never"}, "misfire"),
    ({"interval": 1, "every": 1}, "every"),
    ({"interval": 1, "arguments": []}, "no_function"),
]


async def test_what_is_no_schedule_is_refused(tmp_path: Path) -> None:
    """By name; nothing is kept."""
    async with one_process(environment(NOBODY, tmp_path), "--bus", "memory://") as house:
        for wrong, path in WRONG:
            answer = await house.door.ask("PUT", "schedules", data={**WHAT, **wrong})
            if path == "no_function":
                assert answer.fault == (404, "bad_identifier")
                continue
            assert (answer.status, list(answer.data)) == (400, [path])
            assert "Value error" not in str(answer.data)
        assert (await house.door.ask("GET", "schedules")).data == []
