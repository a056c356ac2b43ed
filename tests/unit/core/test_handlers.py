"""The verbs: what each does, refuses, and does only once."""

import asyncio

import pytest

from kazoo_tasks.core.order import Draft
from kazoo_tasks.core.registry import Query
from kazoo_tasks.model.change import Kind
from kazoo_tasks.model.errors import (
    AlreadyStarted,
    BadArguments,
    MsgIdConflict,
    NoFunction,
    NoModule,
    NotFound,
    NotRunning,
    StoreBroken,
    StoreUnavailable,
    TaskRunning,
)
from kazoo_tasks.model.outcome import Succeeded
from support.build import ACCOUNT, NOW, OTHER_ACCOUNT
from support.core import STOPPED, Office, both, turn

TEN_YEARS = 3_650 * 86_400


@pytest.fixture
async def office() -> Office:
    """Request handlers with two slots."""
    return await Office().open()


async def test_an_added_task_is_pending_and_has_just_its_keys(office: Office) -> None:
    """As the specification prints it."""
    task = await office.add()

    assert list(task) == ["account_id", "arguments", "function", "id", "module", "submitted_at"]


async def test_an_added_task_can_be_read_and_listed(office: Office) -> None:
    """By its own account."""
    task = await office.add()

    assert office.handlers.read(task["id"], ACCOUNT).id == task["id"]
    assert [listed.id for listed in office.handlers.list(ACCOUNT, Query(page_size=5)).tasks] == [task["id"]]


async def test_another_account_finds_nothing(office: Office) -> None:
    """Kazoo once let every account see every task."""
    task = await office.add()

    with pytest.raises(NotFound):
        office.handlers.read(task["id"], OTHER_ACCOUNT)
    assert office.handlers.list(OTHER_ACCOUNT, Query(page_size=5)).tasks == []


@pytest.mark.parametrize(
    ("draft", "error"),
    [
        (Draft("no", "sleep", [1]), NoModule),
        (Draft("timer", "no", [1]), NoFunction),
        (Draft("timer", "sleep", []), NoFunction),
        (Draft("timer", "time", []), NoFunction),
        (Draft("knm_converters", "normalize", [1]), BadArguments),
    ],
)
async def test_what_cannot_run_is_not_added(office: Office, draft: Draft, error: type[Exception]) -> None:
    """Neither alone nor with others: all or none."""
    for drafts in ([draft], [Draft("timer", "sleep", [1]), draft]):
        with pytest.raises(error):
            await office.add(*drafts)
    assert not office.changes


async def test_a_bulk_refusal_tells_which_task(office: Office) -> None:
    """Of a thousand, the one to mend."""
    good, bad = Draft("timer", "sleep", [1]), Draft("knm_converters", "normalize", [1])

    with pytest.raises(BadArguments) as caught:
        await office.add(good, bad)

    assert list(caught.value.detail or {}) == ["1.arguments.0"]


async def test_a_start_is_told_and_the_pool_has_it(office: Office) -> None:
    """At once if a slot is idle."""
    task = await office.add()
    started = await office.start(task["id"])

    assert (started["is_terminated"], "started_at" in started) == (False, True)
    assert list(office.pool.running) == [task["id"]]


async def test_add_and_start_are_one(office: Office) -> None:
    """One request, one commit."""
    task = await office.add(start=True)

    assert task["is_terminated"] is False
    assert [change.kind for change in office.changes] == [Kind.ADDED, Kind.STARTED, Kind.ASSIGNED]


async def test_what_finds_no_slot_waits_in_order(office: Office) -> None:
    """And takes the place of whatever ends."""
    tasks = [await office.add(start=True) for _ in range(4)]
    office.pool.end(tasks[0]["id"])
    await office.settled()

    assert list(office.pool.running) == [tasks[1]["id"], tasks[2]["id"]]


async def test_a_bulk_start_fills_the_slots_and_queues_the_rest(office: Office) -> None:
    """In order."""
    tasks = await office.add(*[Draft("timer", "sleep", [n]) for n in range(5)], start=True)
    for task in tasks:
        await turn(lambda task=task: task["id"] in office.pool.running)  # type: ignore[misc]  # bound now
        office.pool.end(task["id"])
    await office.settled()

    ended = [change.task.id for change in office.changes if change.kind is Kind.ENDED]
    assert ended == [task["id"] for task in tasks]


async def test_a_result_is_kept(office: Office) -> None:
    """As JSON, for whoever reads the task."""
    task = await office.add(start=True)
    office.pool.end(task["id"], Succeeded(b'{"a":1}'))
    await office.settled()

    assert office.handlers.read(task["id"], None).result == b'{"a":1}'


async def test_a_started_task_starts_no_second_time(office: Office) -> None:
    """Not while it waits or runs, not after."""
    task = await office.add(start=True)
    with pytest.raises(AlreadyStarted):
        await office.start(task["id"])
    office.pool.end(task["id"])
    await office.settled()
    with pytest.raises(AlreadyStarted):
        await office.start(task["id"])


async def test_two_starts_at_once_run_it_once(office: Office) -> None:
    """They take turns."""
    task = await office.add()
    one, two = await both(office.start(task["id"]), office.start(task["id"]))

    assert isinstance(one, dict)
    assert isinstance(two, AlreadyStarted)


async def test_a_running_task_is_not_removed(office: Office) -> None:
    """A waiting one neither."""
    tasks = [await office.add(start=True) for _ in range(3)]

    for task in tasks:
        with pytest.raises(TaskRunning):
            await office.remove(task["id"])


async def test_a_removed_task_is_shown_once_more_and_gone(office: Office) -> None:
    """Whether it ran or not."""
    task = await office.add()

    assert await office.remove(task["id"]) == task
    with pytest.raises(NotFound):
        office.handlers.read(task["id"], None)


async def test_a_waiting_task_is_stopped_before_it_runs(office: Office) -> None:
    """And says so."""
    tasks = [await office.add(start=True) for _ in range(3)]
    stopped = await office.stop(tasks[2]["id"])

    assert stopped["error"] == "(<0.0.0>) stopped: stopped on request, while it waited"
    assert not office.pool.stopped


async def test_a_running_task_is_stopped_and_shown_ended(office: Office) -> None:
    """The reply waits for the end."""
    task = await office.add(start=True)
    stop = asyncio.ensure_future(office.stop(task["id"]))
    await turn(lambda: office.pool.stopped)
    office.pool.end(task["id"], STOPPED)

    assert (await stop)["error"] == STOPPED.text()


@pytest.mark.parametrize("started", [False, True])
async def test_what_does_not_run_is_not_stopped(office: Office, *, started: bool) -> None:
    """Never started, or over."""
    task = await office.add(start=started)
    if started:
        office.pool.end(task["id"])
        await office.settled()

    with pytest.raises(NotRunning):
        await office.stop(task["id"])


async def test_the_same_request_again_gets_the_same_answer(office: Office) -> None:
    """Each verb that changes something."""
    task = await office.add(msg_id="a")
    started = await office.start(task["id"], msg_id="b")
    office.pool.end(task["id"])
    await office.settled()
    removed = await office.remove(task["id"], msg_id="c")

    assert await office.add(msg_id="a") == task
    assert await office.start(task["id"], msg_id="b") == started
    assert await office.remove(task["id"], msg_id="c") == removed
    assert [change.kind for change in office.changes].count(Kind.ADDED) == 1


async def test_the_same_refused_request_again_is_refused_again(office: Office) -> None:
    """Though it would be granted by now, and over a restart: the first answer counts."""
    task = await office.add(start=True)
    with pytest.raises(TaskRunning):
        await office.remove(task["id"], msg_id="r")
    office.pool.end(task["id"])
    await office.settled()

    for asked in (office, await Office(office.journal).open()):
        with pytest.raises(TaskRunning):
            await asked.remove(task["id"], msg_id="r")
    assert (await office.remove(task["id"], msg_id="another"))["is_success"]


async def test_the_same_request_twice_at_once_has_one_effect(office: Office) -> None:
    """A redelivery may overtake the answer."""
    one, two = await both(office.add(msg_id="a"), office.add(msg_id="a"))

    assert one == two
    assert len(office.ledger.registry) == 1


async def test_a_message_id_means_one_request(office: Office) -> None:
    """While the first is under way, and after."""
    other = office.handlers.remove(office.requester("a", b"other"), "x", None)
    task, error = await both(office.add(msg_id="a"), other)
    assert isinstance(error, MsgIdConflict)

    with pytest.raises(MsgIdConflict):
        await office.handlers.remove(office.requester("a", b"other"), task["id"], None)


async def test_a_refused_commit_changes_nothing(office: Office) -> None:
    """And the slot that was reserved is free again."""
    office.journal.fail_next(StoreUnavailable())
    with pytest.raises(StoreUnavailable):
        await office.add(start=True)

    assert len(office.ledger.registry) == 0
    await office.add(start=True)
    await office.add(start=True)
    assert len(office.pool.running) == 2


async def test_a_broken_store_is_told_to_who_can_end_the_process(office: Office) -> None:
    """Nobody else gets an answer."""
    office.journal.fail_next(StoreBroken("I/O error"))
    with pytest.raises(StoreBroken):
        await office.add()

    assert str(office.ledger.broken.result()) == "I/O error"


async def test_a_cancelled_caller_does_not_lose_what_is_on_disk(office: Office) -> None:
    """Memory follows the journal, whoever waits."""
    caller = asyncio.ensure_future(office.add())
    await asyncio.sleep(0)
    caller.cancel()
    await turn(lambda: len(office.ledger.registry))

    assert len(office.changes) == 1


async def test_a_clock_set_back_by_seconds_leaves_lists_ascending(office: Office) -> None:
    """Clocks are put right all the time, also between two starts."""
    first = await office.add()
    office.clock.jump(-2)
    second = await office.add()
    again = await Office(office.journal).open()
    again.clock.jump(-5)
    third = await again.add(msg_id="after")

    assert first["submitted_at"] == second["submitted_at"] == third["submitted_at"]


async def test_a_clock_that_was_wrong_once_does_not_stay_wrong(office: Office) -> None:
    """Ten years ahead and back again: times are the truth, and order comes from the order of submission."""
    office.clock.jump(TEN_YEARS)
    ahead = await office.add()
    office.clock.jump(-TEN_YEARS)
    back = await office.add()
    again = await Office(office.journal).open()
    restarted = await again.add(msg_id="after")

    assert [task["submitted_at"] - NOW for task in (ahead, back, restarted)] == [TEN_YEARS, 0, 0]
    assert [task.id for task in again.handlers.list(ACCOUNT, Query(9)).tasks] == [
        task["id"] for task in (ahead, back, restarted)
    ]
    found = again.handlers.list(ACCOUNT, Query(9, created_to=NOW)).tasks
    assert [task.id for task in found] == [back["id"], restarted["id"]]


async def test_no_start_lies_before_its_submission(office: Office) -> None:
    """Nor an end before its start."""
    office.clock.jump(3600)
    task = await office.add()
    office.clock.jump(-3600)
    started = await office.start(task["id"])
    office.pool.end(task["id"])
    await office.settled()
    ended = office.handlers.read(task["id"], ACCOUNT)

    assert started["started_at"] == task["submitted_at"] == ended.ended_at


@pytest.mark.parametrize("jump", [TEN_YEARS, -TEN_YEARS, 3600, 0])
async def test_a_task_ran_for_as_long_as_it_ran(office: Office, jump: int) -> None:
    """Whatever the clock was set to meanwhile."""
    task = await office.add(start=True)
    office.clock.at += 100
    office.clock.jump(jump)
    office.pool.end(task["id"])
    await office.settled()
    ended = office.handlers.read(task["id"], ACCOUNT)

    assert (ended.ended_at or 0) - (ended.started_at or 0) == 100


@pytest.mark.parametrize("jump", [TEN_YEARS, -TEN_YEARS])
async def test_a_clock_that_jumps_has_nothing_done_twice(office: Office, jump: int) -> None:
    """A repeated request is known for as long as it is said to be, and no longer."""
    first = await office.add(msg_id="once")
    office.clock.jump(jump)
    office.clock.at += 599
    office.ledger.expire()
    assert await office.add(msg_id="once") == first
    office.clock.at += 2
    office.ledger.expire()
    assert await office.add(msg_id="once") != first
