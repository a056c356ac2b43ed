"""A disk without room, and one that fails: refusals, recovery, and nothing lost of what was acknowledged.

Run as a program, this file fills its journal until the system's limit for the size of a file stops it.
"""

from __future__ import annotations

import asyncio
import os
import resource
import subprocess
import sys
from collections.abc import Iterable, Iterator
from contextlib import suppress
from itertools import count, islice
from pathlib import Path

import pytest

from kazoo_tasks.model.change import Change, Kind
from kazoo_tasks.model.errors import CannotStart, StoreBroken, StoreUnavailable
from kazoo_tasks.store.sqlite import SqliteJournal
from support.build import a_task
from support.core import HandClock

TESTS = Path(__file__).parents[1]
LIMIT_BYTES = 3_000_000


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 4 MB."""
    path = tmp_path / "disk"
    path.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", path], check=True)
    yield path
    subprocess.run(["umount", path], check=True)


def use_up(filler: Path) -> None:
    """Not a byte is free on the file system of this file."""
    with suppress(OSError), filler.open("wb", buffering=0) as file:
        while True:
            file.write(b"x" * 4096)


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


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may mount a small file system")
async def test_a_full_disk_refuses_and_recovers_alone(small_disk: Path) -> None:
    """Refused while it is full, accepted again when there is room, without a restart."""
    filler = small_disk / "filler"
    filler.write_bytes(b"x" * 2_000_000)
    journal = SqliteJournal(small_disk / "data", HandClock())
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
    assert await seen(small_disk / "data") == done + more


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may mount a small file system")
async def test_a_start_on_a_full_disk_is_refused(small_disk: Path) -> None:
    """With one sentence, and it works once there is room."""
    filler = small_disk / "filler"
    use_up(filler)
    with pytest.raises(CannotStart, match="cannot be used: No space left on device"):
        await SqliteJournal(small_disk / "data", HandClock()).load()
    filler.unlink()
    assert await seen(small_disk / "data") == []


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may mount a small file system")
async def test_a_stop_on_a_full_disk_loses_nothing(small_disk: Path) -> None:
    """It is not clean, so the next start checks the file."""
    journal = SqliteJournal(small_disk / "data", HandClock())
    await journal.load()
    done = await fill(journal, islice(count(1), 50))
    use_up(small_disk / "filler")
    done += await fill(journal, count(51))
    await journal.close()
    (small_disk / "filler").unlink()
    assert await seen(small_disk / "data") == done


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
