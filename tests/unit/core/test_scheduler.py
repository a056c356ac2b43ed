"""The scheduler: no two decisions use one slot, and nobody jumps the queue."""

import pytest

from kazoo_tasks.core.catalogue import Catalogue
from kazoo_tasks.core.read_ahead import ReadAhead
from kazoo_tasks.core.scheduler import Scheduler
from kazoo_tasks.model.task import Task
from kazoo_tasks.modules import timer
from kazoo_tasks.ports import Assignment
from support.build import NOW, a_task
from support.core import HandPool, a_scheduler


def an_assignment(task_id: str) -> Assignment:
    """A run of a task."""
    return Assignment(task_id, "timer", "sleep", b"[1]")


def waiting(task_id: str) -> Task:
    """A task that waits."""
    return a_task(id=task_id, started_at=NOW)


@pytest.fixture
def pool() -> HandPool:
    """Two slots."""
    return HandPool(2)


@pytest.fixture
def scheduler(pool: HandPool) -> Scheduler:
    """A scheduler for them."""
    return a_scheduler(pool, ReadAhead(lambda: 0.0), Catalogue([timer]))


def test_as_many_claims_as_slots(scheduler: Scheduler) -> None:
    """And one more when one is given back."""
    claimed = [scheduler.claim(map(waiting, ids)) for ids in ("a", "bcdef", "g")]
    assert claimed == [{"a"}, {"b"}, set()]
    scheduler.release("a")
    assert scheduler.claim(map(waiting, "hij")) == {"h"}


def test_nobody_claims_past_those_that_wait(scheduler: Scheduler) -> None:
    """First started, first run."""
    scheduler.enqueue(waiting("a"))

    assert not scheduler.claim([waiting("b")])
    assert scheduler.next() == ["a"]


def test_a_waiting_task_is_taken_once_and_in_order(scheduler: Scheduler) -> None:
    """As long as there are slots."""
    for task_id in "abc":
        scheduler.enqueue(waiting(task_id))

    assert [scheduler.next(), scheduler.next()] == [["a", "b"], []]
    assert len(scheduler) == 1


def test_an_assignment_without_a_slot_takes_the_next_one(scheduler: Scheduler, pool: HandPool) -> None:
    """A child may die between the decision and its commit."""
    scheduler.claim([waiting("a")])
    pool.size = 0
    scheduler.place([an_assignment("a")])
    assert not pool.running
    pool.size = 1
    assert not scheduler.claim([waiting("b")])
    scheduler.place_waiting()

    assert list(pool.running) == ["a"]


@pytest.mark.parametrize("place", ["waiting", "parked", "unplaced"])
def test_what_no_child_has_can_be_withdrawn_once(scheduler: Scheduler, pool: HandPool, place: str) -> None:
    """Wherever it is held."""
    if place == "waiting":
        scheduler.enqueue(waiting("a"))
    elif place == "parked":
        scheduler.park("a", "its module is gone")
    else:
        scheduler.claim([waiting("a")])
        pool.size = 0
        scheduler.place([an_assignment("a")])

    assert [scheduler.withdraw("a"), scheduler.withdraw("a")] == [True, False]


def test_a_held_scheduler_runs_nothing(scheduler: Scheduler) -> None:
    """What waits is left to the next start."""
    scheduler.enqueue(waiting("a"))
    assert scheduler.hold() == []

    assert scheduler.next() == []
    assert not scheduler.claim([waiting("b")])
    assert len(scheduler) == 1


def test_short_runs_are_claimed_ahead_and_given_back_when_held(pool: HandPool) -> None:
    """No slot waits for the disk between two runs in the blink of an eye; nobody loses what did not run."""
    scheduler = a_scheduler(pool, a_read_ahead(0.001), Catalogue([timer]))
    for number in range(40):
        scheduler.enqueue(waiting(str(number)))
    scheduler.place([an_assignment(task_id) for task_id in scheduler.next()])
    for task_id in pool.running:
        scheduler.began(task_id)

    assert (len(pool.running), len(pool.ahead)) == (2, 20)
    assert [claim.task_id for claim in scheduler.hold()] == [str(number) for number in range(2, 22)]
    assert len(scheduler) == 18


def test_what_the_pool_gives_back_comes_before_all_others(scheduler: Scheduler, pool: HandPool) -> None:
    """It has waited longest."""
    scheduler.claim(map(waiting, "ab"))
    runs = [an_assignment(task_id) for task_id in "ab"]
    scheduler.place(runs)
    pool.size = 0
    scheduler.keep([an_assignment("c")])
    pool.running.clear()
    scheduler.returned(runs)
    pool.size = 1
    scheduler.place_waiting()

    assert list(pool.running) == ["a"]
    assert [claim.task_id for claim in scheduler.hold()] == ["b", "c"]


def test_long_runs_are_not_claimed_ahead(pool: HandPool) -> None:
    """A crash would count them as interrupted."""
    scheduler = a_scheduler(pool, a_read_ahead(0.02), Catalogue([timer]))
    for number in range(40):
        scheduler.enqueue(waiting(str(number)))

    assert scheduler.next() == ["0", "1"]


def test_a_longer_run_is_learnt_at_once_and_a_shorter_one_slowly() -> None:
    """Caution comes first."""
    clock = iter([0.0, 0.001, 1.0, 1.02, 2.0, 2.001])
    read_ahead = ReadAhead(lambda: next(clock))
    seen = []
    for task_id in "abc":
        read_ahead.begin(task_id)
        read_ahead.end(task_id)
        seen.append(read_ahead.ahead)

    assert seen == [10, 0, 0]


def a_read_ahead(run_s: float) -> ReadAhead:
    """That of runs of this length."""
    clock = iter([0.0, run_s])
    read_ahead = ReadAhead(lambda: next(clock, run_s))
    read_ahead.begin("a run")
    read_ahead.end("a run")
    return read_ahead
