"""The queue of waiting tasks, whatever is put in and taken out: nobody waits for more than his share of the others."""

from collections import Counter
from collections.abc import Iterator

from hypothesis import given
from hypothesis import strategies as st

from kazoo_tasks.core.fair_queue import AGE_S, FairQueue, Place
from kazoo_tasks.model.quota import Contender, Group

ACCOUNTS = ("a", "b", "c", "d")
WEIGHTS = {"b": 2, "c": 5}

_pushes = st.tuples(st.sampled_from(ACCOUNTS), st.integers(0, 9))
_steps = st.lists(
    st.one_of(
        # Often, so that there is something to do the rest with.
        *[_pushes] * 5,
        st.just("pop"),
        st.just("first"),
        st.integers(0, 30).map(lambda seconds: ("later", seconds * 10.0)),
        st.integers(0, 12).map(lambda number: ("remove", str(number))),
        st.integers(0, 12).map(lambda number: ("again", str(number))),
    ),
    max_size=80,
)


class NoLimits:
    """Rules that hold nothing up."""

    def obstacle(self, _who: Contender) -> None:
        """See `Rules`."""

    def groups(self, _who: Contender) -> list[Group]:
        """See `Rules`."""
        return []


class Queue:
    """A queue with a clock that is moved by hand, which knows whose each task is."""

    def __init__(self) -> None:
        """Nothing waits."""
        self.now = 0.0
        self.queue = FairQueue(lambda account: WEIGHTS.get(account, 1), lambda: self.now, NoLimits())
        self.accounts: dict[str, str] = {}
        self.ranks: dict[str, tuple[float, int]] = {}
        self.pushes = 0
        self.taken: list[str] = []

    def step(self, step: object) -> None:
        """Do one thing."""
        match step:
            case "pop":
                self.taken += self.popped()
            case "first":
                self.queue.push_first({task_id: self.of(task_id) for task_id in self.taken[-1:]})
                del self.taken[-1:]
            case "later", float(seconds):
                self.now += seconds
            case "remove", str(task_id):
                was_there = task_id in self.queue
                assert self.queue.remove(task_id) is was_there
                assert task_id not in self.queue
            case "again", str(task_id):
                if self.queue.remove(task_id):
                    self.push(task_id, self.accounts[task_id], 5)
            case str(account), int(priority):
                self.push(str(len(self.accounts)), account, priority)

    def push(self, task_id: str, account: str, priority: int) -> None:
        """Let a task wait."""
        self.accounts[task_id] = account
        self.queue.push(task_id, self.of(task_id), priority)
        self.pushes += 1
        self.ranks[task_id] = self.now - priority * AGE_S, self.pushes

    def of(self, task_id: str) -> Contender:
        """Of a task: each account has those of three functions."""
        return Contender(self.accounts[task_id], "timer", str(int(task_id) % 3), None)

    def popped(self) -> list[str]:
        """The next one, if there is one."""
        found = self.queue.pop()
        if found is None:
            return []
        task_id, who = found
        assert who == self.of(task_id)
        return [task_id]

    def drained(self) -> Iterator[str]:
        """Take out all that wait."""
        while found := self.popped():
            yield from found


def after(steps: list[object]) -> Queue:
    """A queue to which all this has happened."""
    queue = Queue()
    for step in steps:
        queue.step(step)
    return queue


@given(_steps)
def test_all_that_wait_come_out_once(steps: list[object]) -> None:
    """And nothing else does."""
    queue = after(steps)
    waiting = list(queue.queue)
    assert len(waiting) == len(queue.queue)
    assert sorted(queue.drained()) == sorted(waiting)


@given(_steps)
def test_a_place_is_how_many_come_before(steps: list[object]) -> None:
    """Of all, and of the same account, those apart that were taken back and belong to nobody's turn."""
    queue = after(steps)
    places = {task_id: queue.queue.place_of(task_id) for task_id in queue.queue}
    given_back = len(queue.queue._first)
    seen: Counter[str] = Counter()
    for behind, task_id in enumerate(queue.drained()):
        account = queue.accounts[task_id]
        assert places[task_id] == Place(behind, seen[account])
        if behind >= given_back:
            seen[account] += 1


@given(st.lists(_pushes, min_size=1, max_size=60))
def test_each_account_gets_its_share_for_as_long_as_it_has_something(pushes: list[tuple[str, int]]) -> None:
    """In every round of turns each that waits has its weight, and never more."""
    queue = after(list(pushes))
    left = Counter(queue.accounts.values())
    order = [queue.accounts[task_id] for task_id in queue.drained()]
    while order:
        turns = {account: min(WEIGHTS.get(account, 1), count) for account, count in left.items() if count}
        round_ = [order.pop(0) for _ in range(sum(turns.values()))]
        assert Counter(round_) == turns
        left -= Counter(turns)


@given(_steps)
def test_within_an_account_the_rank_decides_and_then_the_order(steps: list[object]) -> None:
    """A step of priority is worth a minute of waiting, so that nothing waits for ever."""
    queue = after(steps)
    given_back = set(queue.queue._first)
    order = [task_id for task_id in queue.drained() if task_id not in given_back]
    for account in ACCOUNTS:
        own = [queue.ranks[each] for each in order if queue.accounts[each] == account]
        assert own == sorted(own)
