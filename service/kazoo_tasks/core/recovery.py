"""What becomes of tasks that a former start of the service left unfinished, or whose module was loaded anew.

Touches only the scheduler it is given; asked by the service. Who owned a task decides, never how old it is.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator

from kazoo_tasks.core.catalogue import Catalogue
from kazoo_tasks.core.registry import Registry
from kazoo_tasks.core.scheduler import Scheduler
from kazoo_tasks.model.change import Change, Kind
from kazoo_tasks.model.outcome import NOBODY, Failed, Failure
from kazoo_tasks.model.task import Status, Task
from kazoo_tasks.wire.attempt import history_with

_STOPPED = "stopped on request, before the service was started again"
_INTERRUPTED = "the service ended while the task was running; it may have run in part, in whole or not at all"


def settle(tasks: Iterable[Task], catalogue: Catalogue, now: int) -> Iterator[Change]:
    """The changes that leave no task of a former start running; tasks that only waited go on waiting.

    Whether an interrupted task may run again is for its function to say. While that is gone it is not decided: the task
    waits, to be parked, and the first start that has the function settles it.
    """
    for task in tasks:
        change = _settled(task, catalogue, now)
        if change is not None:
            yield change


def resume(tasks: Iterable[Task], catalogue: Catalogue, scheduler: Scheduler) -> None:
    """Let waiting tasks wait again, in the order of their starts; park those whose function is gone."""
    waiting = (task for task in tasks if task.status is Status.WAITING)
    for task in sorted(waiting, key=lambda task: (task.started_at, task.seq)):
        if task.retry_at is None:
            wait_for_slot(task, catalogue, scheduler)
        else:
            scheduler.put_off(task.id)  # its timer ends that, be it at once


def review(
    registry: Registry, catalogue: Catalogue, scheduler: Scheduler, unsettled: Collection[str] = ()
) -> None:
    """Park what waits for a function that is gone by now, and let what is parked wait for one that is back.

    Not what is `unsettled`: of that it is not yet written down whether it may run again.
    """
    for task_id in (*scheduler.waiting, *scheduler.parked):
        if task_id in unsettled:
            continue
        task = registry.get(task_id)
        is_offered = catalogue.offer(task.module, task.function) is not None
        if is_offered == (task_id in scheduler.parked) and scheduler.withdraw(task_id):
            wait_for_slot(task, catalogue, scheduler)


def wait_for_slot(task: Task, catalogue: Catalogue, scheduler: Scheduler) -> None:
    """Let a task wait for its turn, or park it if its function is gone."""
    if catalogue.offer(task.module, task.function) is None:
        scheduler.park(task.id, f"{task.module}.{task.function} is no longer offered")
    else:
        scheduler.enqueue(task)


def _settled(task: Task, catalogue: Catalogue, now: int) -> Change | None:
    if not task.is_active:
        return None
    if task.stop_asked:
        return _ended(task, Failure.STOPPED, _STOPPED, now)
    # A task that waits has attempts if it was interrupted before, or waits for its next one.
    if task.attempt and task.retry_at is None and not _may_wait(task, catalogue):
        return _ended(task, Failure.INTERRUPTED, _INTERRUPTED, now)
    if task.status is not Status.RUNNING:
        return None
    text = Failed(NOBODY, Failure.INTERRUPTED, _INTERRUPTED).text()
    return Change(Kind.REQUEUED, task.requeue(history_with(task, now, text)))


def _may_wait(task: Task, catalogue: Catalogue) -> bool:
    offer = catalogue.offer(task.module, task.function)
    return offer is None or offer.idempotent


def _ended(task: Task, failure: Failure, reason: str, now: int) -> Change:
    return Change(Kind.ENDED, task.fail(now, Failed(NOBODY, failure, reason).text()))
