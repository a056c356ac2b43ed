"""Copies of a journal, cut at random places: a start finds a prefix of what was committed, or refuses in a sentence."""

from __future__ import annotations

import asyncio
import random
import shutil
from pathlib import Path

import pytest

from kazoo_tasks.model.change import Change, Kind
from kazoo_tasks.model.errors import CannotStart
from kazoo_tasks.store.sqlite import SqliteJournal
from support.build import a_task
from support.core import HandClock

CUTS = 60
#: Enough for the log to be folded into the file and begun again.
TASKS = 600
AT_ONCE = 4


@pytest.fixture(scope="module")
def torn(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The files of a journal as a power cut leaves them: not closed, the newest commits in the log only."""
    live, copy = tmp_path_factory.mktemp("live"), tmp_path_factory.mktemp("copy") / "data"
    asyncio.run(tear(live, copy))
    return copy


async def tear(live: Path, copy: Path) -> None:
    """Commit, copy the files while they are open, and only then close."""
    journal = SqliteJournal(live, HandClock())
    await journal.load()
    for first in range(1, TASKS, AT_ONCE):
        tasks = [a_task(seq, arguments=b"x" * 5000) for seq in range(first, first + AT_ONCE)]
        await journal.commit([Change(Kind.ADDED, task) for task in tasks])
    shutil.copytree(live, copy)
    await journal.close()


async def found(data_dir: Path) -> list[int] | None:
    """What a start finds; None when it refuses."""
    journal = SqliteJournal(data_dir, HandClock())
    try:
        loaded = await journal.load()
    except CannotStart:
        return None
    await journal.close()
    return [task.seq for task in loaded.tasks]


async def after_a_cut(torn: Path, data_dir: Path, name: str, size: int) -> list[int] | None:
    """What a start finds in a copy, one file of which was cut."""
    shutil.copytree(torn, data_dir, dirs_exist_ok=True)
    with (data_dir / name).open("r+b") as file:
        file.truncate(size)
    return await found(data_dir)


async def test_the_torn_files_are_whole(torn: Path, tmp_path: Path) -> None:
    """Without a cut everything is there, and it needs both files."""
    shutil.copytree(torn, tmp_path, dirs_exist_ok=True)
    assert (torn / "journal.sqlite3-wal").stat().st_size > 100_000
    assert await found(tmp_path) == list(range(1, TASKS + 1))


async def test_a_cut_log_gives_a_prefix(torn: Path, tmp_path: Path) -> None:
    """Whole commits, from the first on, and never less than what is in the file."""
    size = (torn / "journal.sqlite3-wal").stat().st_size
    chance = random.Random(1)
    floor = len(await after_a_cut(torn, tmp_path / "floor", "journal.sqlite3-wal", 0) or [])
    assert 0 < floor < TASKS
    for cut in range(CUTS):
        at = chance.randrange(size)
        tasks = await after_a_cut(torn, tmp_path / str(cut), "journal.sqlite3-wal", at)
        assert tasks is not None
        assert tasks == list(range(1, len(tasks) + 1)), f"cut at {at}"
        assert len(tasks) % AT_ONCE == 0
        assert len(tasks) >= floor


async def test_a_cut_file_gives_a_prefix_or_a_refusal(torn: Path, tmp_path: Path) -> None:
    """The log may hold what the file lost; if not, that is told rather than covered up."""
    size = (torn / "journal.sqlite3").stat().st_size
    chance = random.Random(2)
    for cut in range(CUTS):
        at = chance.randrange(size)
        tasks = await after_a_cut(torn, tmp_path / str(cut), "journal.sqlite3", at)
        assert tasks is None or tasks == list(range(1, TASKS + 1)), f"cut at {at}"


async def test_scrambled_pages_are_refused_or_harmless(torn: Path, tmp_path: Path) -> None:
    """A page full of noise, anywhere in the file: never a traceback, never fewer tasks."""
    pages = (torn / "journal.sqlite3").stat().st_size // 4096
    chance = random.Random(3)
    for cut in range(CUTS):
        data_dir = tmp_path / str(cut)
        shutil.copytree(torn, data_dir)
        with (data_dir / "journal.sqlite3").open("r+b") as file:
            file.seek(4096 * chance.randrange(pages))
            file.write(chance.randbytes(4096))
        tasks = await found(data_dir)
        assert tasks is None or tasks == list(range(1, TASKS + 1))
