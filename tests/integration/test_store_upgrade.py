"""A journal of an earlier release under this one, and under one whose schema is a step further."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from kazoo_tasks.core.audit import subject_of
from kazoo_tasks.model.audit import OK, AuditEntry, AuditQuery, Origin
from kazoo_tasks.model.change import Change, Kind, Remembered
from kazoo_tasks.model.errors import CannotStart
from kazoo_tasks.model.task import Status, Task
from kazoo_tasks.ports import Loaded
from kazoo_tasks.store import database, file
from kazoo_tasks.store.inspection import inspect
from kazoo_tasks.store.snapshot import list_snapshots, restore
from kazoo_tasks.store.sqlite import SqliteJournal
from kazoo_tasks.store.statement import SCHEMA, SQL
from kazoo_tasks.wire.codec import normal_text
from support.build import ACCOUNT, a_task
from support.core import HandClock
from support.disk import may_mount, small_disk, use_up
from support.older_journal import BROKEN, ENDED, break_journal, rebuilt

NEXT = SCHEMA + 1
#: Adds, fills in and changes, and ends with a comment.
STEP = """\
ALTER TABLE task ADD COLUMN length INTEGER;
UPDATE task SET length = length(arguments);
UPDATE meta SET value = value + 100 WHERE key = 'next_seq'; -- a gap"""
T = 63_962_740_700
RATE = {"module": "billing", "function": "rate", "arguments": '["zürich",3]'.encode(), "submitted_at": T + 6}
SLEEP = {"arguments": b"[5]", "submitted_at": T + 8, "started_at": T + 8}
BUSY = {"started_at": T + 8, "attempt": 1, "epoch": 2}
TASKS = [
    a_task(1, id="98929331e6c318807e7e8f67467e49", **RATE),
    a_task(
        2,
        id="5b576ce22b8bf40a33aff46e91addb",
        **{**RATE, **BUSY, "started_at": T + 7, "ended_at": T + 8},
        result='{"account":"zürich","total":42,"währung":"€"}'.encode(),
        progress='{"done":2,"total":3,"note":"läuft"}'.encode(),
    ),
    a_task(
        3,
        id="a819ed12cf84df18011dfce60eeb49",
        module="billing",
        function="refuse",
        arguments='["Gebühr fehlt: 12 €, 料金不明 ☎"]'.encode(),
        submitted_at=T + 8,
        **BUSY,
        ended_at=T + 8,
        error="(<0.21638.1>) error: ValueError('Gebühr fehlt: 12 €, 料金不明 ☎')\n"
        "Traceback (most recent call last):\n"
        '  File "/srv/acme/billing.py", line 17, in refuse\n'
        "    raise ValueError(reason)\n"
        "ValueError: Gebühr fehlt: 12 €, 料金不明 ☎",
    ),
    a_task(
        4,
        id="13bae391e0043522b478ae1ae80ca1",
        module="billing",
        function="dwell",
        arguments='["erster Schritt: ½"]'.encode(),
        submitted_at=T + 8,
        **BUSY,
        stop_asked=True,
        progress='{"done":1,"total":3,"note":"erster Schritt: ½"}'.encode(),
    ),
    a_task(5, id="4c9a779a44422bcbd501ee49fc7266", **SLEEP),
    a_task(6, id="ebad2a832a9d2630c476056b5d17d6", **SLEEP),
    a_task(7, id="3fd4d2bf60567b58010ea6aacb022d", **SLEEP),
]
#: Of the thirteen answers: an addition, a refusal, one that was given while its work had yet to be done.
ANSWERED = {
    0: ("8c2fa5956a0ae5ec0638955b8edf42fa", b'{"account_id":"'),
    4: ("909f72e5f91b07f175e8b89ba6fcfd2c", b'!["already_started","The task was started before.",null]'),
    11: ("075bffc0274a58c147ca03d378ec2fd8", b""),
}


@pytest.fixture
def data_dir(tmp_path: Path) -> Path:
    """A data directory as release 0.1.0 left it when it was killed in its second run."""
    path = tmp_path / "data"
    path.mkdir()
    rebuilt(path / "journal.sqlite3")
    (path / "epoch").write_text("2\n")
    return path


@pytest.fixture
def next_release(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """A release with one more step; undone, it is this release again."""
    monkeypatch.setitem(SQL, f"schema_{NEXT}", STEP)
    for module in (database, file):
        monkeypatch.setattr(module, "SCHEMA", NEXT)
    return monkeypatch


async def seen(data_dir: Path) -> tuple[Loaded, list[Task], list[Remembered]]:
    """What a start on this directory finds, after it has stopped again."""
    journal = SqliteJournal(data_dir, HandClock())
    loaded = await journal.load()
    await journal.close()
    return loaded, list(loaded.tasks), list(loaded.remembered)


async def refusal(data_dir: Path) -> str:
    """What a start on this directory says when it refuses."""
    with pytest.raises(CannotStart) as caught:
        await seen(data_dir)
    return str(caught.value)


def read(path: Path, sql: str) -> list[tuple[object, ...]]:
    """What a query says of a file that nobody has open."""
    with closing(sqlite3.connect(path)) as connection:
        return connection.execute(sql).fetchall()


def version(path: Path) -> object:
    """Of a file's schema."""
    return read(path, "PRAGMA user_version")[0][0]


def copy_of(data_dir: Path) -> Path:
    """Where the file lies as it was before."""
    return data_dir / "snapshots" / "schema-1.sqlite3"


async def test_what_the_first_release_wrote_is_read(data_dir: Path) -> None:
    """Every task in every state, every answer, and the numbers that go on."""
    written = read(
        data_dir / "journal.sqlite3",
        "SELECT owner, msg_id, digest, reply, at FROM remembered ORDER BY number",
    )
    loaded, tasks, answers = await seen(data_dir)
    assert tasks == TASKS
    assert [task.status for task in tasks] == [
        *(Status.PENDING, Status.SUCCESS, Status.FAILURE, Status.RUNNING),
        *[Status.WAITING] * 3,
    ]
    assert [(it.owner, it.msg_id, it.digest, it.reply, it.at) for it in answers] == written
    for place, (msg_id, reply) in ANSWERED.items():
        assert (answers[place].owner, answers[place].msg_id) == (ACCOUNT, msg_id)
        assert answers[place].reply.startswith(reply)
    assert (len(answers), loaded.epoch) == (13, 3)
    # A removed task had 8.
    assert loaded.next_seq == 9
    assert version(data_dir / "journal.sqlite3") == SCHEMA


@pytest.mark.parametrize("step", range(1, SCHEMA))
async def test_a_file_of_each_earlier_schema_is_inspected_and_read(data_dir: Path, step: int) -> None:
    """Also of those between two releases, with what they had beyond the first."""
    with closing(sqlite3.connect(data_dir / "journal.sqlite3", isolation_level=None)) as connection:
        database.upgrade(connection, 1, to=step)
        if step > 1:
            connection.execute("UPDATE task SET checkpoint = CAST('7' AS BLOB) WHERE ended_at IS NULL")
        assert connection.execute("PRAGMA wal_checkpoint(truncate)").fetchone() is not None
    inspect(data_dir / "journal.sqlite3")
    _, tasks, _ = await seen(data_dir)
    kept = b"7" if step > 1 else None
    assert tasks == [task if task.ended_at else task._replace(checkpoint=kept) for task in TASKS]
    assert version(data_dir / "journal.sqlite3") == SCHEMA


@pytest.mark.parametrize("step", range(1, SCHEMA))
async def test_the_audit_begins_with_the_release_that_has_one(data_dir: Path, step: int) -> None:
    """Nothing is told of what was before; what is told then of an old task is found by its id, after it is gone."""
    with closing(sqlite3.connect(data_dir / "journal.sqlite3", isolation_level=None)) as connection:
        database.upgrade(connection, 1, to=step)
    journal = SqliteJournal(data_dir, HandClock())
    loaded = await journal.load()
    (done,) = [task for task in loaded.tasks if task.seq == TASKS[2].seq]
    assert (await journal.audit(AuditQuery(ACCOUNT, 9))).entries == []
    entry = AuditEntry(ACCOUNT, T, "remove", OK, subject_of([done]), Origin())
    await journal.commit([Change(Kind.REMOVED, done)], audited=[entry])
    (told,) = (await journal.audit(AuditQuery(ACCOUNT, 9, done.id))).entries
    assert told._replace(number=0) == entry
    await journal.close()
    inspect(data_dir / "journal.sqlite3")


async def test_what_breaks_the_rule_gives_way_to_words(data_dir: Path) -> None:
    """Once, with a word in the log; what cannot be run has ended; the rest is as it was, and so is the copy."""
    break_journal(data_dir / "journal.sqlite3")
    with capture_logs() as lines:
        _, tasks, _ = await seen(data_dir)
        assert (await seen(data_dir))[1] == tasks
    assert tasks[: len(TASKS)] == TASKS
    found = dict(zip(BROKEN, tasks[len(TASKS) :], strict=True))
    for name, task in found.items():
        for text in (task.arguments, task.result, task.progress):
            assert text is None or normal_text(text, len(text)) == text
        assert task.status is (Status.FAILURE if name in ENDED else old_status(name)), name
        assert (
            "not shown, as a release before had taken it in: " in f"{task.arguments!r} {task.result!r}"
            or (task.progress is None and name.startswith("progress"))
        )
    (told,) = [line for line in lines if line["event"] == "journal.mended"]
    assert (told["texts"], told["kept"]) == (9, "snapshots/schema-1.sqlite3")
    assert read(copy_of(data_dir), "SELECT result FROM task WHERE seq = 100") == [(b"1e400",)]


def old_status(name: str) -> Status:
    """What it was, which it is to stay."""
    return Status.SUCCESS if BROKEN[name].ended_at else Status.WAITING


async def test_a_snapshot_that_breaks_the_rule_is_restored(data_dir: Path, tmp_path: Path) -> None:
    """It is what the release before wrote, and mended like a journal."""
    break_journal(data_dir / "journal.sqlite3")
    restore(data_dir / "journal.sqlite3", tmp_path / "new")
    assert len((await seen(tmp_path / "new"))[1]) == len(TASKS) + len(BROKEN)


async def test_a_further_step_brings_everything_along(
    data_dir: Path, next_release: pytest.MonkeyPatch
) -> None:
    """What it changes is changed, all else is as it was; the next start has nothing left to do."""
    loaded, tasks, answers = await seen(data_dir)
    assert (tasks, len(answers)) == (TASKS, 13)
    assert (loaded.epoch, loaded.next_seq) == (3, 109)
    assert version(data_dir / "journal.sqlite3") == NEXT
    lengths = read(data_dir / "journal.sqlite3", "SELECT length FROM task ORDER BY seq")
    assert lengths == [(len(task.arguments),) for task in TASKS]
    loaded, tasks, _ = await seen(data_dir)
    assert (loaded.epoch, loaded.next_seq, tasks) == (4, 109, TASKS)


@pytest.mark.parametrize(
    ("wrong", "reason"),
    [
        ("UPDATE task SET started_at = 'soon'", "cannot store TEXT value in INTEGER column"),
        ("CREATE TABEL lost (x)", 'near "TABEL"'),
        ("SELECT length FROM nowhere", "no such table: nowhere"),
    ],
)
async def test_a_step_that_fails_leaves_the_file_as_it_was(
    data_dir: Path, next_release: pytest.MonkeyPatch, wrong: str, reason: str
) -> None:
    """The refusal says why, and says it again; the release before starts on the file as if nothing had been."""
    next_release.setitem(SQL, f"schema_{NEXT}", f"{STEP}\n{wrong}; CREATE TABLE never (x)")
    said = [await refusal(data_dir), await refusal(data_dir)]
    assert said[0] == said[1]
    path = data_dir / "journal.sqlite3"
    assert (
        f"schema of {path} cannot be brought from version 1 to {NEXT}, and is as it was: {reason}" in said[0]
    )
    assert (version(path), "length" in str(read(path, "SELECT sql FROM sqlite_schema"))) == (1, False)
    next_release.undo()
    loaded, tasks, answers = await seen(data_dir)
    assert (tasks, len(answers), loaded.epoch) == (TASKS, 13, 3)


def test_a_connection_can_be_used_after_a_step_failed(
    data_dir: Path, next_release: pytest.MonkeyPatch
) -> None:
    """The step's transaction is over."""
    next_release.setitem(SQL, f"schema_{NEXT}", f"{STEP}\nnonsense")
    with closing(database.connect(data_dir / "journal.sqlite3")) as connection:
        with pytest.raises(sqlite3.OperationalError, match="nonsense"):
            database.upgrade(connection, 1)
        assert not connection.in_transaction
        next_release.setitem(SQL, f"schema_{NEXT}", STEP)
        database.upgrade(connection, 1)
        assert database.pragma(connection, "user_version") == NEXT


async def test_the_release_before_refuses_the_new_file(
    data_dir: Path, next_release: pytest.MonkeyPatch
) -> None:
    """It says that a newer one wrote it; the copy from before the upgrade takes it back to where it was."""
    await seen(data_dir)
    next_release.undo()
    expected = f"to be at most version {SCHEMA}, got {NEXT}: a newer release wrote it"
    assert expected in await refusal(data_dir)
    restore(copy_of(data_dir), data_dir, force=True)
    loaded, tasks, answers = await seen(data_dir)
    assert (tasks, len(answers), loaded.epoch) == (TASKS, 13, 4)


async def test_the_copy_from_before_is_private_and_stays(
    data_dir: Path, next_release: pytest.MonkeyPatch
) -> None:
    """It is no snapshot among others, whose time will come."""
    await seen(data_dir)
    assert list_snapshots(data_dir) == []
    assert {path.name: path.stat().st_mode & 0o777 for path in (data_dir / "snapshots").iterdir()} == {
        copy_of(data_dir).name: 0o600
    }
    assert version(copy_of(data_dir)) == 1


async def test_there_is_no_copy_without_an_upgrade(tmp_path: Path) -> None:
    """Neither at a first start nor at later ones."""
    for _ in range(2):
        await seen(tmp_path)
    assert list((tmp_path / "snapshots").iterdir()) == []


async def test_damage_is_found_before_anything_is_changed(
    data_dir: Path, next_release: pytest.MonkeyPatch
) -> None:
    """Also after a clean stop, when a start alone would not look for it."""
    path = data_dir / "journal.sqlite3"
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("UPDATE meta SET value = 1 WHERE key = 'clean'")
        # An index that does not go with its table: only a check of the whole file sees it.
        connection.execute("CREATE TABLE other (x)")
        connection.execute("PRAGMA writable_schema = on")
        connection.execute("UPDATE sqlite_schema SET rootpage = 2 WHERE name = 'other'")
    assert "journal.sqlite3 is damaged (" in await refusal(data_dir)
    assert (version(path), copy_of(data_dir).exists()) == (1, False)


@pytest.mark.skipif(not may_mount(), reason="only root may mount a small file system")
async def test_there_must_be_room_for_the_copy(tmp_path: Path, next_release: pytest.MonkeyPatch) -> None:
    """Without it nothing is changed, and once there is room it goes on."""
    with small_disk(tmp_path / "disk") as data_dir:
        rebuilt(data_dir / "journal.sqlite3")
        use_up(data_dir / "filler", but_pages=12)
        assert "is not upgraded, since no copy of it could be made before: expected " in await refusal(
            data_dir
        )
        assert list((data_dir / "snapshots").iterdir()) == []
        assert version(data_dir / "journal.sqlite3") == 1
        (data_dir / "filler").unlink()
        assert (await seen(data_dir))[1] == TASKS
        assert version(data_dir / "journal.sqlite3") == NEXT


async def test_a_copy_that_fails_leaves_nothing_behind(
    data_dir: Path, next_release: pytest.MonkeyPatch
) -> None:
    """The start is refused, and the file is as it was."""
    copy_of(data_dir).mkdir(parents=True)
    assert "no copy of it could be made before: " in await refusal(data_dir)
    assert list((data_dir / "snapshots").iterdir()) == [copy_of(data_dir)]
    assert version(data_dir / "journal.sqlite3") == 1


async def test_an_older_snapshot_is_restored_and_upgraded(
    data_dir: Path, tmp_path: Path, next_release: pytest.MonkeyPatch
) -> None:
    """Over a file of the newer schema, and into a directory that has none."""
    rebuilt(tmp_path / "older.sqlite3")
    await seen(data_dir)
    for place, epoch in ((data_dir, 4), (tmp_path / "new", 3)):
        assert restore(tmp_path / "older.sqlite3", place, force=True).tasks == len(TASKS)
        assert version(place / "journal.sqlite3") == 1
        loaded, tasks, answers = await seen(place)
        assert (loaded.epoch, loaded.next_seq, tasks, len(answers)) == (epoch, 109, TASKS, 13)
        assert version(place / "journal.sqlite3") == NEXT


async def test_a_newer_snapshot_is_refused(
    data_dir: Path, tmp_path: Path, next_release: pytest.MonkeyPatch
) -> None:
    """By a release that cannot read it, before anything is touched."""
    journal = SqliteJournal(data_dir, HandClock())
    await journal.load()
    taken = Path((await journal.snapshot()).path)
    await journal.close()
    next_release.undo()
    with pytest.raises(CannotStart, match=f"got {NEXT}: a newer release wrote it"):
        restore(taken, tmp_path / "new")
    assert not (tmp_path / "new" / "journal.sqlite3").exists()
