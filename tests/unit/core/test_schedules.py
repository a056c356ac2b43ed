"""Schedules: what is started when it is due, once, one after the other, and what becomes of what was missed."""

import asyncio
import json
from typing import Any

import pytest

from kazoo_tasks import task
from kazoo_tasks.core.catalogue import Catalogue
from kazoo_tasks.core.recovery import resume, settle
from kazoo_tasks.model.audit import AuditQuery
from kazoo_tasks.model.errors import (
    BadArguments,
    NoFunction,
    NoSchedule,
    QuotaExceeded,
    StoreUnavailable,
    TaskRunning,
)
from kazoo_tasks.model.task import Task
from kazoo_tasks.modules import timer
from kazoo_tasks.wire.schedule import NewSchedule, ScheduleChanges
from support.build import ACCOUNT, NOW, OTHER_ACCOUNT, a_module
from support.core import Office

HOUR = 3_600
DAY = 24 * HOUR


@task
def without_arguments() -> None:
    """Do nothing."""


async def an_office(former: Office | None = None) -> Office:
    """One, or the next one on the same journal, recovered as the service does."""
    office = Office(former.journal if former is not None else None)
    if former is not None:
        office.clock.at, office._msg_ids = former.clock.at, former._msg_ids
    await office.open()
    changes = list(settle(office.ledger.registry, office.catalogue, office.ledger.now()))
    if changes:
        await office.ledger.commit(changes)
    resume(office.ledger.registry, office.catalogue, office.scheduler)
    return office


async def added(office: Office, **what: Any) -> dict[str, Any]:
    """A schedule of an hour, unless something else is said."""
    said = {} if "cron" in what else {"interval": HOUR}
    wanted = NewSchedule(module="timer", function="sleep", arguments=[1], **(said | what))
    shown: dict[str, Any] = json.loads(await office.schedules.add(office.requester(), ACCOUNT, wanted))
    return shown


async def later(office: Office, seconds: int) -> list[Task]:
    """Time goes on, and what is due begins; gives what was started by that."""
    before = {task.id for task in office.ledger.registry}
    office.clock.at += seconds
    await office.schedules.start_due()
    await office.settled()
    return [task for task in office.ledger.registry if task.id not in before]


async def end_all(office: Office) -> None:
    """All that runs ends."""
    for task_id in list(office.pool.running):
        office.pool.end(task_id)
    await office.settled()


def shown(office: Office, schedule: dict[str, Any]) -> Any:
    """A schedule as it is now."""
    return office.schedules.get(schedule["id"], ACCOUNT)


async def test_it_starts_a_task_each_time_and_says_when_the_next_ones_are() -> None:
    """An ordinary task, which says whose it is."""
    office = await an_office()
    schedule = await added(office)
    assert schedule["next"] == [NOW + HOUR * number for number in range(1, 6)]
    assert await later(office, HOUR - 1) == []
    (task,) = await later(office, 1)
    assert (task.schedule_id, task.started_at, task.arguments) == (schedule["id"], NOW + HOUR, b"[1]")
    now = shown(office, schedule)
    assert (now.due_at, now.last_due_at, now.last_task) == (NOW + 2 * HOUR, NOW + HOUR, task.id)
    await end_all(office)
    assert len(await later(office, HOUR)) == 1


@pytest.mark.parametrize(
    ("misfire", "starts", "due_in"),
    [
        ({"misfire": "skip"}, 0, HOUR // 2),
        ({"misfire": "run_once"}, 1, HOUR // 2),
        ({"misfire": "catch_up", "catch_up": 3}, 3, HOUR // 2),
        ({"misfire": "catch_up", "catch_up": 100}, 24, HOUR // 2),
        ({"misfire": "catch_up", "catch_up": 3, "interval": 10}, 3, 10),
        ({"misfire": "catch_up", "catch_up": 3, "cron": "* * * * *"}, 3, 49),
    ],
)
async def test_what_was_missed_for_a_day(misfire: dict[str, Any], starts: int, due_in: int) -> None:
    """A clock that is set forward, or a service that was away: by its policy, and then it goes on as ever."""
    office = await an_office()
    schedule = await added(office, **misfire)
    made = await later(office, DAY + HOUR // 2)
    for _ in range(30):
        await end_all(office)
        made += await later(office, 0)
    assert len(made) == starts
    assert shown(office, schedule).due_at == office.clock.at + due_in


async def test_nothing_is_repeated_by_a_clock_that_is_set_back() -> None:
    """What was is over; the next time comes when it comes."""
    office = await an_office()
    schedule = await added(office)
    await later(office, HOUR)
    await end_all(office)
    assert await later(office, -DAY) == []
    assert shown(office, schedule).due_at == NOW + 2 * HOUR
    assert len(await later(office, DAY + HOUR)) == 1


@pytest.mark.parametrize(("misfire", "starts"), [("skip", 0), ("run_once", 1), ("catch_up", 1)])
async def test_there_is_one_at_a_time(misfire: str, starts: int) -> None:
    """The next one is skipped, or waits for the end of the last."""
    office = await an_office()
    schedule = await added(office, misfire=misfire)
    assert len(await later(office, HOUR)) == 1
    assert await later(office, HOUR) == []
    await end_all(office)
    assert len(await later(office, 0)) == starts
    assert shown(office, schedule).due_at == NOW + 3 * HOUR


async def test_a_crash_neither_loses_nor_doubles_one() -> None:
    """The task and that the schedule has moved on are one commit."""
    office = await an_office()
    schedule = await added(office)
    office.clock.at += HOUR
    office.journal.fail_next(StoreUnavailable("no room"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("kazoo_tasks.core.schedules._RETRY_S", 0)
        await office.schedules._fire(office.schedules._timers.take_due())
    assert not len(office.ledger.registry)
    again = await an_office(office)
    (task,) = await later(again, 0)
    third = await an_office(again)
    assert await later(third, 0) == []
    assert shown(third, schedule).last_task == task.id


async def test_a_store_that_is_full_loses_none(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is tried again."""
    monkeypatch.setattr("kazoo_tasks.core.schedules._RETRY_S", 0)
    office = await an_office()
    await added(office)
    office.journal.fail_next(StoreUnavailable("no room"), times=3)
    assert len(await later(office, HOUR)) == 1


async def test_it_is_paused_resumed_changed_and_run_by_hand() -> None:
    """What is said of its times counts from now on."""
    office = await an_office()
    schedule = await added(office)

    async def change(**what: Any) -> Any:
        changes = ScheduleChanges(**what)
        return json.loads(await office.schedules.change(office.requester(), ACCOUNT, schedule["id"], changes))

    paused = await change(paused=True)
    assert (paused["paused"], paused["next"]) == (True, [])
    assert await later(office, 3 * HOUR) == []
    run = json.loads(await office.schedules.run_now(office.requester(), ACCOUNT, schedule["id"]))
    assert (run["last_task"], run["last_due_at"], run["next"]) == (
        next(iter(office.pool.running)),
        office.clock.at,
        [],
    )
    with pytest.raises(TaskRunning):
        await office.schedules.run_now(office.requester(), ACCOUNT, schedule["id"])
    await end_all(office)
    resumed = await change(paused=False)
    assert resumed["next"][0] == NOW + 4 * HOUR
    daily = await change(cron="30 2 * * *", time_zone="Europe/Berlin")
    assert ("interval" in daily, daily["time_zone"]) == (False, "Europe/Berlin")
    assert (await change(interval=60))["next"][0] <= office.clock.at + 60


async def test_it_is_removed_and_what_it_started_goes_on() -> None:
    """Nobody else can, nor see it."""
    office = await an_office()
    schedule = await added(office)
    await later(office, HOUR)
    with pytest.raises(NoSchedule):
        await office.schedules.remove(office.requester(), OTHER_ACCOUNT, schedule["id"])
    assert office.schedules.list(OTHER_ACCOUNT) == []
    await office.schedules.remove(office.requester(), ACCOUNT, schedule["id"])
    assert office.schedules.list(ACCOUNT) == []
    assert len(office.pool.running) == 1
    again = await an_office(office)
    assert again.schedules.list(ACCOUNT) == []
    assert await later(again, DAY) == []


@pytest.mark.parametrize(("misfire", "starts"), [("skip", 0), ("run_once", 1), ("catch_up", 2)])
async def test_a_function_that_is_gone_is_not_started(misfire: str, starts: int) -> None:
    """What is missed by that goes by the policy once it is back."""
    office = await an_office()
    more = {"catch_up": 2} if misfire == "catch_up" else {}
    schedule = await added(office, misfire=misfire, **more)
    office.catalogue.become(Catalogue([a_module("other", sleep=timer.sleep)]))
    for _ in range(3):
        assert await later(office, HOUR) == []
    with pytest.raises(Exception, match="no task module"):
        await office.schedules.run_now(office.requester(), ACCOUNT, schedule["id"])
    assert office.schedules.shown(shown(office, schedule))["parked"] == "timer.sleep is no longer offered"
    office.catalogue.become(Catalogue([timer]))
    office.schedules.review()
    made = await later(office, 0)
    await end_all(office)
    made += await later(office, 0)
    assert len(made) == starts
    assert "parked" not in office.schedules.shown(shown(office, schedule))


async def test_what_takes_other_arguments_by_now_is_parked() -> None:
    """And says so."""
    office = await an_office()
    schedule = await added(office)
    office.catalogue.become(Catalogue([a_module("timer", sleep=without_arguments)]))
    assert await later(office, HOUR) == []
    told = office.schedules.shown(shown(office, schedule))
    assert told["parked"] == "timer.sleep takes other arguments by now"


async def test_a_change_of_something_else_loses_no_run() -> None:
    """What is due stays so."""
    office = await an_office()
    schedule = await added(office)
    await later(office, HOUR)
    await later(office, HOUR)
    changes = ScheduleChanges(priority=9)
    await office.schedules.change(office.requester(), ACCOUNT, schedule["id"], changes)
    await end_all(office)
    (task,) = await later(office, 0)
    assert task.priority == 9


async def test_adds_at_one_moment_do_not_pass_the_limit() -> None:
    """Each counts those before it."""
    office = await an_office()
    outcomes = await asyncio.gather(*(added(office) for _ in range(15)), return_exceptions=True)
    assert len(office.schedules.list(ACCOUNT)) == 10
    assert sum(isinstance(outcome, QuotaExceeded) for outcome in outcomes) == 5


async def test_what_it_starts_is_told_by_the_audit() -> None:
    """As what a person adds."""
    office = await an_office()
    schedule = await added(office)
    (task,) = await later(office, HOUR)
    (entry,) = (await office.ledger.audit(AuditQuery(ACCOUNT, 10, task.id))).entries
    assert (entry.verb, entry.answer) == ("add", "ok")
    assert json.loads(entry.detail or b"null") == {"schedule_id": schedule["id"], "start": True}


async def test_arguments_are_bounded() -> None:
    """So that a list of many fits a message."""
    office = await an_office()
    wanted = NewSchedule(module="timer", function="sleep", arguments=["x" * 5_000], interval=60)
    with pytest.raises(BadArguments):
        await office.schedules.add(office.requester(), ACCOUNT, wanted)


async def test_what_is_wrong_is_refused_when_it_is_added() -> None:
    """As a task would be; and there are no more than an account may have."""
    office = await an_office()
    wrong = NewSchedule(module="timer", function="nap", arguments=[1], interval=60)
    with pytest.raises(NoFunction):
        await office.schedules.add(office.requester(), ACCOUNT, wrong)
    for _ in range(10):
        await added(office)
    with pytest.raises(QuotaExceeded) as refused:
        await added(office)
    assert refused.value.detail == {"quota": "schedules", "limit": 10, "used": 10}


async def test_a_repeated_request_adds_one() -> None:
    """As for tasks."""
    office = await an_office()
    wanted = NewSchedule(module="timer", function="sleep", arguments=[1], interval=60)
    replies = [await office.schedules.add(office.requester("m-1"), ACCOUNT, wanted) for _ in range(2)]
    assert replies[0] == replies[1]
    assert len(office.schedules.list(ACCOUNT)) == 1
