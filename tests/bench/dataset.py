"""Journals full of finished tasks, made once and kept.

Touches .run/bench-data through the store's own code; asked by the measures that need many tasks.
"""

from __future__ import annotations

import asyncio
import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from bench.process import RUN
from bench.spec import ACCOUNT
from kazoo_tasks.assembly.clock import SystemClock
from kazoo_tasks.model.change import Change, Kind
from kazoo_tasks.model.gregorian import from_unix
from kazoo_tasks.model.task import Task
from kazoo_tasks.store.sqlite import SqliteJournal
from kazoo_tasks.store.statement import SCHEMA

FEW: Final = 1_000
MANY: Final = 1_000_000
SIZES: Final = (FEW, 10_000, 100_000, MANY)
#: One task in so many is of the one large account.
LARGE_SHARE: Final = 10
_ACCOUNTS: Final = 1_000
_AT_ONCE: Final = 20_000
#: Changes when the data below do.
_EDITION: Final = 1


def dataset(count: int) -> Path:
    """A data directory with so many finished tasks in 1,000 accounts, a tenth of them in one."""
    place = RUN / "bench-data" / f"schema{SCHEMA}-{_EDITION}-{count}"
    if not place.exists():
        draft = place.with_suffix(".draft")
        shutil.rmtree(draft, ignore_errors=True)
        draft.parent.mkdir(parents=True, exist_ok=True)
        asyncio.run(_write(draft, count))
        draft.rename(place)
    return place


def task_id(seq: int) -> str:
    """The id of the task at a place in the order of submission."""
    return f"{seq:030x}"


def sample(count: int, wanted: int = 200) -> list[str]:
    """Ids from all over a data set, all of the large account."""
    step = max(LARGE_SHARE, count // wanted // LARGE_SHARE * LARGE_SHARE)
    return [task_id(seq) for seq in range(LARGE_SHARE, count + 1, step)]


def tasks(count: int) -> Iterator[Task]:
    """The tasks of a data set, in the order of submission."""
    newest = from_unix(int(time.time()))
    for seq in range(1, count + 1):
        at = newest - (count - seq) // 5
        yield Task(
            seq=seq,
            id=task_id(seq),
            account_id=ACCOUNT if seq % LARGE_SHARE == 0 else f"{1 + seq % (_ACCOUNTS - 1):032x}",
            module="bench_task",
            function="noop",
            arguments=b'["%010d"]' % seq,
            submitted_at=at,
            started_at=at,
            ended_at=at + seq % 3,
            attempt=1,
            epoch=1,
        )


async def _write(place: Path, count: int) -> None:
    journal = SqliteJournal(place, SystemClock())
    await journal.load()
    changes: list[Change] = []
    for task in tasks(count):
        changes.append(Change(Kind.ADDED, task))
        if len(changes) == _AT_ONCE:
            await journal.commit(changes)
            changes = []
    await journal.commit(changes)
    await journal.close()
