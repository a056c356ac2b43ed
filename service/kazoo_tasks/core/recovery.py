"""What becomes of tasks that a former start of the service left unfinished.

Touches only the schedule it is given; asked once, at the start. Who owned a task decides, never how old it is.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from kazoo_tasks.core.catalogue import Catalogue
from kazoo_tasks.core.schedule import Schedule
from kazoo_tasks.model.change import Change, Kind
from kazoo_tasks.model.outcome import NOBODY, Failed, Failure
from kazoo_tasks.model.task import Status, Task

_STOPPED = "stopped on request, before the service was started again"
_INTERRUPTED = "the service ended while the task was running; it may have run in part, in whole or not at all"


def settle(tasks: Iterable[Task], catalogue: Catalogue, now: int) -> Iterator[Change]:
    """The changes that leave no task of a former start running; tasks that only waited go on waiting."""
    for task in tasks:
        change = _settled(task, catalogue, now)
        if change is not None:
            yield change


def resume(tasks: Iterable[Task], catalogue: Catalogue, schedule: Schedule) -> None:
    """Let waiting tasks wait again, in the order of their starts; park those whose function is gone."""
    waiting = (task for task in tasks if task.status is Status.WAITING)
    for task in sorted(waiting, key=lambda task: (task.started_at, task.seq)):
        if catalogue.has(task.module, task.function):
            schedule.enqueue(task.id)
        else:
            schedule.park(task.id, f"{task.module}.{task.function} is no longer offered")


def _settled(task: Task, catalogue: Catalogue, now: int) -> Change | None:
    if not task.is_active:
        return None
    if task.stop_asked:
        return _ended(task, Failure.STOPPED, _STOPPED, now)
    if task.status is Status.WAITING:
        return None
    if catalogue.offer(task.module, task.function).idempotent:
        return Change(Kind.REQUEUED, task.requeue())
    return _ended(task, Failure.INTERRUPTED, _INTERRUPTED, now)


def _ended(task: Task, failure: Failure, reason: str, now: int) -> Change:
    return Change(Kind.ENDED, task.fail(now, Failed(NOBODY, failure, reason).text()))
