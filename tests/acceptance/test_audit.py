"""Who did what, as an account reads it over REST, an operator by the command and a crossbar over AMQP.

Touches processes, files and a broker.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from support.acceptance import ACCOUNT, NOBODY, OTHER_ACCOUNT, Door, a_door, environment, one_process
from support.acceptance_command import command
from support.acceptance_wire import Stranger
from support.program import running


async def told(door: Door, task: str = "") -> list[tuple[str, str]]:
    """Verbs and answers, oldest first."""
    answer = await door.ask("GET", f"{task}/audit" if task else "audit")
    assert answer.status == 200, answer
    return [(entry["verb"], entry["answer"]) for entry in reversed(answer.data)]


async def test_a_life_is_told_after_it_and_after_a_kill(tmp_path: Path) -> None:
    """With whose token it was, from where, and under which request id; on disk before anybody is answered."""
    given = environment(NOBODY, tmp_path / "data")
    async with one_process(given, "--bus", "memory://") as house:
        task_id = await house.door.add("timer.sleep", 1)
        for method, path in (("PATCH", "/stop"), ("PATCH", ""), ("PATCH", "")):
            await house.door.ask(method, f"{task_id}{path}")
        await house.door.ended(task_id)
        await house.door.ask("DELETE", task_id)
        await house.service.kill()
    async with one_process(given, "--bus", "memory://") as house:
        assert await told(house.door, task_id) == [
            ("add", "ok"),
            ("stop", "not_running"),
            ("start", "ok"),
            ("start", "already_started"),
            ("remove", "ok"),
        ]
        (last, *_) = (await house.door.ask("GET", f"{task_id}/audit")).data
        who = {
            key: last[key] for key in ("account_id", "auth_account_id", "client_ip", "request_id", "task_id")
        }
        assert who == {
            "account_id": ACCOUNT,
            "auth_account_id": ACCOUNT,
            "client_ip": "127.0.0.1",
            "request_id": "the-same",
            "task_id": task_id,
        }


async def test_ten_thousand_tasks_are_one_entry(tmp_path: Path) -> None:
    """Which each of them shows, also when it is gone."""
    async with one_process(environment(NOBODY, tmp_path / "data"), "--bus", "memory://") as house:
        new = {"module": "timer", "function": "sleep", "arguments": [1]}
        tasks = (await house.door.ask("PUT", data=[new] * 10_000)).data
        for place in (0, 5_000, 9_999):
            assert await told(house.door, tasks[place]["id"]) == [("add", "ok")]
        await house.door.ask("DELETE", tasks[5_000]["id"])
        assert await told(house.door, tasks[5_000]["id"]) == [("add", "ok"), ("remove", "ok")]
        ((count, module),) = [
            (entry["count"], entry["module"])
            for entry in (await house.door.ask("GET", "audit?page_size=2")).data
            if entry["verb"] == "add"
        ]
        assert (count, module) == (10_000, "timer")


async def test_commands_and_crossbars_are_told_apart(amqp_url: str, tmp_path: Path) -> None:
    """Each by its node; another account reads nothing of it, and does not hear that there is such a task."""
    given = environment(amqp_url, tmp_path / "data")
    async with running("run", environment=given) as program, a_door(program) as door:
        with Stranger(amqp_url) as stranger:
            added = stranger.ask(
                "add_req", Account_ID=ACCOUNT, Module="timer", Function="sleep", Arguments=[1], Node="k@h"
            )
            task_id = added.json["Reply"]["id"]
            stranger.ask("remove_req", Account_ID=OTHER_ACCOUNT, Task_ID=task_id)
            assert (await command("remove", task_id, given=given)).code == 0
            said = await command("audit", ACCOUNT, "--task", task_id, given=given)
            assert [(entry["verb"], entry["node"]) for entry in said.values] == [
                ("remove", added.json["Node"]),
                ("add", "k@h"),
            ]
            assert (await door.ask("GET", f"{task_id}/audit")).data == said.values
            theirs: list[dict[str, Any]] = stranger.ask("audit_req", Account_ID=OTHER_ACCOUNT).json["Reply"]
            assert [(entry["verb"], entry["answer"]) for entry in theirs] == [("remove", "not_found")]
            hidden = stranger.ask("audit_req", Account_ID=OTHER_ACCOUNT, Task_ID=task_id).json
            assert hidden["Reply"] == "not_found"
        assert len((await command("audit", ACCOUNT, "--most", "1", given=given)).values) == 1
        wrong = await command("audit", ACCOUNT, "--task", "abc", given=given)
        assert "expected a task id: 30 lower-case hexadecimal digits, got 'abc'" in wrong.sentences[0]
