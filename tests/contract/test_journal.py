"""What every implementation of ports.Journal must do, as the core relies on it."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import pytest

from kazoo_tasks.model.audit import OK, AuditEntry, AuditQuery, Origin, Subject, runs_of
from kazoo_tasks.model.change import Change, Kind, Remembered
from kazoo_tasks.model.errors import StoreBroken, StoreUnavailable
from kazoo_tasks.model.identity import task_id
from kazoo_tasks.model.task import Task
from kazoo_tasks.ports import Journal, Loaded
from kazoo_tasks.store.memory import MemoryJournal
from kazoo_tasks.store.sqlite import SqliteJournal
from support.build import ACCOUNT, NOW, OTHER_ACCOUNT, a_task
from support.core import HandClock

#: More bytes than there are.
ALL = sys.maxsize


@dataclass
class Home:
    """A place where a journal lives, and the journal that is open there."""

    journal_of: Callable[[], Journal]
    journal: Journal
    loaded: Loaded

    async def reopen(self) -> Loaded:
        """What a restart sees."""
        await self.journal.close()
        self.journal = self.journal_of()
        self.loaded = await self.journal.load()
        return self.loaded

    async def tasks(self) -> list[Task]:
        """The tasks that a restart sees."""
        return list((await self.reopen()).tasks)

    async def answers(self) -> list[Remembered]:
        """The answers that a restart sees."""
        return list((await self.reopen()).remembered)


@pytest.fixture(params=["memory", "sqlite"])
async def home(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Home]:
    """An open journal of each kind, closed afterwards."""
    memory = MemoryJournal()
    journal_of: dict[str, Callable[[], Journal]] = {
        "memory": lambda: memory,
        "sqlite": lambda: SqliteJournal(tmp_path / "data", HandClock()),
    }
    journal = journal_of[request.param]()
    home = Home(journal_of[request.param], journal, await journal.load())
    yield home
    await home.journal.close()


def added(*tasks: Task) -> list[Change]:
    """Changes that add these tasks."""
    return [Change(Kind.ADDED, task) for task in tasks]


def an_answer(msg_id: str = "m", at: int = NOW, reply: bytes = b'"ok"') -> Remembered:
    """The answer to a request of one owner."""
    return Remembered("owner", msg_id, b"digest", reply, at)


def id_of(seq: int) -> str:
    """Of the task at a place."""
    return task_id(b"0123456789", seq)


def an_entry(verb: str, account_id: str = ACCOUNT, of: Sequence[int] = (1,), at: int = NOW) -> AuditEntry:
    """Something that was done to the tasks of these seqs."""
    subject = Subject(id_of(of[0]), "timer", "sleep", len(of), runs_of(of))
    return AuditEntry(account_id, at, verb, OK, subject, Origin(None, "m", node="n@host"), b'{"start":true}')


async def audit(home: Home, account_id: str = ACCOUNT) -> list[AuditEntry]:
    """All that is said of an account."""
    return (await home.journal.audit(AuditQuery(account_id, 1000))).entries


async def test_a_new_journal_is_empty(home: Home) -> None:
    """The first start is number 1, and seq 1 is free."""
    assert (home.loaded.epoch, list(home.loaded.tasks), list(home.loaded.remembered)) == (1, [], [])
    assert home.loaded.next_seq == 1


async def test_every_start_has_a_higher_epoch(home: Home) -> None:
    """Counted from the start before, over closing and opening."""
    assert [(await home.reopen()).epoch for _ in range(3)] == [2, 3, 4]


async def test_a_committed_task_is_loaded_as_it_was(home: Home) -> None:
    """Every field comes back, and with its type."""
    task = a_task(
        7,
        started_at=2,
        ended_at=3,
        attempt=4,
        epoch=5,
        stop_asked=True,
        error="ä\0",
        result=b"\xff",
        progress=b"{}",
    )
    await home.journal.commit(added(task))
    (loaded,) = await home.tasks()
    assert loaded == task
    assert loaded.stop_asked is True


async def test_tasks_are_loaded_in_order(home: Home) -> None:
    """Ascending by seq, however they were committed."""
    await home.journal.commit(added(a_task(3), a_task(1)))
    await home.journal.commit(added(a_task(2)))
    assert [task.seq for task in await home.tasks()] == [1, 2, 3]


async def test_every_kind_of_change_is_kept(home: Home) -> None:
    """The task is loaded as it was after its last change."""
    task = a_task()
    life = [
        (Kind.STARTED, task := task.start(NOW)),
        (Kind.ASSIGNED, task := task.assign(1)),
        (Kind.PROGRESSED, task := task.report(b'{"done":1}')),
        (Kind.STOP_ASKED, task := task.ask_stop()),
        (Kind.ENDED, task := task.succeed(NOW + 1, b"42")),
    ]
    await home.journal.commit(added(a_task()))
    for kind, state in life:
        await home.journal.commit([Change(kind, state)])
        assert await home.tasks() == [state]


async def test_changes_of_one_commit_happen_in_order(home: Home) -> None:
    """A task that is added, started and ended at once is ended; one that is also removed is gone."""
    started = a_task(1).start(NOW)
    ended = started.assign(1).fail(NOW, "bad")
    changes = [*added(a_task(1), a_task(2)), Change(Kind.STARTED, started), Change(Kind.ENDED, ended)]
    await home.journal.commit([*changes, Change(Kind.REMOVED, a_task(2))])
    assert await home.tasks() == [ended]


async def test_commits_keep_the_order_of_the_calls(home: Home) -> None:
    """Futures are done in the order of the calls, and the last state wins."""
    done: list[int] = []
    await home.journal.commit(added(a_task()))
    for at in range(100):
        commit = asyncio.ensure_future(home.journal.commit([Change(Kind.STARTED, a_task(started_at=at))]))
        commit.add_done_callback(partial(lambda at, _: done.append(at), at))
    await home.journal.commit([])
    assert done == list(range(100))
    assert [task.started_at for task in await home.tasks()] == [99]


async def test_a_removed_seq_is_never_given_again(home: Home) -> None:
    """next_seq stays above what was ever there, over restarts."""
    await home.journal.commit(added(a_task(1), a_task(5)))
    await home.journal.commit([Change(Kind.REMOVED, a_task(5))])
    assert (await home.reopen()).next_seq == 6
    assert (await home.reopen()).next_seq == 6
    assert [task.seq for task in home.loaded.tasks] == [1]


async def test_a_large_commit_is_kept_whole(home: Home) -> None:
    """More rows than one statement or one batch takes."""
    tasks = [a_task(seq, arguments=b"x" * 2000) for seq in range(1, 1502)]
    await home.journal.commit(added(*tasks), [an_answer(f"{n}") for n in range(130)])
    await home.journal.commit([Change(Kind.REMOVED, task) for task in tasks[::2]])
    assert await home.tasks() == tasks[1::2]
    assert len(await home.answers()) == 130


async def test_answers_are_loaded_oldest_first(home: Home) -> None:
    """All of them: the later one for the same request comes later."""
    working, answered, other = an_answer(reply=b""), an_answer(), an_answer("n")
    await home.journal.commit([], [working])
    await home.journal.commit(added(a_task()), [other, answered])
    assert await home.answers() == [working, other, answered]


async def test_old_answers_are_forgotten_with_a_later_commit(home: Home) -> None:
    """Those before the instant go, the one at the instant stays."""
    await home.journal.commit([], [an_answer("1", NOW - 2), an_answer("2", NOW - 1), an_answer("3", NOW)])
    home.journal.forget(NOW, ALL)
    await home.journal.commit([])
    assert [answer.msg_id for answer in await home.answers()] == ["3"]


async def test_many_old_answers_are_forgotten_with_some_later_commits(home: Home) -> None:
    """However many there are, a few commits do it."""
    await home.journal.commit([], [an_answer(f"{n}", NOW - 1) for n in range(2500)])
    home.journal.forget(NOW, ALL)
    for _ in range(4):
        await home.journal.commit([])
    assert await home.answers() == []


async def test_the_oldest_answers_go_when_there_are_too_many_bytes(home: Home) -> None:
    """However young; replies and what an answer takes beside it are counted, those of an earlier start too."""
    answers = [an_answer(f"{n}", NOW)._replace(reply=b"x" * 10_000) for n in range(2500)]
    await home.journal.commit([], answers[:1200])
    assert len(await home.answers()) == 1200
    await home.journal.commit([], answers[1200:])
    home.journal.forget(NOW, 10 * answers[0].size)
    for _ in range(4):
        await home.journal.commit([])
    assert [answer.msg_id for answer in await home.answers()] == [f"{n}" for n in range(2490, 2500)]


async def test_what_the_audit_says_is_read_newest_first(home: Home) -> None:
    """Page after page, as it was written, over a restart."""
    await home.journal.commit(added(a_task()), audited=[an_entry("add"), an_entry("start")])
    await home.journal.commit([], audited=[an_entry("stop")])
    await home.reopen()
    first = await home.journal.audit(AuditQuery(ACCOUNT, 2))
    assert [entry.verb for entry in first.entries] == ["stop", "start"]
    last = await home.journal.audit(AuditQuery(ACCOUNT, 2, start=first.next))
    assert [entry._replace(number=0) for entry in last.entries] == [an_entry("add")]
    assert last.next is None
    assert (await home.journal.audit(AuditQuery(ACCOUNT, 1, start=2**70))).entries == first.entries[:1]


async def test_an_account_reads_its_own_audit_alone(home: Home) -> None:
    """Not even of a task that it names."""
    await home.journal.commit(
        [], audited=[an_entry("add", of=[2]), an_entry("remove", OTHER_ACCOUNT, of=[1])]
    )
    (mine,) = (await home.journal.audit(AuditQuery(ACCOUNT, 9))).entries
    assert mine.verb == "add"
    assert (await home.journal.audit(AuditQuery(ACCOUNT, 9, id_of(1)))).entries == []


async def test_what_is_said_of_many_tasks_is_said_of_each(home: Home) -> None:
    """By their seqs, without a gap's; what was added together by the ids as well, and nothing of an id of nobody."""
    removed = an_entry("remove", of=[2, 3, 5])
    unnamed = removed._replace(subject=removed.subject._replace(task_id=None))
    entries = [an_entry("add", of=range(1, 9)), an_entry("start", of=[3]), an_entry("stop", of=[4]), unnamed]
    for entry in entries:
        await home.journal.commit([], audited=[entry])

    async def verbs(task_id: str) -> list[str]:
        page = await home.journal.audit(AuditQuery(ACCOUNT, 9, task_id))
        return [entry.verb for entry in page.entries]

    assert await verbs(id_of(3)) == ["remove", "start", "add"]
    assert await verbs(id_of(4)) == ["stop", "add"]
    assert await verbs(id_of(5)) == ["remove", "add"]
    assert await verbs(id_of(9)) == []
    assert await verbs(task_id(b"another's.", 3)) == []
    page = await home.journal.audit(AuditQuery(ACCOUNT, 1, id_of(3)))
    assert (await home.journal.audit(AuditQuery(ACCOUNT, 1, id_of(3), page.next))).entries[0].verb == "start"


async def test_old_entries_of_the_audit_go_with_later_commits(home: Home) -> None:
    """Those before the instant, and the oldest of an account's that are too many; another's are its own."""
    old = [an_entry("old", at=NOW - 1) for _ in range(250)]
    await home.journal.commit([], audited=[*old, an_entry("other", OTHER_ACCOUNT)])
    home.journal.keep_audit(NOW, ALL)
    for _ in range(4):
        await home.journal.commit([], audited=[an_entry("new")])
    assert {entry.verb for entry in await audit(home)} == {"new"}
    home.journal.keep_audit(NOW, 2)
    await home.journal.commit([], audited=[an_entry("newer")])
    assert [entry.verb for entry in await audit(home)] == ["newer", "new"]
    assert [entry.verb for entry in await audit(home, OTHER_ACCOUNT)] == ["other"]


async def test_a_commit_need_not_be_awaited(home: Home) -> None:
    """It takes effect from the call; close waits for it."""
    _ = home.journal.commit(added(a_task()))
    assert len(await home.tasks()) == 1


async def test_a_cancelled_waiter_disturbs_nobody(home: Home) -> None:
    """What it asked for is written all the same, and the others are told."""
    commits = [asyncio.ensure_future(home.journal.commit(added(a_task(seq)))) for seq in range(1, 10)]
    commits[4].cancel()
    await asyncio.gather(*commits[:4], *commits[5:])
    assert len(await home.tasks()) == 9


async def test_a_commit_is_not_done_at_once(home: Home) -> None:
    """Nobody is told in the same turn of the loop."""
    assert not asyncio.ensure_future(home.journal.commit([])).done()


async def test_a_snapshot_counts_the_tasks(home: Home) -> None:
    """Those that are there, not those that ever were."""
    await home.journal.commit(added(a_task(1), a_task(2), a_task(3)))
    await home.journal.commit([Change(Kind.REMOVED, a_task(2))])
    assert (await home.journal.snapshot()).tasks == 2


async def test_nothing_goes_after_close(home: Home) -> None:
    """Closing twice is no harm; commits and snapshots are refused until the next load."""
    await home.journal.close()
    await home.journal.close()
    with pytest.raises(StoreBroken, match="not open"):
        await home.journal.commit([])
    with pytest.raises(StoreUnavailable, match="not open"):
        await home.journal.snapshot()
    with pytest.raises(StoreUnavailable, match="not open"):
        await audit(home)


async def test_loaded_tasks_can_change(home: Home) -> None:
    """A restart goes on where the last stop left off."""
    await home.journal.commit(added(a_task()))
    (task,) = await home.tasks()
    await home.journal.commit([Change(Kind.STARTED, task.start(NOW))])
    assert await home.tasks() == [task._replace(started_at=NOW)]
