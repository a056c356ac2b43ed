"""A service that is killed by SIGKILL, and the next one in its data directory.

Touches a broker, processes and files: everything is killed once, and each test looks at one consequence.
"""

from __future__ import annotations

import asyncio
import json
import signal
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from support.acceptance import Door, environment, failure, held, lines, two_processes
from support.broker import SessionBroker
from support.pool import written
from support.program import running

#: What the kernel may need to bring a SIGKILL to everybody.
LIMIT_S = 2.0


@dataclass(frozen=True)
class Tasks:
    """The ids of the tasks, by what they did when the service was killed."""

    pending: str
    waiting: str
    running: str
    idempotent: str
    finished: tuple[str, ...]


@dataclass(frozen=True)
class After:
    """What the next service made of them; only the pending one was started, and only once it had been looked at."""

    finished: list[bytes]
    repeated: bytes
    pending: dict[str, Any]
    ended: dict[str, dict[str, Any]]
    ids: list[str]


@dataclass(frozen=True)
class Story:
    """All that is known of the kill.

    Attributes:
        finished: The responses about the finished tasks before it.
        added: The response to the request that added one of them, which is sent again after it.
        family: The service and the processes below it, by id, with their command lines.
        survivors: Those that did not end with it.
        runs: The processes in which the running task ever ran.
    """

    tasks: Tasks
    finished: list[bytes]
    added: bytes
    exit_code: int
    family: dict[int, str]
    survivors: list[str]
    after: After
    runs: list[int]


@pytest.fixture(scope="module")
def story(broker: SessionBroker, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Story]:
    """A service killed in the middle of everything, and another one that goes on where it was."""
    with broker.fresh_vhost() as url:
        yield asyncio.run(_kill_and_go_on(url, tmp_path_factory.mktemp("killed")))


async def _kill_and_go_on(url: str, folder: Path) -> Story:
    given = environment(url, folder / "data")
    async with two_processes(given) as house:
        added = await _ask_once(house.door)
        tasks = await _fill(house.door, folder, json.loads(added)["data"]["id"])
        finished = await _bodies(house.door, tasks.finished)
        with held(house.service.pid) as family:
            code = await house.service.kill()
            survivors = family.survivors(LIMIT_S)
        async with running("service", environment=given):
            after = await _look(house.door, tasks)
    return Story(tasks, finished, added, code, family.pids, survivors, after, list(lines(folder / "hold")))


async def _ask_once(door: Door) -> bytes:
    """The same request each time: what is replied to it."""
    keyed = replace(door, headers={**door.headers, "Idempotency-Key": "once"})
    task = {"module": "timer", "function": "sleep", "arguments": [0], "start": True}
    return (await keyed.ask("PUT", data=task)).body


async def _fill(door: Door, folder: Path, added: str) -> Tasks:
    """Have tasks in every state, one of them added already; the pool has two slots."""
    finished = (added, await door.launch("timer.sleep", "bla"))
    for task_id in finished:
        await door.ended(task_id)
    holding = await door.launch("acceptance_tasks.hold", str(folder / "hold"))
    idempotent = await door.launch("acceptance_tasks.once_more", str(folder / "once_more"))
    for name in ("hold", "once_more"):
        await written(folder / name)
    waiting = await door.launch("erlang.get_cookie")
    pending = await door.add("knm_converters.normalize", "4157125234")
    return Tasks(pending, waiting, holding, idempotent, finished)


async def _bodies(door: Door, ids: Iterable[str]) -> list[bytes]:
    return [(await door.ask("GET", task_id)).body for task_id in ids]


async def _look(door: Door, tasks: Tasks) -> After:
    finished = await _bodies(door, tasks.finished)
    repeated = await _ask_once(door)
    names = ("running", "idempotent", "waiting")
    ended = {name: await door.ended(getattr(tasks, name)) for name in names}
    pending = await door.task(tasks.pending)
    await door.ask("PATCH", tasks.pending)
    ended["pending"] = await door.ended(tasks.pending)
    ids = [task["id"] for task in (await door.ask("GET")).data]
    return After(finished, repeated, pending, ended, ids)


def test_no_process_survives(story: Story) -> None:
    """Fork server, children and the program that a task had started: all are gone within two seconds."""
    assert story.exit_code == -signal.SIGKILL
    assert len(story.family) >= 5
    assert any("sleep 600" in command for command in story.family.values())
    assert not story.survivors


def test_finished_tasks_are_unchanged(story: Story) -> None:
    """The responses about a success and a failure are the same, byte for byte."""
    assert story.after.finished == story.finished


def test_a_request_sent_again_gets_its_first_answer(story: Story) -> None:
    """Byte for byte, with the task as it was then; `test_no_task_is_lost_or_made` has counted that it made no other."""
    assert story.after.repeated == story.added
    assert b'"status":"success"' in story.added


def test_a_pending_task_is_there_and_can_be_started(story: Story) -> None:
    """It was not started by anybody meanwhile."""
    assert "started_at" not in story.after.pending
    assert story.after.ended["pending"]["result"] == "+14157125234"


def test_a_waiting_task_runs_by_itself(story: Story) -> None:
    """Its start was acknowledged, so nobody has to ask again."""
    assert story.after.ended["waiting"]["result"] == "nocookie"


def test_a_running_task_was_interrupted(story: Story) -> None:
    """It may not be run twice: it has failed, says of what, and ran once."""
    task = story.after.ended["running"]
    assert task["is_success"] is False
    assert failure(task).kind == "interrupted"
    assert len(story.runs) == 1


def test_an_idempotent_task_runs_again(story: Story) -> None:
    """It was interrupted as well, and succeeds at the second time."""
    task = story.after.ended["idempotent"]
    assert task["is_success"] is True
    assert task["result"] == 2


def test_no_task_is_lost_or_made(story: Story) -> None:
    """They are listed in the order in which they came."""
    tasks = story.tasks
    assert story.after.ids == [*tasks.finished, tasks.running, tasks.idempotent, tasks.waiting, tasks.pending]
