"""The audit in a real file: written with what it tells of, read while others write, bounded, and looked through."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import AsyncIterator
from contextlib import closing
from pathlib import Path

import pytest

from kazoo_tasks.model.audit import OK, AuditEntry, AuditQuery, Origin, Subject, runs_of
from kazoo_tasks.model.change import Change, Kind
from kazoo_tasks.model.errors import CannotStart, StoreUnavailable
from kazoo_tasks.model.identity import task_id
from kazoo_tasks.store.snapshot import restore
from kazoo_tasks.store.sqlite import SqliteJournal
from kazoo_tasks.store.statement import SQL
from support.build import ACCOUNT, NOW, OTHER_ACCOUNT, a_task
from support.core import HandClock
from support.disk import may_mount, small_disk, use_up


@pytest.fixture
async def journal(tmp_path: Path) -> AsyncIterator[SqliteJournal]:
    """An open journal."""
    journal = SqliteJournal(tmp_path / "data", HandClock())
    await journal.load()
    yield journal
    await journal.close()


def an_entry(verb: str, *of: int, account_id: str = ACCOUNT) -> AuditEntry:
    """Something that was done to the tasks of these seqs."""
    ids = [task_id(b"0123456789", seq) for seq in of]
    subject = Subject(ids[0] if ids else None, "timer", "sleep", len(of), runs_of(of))
    return AuditEntry(account_id, NOW, verb, OK, subject, Origin())


async def verbs(journal: SqliteJournal, account_id: str = ACCOUNT) -> list[str]:
    """What the newest thousand entries of an account tell of."""
    return [entry.verb for entry in (await journal.audit(AuditQuery(account_id, 10_000))).entries]


def plan(path: Path, name: str, *values: object) -> str:
    """How SQLite goes about a statement."""
    with closing(sqlite3.connect(path)) as connection:
        rows = connection.execute(f"EXPLAIN QUERY PLAN {SQL[name]}", values).fetchall()
    return "; ".join(row[-1] for row in rows)


async def test_a_page_is_read_beside_a_snapshot(journal: SqliteJournal) -> None:
    """Which may take longer than a caller waits."""
    await journal.commit(
        [Change(Kind.ADDED, a_task(seq, arguments=b"x" * 400)) for seq in range(1, 20_000)],
        audited=[an_entry("add", 1)],
    )
    snapshot = asyncio.ensure_future(journal.snapshot())
    read = 0
    while not snapshot.done():
        assert await verbs(journal) == ["add"]
        read += 1
    assert (await snapshot).tasks == 19_999
    # Otherwise it would be read once, behind the snapshot.
    assert read > 2


async def test_a_page_is_no_longer_than_commits_can_wait(journal: SqliteJournal) -> None:
    """Whatever was asked for; the next one goes on behind it."""
    await journal.commit([], audited=[an_entry(f"{n}", n) for n in range(1, 1_502)])
    page = await journal.audit(AuditQuery(ACCOUNT, 10_000))
    assert (len(page.entries), page.next) == (1_000, 501)
    assert len((await journal.audit(AuditQuery(ACCOUNT, 10_000, start=page.next))).entries) == 501


async def test_reading_costs_the_same_whatever_there_is(journal: SqliteJournal, tmp_path: Path) -> None:
    """Each statement goes by an index, and none sorts what it finds."""
    await journal.close()
    path = tmp_path / "data" / "journal.sqlite3"
    account, task = plan(path, "audit_of_account", 1, 2, 3), plan(path, "audit_of_task", 1, 2, 3, 4, 5)
    tasks = plan(path, "audit_of_tasks", 1, 2, 3, 4, 5)
    assert account == "SEARCH audit USING INDEX audit_by_account (account_id=? AND rowid<?)"
    assert task == "SEARCH audit USING INDEX audit_by_task (first_seq=? AND rowid<?)"
    assert "USING INDEX audit_by_tasks (account_id=? AND first_seq<?)" in tasks
    assert "SCAN audit" not in tasks
    assert "TEMP B-TREE" not in tasks
    assert "INDEX audit_by_account (account_id=?)" in plan(path, "drop_audit_of", 1, 2)


async def test_many_that_are_too_many_go_in_small_steps(journal: SqliteJournal, tmp_path: Path) -> None:
    """Each commit takes a hundred more than it brings, also after a start that has a lower bound than the last."""
    await journal.commit([], audited=[an_entry("old", n) for n in range(1, 951)])
    await journal.close()
    journal = SqliteJournal(tmp_path / "data", HandClock())
    await journal.load()
    journal.keep_audit(0, 10)
    counts = []
    for _ in range(11):
        await journal.commit([], audited=[an_entry("new")])
        counts.append(len(await verbs(journal)))
    assert counts[:2] == [850, 750]
    assert counts[-1] == 10
    await journal.close()


async def test_an_account_that_is_told_of_much_takes_nothing_from_others(journal: SqliteJournal) -> None:
    """What they have stays, however little."""
    journal.keep_audit(0, 10)
    await journal.commit([], audited=[an_entry("theirs", account_id=OTHER_ACCOUNT)])
    for _ in range(20):
        await journal.commit([], audited=[an_entry("mine") for _ in range(50)])
    assert (len(await verbs(journal)), await verbs(journal, OTHER_ACCOUNT)) == (10, ["theirs"])


@pytest.mark.skipif(not may_mount(), reason="only root may mount a small file system")
async def test_a_change_that_cannot_be_written_is_not_told(tmp_path: Path) -> None:
    """Both or neither; and what is told goes on where it was once there is room."""
    with small_disk(tmp_path / "disk") as data_dir:
        journal = SqliteJournal(data_dir, HandClock())
        await journal.load()
        await journal.commit([], audited=[an_entry("add", 1)])
        use_up(data_dir / "filler", but_pages=2)
        large = a_task(2, arguments=b"x" * 100_000)
        with pytest.raises(StoreUnavailable):
            await journal.commit([Change(Kind.ADDED, large)], audited=[an_entry("never", 2)])
        assert await verbs(journal) == ["add"]
        (data_dir / "filler").unlink()
        await journal.commit([], audited=[an_entry("stop", 1)])
        assert [entry.number for entry in (await journal.audit(AuditQuery(ACCOUNT, 9))).entries] == [2, 1]
        await journal.close()


@pytest.mark.parametrize(
    ("damage", "reason"),
    [
        ("UPDATE audit SET account_id = 'me'", "the audit's entry 1 to have an account"),
        ("UPDATE audit SET at = -1", "the audit's entry 1 to have times and counts"),
        ("UPDATE audit SET first_seq = 9, last_seq = 2", "the audit's entry 1 to have times and counts"),
        ("UPDATE audit SET seqs = 'all'", "invalid literal for int"),
        (
            "UPDATE audit SET detail = CAST('[]' AS BLOB)",
            "the audit's entry 1 to have a JSON object as detail",
        ),
        ("DROP INDEX audit_by_task", "expected index audit_by_task"),
        ("DROP TABLE audit", "expected index audit_by_account"),
    ],
)
async def test_an_audit_that_no_release_wrote_is_not_restored(
    journal: SqliteJournal, tmp_path: Path, damage: str, reason: str
) -> None:
    """It is looked through like everything else before it takes the journal's place."""
    await journal.commit([], audited=[an_entry("add", 1)])
    taken = Path((await journal.snapshot()).path)
    assert restore(taken, tmp_path / "good").path
    with closing(sqlite3.connect(taken)) as connection, connection:
        connection.execute(damage)
    with pytest.raises(CannotStart, match=reason):
        restore(taken, tmp_path / "bad")
