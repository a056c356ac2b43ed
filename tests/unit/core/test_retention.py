"""Which finished tasks are removed, in which order, how many at a time, and what is told of it."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest

from kazoo_tasks.core.audit import subject_of
from kazoo_tasks.core.retention import Keep, Retention
from kazoo_tasks.model.audit import OK, AuditEntry, AuditQuery, Origin
from kazoo_tasks.model.change import Change, Kind
from kazoo_tasks.model.errors import StoreUnavailable
from kazoo_tasks.model.identity import task_id
from kazoo_tasks.model.task import Task
from kazoo_tasks.model.task_log import KeptLog
from kazoo_tasks.store.memory import MemoryJournal
from support.build import ACCOUNT, NOW, OTHER_ACCOUNT, a_running_task, a_task
from support.core import Office

DAY_S = 86_400
NODE = "kazoo-tasks@test.host"


def over(seq: int, days_ago: float = 0, account_id: str = ACCOUNT) -> Task:
    """A task that has ended."""
    began, ended = NOW - 300 * DAY_S, NOW - int(days_ago * DAY_S)
    return a_task(
        seq,
        id=task_id(b"0123456789", seq),
        account_id=account_id,
        submitted_at=began,
        started_at=began,
        ended_at=ended,
    )


async def office_with(tasks: Sequence[Task]) -> Office:
    """Request handlers that find these at their start."""
    journal = MemoryJournal()
    await journal.load()
    await journal.commit([Change(Kind.ADDED, task) for task in tasks])
    return await Office(journal).open()


def seqs(office: Office, account_id: str = ACCOUNT) -> list[int]:
    """What is left of an account."""
    return sorted(task.seq for task in office.ledger.registry if task.account_id == account_id)


def removed(office: Office) -> list[int]:
    """What was told as removed, in this order."""
    return [change.task.seq for change in office.changes if change.kind is Kind.REMOVED]


async def steps(office: Office, keep: Keep, count: int = 20) -> None:
    """Let it do its work; it is told what changes, as the service tells it."""
    retention = Retention(office.ledger, office.logs, keep, NODE)
    for _ in range(count):
        await retention.step()


async def audit(office: Office, account_id: str = ACCOUNT, task: Task | None = None) -> list[AuditEntry]:
    """What the audit says, newest first."""
    return (await office.journal.audit(AuditQuery(account_id, 1000, task and task.id))).entries


async def test_what_ended_long_ago_is_removed() -> None:
    """To the second; its age is that of its end and not of its submission."""
    office = await office_with([over(1, 29), over(2, 30), over(3, 30 + 1 / DAY_S), over(4, 99), over(5)])
    await steps(office, Keep(days=30))
    assert seqs(office) == [1, 2, 5]
    assert list((await office.journal.load()).tasks) == [over(1, 29), over(2, 30), over(5)]


async def test_what_is_not_over_is_never_removed() -> None:
    """However old, and however many there are."""
    old = {"submitted_at": NOW - 300 * DAY_S}
    tasks = [a_task(1, **old), a_task(2, **old).start(0), a_running_task(3, submitted_at=0, started_at=1)]
    office = await office_with([*tasks, over(4)])
    await steps(office, Keep(days=1, number=1))
    assert seqs(office) == [1, 2, 3, 4]


async def test_the_first_submitted_go_when_an_account_has_too_many() -> None:
    """Only as many as are too many; each account has its own number, and what is not over is not counted."""
    mine = [a_task(1), *(over(seq) for seq in range(2, 8))]
    office = await office_with([*mine, *(over(seq, 0, OTHER_ACCOUNT) for seq in range(8, 12))])
    await steps(office, Keep(number=4))
    assert seqs(office) == [1, 4, 5, 6, 7]
    assert seqs(office, OTHER_ACCOUNT) == [8, 9, 10, 11]


async def test_nothing_is_removed_without_end() -> None:
    """Both bounds can be lifted."""
    office = await office_with([over(seq, 200) for seq in range(1, 9)])
    await steps(office, Keep(days=0, number=0))
    assert len(seqs(office)) == 8


async def test_an_end_is_noticed_at_once() -> None:
    """Also where the search by age is far away, among thousands of other accounts."""
    office = await office_with([over(seq, 0, f"{seq:032x}") for seq in range(10, 3_000)])
    retention = Retention(office.ledger, office.logs, Keep(number=1), NODE)
    first, second = over(1), over(2)
    await office.ledger.commit([Change(Kind.ENDED, task) for task in (first, second)])
    for change in office.changes:
        retention.told(change)
    await retention.step()
    assert removed(office) == [1]


async def test_a_step_is_small_and_says_that_there_is_more() -> None:
    """A hundred at most; and one entry of the audit for each."""
    office = await office_with([over(seq, 40) for seq in range(1, 252)])
    retention = Retention(office.ledger, office.logs, Keep(), NODE)
    counts = []
    # The first only begins a round.
    assert await retention.step() is False
    while await retention.step():
        counts.append(len(office.changes))
    assert counts == [100, 200, 251]
    assert [(entry.verb, entry.subject.size) for entry in await audit(office)] == [
        ("remove", 51),
        ("remove", 100),
        ("remove", 100),
    ]


async def test_tasks_that_are_not_due_cost_a_bounded_look() -> None:
    """However many they are, a step looks at some hundred; what is behind them is found in the end."""
    office = await office_with([*(a_task(seq) for seq in range(1, 3_001)), over(3_001, 40)])
    retention = Retention(office.ledger, office.logs, Keep(), NODE)
    for _ in range(5):
        assert await retention.step() is False
    for _ in range(3):
        await retention.step()
    assert removed(office) == [3_001]


async def test_too_many_behind_what_waits_are_found_without_a_pause() -> None:
    """The search goes on where it was, and does not begin again with each step."""
    office = await office_with([*(a_task(seq) for seq in range(1, 3_001)), over(3_001), over(3_002)])
    retention = Retention(office.ledger, office.logs, Keep(days=0, number=1), NODE)
    retention.told(Change(Kind.ENDED, over(3_002)))
    count = 0
    while await retention.step():
        count += 1
    assert removed(office) == [3_001]
    assert count < 20


async def test_the_audit_tells_that_retention_removed_it() -> None:
    """By whom, in the name of no requester; to each task that was removed, and to no other."""
    tasks = [over(1, 40), over(2, 1), over(3, 40)]
    office = await office_with(tasks)
    added = [await told_of(office, task) for task in tasks]
    await steps(office, Keep())
    (entry,) = (await audit(office))[:-3]
    assert (entry.verb, entry.answer, entry.detail) == ("remove", "ok", b'{"by":"retention"}')
    assert (entry.origin.node, entry.origin.msg_id, entry.subject.task_id) == (NODE, None, None)
    assert (entry.subject.size, entry.subject.seqs) == (2, ((1, 1), (3, 3)))
    assert await audit(office, task=tasks[0]) == [entry, added[0]]
    assert await audit(office, task=tasks[1]) == [added[1]]


async def told_of(office: Office, task: Task) -> AuditEntry:
    """Have the audit say that it was added."""
    entry = AuditEntry(task.account_id, NOW, "add", OK, subject_of([task]), Origin())
    await office.ledger.commit([], audited=[entry])
    return (await audit(office))[0]


async def test_its_log_goes_with_it() -> None:
    """Of every attempt."""
    office = await office_with([over(1, 40)._replace(attempt=2), over(2)._replace(attempt=1)])
    office.log_store.kept = {
        key: KeptLog(0, []) for key in ((over(1).id, 1), (over(1).id, 2), (over(2).id, 1))
    }
    await steps(office, Keep())
    assert list(office.log_store.kept) == [(over(2).id, 1)]


async def test_a_task_that_somebody_works_on_is_left_for_later() -> None:
    """Its lock is not waited for."""
    office = await office_with([over(1, 40), over(2, 40)])
    retention = Retention(office.ledger, office.logs, Keep(), NODE)
    async with office.ledger.locks.hold(over(1).id):
        async with asyncio.timeout(5):
            for _ in range(4):
                await retention.step()
        assert seqs(office) == [1]
    for _ in range(4):
        await retention.step()
    assert seqs(office) == []


async def test_it_holds_the_lock_until_the_removal_is_true() -> None:
    """Whoever asks meanwhile waits, and finds it gone."""
    office = await office_with([over(1, 40)])
    retention = Retention(office.ledger, office.logs, Keep(), NODE)
    await retention.step()
    step = asyncio.ensure_future(retention.step())
    await asyncio.sleep(0)
    assert over(1).id in office.ledger.locks
    await step
    assert over(1).id not in office.ledger.locks


async def test_a_store_that_is_full_costs_nothing() -> None:
    """It is tried again."""
    office = await office_with([over(1, 40)])
    retention = Retention(office.ledger, office.logs, Keep(), NODE)
    await retention.step()
    office.journal.fail_next(StoreUnavailable("full"))
    with pytest.raises(StoreUnavailable):
        await retention.step()
    assert seqs(office) == [1]
    for _ in range(3):
        await retention.step()
    assert seqs(office) == []


async def test_a_clock_that_is_set_ahead_removes_nothing() -> None:
    """Age is told by the time that only goes on."""
    office = await office_with([over(1, 1)])
    office.clock.jump(400 * DAY_S)
    await steps(office, Keep())
    assert seqs(office) == [1]
    office.clock.at += 30 * DAY_S
    await steps(office, Keep())
    assert seqs(office) == []
