"""The queue of waiting tasks: what an operator is promised about it."""

from collections import Counter

import pytest

from kazoo_tasks.core.fair_queue import AGE_S, FairQueue, Place
from kazoo_tasks.model.quota import Contender, Group


@pytest.fixture
def now() -> list[float]:
    """The time, to be set."""
    return [0.0]


@pytest.fixture
def queue(now: list[float]) -> FairQueue:
    """One in which the account `big` has three tasks in a round."""
    return FairQueue(lambda account: 3 if account == "big" else 1, lambda: now[0], NoLimits())


class NoLimits:
    """Rules that hold nothing up."""

    def obstacle(self, _who: Contender) -> None:
        """See `Rules`."""

    def groups(self, _who: Contender) -> list[Group]:
        """See `Rules`."""
        return []


def of(account: str) -> Contender:
    """A task of an account."""
    return Contender(account, "timer", "sleep", None)


def take(queue: FairQueue) -> str:
    """The next one."""
    found = queue.pop()
    assert found is not None
    return found[0]


def fill(queue: FairQueue, account: str, tasks: int, priority: int = 5) -> None:
    """Let so many tasks of an account wait, called by its name and their number."""
    for number in range(tasks):
        queue.push(f"{account}{number}", of(account), priority)


def test_ten_thousand_tasks_of_one_keep_no_other_waiting(queue: FairQueue) -> None:
    """The next is the other's, or the one after it."""
    fill(queue, "a", 10_000)
    take(queue)
    queue.push("b", of("other"), 5)
    assert queue.place_of("b") == Place(1, 0)
    assert "b" in [take(queue), take(queue)]


def test_starts_are_even_among_a_thousand_accounts(queue: FairQueue) -> None:
    """Jain's index, of any stretch of as many starts as there are accounts, is 1."""
    for account in range(1_000):
        fill(queue, f"{account}-", 10)
    for _ in range(10):
        starts = Counter(take(queue).partition("-")[0] for _ in range(1_000))
        assert sum(starts.values()) ** 2 / (1_000 * sum(count**2 for count in starts.values())) == 1


def test_a_weight_is_tasks_in_a_round(queue: FairQueue) -> None:
    """Three of one to one of the other, for as long as both have some."""
    fill(queue, "small", 3)
    fill(queue, "big", 6)
    order = [take(queue) for _ in range(9)]
    assert order == ["small0", "big0", "big1", "big2", "small1", "big3", "big4", "big5", "small2"]


def test_priority_is_a_start_ahead_and_not_for_ever(queue: FairQueue, now: list[float]) -> None:
    """What is urgent goes first, until the other has waited long enough."""
    queue.push("slow", of("a"), 4)
    queue.push("urgent", of("a"), 6)
    now[0] = 2 * AGE_S - 1
    queue.push("still before it", of("a"), 6)
    now[0] = 2 * AGE_S + 1
    queue.push("too late", of("a"), 6)
    assert [take(queue) for _ in range(4)] == ["urgent", "still before it", "slow", "too late"]


def test_what_is_taken_out_leaves_nothing_behind(queue: FairQueue) -> None:
    """Not even in the account's heap, when most of it has gone."""
    fill(queue, "a", 10_000)
    for number in range(9_990):
        assert queue.remove(f"a{number}")
    (lane,) = queue._lanes.values()
    (strand,) = lane.strands.values()
    assert len(queue) == 10
    assert len(strand.heap) < 100
    assert take(queue) == "a9990"


def test_none_waits(queue: FairQueue) -> None:
    """Then there is none to take."""
    assert queue.pop() is None
    assert not queue.remove("a")
