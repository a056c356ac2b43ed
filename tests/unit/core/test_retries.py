"""Retries: what is tried again, when, and what is told of it."""

import asyncio
import json
from typing import Any

import pytest

from kazoo_tasks import Retry, task
from kazoo_tasks.core.catalogue import Catalogue
from kazoo_tasks.core.order import Draft
from kazoo_tasks.core.recovery import resume, settle
from kazoo_tasks.model.change import Change, Kind
from kazoo_tasks.model.errors import BadArguments, NotFailed, NotRunning, StoreUnavailable, TaskRunning
from kazoo_tasks.model.outcome import Failed, Failure
from kazoo_tasks.model.task import Status, Task
from kazoo_tasks.wire.attempt import attempts_text
from support.build import NOW, a_module
from support.core import STOPPED, Office, turn

BROKEN = Failed("0.1.1", Failure.ERROR, "ValueError()", "Traceback")
LATE = Failed("0.1.1", Failure.TIMEOUT, "after 1 s")


@task(idempotent=True)
def safe() -> None:
    """May be tried again, if somebody wants that."""


@task(retry=Retry(3, 100, 150, on=("timeout",)))
def named() -> None:
    """May be tried again after a time-out."""


@task
def once() -> None:
    """May not be tried again."""


CATALOGUE = Catalogue([a_module("tried", safe=safe, named=named, once=once)])


async def an_office(former: Office | None = None) -> Office:
    """One with these functions, or the next one on the same journal."""
    office = Office(former.journal if former is not None else None)
    office.catalogue.become(CATALOGUE)
    if former is not None:
        office.clock.at = former.clock.at
    return await office.open()


async def started(office: Office, function: str, retry: Retry | None = None) -> str:
    """A task that runs."""
    shown = await office.add(Draft("tried", function, [], retry=retry), start=True)
    task_id: str = shown["id"]
    return task_id


async def ended(office: Office, task_id: str, how: Failed) -> Task:
    """Its run ends."""
    office.pool.end(task_id, how)
    await office.settled()
    return office.ledger.registry.get(task_id)


async def later(office: Office, seconds: int) -> None:
    """Time goes on, and what is due begins."""
    office.clock.at += seconds
    await office.timers.start_due()
    await office.settled()


def attempts(shown: Task) -> Any:
    """What is told of its attempts."""
    return json.loads(attempts_text(shown) or b"null")


async def test_pauses_double_up_to_a_most_and_how_long_they_are_is_chance() -> None:
    """Full jitter: anything from nothing to the most."""
    office = await an_office()
    office.chance = 1.0
    task_id = await started(office, "named")
    office.clock.at += 7
    waits = await ended(office, task_id, LATE)
    assert (waits.status, waits.retry_at, waits.attempt) == (Status.WAITING, NOW + 107, 1)
    assert office.handlers.explain(waits) == {
        "reason": "retry_at",
        "waits_for": "its next attempt",
        "retry_at": NOW + 107,
        "attempt": 2,
        "of": 3,
    }
    await later(office, 99)
    assert not office.pool.running
    await later(office, 1)
    assert list(office.pool.running) == [task_id]
    assert (await ended(office, task_id, LATE)).retry_at == NOW + 107 + 150
    await later(office, 150)
    over = await ended(office, task_id, LATE)
    assert (over.status, over.retry_at) == (Status.FAILURE, None)
    assert [(each["attempt"], each["started_at"], each["ended_at"]) for each in attempts(over)] == [
        (1, NOW, NOW + 7),
        (2, NOW + 107, NOW + 107),
        (3, NOW + 257, NOW + 257),
    ]
    assert {each["error"] for each in attempts(over)} == {"(<0.1.1>) timeout: after 1 s"}


async def test_only_what_its_author_allows_is_tried_again() -> None:
    """Neither another end, nor what somebody stopped, nor what nobody wants."""
    office = await an_office()
    assert (await ended(office, await started(office, "named"), BROKEN)).status is Status.FAILURE
    assert (await ended(office, await started(office, "safe"), BROKEN)).status is Status.FAILURE
    assert (await ended(office, await started(office, "once"), LATE)).status is Status.FAILURE
    wanted = await started(office, "safe", Retry(5, on=("error",)))
    assert (await ended(office, wanted, STOPPED)).status is Status.FAILURE
    anything = await started(office, "named", Retry(5))
    assert (await ended(office, anything, BROKEN)).status is Status.FAILURE
    other = await started(office, "safe", Retry(5, on=("error",)))
    assert (await ended(office, other, LATE)).status is Status.FAILURE
    third = await started(office, "safe", Retry(5, on=("error",)))
    assert (await ended(office, third, BROKEN)).status is Status.WAITING


@pytest.mark.parametrize(
    ("function", "wanted", "allowed"),
    [
        ("once", Retry(2), []),
        ("once", Retry(2, on=("error",)), []),
        ("named", Retry(2, on=("timeout", "error")), ["timeout"]),
    ],
)
async def test_a_caller_cannot_allow_more(function: str, wanted: Retry, allowed: list[str]) -> None:
    """And is told what is allowed; nothing is stored."""
    office = await an_office()
    with pytest.raises(BadArguments) as refused:
        await started(office, function, wanted)
    assert refused.value.detail is not None
    problem: Any = refused.value.detail["retry.on"]
    assert problem["enum"]["target"] == allowed
    assert not len(office.ledger.registry)


async def test_what_waits_for_its_next_attempt_can_be_stopped() -> None:
    """And not be removed before."""
    office = await an_office()
    task_id = await started(office, "named")
    await ended(office, task_id, LATE)
    with pytest.raises(TaskRunning):
        await office.remove(task_id)
    assert "stopped on request" in (await office.stop(task_id))["error"]
    await later(office, 1_000)
    assert not office.pool.running
    with pytest.raises(NotRunning):
        await office.stop(task_id)


async def test_what_is_to_stop_is_not_tried_again() -> None:
    """However it ends."""
    office = await an_office()
    task_id = await started(office, "named")
    stopping = asyncio.ensure_future(office.stop(task_id))
    await turn(lambda: office.pool.stopped)
    assert (await ended(office, task_id, LATE)).status is Status.FAILURE
    await stopping


async def test_an_attempt_that_no_child_began_is_none() -> None:
    """What a drain takes back waits for its next attempt, and is not called interrupted."""
    office = await an_office()
    task_id = await started(office, "named")
    await ended(office, task_id, LATE)
    shown = office.ledger.registry.get(task_id)
    taken = shown.assign(1, None, NOW + 9).take_back()
    assert (taken.attempt, taken.retry_at) == (1, NOW + 9)
    await office.ledger.commit([Change(Kind.REQUEUED, taken)])
    again = await an_office(office)
    assert list(settle(again.ledger.registry, again.catalogue, again.clock.at)) == []


async def test_a_restart_keeps_the_time_of_the_next_attempt() -> None:
    """Of a function, too, that may not run again after an interruption: this is none."""
    former = await an_office()
    former.chance = 1.0
    task_id = await started(former, "named")
    await ended(former, task_id, LATE)
    office = await an_office(former)
    assert list(settle(office.ledger.registry, office.catalogue, office.clock.at)) == []
    resume(office.ledger.registry, office.catalogue, office.scheduler)
    office.timers.load(office.ledger.registry)
    office.runner.idle()
    await office.settled()
    await later(office, 99)
    assert not office.pool.running
    await later(office, 1)
    assert office.pool.running[task_id].attempt == 2


async def test_a_failed_task_is_tried_again_by_hand() -> None:
    """The same one, whatever its function says: a person knows. A repetition is one retry."""
    office = await an_office()
    task_id = await started(office, "once")
    with pytest.raises(NotFailed):
        await office.retry(task_id)
    await ended(office, task_id, BROKEN)
    office.clock.at += 5
    shown = await office.retry(task_id, "m-1")
    assert (shown["id"], shown["started_at"], "error" in shown) == (task_id, NOW + 5, False)
    assert await office.retry(task_id, "m-1") == shown
    assert office.pool.running[task_id].attempt == 2
    over = await ended(office, task_id, LATE)
    assert [each["error"].partition("\n")[0] for each in attempts(over)] == [
        "(<0.1.1>) error: ValueError()",
        "(<0.1.1>) timeout: after 1 s",
    ]


@pytest.mark.parametrize(
    "wrong",
    [
        {"attempts": 0},
        {"attempts": 51},
        {"attempts": 2, "backoff_s": -1},
        {"attempts": 2, "on": ("stopped",)},
    ],
)
def test_what_is_no_policy_is_refused(wrong: dict[str, Any]) -> None:
    """When the module is loaded."""
    with pytest.raises(ValueError, match="expected"):
        Retry(**wrong)


def test_an_author_has_to_say_what_is_tried_again() -> None:
    """Of a function that may not run again after any end."""
    with pytest.raises(ValueError, match="not idempotent"):
        task(retry=Retry(3))


async def test_a_stop_that_cannot_be_written_takes_nothing_out_of_the_queue() -> None:
    """What waits for a slot, what waits for its next attempt, and what is claimed ahead: each goes on as it was."""
    office = await an_office()
    retried = await started(office, "named")
    office.chance = 1.0
    await ended(office, retried, LATE)
    running = [await started(office, "once") for _ in range(2)]
    waits = await started(office, "once")
    for task_id in (retried, waits):
        office.journal.fail_next(StoreUnavailable("no room"))
        with pytest.raises(StoreUnavailable):
            await office.stop(task_id)
    for task_id in running:
        await ended(office, task_id, LATE)
    assert list(office.pool.running) == [waits]
    await later(office, 100)
    assert office.pool.running[retried].attempt == 2
