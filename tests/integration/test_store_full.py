"""A disk without room, and one that fails: refusals, recovery, and nothing lost of what was acknowledged.

Run as a program, this file fills its journal until the system's limit for the size of a file stops it.
"""

from __future__ import annotations

import asyncio
import os
import re
import resource
import shutil
import subprocess
import sys
from collections.abc import Iterable, Iterator
from itertools import count, islice
from pathlib import Path

import pytest

from kazoo_tasks.model.change import Change, Kind
from kazoo_tasks.model.errors import CannotStart, StoreBroken, StoreUnavailable
from kazoo_tasks.store.sqlite import SqliteJournal
from support.build import a_task
from support.core import HandClock
from support.disk import may_mount, small_disk, use_up

TESTS = Path(__file__).parents[1]
LIMIT_BYTES = 3_000_000
LACK_OF_ROOM = re.compile(
    r".*/disk.* cannot be (used: No space left on device \(.*\)|opened: database or disk is full)"
)


needs_mount = pytest.mark.skipif(not may_mount(), reason="only root may mount a small file system")


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 4 MB."""
    with small_disk(tmp_path / "disk") as path:
        yield path


async def fill(journal: SqliteJournal, seqs: Iterable[int]) -> list[int]:
    """Commit until it is refused; gives what was acknowledged."""
    done = []
    for seq in seqs:
        try:
            await journal.commit([Change(Kind.ADDED, a_task(seq, arguments=b"x" * 1000))])
        except (StoreUnavailable, StoreBroken):
            break
        done.append(seq)
    return done


async def seen(data_dir: Path) -> list[int]:
    """What a start on this directory finds."""
    journal = SqliteJournal(data_dir, HandClock())
    loaded = await journal.load()
    await journal.close()
    return [task.seq for task in loaded.tasks]


@needs_mount
async def test_a_full_disk_refuses_and_recovers_alone(disk: Path) -> None:
    """Refused while it is full, accepted again when there is room, without a restart."""
    filler = disk / "filler"
    filler.write_bytes(b"x" * 2_000_000)
    journal = SqliteJournal(disk / "data", HandClock())
    await journal.load()
    seqs = count(1)
    done = await fill(journal, seqs)
    with pytest.raises(StoreUnavailable, match="cannot grow"):
        await journal.commit([Change(Kind.ADDED, a_task(next(seqs), arguments=b"x" * 100_000))])
    with pytest.raises(StoreUnavailable, match="bytes to be free for a snapshot"):
        await journal.snapshot()
    filler.unlink()
    more = await fill(journal, islice(seqs, 100))
    await journal.close()
    assert len(done) > 100
    assert len(more) == 100
    assert await seen(disk / "data") == done + more


@needs_mount
@pytest.mark.parametrize("before", [0, 1], ids=["first", "later"])
async def test_a_start_on_a_full_disk_is_refused(disk: Path, before: int) -> None:
    """However little is missing, with one sentence that says so; the next one works as soon as there is room."""
    refusals = []
    for pages in count():
        data_dir = disk / f"{pages}"
        for _ in range(before):
            await seen(data_dir)
        use_up(disk / "filler", but_pages=pages)
        refusal = await refused(data_dir)
        (disk / "filler").unlink()
        if not refusal:
            break
        refusals.append(refusal)
        assert await seen(data_dir) == []
        assert names(data_dir) == {"journal.sqlite3", "snapshots", "lock", "epoch"}
        shutil.rmtree(data_dir)
    assert len(refusals) > 5
    assert [refusal for refusal in refusals if not LACK_OF_ROOM.fullmatch(refusal)] == []


async def refused(data_dir: Path) -> str:
    """What a start on this directory says if it is refused."""
    try:
        await seen(data_dir)
    except CannotStart as error:
        return str(error)
    return ""


def names(directory: Path) -> set[str]:
    """What is in a directory."""
    return {path.name for path in directory.iterdir()}


@needs_mount
async def test_a_stop_on_a_full_disk_loses_nothing(disk: Path) -> None:
    """It is not clean, so the next start checks the file."""
    journal = SqliteJournal(disk / "data", HandClock())
    await journal.load()
    done = await fill(journal, islice(count(1), 50))
    use_up(disk / "filler")
    done += await fill(journal, count(51))
    await journal.close()
    (disk / "filler").unlink()
    assert await seen(disk / "data") == done


async def test_a_journal_at_its_limit_refuses_and_goes_on(tmp_path: Path) -> None:
    """The same with SQLite's own limit: the batch is refused, what was there is kept, a removal makes room."""
    journal = SqliteJournal(tmp_path, HandClock())
    await journal.load()
    connection = journal._file._open
    assert journal._writer is not None
    await journal._writer.run(lambda: connection.execute("PRAGMA max_page_count = 100").fetchall())
    seqs = count(1)
    done = await fill(journal, seqs)
    assert len(done) > 10
    await journal.commit([Change(Kind.REMOVED, a_task(seq)) for seq in done[:10]])
    done = done[10:] + await fill(journal, seqs)
    await journal.close()
    assert await seen(tmp_path) == done


async def test_an_io_error_is_the_end(tmp_path: Path) -> None:
    """A write that the system refuses for another reason: broken, and every acknowledged commit is there later."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(TESTS), *sys.path])}
    command = [sys.executable, __file__, str(tmp_path)]
    process = await asyncio.create_subprocess_exec(*command, env=environment, stdout=subprocess.PIPE)
    said, _ = await process.communicate()
    word, number = said.splitlines()[-1].split()
    assert word == b"StoreBroken"
    done = int(number)
    tasks = await seen(tmp_path)
    assert done > 100
    assert tasks[:done] == list(range(1, done + 1))


async def _fill_to_the_limit(data_dir: Path) -> None:
    journal = SqliteJournal(data_dir, HandClock())
    await journal.load()
    resource.setrlimit(resource.RLIMIT_FSIZE, (LIMIT_BYTES, LIMIT_BYTES))
    done = await fill(journal, count(1))
    try:
        await journal.commit([])
    except StoreBroken as error:
        sys.stdout.write(f"\n{type(error).__name__} {len(done)}\n")


if __name__ == "__main__":
    asyncio.run(_fill_to_the_limit(Path(sys.argv[1])))
