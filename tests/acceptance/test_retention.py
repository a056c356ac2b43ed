"""Finished tasks that are too many or too old, in the running program: while it runs, and at a start.

Touches processes, files and a broker.
"""

from __future__ import annotations

import asyncio
from pathlib import Path

from kazoo_tasks.model.change import Change, Kind
from kazoo_tasks.model.task import Task
from kazoo_tasks.store.sqlite import SqliteJournal
from support.acceptance import ACCOUNT, NOBODY, Door, a_door, environment, one_process
from support.acceptance_wire import Stranger
from support.build import NOW, a_task
from support.core import HandClock
from support.program import PATIENCE_S, running

LOGS = "support.saying_tasks"


async def filled(data_dir: Path, tasks: list[Task]) -> None:
    """Have a journal with these tasks, as a former start left it."""
    journal = SqliteJournal(data_dir, HandClock())
    await journal.load()
    await journal.commit([Change(Kind.ADDED, task) for task in tasks])
    await journal.close()


async def left(door: Door, count: int) -> list[str]:
    """Wait until an account has so many tasks; gives their ids, oldest first."""
    async with asyncio.timeout(PATIENCE_S):
        while len(tasks := (await door.ask("GET")).data) != count:
            pass
    return [task["id"] for task in tasks]


async def test_too_many_are_removed_as_if_somebody_had(amqp_url: str, tmp_path: Path) -> None:
    """The first ones: events are told, logs go, what was never started stays, and the audit says by whom."""
    given = environment(amqp_url, tmp_path / "data", modules=LOGS, task_keep="2")
    with Stranger(amqp_url) as stranger:
        events = stranger.bound("tasks", "tasks.event.*.*.task_removed")
        async with running("run", environment=given) as program, a_door(program) as door:
            pending = await door.add("saying_tasks.say", "never")
            ids = [(await door.run("saying_tasks.say", "words"))["id"] for _ in range(5)]
            assert await left(door, 3) == [pending, *ids[3:]]
            assert [post.json["Task-ID"] for post in stranger.take(events, 3)] == ids[:3]
            entries = (await door.ask("GET", f"{ids[0]}/audit")).data
            assert [(entry["verb"], entry.get("detail")) for entry in entries] == [
                ("remove", {"by": "retention"}),
                ("add", {"start": True}),
            ]
            assert (await door.ask("GET", ids[0])).status == 404
            assert (await door.ask("GET", f"{ids[0]}/log")).status == 404
    # A stop writes the logs that are not on disk yet.
    assert sorted(file.stem for file in (tmp_path / "data" / "logs").glob("*/*")) == sorted(ids[3:])


async def test_too_many_are_noticed_at_once(tmp_path: Path) -> None:
    """However many other accounts there are, through which the search for what is old takes minutes."""
    others = [a_task(seq, account_id=f"{seq:032x}") for seq in range(1, 50_001)]
    await filled(tmp_path / "data", others)
    given = environment(NOBODY, tmp_path / "data", task_keep="1")
    async with one_process(given, "--bus", "memory://") as house:
        ids = [(await house.door.run("timer.sleep", 1))["id"] for _ in range(3)]
        assert await left(house.door, 1) == [ids[2]]


async def test_what_has_become_too_old_is_removed_after_a_start(tmp_path: Path) -> None:
    """However many there are; the file is not larger for it."""
    old = [a_task(seq, account_id=ACCOUNT, started_at=NOW, ended_at=NOW) for seq in range(1, 5_001)]
    waiting = a_task(6_000, account_id=ACCOUNT, id="ab" * 15)
    await filled(tmp_path / "data", [*old, waiting])
    file = tmp_path / "data" / "journal.sqlite3"
    size = file.stat().st_size

    async with one_process(environment(NOBODY, tmp_path / "data"), "--bus", "memory://") as house:
        assert await left(house.door, 1) == [waiting.id]
        entries = (await house.door.ask("GET", "audit")).data
        assert sum(entry["count"] for entry in entries) == 5_000
        assert len(entries) == 50
    assert file.stat().st_size <= size + 100_000
