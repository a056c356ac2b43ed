"""Several commits as one transaction."""

from __future__ import annotations

import asyncio

from kazoo_tasks.model.change import Change, Kind
from kazoo_tasks.store.batch import MAX_BYTES, MAX_COMMITS, Batch, Commit
from support.build import a_task


def a_commit(*changes: Change) -> Commit:
    """A commit of these changes, with somebody waiting."""
    return Commit(changes, (), (), (), asyncio.get_running_loop().create_future())


async def test_the_last_state_of_a_task_counts() -> None:
    """Of all that happened to a task in one transaction only the outcome is written."""
    batch = Batch()
    batch.add(a_commit(Change(Kind.ADDED, a_task(1)), Change(Kind.ADDED, a_task(2))))
    batch.add(a_commit(Change(Kind.STARTED, a_task(1).start(9)), Change(Kind.REMOVED, a_task(2))))
    assert batch.tasks == {1: a_task(1).start(9), 2: None}
    assert batch.growth == 1


async def test_a_batch_is_full_by_number() -> None:
    """Not before the last one."""
    batch = Batch()
    for _ in range(MAX_COMMITS):
        assert not batch.is_full
        batch.add(a_commit())
    assert batch.is_full


async def test_a_batch_is_full_by_size() -> None:
    """Whatever the number."""
    batch = Batch()
    batch.add(a_commit(Change(Kind.ADDED, a_task(arguments=b"x" * MAX_BYTES))))
    assert batch.is_full
