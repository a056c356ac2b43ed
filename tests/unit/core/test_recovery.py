"""What a restart finds: nothing lost, nothing done twice, nothing running for ever."""

from typing import Any

import pytest

from kazoo_tasks.core.catalogue import Catalogue
from kazoo_tasks.core.read_ahead import ReadAhead
from kazoo_tasks.core.recovery import resume, settle
from kazoo_tasks.model.change import Change, Kind
from kazoo_tasks.model.errors import MsgIdConflict
from kazoo_tasks.model.task import Task
from kazoo_tasks.modules import erlang, timer
from support.build import NOW, a_running_task, a_task
from support.core import HandPool, Office, a_scheduler, turn

CATALOGUE = Catalogue([timer, erlang])
#: Declared to be idempotent, which `timer.sleep` is not.
IDEMPOTENT: dict[str, Any] = {"module": "erlang", "function": "get_cookie"}


def settled(task: Task) -> list[Change]:
    """What becomes of one task."""
    return list(settle([task], CATALOGUE, NOW + 5))


@pytest.mark.parametrize("task", [a_task(), a_task(started_at=NOW), a_running_task(ended_at=NOW)])
def test_what_did_not_run_stays_as_it_is(task: Task) -> None:
    """Pending ones, waiting ones, finished ones."""
    assert settled(task) == []


def test_an_interrupted_task_ends_as_such() -> None:
    """It may have had its effect, so nobody runs it again unasked."""
    (change,) = settled(a_running_task())

    assert (change.kind, change.task.ended_at) == (Kind.ENDED, NOW + 5)
    assert (change.task.error or "").startswith("(<0.0.0>) interrupted: the service ended")


def test_an_interrupted_idempotent_task_waits_again() -> None:
    """Its author allowed that."""
    (change,) = settled(a_running_task(**IDEMPOTENT))

    assert (change.kind, change.task.status, change.task.attempt) == (Kind.REQUEUED, "waiting", 1)


def test_an_interrupted_task_waits_for_its_function_to_come_back() -> None:
    """Only that can say whether it may run again, so it is neither ended nor run until then."""
    (change,) = settled(a_running_task(function="gone"))
    still = settled(change.task)
    (back,) = settled(change.task._replace(function="sleep"))
    again = settled(change.task._replace(**IDEMPOTENT))

    assert (change.kind, change.task.status) == (Kind.REQUEUED, "waiting")
    assert still == []
    assert back.kind is Kind.ENDED
    assert (back.task.error or "").startswith("(<0.0.0>) interrupted:")
    assert again == []


@pytest.mark.parametrize("epoch", [0, 1])
def test_a_stop_is_remembered_over_a_restart(epoch: int) -> None:
    """Also of a task that could be run again."""
    (change,) = settled(a_running_task(stop_asked=True, epoch=epoch, **IDEMPOTENT))

    assert (change.task.error or "").startswith("(<0.0.0>) stopped:")


def test_what_waited_waits_again_in_the_order_of_its_starts() -> None:
    """Except for what can no longer be run: it is parked with the reason, not discarded."""
    tasks = [
        a_task(1, started_at=NOW + 1),
        a_task(2, started_at=NOW),
        a_task(3, started_at=NOW, function="gone"),
        a_task(4),
        a_running_task(5),
    ]
    scheduler = a_scheduler(HandPool(2), ReadAhead(lambda: 0.0), CATALOGUE)
    resume(tasks, CATALOGUE, scheduler)

    assert scheduler.next() == [tasks[1].id, tasks[0].id]
    assert scheduler.parked == {tasks[2].id: "timer.gone is no longer offered"}


async def test_answers_survive_a_restart() -> None:
    """A caller may ask again after it."""
    office = await Office().open()
    task = await office.add(msg_id="a")
    office = await Office(office.journal).open()

    assert await office.add(msg_id="a") == task
    with pytest.raises(MsgIdConflict):
        await office.handlers.remove(office.requester("a", b"other"), task["id"], None)


async def test_a_stop_that_was_cut_off_is_answered_after_the_restart() -> None:
    """With the task as recovery left it."""
    office = await Office().open()
    task = await office.add(start=True)
    office.background.start(_ignored(office.stop(task["id"], msg_id="s")), "stop")
    await turn(lambda: office.pool.stopped)
    office = await Office(office.journal).open()
    await office.ledger.commit(list(settle(office.ledger.registry, office.catalogue, NOW)))

    assert "stopped" in (await office.stop(task["id"], msg_id="s"))["error"]


async def test_the_order_of_submission_goes_on_after_a_restart() -> None:
    """Also past a removed task."""
    office = await Office().open()
    tasks = [await office.add() for _ in range(3)]
    await office.remove(tasks[-1]["id"])
    office = await Office(office.journal).open()

    assert office.ledger.take_seq() == 4


async def _ignored(work: object) -> None:
    await work  # type: ignore[misc]  # a coroutine
