"""What runs at once and what an account may have, as a stranger sees it: who waits, why, and who is refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from support.acceptance import ACCOUNT, NOBODY, Door, environment, one_process, two_processes
from support.acceptance_command import command
from support.acceptance_wire import Stranger

SLEEP = {"module": "timer", "function": "sleep", "arguments": [600_000], "start": True}


async def started(door: Door, **more: object) -> str:
    """A task that sleeps, which is started."""
    answer = await door.ask("PUT", data={**SLEEP, **more})
    assert answer.status == 201, answer
    task_id: str = answer.data["id"]
    return task_id


async def reason(door: Door, task_id: str) -> Any:
    """The word for why a task does not run; none if it runs."""
    return (await door.explained(task_id)).get("reason")


async def test_limits_hold_up_what_they_mean_and_nothing_else(tmp_path: Path) -> None:
    """A key, a function, an account: each end lets the next one run."""
    limits = json.dumps({ACCOUNT: {"account_running": 3}})
    given = environment(NOBODY, tmp_path, pool_size="4", account_limits=limits)
    async with one_process(given, "--bus", "memory://") as house:
        door = house.door
        first = await started(door, concurrency_key="+4930123")
        second = await started(door, concurrency_key="+4930123")
        told = await door.explained(second)
        assert told == {
            "limit": 1,
            "reason": "key_limit",
            "running": 1,
            "waits_for": "a run with its concurrency key to end",
        }
        assert (await door.task(second))["concurrency_key"] == "+4930123"
        awaited = tmp_path / "awaited"
        alone = [await door.launch("acceptance_tasks.await_file_alone", str(awaited)) for _ in range(2)]
        assert await reason(door, alone[1]) == "function_limit"
        others = [await started(door) for _ in range(2)]
        assert [await reason(door, task_id) for task_id in others] == [None, "account_limit"]

        assert (await door.ask("PATCH", f"{others[0]}/stop")).status == 200
        assert await reason(door, others[1]) is None
        awaited.touch()
        for task_id in alone:
            assert (await door.ended(task_id))["is_success"]
        assert (await door.ask("PATCH", f"{first}/stop")).status == 200
        assert await reason(door, second) is None


async def test_over_a_quota_is_told_at_both_doors(amqp_url: str, tmp_path: Path) -> None:
    """Which one, how much there is, and when to ask again; nothing is stored, and what is below it goes on."""
    given = environment(amqp_url, tmp_path, pool_size="1", account_waiting="1", account_stored="4")
    async with two_processes(given) as house:
        door = house.door
        running, _waiting = await started(door), await started(door)
        refused = await door.ask("PUT", data=SLEEP)
        assert refused.fault == (429, "too_many_requests")
        assert refused.headers["Retry-After"] == "1"
        assert refused.data == {"quota": "waiting", "limit": 1, "used": 1, "message": "too many requests"}
        pending = await door.add("timer.sleep", 1)
        assert (await door.ask("PATCH", pending)).fault == (429, "too_many_requests")
        assert "started_at" not in await door.task(pending)

        bulk = [{**SLEEP, "start": False}] * 2
        assert (await door.ask("PUT", data=bulk)).headers["Retry-After"] == "60"
        wanted = {"Module": "timer", "Function": "sleep", "Arguments": [1]}
        with Stranger(amqp_url) as stranger:
            reply = stranger.ask("add_req", **{"Account-ID": ACCOUNT, "Tasks": [wanted] * 2}).json
        detail = {"quota": "stored", "limit": 4, "used": 3, "retry_in_s": 60}
        assert (reply["Reply"], reply["Error"]) == ("quota_exceeded", detail)

        assert (await door.ask("PATCH", f"{running}/stop")).status == 200
        assert (await door.ask("DELETE", running)).status == 200
        assert (await door.ask("PUT", data=bulk)).status == 201


async def test_starts_of_an_account_come_at_a_rate(tmp_path: Path) -> None:
    """Those above it wait for the second to be over."""
    given = environment(NOBODY, tmp_path, pool_size="2", account_starts_per_s="2")
    async with one_process(given, "--bus", "memory://") as house:
        door = house.door
        data = [{"module": "timer", "function": "sleep", "arguments": [1], "start": True}] * 5
        ids = [task["id"] for task in (await door.ask("PUT", data=data)).data]
        told = await door.explained(ids[-1])
        assert told["reason"] == "rate_until"
        ends = [await door.ended(task_id) for task_id in ids]
        assert ends[-1]["ended_at"] - ends[0]["ended_at"] in {1, 2, 3}
        assert told["rate_until"] <= ends[2]["ended_at"] + 1


async def test_a_function_that_keeps_dying_is_left_alone(amqp_url: str, tmp_path: Path) -> None:
    """Its starts are held, others run; an operator sees it and has it run again."""
    given = environment(amqp_url, tmp_path, breaker_deaths="2", breaker_pause_s="3600")
    async with two_processes(given) as house:
        door = house.door
        for _ in range(2):
            assert not (await door.run("acceptance_tasks.leave", 3))["is_success"]
        held = await door.launch("acceptance_tasks.leave", 0)
        told = await door.explained(held)
        assert told["reason"] == "breaker_until"
        assert (await door.run("acceptance_tasks.whoami"))["is_success"]
        shown = await command("breaker", given=given)
        (breaker,) = shown.values
        assert (breaker["function"], breaker["state"]) == ("acceptance_tasks.leave", "open")
        # Both are rounded up from a moment that is whole seconds away only once in a second.
        assert abs(breaker["until"] - told["breaker_until"]) <= 1
        closed = await command("breaker", "--close", "acceptance_tasks.leave", given=given)
        assert (closed.values, closed.code) == ([], 0)
        assert not (await door.ended(held))["is_success"]
        unknown = await command("breaker", "--open", "acceptance_tasks.gone", given=given)
        assert unknown.code == 1
