"""Which of the waiting tasks is next: the accounts in turn, and within an account the more urgent, then the older one.

Pure; kept by the scheduler, which says when one may run.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from heapq import heapify, heappop, heappush
from itertools import count
from typing import Final, NamedTuple

#: A step of priority is worth so much of having waited longer: so what is not urgent waits, and not for ever.
AGE_S: Final = 60.0
#: Entries of tasks that were taken out stay in a heap until they are that many and the most of it.
_FEW: Final = 64


class Place(NamedTuple):
    """Where a task is in the queue.

    Attributes:
        behind: How many come before it, if nobody else starts anything.
        of_account: How many of them are of its own account.
    """

    behind: int
    of_account: int


class _Entry(NamedTuple):
    """A waiting task; the smaller one is next within its account."""

    rank: float
    number: int
    task_id: str


class _Lane:
    """One account's waiting tasks, and its share.

    Attributes:
        heap: Entries; some may be of tasks that were taken out.
        waiting: How many are not.
        credit: How many tasks are left of the turn that it is at; 0 if it is at none.
        weight: How many tasks a turn lets through.
    """

    __slots__ = ("credit", "heap", "waiting", "weight")

    def __init__(self, weight: int) -> None:
        self.heap: list[_Entry] = []
        self.waiting = 0
        self.credit = 0
        self.weight = weight


class FairQueue:
    """Weighted round robin over accounts: deficit round robin, where every task costs the same."""

    def __init__(self, weight_of: Callable[[str], int], monotonic: Callable[[], float]) -> None:
        """`weight_of` an account says how many of its tasks go in one round; 1 is usual."""
        self._weight_of = weight_of
        self._monotonic = monotonic
        self._numbers = count()
        # Those before all others; not a plain dict, which skips all that was taken from its front before, each time.
        self._first: OrderedDict[str, None] = OrderedDict()
        self._entries: dict[str, tuple[str, _Entry]] = {}
        # In the order of their turns; only the first one is at it, if it is.
        self._lanes: OrderedDict[str, _Lane] = OrderedDict()

    def __len__(self) -> int:
        """How many wait."""
        return len(self._first) + len(self._entries)

    def __contains__(self, task_id: str) -> bool:
        """Whether a task waits."""
        return task_id in self._first or task_id in self._entries

    def __iter__(self) -> Iterator[str]:
        """All that wait, those first that are before all others, then in the order in which they came."""
        yield from self._first
        yield from self._entries

    def push(self, task_id: str, account_id: str, priority: int) -> None:
        """Let a task wait for its account's turn; one of a higher priority is as if it had waited longer."""
        lane = self._lanes.get(account_id)
        if lane is None:
            lane = self._lanes[account_id] = _Lane(self._weight_of(account_id))
        entry = _Entry(self._monotonic() - priority * AGE_S, next(self._numbers), task_id)
        heappush(lane.heap, entry)
        lane.waiting += 1
        self._entries[task_id] = account_id, entry

    def push_first(self, task_ids: Sequence[str]) -> None:
        """Let tasks wait before all others, in this order."""
        for task_id in reversed(task_ids):
            self._first[task_id] = None
            self._first.move_to_end(task_id, last=False)

    def pop(self) -> str:
        """Take out the next one.

        Raises:
            KeyError: None waits.
        """
        if self._first:
            return self._first.popitem(last=False)[0]
        account_id, lane = self._whose_turn()
        lane.credit -= 1
        task_id = self._pop_from(lane)
        del self._entries[task_id]
        if not lane.waiting:
            del self._lanes[account_id]
        elif not lane.credit:
            self._lanes.move_to_end(account_id)
        return task_id

    def remove(self, task_id: str) -> bool:
        """Take a task out of the middle; whether it was there."""
        if task_id in self._first:
            del self._first[task_id]
            return True
        account_id, entry = self._entries.pop(task_id, (None, None))
        if account_id is None or entry is None:
            return False
        lane = self._lanes[account_id]
        lane.waiting -= 1
        if not lane.waiting:
            del self._lanes[account_id]
        elif len(lane.heap) > max(_FEW, 2 * lane.waiting):
            lane.heap = [entry for entry in lane.heap if self._is_waiting(entry)]
            heapify(lane.heap)
        return True

    def place_of(self, task_id: str) -> Place:
        """Where a task is.

        Raises:
            KeyError: It does not wait.
        """
        if task_id in self._first:
            return Place(list(self._first).index(task_id), 0)
        account_id, entry = self._entries[task_id]
        own = self._lanes[account_id]
        older = sum(1 for each in own.heap if each < entry and self._is_waiting(each))
        others, turns, has_turn = 0, _turns(own, older + 1), True
        for name, lane in self._lanes.items():
            if lane is own:
                # Those behind it in the round have had one turn less by then.
                has_turn = False
            elif name != account_id:
                others += min(lane.waiting, _let_through(lane, turns if has_turn else turns - 1))
        return Place(len(self._first) + older + others, older)

    def _whose_turn(self) -> tuple[str, _Lane]:
        account_id = next(iter(self._lanes), None)
        if account_id is None:
            message = "no task waits"
            raise KeyError(message)
        lane = self._lanes[account_id]
        lane.credit = lane.credit or lane.weight
        return account_id, lane

    def _pop_from(self, lane: _Lane) -> str:
        while not self._is_waiting(entry := heappop(lane.heap)):
            pass
        lane.waiting -= 1
        return entry.task_id

    def _is_waiting(self, entry: _Entry) -> bool:
        known = self._entries.get(entry.task_id)
        return known is not None and known[1] is entry


def _turns(lane: _Lane, tasks: int) -> int:
    """How many turns until so many tasks are through, the one that it is at included."""
    if not lane.credit:
        return -(-tasks // lane.weight)
    return 1 - min(0, (lane.credit - tasks) // lane.weight)


def _let_through(lane: _Lane, turns: int) -> int:
    return lane.weight * turns if not lane.credit else lane.credit + lane.weight * (turns - 1)
