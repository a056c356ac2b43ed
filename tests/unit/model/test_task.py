"""A task's life: which transitions there are, and what each leaves behind."""

from collections.abc import Callable

import pytest

from kazoo_tasks.model.errors import AlreadyStarted, NotRunning, TaskRunning
from kazoo_tasks.model.task import IS, Status, Task
from support.build import NOW, a_running_task, a_task

PENDING = a_task()
WAITING = PENDING.start(NOW)
RUNNING = WAITING.assign(epoch=1)
SUCCESS = RUNNING.succeed(NOW + 2, b"1")
FAILURE = RUNNING.fail(NOW + 2, "(<0.1.1>) error: x")


def test_each_transition_leads_to_its_status() -> None:
    """The five states of a life, in order."""
    life = [PENDING, WAITING, RUNNING, SUCCESS, FAILURE]

    assert list(Status) == [task.status for task in life]


@pytest.mark.parametrize("task", [WAITING, RUNNING, SUCCESS, FAILURE])
def test_only_a_pending_task_starts(task: Task) -> None:
    """A finished task is not run again, which Kazoo once did."""
    with pytest.raises(AlreadyStarted):
        task.start(NOW)


@pytest.mark.parametrize("task", [PENDING, RUNNING, SUCCESS, FAILURE])
def test_only_a_waiting_task_is_assigned(task: Task) -> None:
    """No task is with two children."""
    with pytest.raises(NotRunning):
        task.assign(epoch=1)


@pytest.mark.parametrize("task", [PENDING, SUCCESS, FAILURE])
def test_only_an_active_task_ends_stops_or_reports(task: Task) -> None:
    """A final state is final."""
    transitions: list[Callable[[], Task]] = [
        lambda: task.succeed(NOW, None),
        lambda: task.fail(NOW, ""),
        lambda: task.report(b"{}"),
        task.ask_stop,
        task.requeue,
    ]
    for transition in transitions:
        with pytest.raises(NotRunning):
            transition()


@pytest.mark.parametrize("task", [WAITING, RUNNING])
def test_an_active_task_is_not_removable(task: Task) -> None:
    """What runs stays in the books."""
    with pytest.raises(TaskRunning):
        task.check_removable()


@pytest.mark.parametrize("task", [PENDING, SUCCESS, FAILURE])
def test_any_other_task_is_removable(task: Task) -> None:
    """Also one that was never started."""
    task.check_removable()


def test_a_clock_set_back_ends_no_task_before_its_start() -> None:
    """`ran_for` is never negative."""
    assert a_running_task().succeed(NOW - 100, None).ended_at == NOW


def test_a_requeued_task_waits_and_keeps_its_attempts() -> None:
    """The next assignment is the second attempt."""
    again = RUNNING.report(b'{"done":1}').requeue()

    assert (again.status, again.attempt, again.progress) == (Status.WAITING, 1, None)
    assert again.assign(epoch=2).attempt == 2


def test_a_status_can_be_asked_for_without_being_worked_out() -> None:
    """Each test is true of the tasks that have the status, and of no others."""
    tasks = [PENDING, WAITING, RUNNING, SUCCESS, FAILURE, WAITING.fail(NOW, "stopped"), RUNNING.requeue()]

    for status, test in IS.items():
        assert [test(task) for task in tasks] == [task.status is status for task in tasks]
