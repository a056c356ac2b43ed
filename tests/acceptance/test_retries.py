"""A task that is tried again, as a stranger has it: over REST, by a command, and with what each attempt printed."""

from __future__ import annotations

from pathlib import Path

from support.acceptance import environment, failure, two_processes
from support.acceptance_command import command


async def test_it_is_tried_until_it_works_and_each_attempt_is_told(amqp_url: str, tmp_path: Path) -> None:
    """Real children that die; then once more by hand."""
    given = environment(amqp_url, tmp_path)
    async with two_processes(given) as house:
        door = house.door
        counter = tmp_path / "attempts"
        what = {"module": "acceptance_tasks", "function": "die_before", "arguments": [str(counter), 3]}
        data = {**what, "start": True, "retry": {"attempts": 2, "backoff": 0, "on": ["exit"]}}
        answer = await door.ask("PUT", data=data)
        assert (answer.status, answer.data["retry"]["on"]) == (201, ["exit"])
        task_id = answer.data["id"]
        over = await door.ended(task_id)
        assert failure(over).kind == "exit"
        assert [(each["attempt"], each["error"].split()[1]) for each in over["attempts"]] == [
            (1, "exit:"),
            (2, "exit:"),
        ]
        for attempt in (1, 2):
            log = await door.ask("GET", f"{task_id}/log?attempt={attempt}")
            assert log.body == f"this is attempt {attempt}\n".encode()

        said = await command("retry", task_id, given=given)
        assert said.values[0]["id"] == task_id
        over = await door.ended(task_id)
        assert (over["is_success"], over["result"], len(over["attempts"])) == (True, 3, 3)
        assert (await door.ask("PATCH", f"{task_id}/retry")).fault == (404, "bad_identifier")
        told = (await door.ask("GET", f"{task_id}/audit")).data
        assert [(each["verb"], each["answer"]) for each in reversed(told)] == [
            ("add", "ok"),
            ("retry", "ok"),
            ("retry", "not_failed"),
        ]


async def test_a_policy_is_checked_at_the_door(amqp_url: str, tmp_path: Path) -> None:
    """By its shape, and by what the function allows."""
    async with two_processes(environment(amqp_url, tmp_path)) as house:
        what = {"module": "timer", "function": "sleep", "arguments": [1]}
        for retry, path in (
            ({"attempts": 0}, "retry.attempts"),
            ({"attempts": 2, "on": ["stopped"]}, "retry.on.0"),
            ({"attempts": 2, "pause": 1}, "retry.pause"),
        ):
            answer = await house.door.ask("PUT", data={**what, "retry": retry})
            assert (answer.status, list(answer.data)) == (400, [path])
        refused = await house.door.ask(
            "PUT",
            data={
                "module": "acceptance_tasks",
                "function": "whoami",
                "arguments": [],
                "retry": {"attempts": 2},
            },
        )
        assert (refused.status, list(refused.data)) == (400, ["retry.on"])
