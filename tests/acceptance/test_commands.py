"""The operator's commands for tasks, against a running service: what they print is JSON for the next program.

Touches processes and a broker.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest

from support.acceptance import ACCOUNT, NOBODY, environment
from support.acceptance_command import Said, command
from support.program import running

Command = Callable[..., Awaitable[Said]]
UNKNOWN = "0" * 30
UNAVAILABLE = 69
#: Commands, and a part of what is said to each.
REFUSED = {
    f"show {UNKNOWN}": "not_found: No such task",
    "show abc": "expected a task id: 30 lower-case hexadecimal digits, got 'abc'",
    f"start {UNKNOWN}": "not_found",
    f"add {ACCOUNT} os abort": "no_module",
    f"add {ACCOUNT} timer wake": "no_function",
    f"add {ACCOUNT} timer sleep {{}}": "JSON array",
    "list me": "expected an account id: 32 lower-case hexadecimal digits, got 'me'",
    f"list {ACCOUNT} --status done": "expected --status to be one of pending, waiting, ",
    f"list {ACCOUNT} --created-from -1": "Created-From: Value must be at least 0",
    "token new abc": "expected an account id: 32 lower-case hexadecimal digits, got 'abc'",
}


@pytest.fixture
async def tasks(amqp_url: str, tmp_path: Path) -> AsyncIterator[Command]:
    """Something to give commands with, to a service that runs."""
    given = environment(amqp_url, tmp_path / "data")

    async def do(*arguments: str) -> Said:
        return await command(*arguments, given=given)

    async with running("service", environment=given):
        yield do


async def value(said: Awaitable[Said]) -> dict[str, Any]:
    """The one task that a command prints, and nothing else."""
    done = await said
    assert done.code == 0, done
    (task,) = done.values
    assert not done.sentences
    return dict(task)


async def test_the_life_of_a_task_by_commands(tasks: Command) -> None:
    """Added, shown, started, stopped and removed: each prints the task."""
    added = await value(tasks("add", ACCOUNT, "timer", "sleep", "[100000]"))
    assert await value(tasks("show", added["id"])) == added
    started = await value(tasks("start", added["id"]))
    assert started["is_terminated"] is False
    assert (await value(tasks("stop", added["id"])))["id"] == added["id"]
    removed = await value(tasks("remove", added["id"]))
    assert "stopped: " in removed["error"]
    assert (await tasks("list", ACCOUNT)).out == ""


async def test_an_account_s_tasks_are_listed(tasks: Command) -> None:
    """One a line, in the order in which they were added; one can be started with its adding."""
    first = await value(tasks("add", ACCOUNT, "erlang", "get_cookie"))
    second = await value(tasks("add", ACCOUNT, "timer", "sleep", "[100000]", "--start"))
    assert "started_at" in second
    assert [task["id"] for task in (await tasks("list", ACCOUNT)).values] == [first["id"], second["id"]]


async def test_a_list_takes_the_filters_that_rest_takes(tasks: Command) -> None:
    """Alone and together."""
    pending = await value(tasks("add", ACCOUNT, "erlang", "get_cookie"))
    waiting = await value(tasks("add", ACCOUNT, "timer", "sleep", "[100000]", "--start"))
    now = pending["submitted_at"]
    for filters, expected in {
        "--status pending": [pending],
        "--module timer": [waiting],
        "--function get_cookie": [pending],
        "--function sleep --module erlang": [],
        f"--created-from {now}": [pending, waiting],
        f"--created-from {now + 1000}": [],
        f"--created-to {now - 1}": [],
    }.items():
        listed = (await tasks("list", ACCOUNT, *filters.split())).values
        assert [task["id"] for task in listed] == [task["id"] for task in expected], filters


async def test_the_version_is_told(tmp_path: Path) -> None:
    """Without any settings."""
    said = await command("--version", given={})
    assert (said.code, said.out) == (0, f"kazoo-tasks {version('kazoo-tasks')}\n")


async def test_what_can_be_run_is_listed(tasks: Command) -> None:
    """A function a line, with its arguments and its first sentence."""
    said = (await tasks("functions")).out.splitlines()
    assert "timer.sleep(duration: any)  Wait for so many milliseconds." in said
    names = {line.partition("(")[0] for line in said}
    assert {"timer.sleep", "knm_converters.normalize", "erlang.get_cookie"} <= names
    assert len(names) == len(said)


async def test_a_refusal_is_one_sentence(tasks: Command) -> None:
    """And exit code 1, whatever is wrong."""
    said = await asyncio.gather(*(tasks(*words.split()) for words in REFUSED))
    for done, sentence in zip(said, REFUSED.values(), strict=True):
        assert (done.code, done.out, len(done.sentences)) == (1, "", 1), done
        assert sentence in done.sentences[0]


async def test_a_service_that_does_not_answer_is_told(amqp_url: str, tmp_path: Path) -> None:
    """After two seconds, with the exit code for what is unavailable."""
    said = await command("list", ACCOUNT, given=environment(amqp_url, tmp_path))
    assert (said.code, said.out, len(said.sentences)) == (UNAVAILABLE, "", 1)
    assert "got none" in said.sentences[0]


async def test_a_broker_that_is_away_is_told(tmp_path: Path) -> None:
    """One sentence, as for a start."""
    said = await command("show", UNKNOWN, given=environment(NOBODY, tmp_path))
    assert (said.code, said.out, len(said.sentences)) == (78, "", 1)
    assert "cannot reach the broker" in said.sentences[0]
