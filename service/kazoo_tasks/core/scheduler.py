"""Who runs next, and why not: the tasks that wait for a slot.

Touches only the pool's count of idle slots; asked by the runner.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping, Sequence
from itertools import takewhile

from kazoo_tasks.authoring import DEFAULT_PRIORITY
from kazoo_tasks.core.catalogue import Catalogue
from kazoo_tasks.core.fair_queue import FairQueue, Place
from kazoo_tasks.core.read_ahead import ReadAhead
from kazoo_tasks.model.task import Task
from kazoo_tasks.ports import Assignment, Pool


class Scheduler:
    """Waiting tasks: the accounts in turn, and within each by priority and the order in which they were started.

    A place is reserved from the decision to use it until the commit is through and the scheduler has the assignment,
    so that no two decisions use one place. There are as many places as slots, and some more for runs so short that
    a slot would wait longer for the commit than for the run.
    """

    def __init__(
        self, pool: Pool, read_ahead: ReadAhead, catalogue: Catalogue, weights: Mapping[str, int]
    ) -> None:
        """Watch a pool, and how fast it goes.

        Args:
            pool: What runs tasks.
            read_ahead: How many more than it has slots.
            catalogue: Knows the priority of each function.
            weights: How many tasks of an account go in one round; 1 if it is not named.
        """
        self.pool = pool
        self._read_ahead = read_ahead
        self._catalogue = catalogue
        self._waiting = FairQueue(lambda account_id: weights.get(account_id, 1), read_ahead.now)
        self._parked: dict[str, str] = {}
        # What is assigned and not begun, with the time since when: some of it the pool has, the rest found no room.
        self._unbegun: dict[str, float] = {}
        self._unplaced: deque[Assignment] = deque()
        self._reserved = 0
        self._held = False

    def __len__(self) -> int:
        """How many tasks wait for a slot."""
        return len(self._waiting) + len(self._unbegun)

    @property
    def parked(self) -> dict[str, str]:
        """Tasks that cannot be run for now, and why."""
        return self._parked

    @property
    def waiting(self) -> list[str]:
        """Tasks that wait and are not assigned, as they came."""
        return list(self._waiting)

    def place_of(self, task_id: str) -> Place:
        """How many tasks run before one that waits."""
        if task_id not in self._waiting:
            return Place(0, 0)  # it is being assigned
        place = self._waiting.place_of(task_id)
        return place._replace(behind=place.behind + len(self._unbegun))

    def hold(self) -> list[Assignment]:
        """Run nothing more; what was assigned and no child has begun."""
        self._held = True
        return self._take_back(list(self._unbegun))

    def overdue(self) -> list[Assignment]:
        """Take out what was claimed ahead and has waited too long for its turn."""
        waited = takewhile(lambda task_id: self._read_ahead.is_overdue(self._unbegun[task_id]), self._unbegun)
        return self._take_back(list(waited))

    @property
    def has_claims(self) -> bool:
        """Whether anything is claimed ahead."""
        return bool(self._unbegun)

    def claim(self, wanted: int) -> int:
        """Reserve places for tasks that are only just being started, never past those that wait; gives how many."""
        if self._waiting:
            return 0
        claimed = min(wanted, max(0, self._free()))
        self._reserved += claimed
        return claimed

    def enqueue(self, task: Task) -> None:
        """Let a task wait for its account's turn."""
        self._waiting.push(task.id, task.account_id, self._priority(task))

    def enqueue_first(self, task_ids: Sequence[str]) -> None:
        """Let tasks wait before all others, in this order."""
        self._waiting.push_first(task_ids)

    def park(self, task_id: str, reason: str) -> None:
        """Let a task wait until the reason is gone; nothing of this start will run it."""
        self._parked[task_id] = reason

    def next(self) -> list[str]:
        """Take the tasks that are to run next and reserve a place for each; by the handful, as one commit is due."""
        if not self._waiting:
            return []
        free = self._free()
        if free < max(1, self._read_ahead.ahead):
            return []
        chosen = [self._waiting.pop() for _ in range(min(free, len(self._waiting)))]
        self._reserved += len(chosen)
        return chosen

    def release(self) -> None:
        """Give a reservation back unused."""
        self._reserved -= 1

    def place(self, assignments: Sequence[Assignment]) -> None:
        """Use reservations; the assignments begin as soon as there is room, or are claimed ahead."""
        self._reserved -= len(assignments)
        self.keep(assignments)

    def keep(self, assignments: Sequence[Assignment]) -> None:
        """Have assignments begin after those that have waited longer."""
        now = self._read_ahead.now()
        self._unbegun.update((assignment.task_id, now) for assignment in assignments)
        self._unplaced.extend(assignments)
        self.place_waiting()

    def place_waiting(self) -> None:
        """Give the pool what is assigned and found no room yet."""
        if self._unplaced and not self._held:
            for _ in range(self.pool.assign(self._unplaced, self._read_ahead.ahead)):
                self._unplaced.popleft()

    def began(self, task_id: str) -> None:
        """Learn that a child has a run in hand."""
        self._unbegun.pop(task_id, None)
        self._read_ahead.begin(task_id)

    def returned(self, assignments: Sequence[Assignment]) -> None:
        """Take in what the pool had and no child has begun: it comes before all others."""
        now = self._read_ahead.now()
        # The oldest first, whatever came between: these have waited longest.
        again = {assignment.task_id: self._unbegun.pop(assignment.task_id, now) for assignment in assignments}
        self._unbegun = again | self._unbegun
        self._unplaced.extendleft(reversed(assignments))

    def ended(self, task_id: str) -> None:
        """Learn that a run is over."""
        self._unbegun.pop(task_id, None)
        self._read_ahead.end(task_id)

    def withdraw(self, task_id: str) -> bool:
        """Take a task out before a child has it; whether that could be done."""
        if self._waiting.remove(task_id):
            return True
        if self._parked.pop(task_id, None) is not None:
            return True
        return bool(self.take_unbegun(task_id))

    def take_unbegun(self, task_id: str) -> list[Assignment]:
        """Take out the run of a task that is assigned and not begun, if there is one."""
        return self._take_back([task_id]) if task_id in self._unbegun else []

    def _take_back(self, task_ids: Sequence[str]) -> list[Assignment]:
        """Those of them that no child has begun, in this order."""
        wanted = set(task_ids)
        taken = {assignment.task_id: assignment for assignment in self.pool.take_back(wanted)}
        taken |= {
            assignment.task_id: assignment for assignment in self._unplaced if assignment.task_id in wanted
        }
        self._unplaced = deque(each for each in self._unplaced if each.task_id not in taken)
        for task_id in taken:
            del self._unbegun[task_id]
        return [taken[task_id] for task_id in task_ids if task_id in taken]

    def _priority(self, task: Task) -> int:
        if task.priority is not None:
            return task.priority
        offer = self._catalogue.offer(task.module, task.function)
        return DEFAULT_PRIORITY if offer is None else offer.priority

    def _free(self) -> int:
        if self._held:
            return 0
        return self.pool.room(self._read_ahead.ahead) - self._reserved - len(self._unplaced)
