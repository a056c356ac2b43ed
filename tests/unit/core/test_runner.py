"""The runner: what is claimed ahead, and what becomes of it."""

import asyncio
import itertools
import json

import pytest

from kazoo_tasks import task
from kazoo_tasks.core.catalogue import Catalogue
from kazoo_tasks.core.order import Draft, Order
from kazoo_tasks.core.recovery import resume, settle
from kazoo_tasks.model.change import Change, Kind
from kazoo_tasks.model.errors import StoreUnavailable
from kazoo_tasks.model.task import Status
from kazoo_tasks.modules import timer
from support.build import OTHER_ACCOUNT, a_module
from support.core import Office, turn


@pytest.fixture
async def office() -> Office:
    """Two slots that have seen a short run."""
    office = await Office().open()
    task = await office.add(start=True)
    office.pool.end(task["id"])
    await office.settled()
    return office


def statuses(office: Office) -> list[Status]:
    """Of all tasks but the first, in order of submission."""
    return [task.status for task in sorted(office.ledger.registry, key=lambda task: task.seq)[1:]]


async def five(office: Office) -> list[str]:
    """Five tasks, started together."""
    added = await office.add(*[Draft("timer", "sleep", [n]) for n in range(5)], start=True)
    return [task["id"] for task in added]


async def test_short_runs_are_on_disk_before_a_slot_is_idle(office: Office) -> None:
    """So that it waits for no commit."""
    await five(office)

    assert statuses(office) == [Status.RUNNING] * 5
    assert len(office.pool.running) == 2


async def test_a_drain_takes_back_what_no_child_has_seen(office: Office) -> None:
    """The next start runs it, and counts nothing as interrupted that did not run."""
    ids = await five(office)
    await office.runner.drain(grace_s=0)

    assert statuses(office) == [Status.RUNNING] * 2 + [Status.WAITING] * 3
    assert [task.attempt for task in office.ledger.registry if task.id in ids[2:]] == [0, 0, 0]
    left = settle(office.ledger.registry, office.catalogue, office.clock.now())
    assert {change.task.id for change in left} == set(ids[:2])


async def test_what_is_claimed_ahead_and_has_to_wait_is_given_back(
    office: Office, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Runs became long: what no child has seen waits like any other, in its place, and runs later."""
    monkeypatch.setattr("kazoo_tasks.core.runner.PATIENCE_S", 0.001)
    monkeypatch.setattr("kazoo_tasks.core.read_ahead.PATIENCE_S", 0.001)
    ids = await five(office)
    waits = [Status.RUNNING] * 2 + [Status.WAITING] * 3
    taken_back = asyncio.Event()
    requeued = itertools.count(1)

    def announce(change: Change) -> None:
        if change.kind is Kind.REQUEUED and next(requeued) == 3:
            taken_back.set()

    monkeypatch.setattr(office.ledger, "_announce", announce)
    await asyncio.wait_for(taken_back.wait(), 5)
    assert statuses(office) == waits
    monkeypatch.undo()

    for task_id in ids:
        await turn(lambda task_id=task_id: task_id in office.pool.running)  # type: ignore[misc]  # bound now
        office.pool.end(task_id)
    await office.settled()
    assert statuses(office) == [Status.SUCCESS] * 5
    assert [task.attempt for task in office.ledger.registry if task.id in ids] == [1] * 5


async def test_what_is_claimed_ahead_can_still_be_stopped(office: Office) -> None:
    """It never ran, and says so."""
    ids = await five(office)
    stopped = await office.stop(ids[4])

    assert stopped["error"].endswith("stopped on request, while it waited")
    for task_id in ids[:4]:
        await turn(lambda task_id=task_id: task_id in office.pool.running)  # type: ignore[misc]  # bound now
        office.pool.end(task_id)
    await office.settled()
    assert not office.pool.running


async def test_what_a_dead_child_had_not_begun_runs_in_the_next(office: Office) -> None:
    """Without another attempt, since it did not run."""
    ids = await five(office)
    office.pool.lose(ids[0])
    for task_id in [*ids[1:], ids[0]]:
        await turn(lambda task_id=task_id: task_id in office.pool.running)  # type: ignore[misc]  # bound now
        office.pool.end(task_id)
    await office.settled()

    assert statuses(office) == [Status.SUCCESS] * 5
    assert {task.attempt for task in office.ledger.registry} == {1}


async def test_what_comes_back_while_a_stop_is_written_down_is_stopped(office: Office) -> None:
    """Its child died before it had begun it, and for a moment nobody has room; or else it runs, and nobody stops it."""
    first, _ = (task["id"] for task in await office.add(*[Draft("timer", "sleep", [1])] * 2, start=True))
    await turn(lambda: len(office.pool.running) == 2)
    office.pool.size = 0
    stopping = asyncio.create_task(office.stop(first))
    await asyncio.sleep(0)
    office.pool.lose(first)
    await turn(lambda: office.pool.stopped or stopping.done())
    office.pool.size = 2
    office.runner.idle()
    stopped = await asyncio.wait_for(stopping, 5)
    await office.settled()

    assert stopped["error"].endswith("stopped on request, while it waited")
    assert first not in office.pool.running


async def test_what_comes_back_during_a_drain_waits_for_the_next_start(office: Office) -> None:
    """And the drain does not wait for it."""
    first, second = (task["id"] for task in await office.add(*[Draft("timer", "sleep", [1])] * 2, start=True))
    draining = asyncio.create_task(office.runner.drain(grace_s=60))
    await turn(lambda: office.runner.scheduler._held)
    office.pool.lose(first)
    office.pool.end(second)
    await asyncio.wait_for(draining, 5)

    assert statuses(office) == [Status.WAITING, Status.SUCCESS]


async def test_ends_of_one_moment_are_written_together(office: Office) -> None:
    """One commit is cheaper than two."""
    ids = await five(office)
    commits: list[int] = []
    commit = office.journal.commit

    def count(changes, *others):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN002, ANN202 - as the one it stands for
        commits.append(len(changes))
        return commit(changes, *others)

    office.journal.commit = count  # type: ignore[method-assign]  # to look on
    for task_id in ids[:2]:
        office.pool.end(task_id)
    await office.settled()

    assert commits == [2]


async def test_ends_that_come_up_during_a_commit_share_the_next(office: Office) -> None:
    """The disk is the bottleneck, so nothing queues for it that can be gathered."""
    ids = await five(office)
    commits: list[int] = []
    commit = office.journal.commit
    first_write: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def write(changes, *others):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN002, ANN202 - as the one it stands for
        commits.append(len(changes))
        return commit(changes, *others) if len(commits) > 1 else first_write

    office.journal.commit = write  # type: ignore[method-assign]  # to hold the first one up
    for task_id in ids[:4]:
        await turn(lambda task_id=task_id: task_id in office.pool.running)  # type: ignore[misc]  # bound now
        office.pool.end(task_id)
        for _ in range(5):  # more than a commit of its own would need to begin
            await asyncio.sleep(0)
    first_write.set_result(None)
    await office.settled()

    assert commits == [1, 3]
    assert statuses(office) == [*[Status.SUCCESS] * 4, Status.RUNNING]


async def test_a_report_is_told_before_the_end_that_comes_with_it(office: Office) -> None:
    """Whatever else was about to be written."""
    (first, second, *_) = await five(office)
    office.pool.end(first)
    assert office.pool.watcher
    office.pool.watcher.progressed(second, b'{"done":1}')
    office.pool.end(second)
    await office.settled()

    told = [change.kind for change in office.changes if change.task.id == second]
    assert told[-2:] == [Kind.PROGRESSED, Kind.ENDED]
    assert office.handlers.read(second, None).progress == b'{"done":1}'


async def test_a_report_that_comes_too_late_is_dropped(office: Office) -> None:
    """The end is final."""
    (first, *_) = await five(office)
    office.pool.end(first)
    await office.settled()
    assert office.pool.watcher
    office.pool.watcher.progressed(first, b'{"done":1}')
    await office.settled()

    assert office.handlers.read(first, None).progress is None


@pytest.mark.parametrize("kind", [Kind.ENDED, Kind.ASSIGNED])
async def test_a_full_disk_delays_and_loses_nothing(
    office: Office, monkeypatch: pytest.MonkeyPatch, kind: Kind
) -> None:
    """An end is offered again, an assignment waits again."""
    for room in ("runner", "words"):
        monkeypatch.setattr(f"kazoo_tasks.core.{room}._RETRY_S", 0.001)
    ids = [(await office.add())["id"] for _ in range(3)]
    office.runner.scheduler.hold() if kind is Kind.ASSIGNED else None
    for task_id in ids:
        await office.start(task_id)
    office.journal.fail_next(StoreUnavailable())
    if kind is Kind.ENDED:
        office.pool.end(ids[0])
    else:
        office.runner.scheduler._held = False
        office.runner.idle()
    await office.settled()

    assert office.ledger.refused is None
    assert [task.attempt for task in office.ledger.registry if task.id in ids] == [1, 1, 1]


async def test_what_the_store_cannot_settle_after_a_reload_stays_parked() -> None:
    """Whether it may run again must be on disk before it does."""
    former = await Office().open()
    task_id = (await former.add(start=True))["id"]
    office = Office(former.journal)
    office.catalogue.become(Catalogue([]))
    await office.open()
    await office.ledger.commit(list(settle(office.ledger.registry, office.catalogue, office.ledger.now())))
    resume(office.ledger.registry, office.catalogue, office.runner.scheduler)
    office.catalogue.become(Catalogue([timer]))
    office.journal.fail_next(StoreUnavailable())
    await office.runner.review()
    await office.settled()
    assert list(office.runner.scheduler.parked) == [task_id]
    assert office.ledger.registry.get(task_id).status is Status.WAITING
    await office.runner.review()
    assert not office.runner.scheduler.parked


async def test_what_is_started_after_its_function_went_is_parked() -> None:
    """And runs when it is back."""
    office = await Office().open()
    task_id = (await office.add())["id"]
    office.catalogue.become(Catalogue([]))
    await office.start(task_id)
    await office.settled()
    explained = office.handlers.explain(office.ledger.registry.get(task_id))
    assert (explained["reason"], explained["waits_for"]) == ("parked", "timer.sleep is no longer offered")
    office.catalogue.become(Catalogue([timer]))
    await office.runner.review()
    await office.settled()
    assert list(office.pool.running) == [task_id]


async def full(office: Office, *drafts: Draft) -> list[str]:
    """Tasks that wait, since others have all slots."""
    await office.add(*[Draft("timer", "sleep", [n]) for n in range(office.pool.size)], start=True)
    added = await office.add(*drafts, start=True)
    return [task["id"] for task in (added if len(drafts) > 1 else [added])]


async def order(office: Office) -> list[str]:
    """End everything; gives the tasks in the order in which they were handed to the pool."""
    handed: list[str] = []
    while office.pool.running:
        handed += [task_id for task_id in office.pool.running if task_id not in handed]
        office.pool.end(next(iter(office.pool.running)))
        await office.settled()
    return handed


async def test_the_queue_of_one_account_is_not_anothers() -> None:
    """Its only task comes after one of theirs, and is told so."""
    office = await Office(slots=1).open()
    theirs = await full(office, *[Draft("timer", "sleep", [n]) for n in range(20)])
    reply = await office.handlers.add(
        office.requester(), Order(OTHER_ACCOUNT, [Draft("timer", "sleep", [1])], start=True)
    )
    ours = json.loads(reply)["id"]
    registry = office.ledger.registry
    assert office.handlers.explain(registry.get(ours)) == {
        "reason": "behind",
        "waits_for": "a slot",
        "behind": 1,
        "of_account": 0,
    }
    assert office.handlers.explain(registry.get(theirs[7])) == {
        "reason": "behind",
        "waits_for": "a slot",
        "behind": 8,
        "of_account": 7,
    }
    assert (await order(office))[1:] == [theirs[0], ours, *theirs[1:]]


@task(priority=6)
def somewhat_urgent(milliseconds: int) -> None:
    """More than others that say nothing."""


async def test_the_more_urgent_comes_first() -> None:
    """By the task's own word, else its function's; after a restart as well."""
    office = await Office(slots=1).open()
    office.catalogue.become(Catalogue([a_module("timer", sleep=somewhat_urgent)]))
    drafts = [Draft("timer", "sleep", [n], priority) for n, priority in enumerate([None, 9, 0, 5, 7, None])]
    ids = await full(office, *drafts)
    wanted = [ids[place] for place in (1, 4, 0, 5, 3, 2)]
    again = Office(office.journal)
    again.catalogue.become(office.catalogue)
    await again.open()
    resume(again.ledger.registry, again.catalogue, again.scheduler)
    assert (
        sorted(ids, key=lambda task_id: again.handlers.explain(again.ledger.registry.get(task_id))["behind"])
        == wanted
    )
    assert (await order(office))[1:] == wanted
