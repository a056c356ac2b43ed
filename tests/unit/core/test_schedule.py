"""The schedule: no two decisions use one slot, and nobody jumps the queue."""

import pytest

from kazoo_tasks.core.schedule import Schedule
from kazoo_tasks.ports import Assignment
from support.core import HandPool


def an_assignment(task_id: str) -> Assignment:
    """A run of a task."""
    return Assignment(task_id, "timer", "sleep", b"[1]")


@pytest.fixture
def pool() -> HandPool:
    """Two slots."""
    return HandPool(2)


@pytest.fixture
def schedule(pool: HandPool) -> Schedule:
    """A schedule for them."""
    return Schedule(pool)


def test_as_many_claims_as_slots(schedule: Schedule) -> None:
    """And one more when one is given back."""
    assert [schedule.claim() for _ in range(3)] == [True, True, False]
    schedule.release()
    assert schedule.claim()


def test_nobody_claims_past_those_that_wait(schedule: Schedule) -> None:
    """First started, first run."""
    schedule.enqueue("a")

    assert not schedule.claim()
    assert schedule.next() == "a"


def test_a_waiting_task_is_taken_once_and_in_order(schedule: Schedule) -> None:
    """As long as there are slots."""
    for task_id in "abc":
        schedule.enqueue(task_id)

    assert [schedule.next() for _ in range(3)] == ["a", "b", None]
    assert len(schedule) == 1


def test_an_assignment_without_a_slot_takes_the_next_one(schedule: Schedule, pool: HandPool) -> None:
    """A child may die between the decision and its commit."""
    schedule.claim()
    pool.size = 0
    schedule.place(an_assignment("a"))
    assert not pool.running
    pool.size = 1
    assert not schedule.claim()
    schedule.place_waiting()

    assert list(pool.running) == ["a"]


@pytest.mark.parametrize("place", ["waiting", "parked", "unplaced"])
def test_what_no_child_has_can_be_withdrawn_once(schedule: Schedule, pool: HandPool, place: str) -> None:
    """Wherever it is held."""
    if place == "waiting":
        schedule.enqueue("a")
    elif place == "parked":
        schedule.park("a", "its module is gone")
    else:
        schedule.claim()
        pool.size = 0
        schedule.place(an_assignment("a"))

    assert [schedule.withdraw("a"), schedule.withdraw("a")] == [True, False]


def test_a_held_schedule_runs_nothing(schedule: Schedule) -> None:
    """What waits is left to the next start."""
    schedule.enqueue("a")
    schedule.hold()

    assert schedule.next() is None
    assert not schedule.claim()
    assert len(schedule) == 1
