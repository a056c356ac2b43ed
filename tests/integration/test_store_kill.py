"""A process that commits without a pause and is killed: whatever it acknowledged is there afterwards.

Run as a program, this file is that process: it prints the number of each commit once it is done.
"""

from __future__ import annotations

import asyncio
import os
import random
import subprocess
import sys
from itertools import count, islice
from pathlib import Path

import pytest

from kazoo_tasks.model.change import Change, Kind, Remembered
from kazoo_tasks.store.sqlite import SqliteJournal
from support.build import NOW, a_task
from support.core import HandClock

WRITERS = 8
TESTS = Path(__file__).parents[1]


async def commit_for_ever(data_dir: Path) -> None:
    """Load, then write and take snapshots until somebody kills us."""
    journal = SqliteJournal(data_dir, HandClock())
    seqs = count((await journal.load()).next_seq)
    await asyncio.gather(*(_write(journal, seqs) for _ in range(WRITERS)), _take_snapshots(journal))


async def _write(journal: SqliteJournal, seqs: count[int]) -> None:
    for seq in seqs:
        answer = Remembered("owner", str(seq), b"digest", b"reply", NOW)
        await journal.commit([Change(Kind.ADDED, a_task(seq))], [answer])
        sys.stdout.write(f"{seq}\n")
        sys.stdout.flush()


async def _take_snapshots(journal: SqliteJournal) -> None:
    while True:
        await journal.snapshot()


def acknowledged(data_dir: Path, lines: int) -> set[int]:
    """Let the process run until it has said so much, kill it, and read what it said until then."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(TESTS), *sys.path])}
    with subprocess.Popen(
        [sys.executable, __file__, str(data_dir)], env=environment, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        # Its log lines go to the same place as its numbers; the last line may be cut short.
        said = [*islice(process.stdout, lines)]
        process.kill()
        said += process.stdout.readlines()
    return {int(line) for line in said if line[:-1].isdigit() and line.endswith("\n")}


@pytest.mark.parametrize("seed", range(10))
async def test_nothing_acknowledged_is_lost(tmp_path: Path, seed: int) -> None:
    """Killed again and again on the same files; tasks and their answers are there together or not at all."""
    chance = random.Random(seed)
    done: set[int] = set()
    for _ in range(2):
        done |= acknowledged(tmp_path, chance.randrange(1, 400))
        journal = SqliteJournal(tmp_path, HandClock())
        loaded = await journal.load()
        tasks = {task.seq for task in loaded.tasks}
        await journal.close()
        assert done <= tasks
        assert {int(answer.msg_id) for answer in loaded.remembered} == tasks


if __name__ == "__main__":
    asyncio.run(commit_for_ever(Path(sys.argv[1])))
