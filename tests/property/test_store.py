"""Any life of any tasks, cut into any commits: what a restart loads is the sum of the changes."""

from __future__ import annotations

import asyncio
from pathlib import Path
from tempfile import TemporaryDirectory

from hypothesis import given, settings
from hypothesis import strategies as st

from kazoo_tasks.model.change import Change, Kind, Remembered
from kazoo_tasks.model.task import Retrying, Task
from kazoo_tasks.store.sqlite import SqliteJournal
from support.build import a_task
from support.core import HandClock

TEXT = st.text(st.characters(codec="utf-8"), max_size=20)
BYTES = st.binary(max_size=40)
INSTANT = st.integers(0, 2**62)
#: One that says nothing is none.
RETRYING = st.builds(Retrying, st.binary(min_size=1, max_size=9), st.none() | INSTANT, st.none() | BYTES)
CHANGED = st.sampled_from(
    [Kind.STARTED, Kind.ASSIGNED, Kind.STOP_ASKED, Kind.PROGRESSED, Kind.ENDED, Kind.REMOVED]
)


@st.composite
def a_state(draw: st.DrawFn, seq: int) -> Task:
    """Some state of the task with this seq."""
    return a_task(
        seq,
        module=draw(TEXT),
        arguments=draw(BYTES),
        started_at=draw(st.none() | INSTANT),
        ended_at=draw(st.none() | INSTANT),
        attempt=draw(st.integers(0, 9)),
        stop_asked=draw(st.booleans()),
        error=draw(st.none() | TEXT),
        result=draw(st.none() | BYTES),
        progress=draw(st.none() | BYTES),
        priority=draw(st.none() | st.integers(0, 9)),
        start_at=draw(st.none() | INSTANT),
        concurrency_key=draw(st.none() | TEXT),
        retrying=draw(st.none() | RETRYING),
        began_at=draw(st.none() | INSTANT),
    )


@st.composite
def commits(draw: st.DrawFn) -> list[list[Change]]:
    """Changes that can follow each other, in commits of any size."""
    alive: list[int] = []
    changes: list[Change] = []
    for _ in range(draw(st.integers(0, 30))):
        kind = draw(CHANGED) if draw(st.booleans()) and alive else Kind.ADDED
        seq = draw(st.sampled_from(alive)) if alive else 0
        if kind is Kind.ADDED:
            seq = 1 + max((change.task.seq for change in changes), default=0)
            alive.append(seq)
        if kind is Kind.REMOVED:
            alive.remove(seq)
        changes.append(Change(kind, draw(a_state(seq))))
    cuts = sorted(draw(st.lists(st.integers(0, len(changes)), max_size=6)))
    return [changes[start:end] for start, end in zip([0, *cuts], [*cuts, len(changes)], strict=True)]


def folded(history: list[list[Change]]) -> list[Task]:
    """The sum of the changes, the simplest way."""
    tasks: dict[int, Task] = {}
    for change in (change for commit in history for change in commit):
        tasks.pop(change.task.seq, None)
        if change.kind is not Kind.REMOVED:
            tasks[change.task.seq] = change.task
    return [tasks[seq] for seq in sorted(tasks)]


async def replay(
    path: Path, history: list[list[Change]], pause: set[int]
) -> tuple[list[Task], list[Remembered], int]:
    """Commit it all, waiting only after some, and restart; the snapshot counts what is there."""
    journal = SqliteJournal(path, HandClock())
    await journal.load()
    for number, changes in enumerate(history):
        commit = journal.commit(changes, [Remembered("o", str(number), b"", b"", number)])
        if number in pause:
            await commit
    counted = (await journal.snapshot()).tasks
    await journal.close()
    journal = SqliteJournal(path, HandClock())
    loaded = await journal.load()
    await journal.close()
    tasks = list(loaded.tasks)
    assert counted == len(tasks)
    return tasks, list(loaded.remembered), loaded.next_seq


@settings(max_examples=60, deadline=None)
@given(history=commits(), pause=st.sets(st.integers(0, 6)))
def test_a_restart_loads_the_sum_of_the_changes(history: list[list[Change]], pause: set[int]) -> None:
    """Grouping, restarts and statements for many rows change nothing about it; no seq comes free."""
    with TemporaryDirectory() as path:
        tasks, answers, next_seq = asyncio.run(replay(Path(path), history, pause))
    assert tasks == folded(history)
    assert [answer.at for answer in answers] == list(range(len(history)))
    assert next_seq == 1 + max((change.task.seq for commit in history for change in commit), default=0)
