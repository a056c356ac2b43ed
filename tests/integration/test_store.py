"""The journal on a real file: what it leaves on the disk, and what it refuses to start on."""

from __future__ import annotations

import asyncio
import os
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from kazoo_tasks.model.change import Change, Kind
from kazoo_tasks.model.errors import CannotStart, DirectoryInUse, StoreBroken
from kazoo_tasks.store import database
from kazoo_tasks.store.sqlite import SqliteJournal
from kazoo_tasks.store.statement import SCHEMA
from support.build import a_task
from support.core import HandClock


def a_journal(data_dir: Path) -> SqliteJournal:
    """A journal in this directory, not yet loaded."""
    return SqliteJournal(data_dir, HandClock())


async def filled(data_dir: Path, tasks: int = 3) -> Path:
    """A closed journal with some tasks; gives its file."""
    journal = a_journal(data_dir)
    await journal.load()
    await journal.commit([Change(Kind.ADDED, a_task(seq)) for seq in range(1, tasks + 1)])
    await journal.close()
    return data_dir / "journal.sqlite3"


def execute(path: Path, sql: str) -> None:
    """Run one statement on a closed journal's file."""
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute(sql)


async def refusal(data_dir: Path) -> str:
    """What a start on this directory says when it refuses."""
    with pytest.raises(CannotStart) as caught:
        await a_journal(data_dir).load()
    return str(caught.value)


async def test_files_are_private_and_tidy_after_a_stop(tmp_path: Path) -> None:
    """Only the owner reads them, and the write-ahead log is folded in."""
    path = await filled(tmp_path / "data")
    assert {file.name for file in path.parent.iterdir()} == {"journal.sqlite3", "snapshots", "lock", "epoch"}
    assert all(file.stat().st_mode & 0o077 == 0 for file in (path.parent, *path.parent.iterdir()))


async def test_the_connection_is_as_durable_as_it_must_be(tmp_path: Path) -> None:
    """Read back: WAL, synchronous FULL, no memory map."""
    with closing(database.connect(tmp_path / "file")) as connection:
        got = [
            database.pragma(connection, name)
            for name in ("journal_mode", "synchronous", "wal_autocheckpoint")
        ]
        assert got == ["wal", 2, 250]
        assert connection.execute("PRAGMA mmap_size").fetchone() in {None, (0,)}


async def test_a_second_instance_is_refused(tmp_path: Path) -> None:
    """With the first one's pid; it goes on undisturbed, and after its end the directory is free."""
    first = a_journal(tmp_path)
    await first.load()
    with pytest.raises(DirectoryInUse, match=rf"in use by another instance \(pid {os.getpid()}\)"):
        await a_journal(tmp_path).load()
    await first.commit([Change(Kind.ADDED, a_task())])
    await first.close()
    again = a_journal(tmp_path)
    assert len(list((await again.load()).tasks)) == 1
    await again.close()


async def test_a_newer_schema_is_refused(tmp_path: Path) -> None:
    """There is no way back; the message names both versions."""
    execute(await filled(tmp_path), f"PRAGMA user_version = {SCHEMA + 1}")
    assert f"to be at most version {SCHEMA}, got {SCHEMA + 1}: a newer release wrote it" in await refusal(
        tmp_path
    )


async def test_another_programs_file_is_refused(tmp_path: Path) -> None:
    """And left as it is."""
    execute(tmp_path / "journal.sqlite3", "CREATE TABLE theirs (x)")
    before = (tmp_path / "journal.sqlite3").read_bytes()
    assert "to be a journal of kazoo-tasks, got a file with the application id 0" in await refusal(tmp_path)
    # The two bytes that say "this file has a write-ahead log", and the counter that goes with them.
    assert len((tmp_path / "journal.sqlite3").read_bytes()) == len(before)


async def test_a_text_file_is_refused(tmp_path: Path) -> None:
    """With the damage named, and that there is no snapshot to go back to."""
    (tmp_path / "journal.sqlite3").write_text("a diary, and nothing else\n" * 100)
    assert "is damaged (file is not a database); there is no good snapshot" in await refusal(tmp_path)


@pytest.mark.parametrize("how", ["unlink", "empty"])
async def test_a_journal_that_is_gone_is_not_taken_for_a_first_start(tmp_path: Path, how: str) -> None:
    """The mark beside it tells that there was one."""
    path = await filled(tmp_path)
    path.unlink() if how == "unlink" else os.truncate(path, 0)
    assert "journal.sqlite3 is gone or empty, and there was one before" in await refusal(tmp_path)


async def test_a_lost_file_that_is_put_back_has_lost_nothing(tmp_path: Path) -> None:
    """The refused start has not touched the log, where the newest commits are."""
    journal = a_journal(tmp_path / "live")
    await journal.load()
    await journal.commit([Change(Kind.ADDED, a_task())])
    shutil.copytree(tmp_path / "live", tmp_path / "crashed")
    await journal.close()
    kept = (tmp_path / "crashed" / "journal.sqlite3").rename(tmp_path / "kept")
    await refusal(tmp_path / "crashed")
    kept.replace(tmp_path / "crashed" / "journal.sqlite3")
    journal = a_journal(tmp_path / "crashed")
    assert list((await journal.load()).tasks) == [a_task()]
    await journal.close()


async def test_a_refused_start_lets_go_of_the_directory(tmp_path: Path) -> None:
    """The operator can act on it, and the next start tells the same."""
    path = await filled(tmp_path)
    os.truncate(path, path.stat().st_size - 4096)
    assert await refusal(tmp_path) == await refusal(tmp_path)


async def test_damage_after_an_unclean_stop_is_found_and_the_way_out_told(tmp_path: Path) -> None:
    """A page that loading would not trip over is found by the check; the newest good snapshot is named."""
    journal = a_journal(tmp_path)
    await journal.load()
    await journal.commit([Change(Kind.ADDED, a_task(seq)) for seq in range(1, 200)])
    good = (await journal.snapshot()).path
    bad = (await journal.snapshot()).path
    await journal.close()
    os.truncate(bad, 5000)
    execute(tmp_path / "journal.sqlite3", "UPDATE meta SET value = 0 WHERE key = 'clean'")
    _scramble_a_cell_count(tmp_path / "journal.sqlite3")
    assert f"run: kazoo-tasks restore {good} --force" in await refusal(tmp_path)


def _scramble_a_cell_count(path: Path) -> None:
    """Let the last page of the tasks claim less than it has."""
    content = bytearray(path.read_bytes())
    last = max(
        at for at in range(0, len(content), 4096) if content[at] == 0x0D and content[at + 4 : at + 5] > b"\0"
    )
    content[last + 7] = 200
    path.write_bytes(content)


async def test_an_epoch_is_never_used_twice(tmp_path: Path) -> None:
    """Not even after a start that died between the mark and the commit."""
    await filled(tmp_path)
    (tmp_path / "epoch").write_text("41\n")
    journal = a_journal(tmp_path)
    assert (await journal.load()).epoch == 42
    await journal.close()


async def test_half_a_surrogate_pair_does_not_break_the_journal(tmp_path: Path) -> None:
    """Text that UTF-8 cannot hold is written as its escape."""
    journal = a_journal(tmp_path)
    await journal.load()
    await journal.commit([Change(Kind.ADDED, a_task(error="bad \ud800"))])
    await journal.close()
    journal = a_journal(tmp_path)
    assert [task.error for task in (await journal.load()).tasks] == ["bad \\ud800"]
    await journal.close()


async def test_a_failed_commit_breaks_the_journal_and_the_stop_is_not_clean(tmp_path: Path) -> None:
    """Whatever SQLite says other than "full": no commit is trusted after it."""
    journal = a_journal(tmp_path)
    await journal.load()
    await journal.commit([Change(Kind.ADDED, a_task())])
    too_large = a_task(2, arguments=b"x" * 1_000_000_001)
    for changes in ([Change(Kind.ADDED, too_large)], []):
        with pytest.raises(StoreBroken):
            await journal.commit(changes)
    await journal.close()
    with closing(sqlite3.connect(tmp_path / "journal.sqlite3")) as connection:
        assert dict(connection.execute("SELECT key, value FROM meta"))["clean"] == 0
        assert connection.execute("SELECT count(*) FROM task").fetchone() == (1,)


async def test_a_cancelled_load_lets_go_of_the_directory(tmp_path: Path) -> None:
    """As soon as the thread has noticed, another start may take it."""
    loading = asyncio.ensure_future(a_journal(tmp_path).load())
    await asyncio.sleep(0)
    loading.cancel()
    with pytest.raises(asyncio.CancelledError):
        await loading
    async with asyncio.timeout(10):
        while True:
            try:
                journal = a_journal(tmp_path)
                await journal.load()
            except DirectoryInUse:
                continue
            break
    await journal.close()


@pytest.fixture
def read_only(tmp_path: Path) -> Iterator[Path]:
    """A directory that cannot be written: by its mount for root, by its mode for others."""
    path = tmp_path / "read-only"
    path.mkdir()
    if os.geteuid():
        path.chmod(0o500)
        yield path
        return
    subprocess.run(["mount", "-t", "tmpfs", "-o", "ro,size=64k", "tmpfs", path], check=True)
    yield path
    subprocess.run(["umount", path], check=True)


async def test_a_read_only_directory_is_refused(read_only: Path) -> None:
    """With the system's reason."""
    assert f"the data directory {read_only} cannot be used: " in await refusal(read_only)


def test_a_process_that_leaves_without_closing_does_not_hang(tmp_path: Path) -> None:
    """The journal's thread holds nobody back."""
    script = (
        "import asyncio, sys; from pathlib import Path\n"
        "from kazoo_tasks.store.sqlite import SqliteJournal\n"
        "from kazoo_tasks.assembly.clock import SystemClock\n"
        "asyncio.run(SqliteJournal(Path(sys.argv[1]), SystemClock()).load())\n"
    )
    subprocess.run([sys.executable, "-c", script, tmp_path], check=True, timeout=20)
