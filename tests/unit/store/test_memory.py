"""The seam of the journal in memory: commits that fail when they are told to."""

from __future__ import annotations

import pytest

from kazoo_tasks.model.change import Change, Kind
from kazoo_tasks.model.errors import StoreBroken, StoreUnavailable
from kazoo_tasks.store.memory import MemoryJournal
from support.build import a_task

CHANGES = [Change(Kind.ADDED, a_task())]


async def test_a_full_disk_passes() -> None:
    """As many commits fail as were told to, and keep nothing; the next one succeeds."""
    journal = MemoryJournal()
    await journal.load()
    journal.fail_next(StoreUnavailable("full"), times=2)
    for _ in range(2):
        with pytest.raises(StoreUnavailable, match="full"):
            await journal.commit(CHANGES)
    assert list((await journal.load()).tasks) == []
    await journal.commit(CHANGES)
    assert len(list((await journal.load()).tasks)) == 1


async def test_a_broken_journal_stays_broken() -> None:
    """After StoreBroken everything fails, until it is loaded again."""
    journal = MemoryJournal()
    await journal.load()
    journal.fail_next(StoreBroken("gone"))
    for _ in range(2):
        with pytest.raises(StoreBroken, match="gone"):
            await journal.commit(CHANGES)
    await journal.load()
    await journal.commit(CHANGES)


async def test_a_crash_loses_what_was_under_way() -> None:
    """A load without close drops commits that nobody was told of."""
    journal = MemoryJournal()
    await journal.load()
    _ = journal.commit(CHANGES)
    assert list((await journal.load()).tasks) == []
