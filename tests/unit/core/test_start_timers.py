"""What is to be started later: neither before its time nor twice, and not lost."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress

import pytest

from kazoo_tasks.core import start_timers, timers
from kazoo_tasks.core.order import Draft, When
from kazoo_tasks.core.start_timers import StartTimers
from kazoo_tasks.model.change import Kind
from kazoo_tasks.model.errors import AlreadyStarted, StoreUnavailable
from kazoo_tasks.model.task import Status
from support.build import ACCOUNT, NOW, a_task
from support.core import Office, turn


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """The clock is moved by hand, so it is looked at often."""
    for module, name in ((timers, "_LOOK_S"), (timers, "_LOOK_CLOSELY_S"), (start_timers, "_RETRY_S")):
        monkeypatch.setattr(module, name, 0.001)


@pytest.fixture
async def office() -> AsyncIterator[Office]:
    """One whose timers go."""
    office = await Office().open()
    going = asyncio.create_task(office.timers.run())
    yield office
    going.cancel()
    with suppress(asyncio.CancelledError):
        await going
    await office.settled()


def later(seconds: int, priority: int | None = None) -> Draft:
    """A task that is to be started so many seconds after now."""
    return Draft("timer", "sleep", [1], priority, When(start_at=NOW + seconds))


def status(office: Office, task_id: str) -> Status:
    """How a task is."""
    return office.ledger.registry.get(task_id).status


async def started(office: Office, *task_ids: str) -> None:
    """Wait until these are."""
    async with asyncio.timeout(5):
        for task_id in task_ids:
            while status(office, task_id) is Status.PENDING:  # noqa: ASYNC110 - any round of the loop may bring it
                await asyncio.sleep(0)


async def looked(office: Office) -> None:
    """Let the timers look at the clock, by another task that is due by then."""
    other = (await office.add(Draft("timer", "sleep", [1], when=When(delay=1))))["id"]
    office.clock.at += 1
    await started(office, other)


async def test_it_starts_when_its_time_has_come_and_not_before(office: Office) -> None:
    """Told as such until then."""
    shown = await office.add(later(10))
    assert shown["start_at"] == NOW + 10
    assert "started_at" not in shown
    task = office.ledger.registry.get(shown["id"])
    assert office.handlers.explain(task) == {
        "reason": "start_at",
        "waits_for": "its start",
        "start_at": NOW + 10,
    }
    await looked(office)
    assert status(office, task.id) is Status.PENDING
    office.clock.at = NOW + 10
    await started(office, task.id)
    assert office.ledger.registry.get(task.id).started_at == NOW + 10
    assert [change.kind for change in office.changes if change.task.id == task.id].count(Kind.STARTED) == 1


@pytest.mark.parametrize("start", [False, True])
async def test_a_time_that_is_past_is_now(office: Office, start: bool) -> None:  # noqa: FBT001 - both ways to ask
    """In the same commit."""
    shown = await office.add(later(-5), start=start)
    assert shown["is_terminated"] is False


async def test_among_many_each_has_its_own_time(office: Office) -> None:
    """And the reply keeps their order."""
    now, soon, plain = await office.add(later(0), later(5), Draft("timer", "sleep", [1]), start=True)
    assert ["started_at" in task for task in (now, soon, plain)] == [True, False, True]


async def test_a_pending_task_is_put_off_and_started_at_once(office: Office) -> None:
    """The last word counts; once it is started there is nothing to put off."""
    task_id = (await office.add())["id"]
    start = office.handlers.start
    for seconds in (2, 30):
        await start(office.requester(), task_id, ACCOUNT, When(delay=seconds))
    office.clock.at += 2
    await looked(office)
    assert status(office, task_id) is Status.PENDING
    assert len(office.timers) == 1
    assert (await office.start(task_id))["is_terminated"] is False
    assert not len(office.timers)
    assert office.ledger.registry.get(task_id).start_at is None, "it was not started then, but now"
    with pytest.raises(AlreadyStarted):
        await start(office.requester(), task_id, ACCOUNT, When(delay=1))


async def test_what_is_removed_never_starts(office: Office) -> None:
    """And nothing of it is kept."""
    await office.add(later(50))
    for number in range(200):
        task_id = (await office.add(later(100 + number)))["id"]
        await office.remove(task_id)
    assert len(office.timers) == 1
    assert len(office.timers._timers._heap) < 100


async def test_a_store_that_is_full_loses_no_start(office: Office) -> None:
    """It is tried again."""
    task_id = (await office.add(later(1)))["id"]
    office.journal.fail_next(StoreUnavailable(), times=2)
    office.clock.at += 1
    await started(office, task_id)
    assert status(office, task_id) is Status.RUNNING


async def test_a_clock_that_is_set_is_believed(office: Office) -> None:
    """A day forward all that is due by then starts; a day back all waits for its time."""
    tomorrow, next_week = (task["id"] for task in await office.add(later(86_400), later(7 * 86_400)))
    office.clock.jump(-86_400)
    await looked(office)
    assert status(office, tomorrow) is Status.PENDING
    office.clock.jump(2 * 86_400 + 60)
    await started(office, tomorrow)
    assert status(office, next_week) is Status.PENDING


async def test_many_that_are_due_together_start_in_the_order_of_their_times(office: Office) -> None:
    """Some hundred with each commit."""
    ids = [task["id"] for task in await office.add(*(later(1 + n % 3) for n in range(1_000)))]
    office.clock.at += 3
    await started(office, *ids)
    begun = [change.task for change in office.changes if change.kind is Kind.STARTED]
    assert [task.start_at for task in begun] == sorted(task.start_at or 0 for task in begun)
    assert len(begun) == len({task.id for task in begun}) == 1_000


async def test_it_is_remembered_over_a_restart() -> None:
    """What has come due meanwhile starts at once."""
    former = await Office().open()
    due, not_due = (task["id"] for task in await former.add(later(1), later(100)))
    office = Office(former.journal)
    office.clock.at += 50
    await office.open()
    office.timers.load(office.ledger.registry)
    going = asyncio.create_task(office.timers.run())
    await started(office, due)
    going.cancel()
    assert status(office, not_due) is Status.PENDING
    assert len(office.timers) == 1
    await turn(going.done)


async def test_one_that_was_put_off_in_the_last_moment_waits() -> None:
    """Between its turn and its lock."""
    office = await Office().open()
    timers = StartTimers(office.ledger, office.runner)
    task = a_task(start_at=NOW)
    timers.load([task])
    (due,) = timers._timers.take_due()
    timers.load([task.put_off(NOW + 5)])
    await timers._start([due])
    assert not office.changes
    assert len(timers) == 1


async def test_a_turn_that_fails_loses_no_start(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever it fails of; the next one has it in hand again."""
    office = await Office().open()
    task_id = (await office.add(later(1)))["id"]
    office.clock.at += 1
    with monkeypatch.context() as broken:
        broken.setattr(office.ledger, "locks", None)
        with pytest.raises(AttributeError):
            await office.timers.run()
    going = asyncio.create_task(office.timers.run())
    await started(office, task_id)
    going.cancel()
