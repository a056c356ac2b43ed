"""Snapshots of a real journal under load, and the way back to them."""

from __future__ import annotations

import asyncio
import os
import shutil
import sqlite3
from collections.abc import AsyncIterator
from contextlib import closing
from pathlib import Path

import pytest

from kazoo_tasks.model.change import Change, Kind
from kazoo_tasks.model.errors import CannotStart, DirectoryInUse, StoreUnavailable
from kazoo_tasks.model.task import Task
from kazoo_tasks.ports import Loaded
from kazoo_tasks.store.retention import Keep
from kazoo_tasks.store.snapshot import list_snapshots, restore, verify
from kazoo_tasks.store.sqlite import SqliteJournal
from support.build import NOW, a_task
from support.core import HandClock

TASKS = 20_000


@pytest.fixture
async def journal(tmp_path: Path) -> AsyncIterator[SqliteJournal]:
    """An open journal that keeps three snapshots."""
    journal = SqliteJournal(tmp_path / "data", HandClock(), Keep(count=3))
    await journal.load()
    yield journal
    await journal.close()


async def add(journal: SqliteJournal, *seqs: int) -> None:
    """Commit new tasks with these seqs."""
    await journal.commit([Change(Kind.ADDED, a_task(seq)) for seq in seqs])


async def seen(data_dir: Path) -> tuple[Loaded, list[Task]]:
    """What a start on this directory finds."""
    journal = SqliteJournal(data_dir, HandClock())
    loaded = await journal.load()
    await journal.close()
    return loaded, list(loaded.tasks)


async def test_a_snapshot_is_one_private_file(journal: SqliteJournal, tmp_path: Path) -> None:
    """Complete without a write-ahead log, with nothing left beside it."""
    await add(journal, 1, 2)
    info = await journal.snapshot()
    assert verify(Path(info.path)) == info
    assert modes(tmp_path / "data" / "snapshots") == {Path(info.path).name: 0o600}


def modes(directory: Path) -> dict[str, int]:
    """The files of a directory and who may do what with them."""
    return {path.name: path.stat().st_mode & 0o777 for path in directory.iterdir()}


async def test_old_snapshots_go(journal: SqliteJournal, tmp_path: Path) -> None:
    """As many stay as were asked for, and they are the newest."""
    for seq in range(1, 6):
        await add(journal, seq)
        await journal.snapshot()
    assert [snapshot.number for snapshot in list_snapshots(tmp_path / "data")] == [5, 4, 3]


async def test_two_snapshots_at_once_are_two(journal: SqliteJournal, tmp_path: Path) -> None:
    """They take turns; both are finished."""
    await asyncio.gather(journal.snapshot(), journal.snapshot())
    assert len(list_snapshots(tmp_path / "data")) == 2


async def test_a_snapshot_without_a_place_disturbs_nobody(journal: SqliteJournal, tmp_path: Path) -> None:
    """It fails with a sentence; commits and later snapshots go on."""
    (tmp_path / "data" / "snapshots").rmdir()
    with pytest.raises(StoreUnavailable, match="no snapshot was made"):
        await journal.snapshot()
    (tmp_path / "data" / "snapshots").mkdir()
    await add(journal, 1)
    assert (await journal.snapshot()).tasks == 1


class Load:
    """Commits without a pause: each writes its number into two tasks and adds one, every second removes one."""

    def __init__(self, journal: SqliteJournal) -> None:
        self.rounds = 0
        self._journal = journal
        self._running = asyncio.ensure_future(self._run())

    async def reach(self, rounds: int) -> None:
        """So many rounds are asked for."""
        while self.rounds < rounds:
            await self._journal.commit([])

    async def stop(self) -> None:
        self._running.cancel()
        await asyncio.wait([self._running])

    async def _run(self) -> None:
        while True:
            commits = [self._journal.commit(self._next()) for _ in range(5)]
            await asyncio.gather(*commits)

    def _next(self) -> list[Change]:
        self.rounds += 1
        pair = [Change(Kind.ASSIGNED, large(seq, self.rounds)) for seq in pair_of(self.rounds)]
        new, old = a_task(TASKS + self.rounds), a_task(TASKS + self.rounds - 1)
        removed = [Change(Kind.REMOVED, old)] if self.rounds % 2 == 0 else []
        return [*pair, Change(Kind.ADDED, new), *removed]


def large(seq: int, attempt: int = 0) -> Task:
    """A task that fills half a page."""
    return a_task(seq, attempt=attempt, arguments=b'["' + b"x" * 1996 + b'"]')


def pair_of(number: int) -> tuple[int, int]:
    """Two tasks, far from each other in the file, of which a copy made in steps has one early and one late."""
    near = 1 + number % (TASKS // 2)
    return near, TASKS + 1 - near


async def test_a_snapshot_under_load_is_one_moment(journal: SqliteJournal, tmp_path: Path) -> None:
    """Every commit is in it whole or not at all, up to one moment after the copying began and none after that."""
    for start in range(1, TASKS, 1000):
        await journal.commit([Change(Kind.ADDED, large(seq)) for seq in range(start, start + 1000)])
    load = Load(journal)
    await load.reach(50)
    before = load.rounds
    info = await journal.snapshot()
    await load.stop()
    restore(Path(info.path), tmp_path / "other")
    _, tasks = await seen(tmp_path / "other")
    last = max(task.attempt for task in tasks)
    assert before < last <= load.rounds
    attempts = {task.seq: task.attempt for task in tasks}
    added = {TASKS + number for number in range(1, last + 1) if number % 2 == 0 or number == last}
    assert set(attempts) == {*range(1, TASKS + 1), *added}
    for number in range(1, last + 1):
        assert {attempts[seq] for seq in pair_of(number)} == {number}


async def test_a_restore_goes_back_with_a_higher_epoch(journal: SqliteJournal, tmp_path: Path) -> None:
    """What came after the snapshot is gone; the epochs that came after it are not used again."""
    await add(journal, 1)
    info = await journal.snapshot()
    await add(journal, 2)
    await journal.close()
    for _ in range(3):
        await seen(tmp_path / "data")
    told: list[tuple[int, int]] = []
    restored = restore(Path(info.path), tmp_path / "data", force=True, progress=lambda *at: told.append(at))
    loaded, tasks = await seen(tmp_path / "data")
    assert (loaded.epoch, [task.seq for task in tasks]) == (5, [1])
    assert (restored.tasks, told[-1]) == (1, (info.size_bytes, info.size_bytes))


async def test_a_restore_into_a_new_directory_keeps_the_epoch(journal: SqliteJournal, tmp_path: Path) -> None:
    """The next start counts on from the snapshot's."""
    await add(journal, 1)
    info = await journal.snapshot()
    restore(Path(info.path), tmp_path / "new")
    assert (await seen(tmp_path / "new"))[0].epoch == 2


async def test_a_restore_is_refused_while_a_service_runs(journal: SqliteJournal, tmp_path: Path) -> None:
    """Whatever force is used."""
    info = await journal.snapshot()
    with pytest.raises(DirectoryInUse, match="in use by another instance"):
        restore(Path(info.path), tmp_path / "data", force=True)


async def test_a_restore_over_a_journal_needs_force(journal: SqliteJournal, tmp_path: Path) -> None:
    """And without it changes nothing."""
    info = await journal.snapshot()
    await add(journal, 1)
    await journal.close()
    with pytest.raises(CannotStart, match=r"there is a journal in .*data already; --force replaces it"):
        restore(Path(info.path), tmp_path / "data")
    assert [task.seq for task in (await seen(tmp_path / "data"))[1]] == [1]


@pytest.mark.parametrize("size", [0, 100, 4096, 9000])
async def test_a_damaged_snapshot_is_refused(journal: SqliteJournal, tmp_path: Path, size: int) -> None:
    """Before anything is touched."""
    info = await journal.snapshot()
    await journal.close()
    os.truncate(info.path, size)
    with pytest.raises(CannotStart, match=r"is damaged|to be a journal of kazoo-tasks"):
        restore(Path(info.path), tmp_path / "data", force=True)
    assert (await seen(tmp_path / "data"))[1] == []


async def test_a_snapshot_that_is_not_there_is_refused(tmp_path: Path) -> None:
    """In a sentence."""
    with pytest.raises(CannotStart, match="to be a snapshot, got no file there"):
        restore(tmp_path / "none.sqlite3", tmp_path / "data")


async def test_a_running_journal_is_no_snapshot(journal: SqliteJournal, tmp_path: Path) -> None:
    """Its newest commits are in the log beside it, which a copy of the one file would lose."""
    await add(journal, 1)
    with pytest.raises(CannotStart, match="got a journal with a write-ahead log beside it"):
        restore(tmp_path / "data" / "journal.sqlite3", tmp_path / "other")


async def crashed(journal: SqliteJournal, tmp_path: Path) -> tuple[Path, Path]:
    """A snapshot of a pending task, and a directory that a crash left when it was started, which only the log tells."""
    await add(journal, 1)
    info = await journal.snapshot()
    await journal.close()
    await journal.load()
    await journal.commit([Change(Kind.STARTED, a_task(1).start(NOW))])
    shutil.copytree(tmp_path / "data", tmp_path / "crashed")
    return Path(info.path), tmp_path / "crashed"


async def test_a_damaged_journal_is_replaced_and_kept(journal: SqliteJournal, tmp_path: Path) -> None:
    """Beside the new one, under a name that tells."""
    snapshot, data_dir = await crashed(journal, tmp_path)
    damage_first_page(data_dir / "journal.sqlite3")
    restore(snapshot, data_dir, force=True)
    assert (await seen(data_dir))[1] == [a_task(1)]
    assert (data_dir / "journal.sqlite3.damaged").read_bytes().startswith(b"no database")


@pytest.mark.parametrize("lost", [True, False])
async def test_an_old_log_is_not_played_into_the_new_file(
    journal: SqliteJournal, tmp_path: Path, *, lost: bool
) -> None:
    """Whether its file is still there or not: a log belongs to a file only by its name."""
    snapshot, data_dir = await crashed(journal, tmp_path)
    if lost:
        (data_dir / "journal.sqlite3").unlink()
    restore(snapshot, data_dir, force=True)
    assert (await seen(data_dir))[1] == [a_task(1)]


def damage_first_page(path: Path) -> None:
    """Make it a file that SQLite refuses to open."""
    with path.open("r+b") as file:
        file.write(b"no database" * 10)


async def test_a_restore_that_fails_leaves_the_old_journal(journal: SqliteJournal, tmp_path: Path) -> None:
    """Whatever goes wrong while copying."""
    await add(journal, 1)
    info = await journal.snapshot()
    await add(journal, 2)
    await journal.close()

    def fail(_done: int, _total: int) -> None:
        raise OSError(28, "No space left on device")

    with pytest.raises(CannotStart, match="cannot be used: No space left on device"):
        restore(Path(info.path), tmp_path / "data", force=True, progress=fail)
    assert [task.seq for task in (await seen(tmp_path / "data"))[1]] == [1, 2]


async def test_the_date_in_the_name_is_the_clocks(journal: SqliteJournal, tmp_path: Path) -> None:
    """The journal asks the clock it was given."""
    await journal.snapshot()
    (snapshot,) = list_snapshots(tmp_path / "data")
    assert snapshot.taken_at.year == 2016


FORGED = {
    "a trigger": "CREATE TRIGGER t AFTER INSERT ON task BEGIN DELETE FROM task; END",
    "a view": "CREATE VIEW v AS SELECT * FROM task",
    "an index": "CREATE INDEX i ON task (id)",
    "a missing column": "ALTER TABLE task DROP COLUMN progress",
    "a column more": "ALTER TABLE task ADD COLUMN more TEXT",
    "a bad epoch": "UPDATE meta SET value = -1 WHERE key = 'epoch'",
    "an epoch beyond all": "UPDATE meta SET value = 9223372036854775807 WHERE key = 'epoch'",
    "no epoch": "DELETE FROM meta WHERE key = 'epoch'",
    "a bad seq": "UPDATE task SET seq = -5 WHERE seq = 1",
    "arguments that are no JSON": "UPDATE task SET arguments = CAST('nope' AS BLOB)",
    "arguments that are no array": "UPDATE task SET arguments = CAST('{}' AS BLOB)",
    "a result that is no JSON": "UPDATE task SET result = CAST('{' AS BLOB)",
    "an account that is none": "UPDATE task SET account_id = 'x'",
    "a time before all": "UPDATE task SET submitted_at = -1",
    "text that is none": "UPDATE task SET module = CAST(x'ff' AS TEXT)",
}


@pytest.mark.parametrize("name", FORGED)
async def test_a_file_that_would_not_start_replaces_nothing(
    journal: SqliteJournal, tmp_path: Path, name: str
) -> None:
    """All of it is looked through first; one sentence says what is wrong."""
    await add(journal, 1, 2)
    snapshot = Path((await journal.snapshot()).path)
    await journal.close()
    with closing(sqlite3.connect(snapshot)) as forged:
        forged.executescript(FORGED[name])
    before = contents(tmp_path / "data")
    with pytest.raises(CannotStart, match=r"is damaged: "):
        restore(snapshot, tmp_path / "data", force=True)
    assert contents(tmp_path / "data") == before


async def test_a_file_of_holes_is_not_read(journal: SqliteJournal, tmp_path: Path) -> None:
    """Twenty gigabytes of nothing take no time and no room."""
    snapshot = Path((await journal.snapshot()).path)
    await journal.close()
    os.truncate(snapshot, 20 * 2**30)
    with pytest.raises(CannotStart, match=r"expected \d+ bytes, as it says, got 21474836480"):
        restore(snapshot, tmp_path / "data", force=True)


async def test_a_draft_that_is_a_link_leads_nowhere(journal: SqliteJournal, tmp_path: Path) -> None:
    """What it points to is not overwritten."""
    await add(journal, 1)
    snapshot = Path((await journal.snapshot()).path)
    await journal.close()
    precious = tmp_path / "precious"
    precious.write_text("mine")
    (tmp_path / "data" / "journal.sqlite3.new").symlink_to(precious)
    restore(snapshot, tmp_path / "data", force=True)
    assert precious.read_text() == "mine"
    assert len((await seen(tmp_path / "data"))[1]) == 1


def contents(directory: Path) -> dict[str, bytes]:
    """The files of a directory, byte for byte."""
    return {
        path.name: path.read_bytes() for path in directory.iterdir() if path.is_file() and path.name != "lock"
    }
