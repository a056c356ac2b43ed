"""Who runs next, and why not: the tasks that wait for a slot.

Touches only the pool's count of idle slots; asked by the runner. Fairness, priorities and timers have their home here.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Sequence

from kazoo_tasks.core.pace import Pace
from kazoo_tasks.ports import Assignment, Pool


class Schedule:
    """Waiting tasks in the order in which they were started.

    A place is reserved from the decision to use it until the commit is through and the schedule has the assignment,
    so that no two decisions use one place. There are as many places as slots, and some more for runs so short that
    a slot would wait longer for the commit than for the run.
    """

    def __init__(self, pool: Pool, pace: Pace) -> None:
        """Watch a pool, and how fast it goes."""
        self._pool = pool
        self._pace = pace
        # Not a plain dict, which skips all that was taken from its front before, each time.
        self._waiting: OrderedDict[str, None] = OrderedDict()
        self._parked: dict[str, str] = {}
        # With the time since when each has waited.
        self._unplaced: deque[tuple[float, Assignment]] = deque()
        self._reserved = 0
        self._held = False

    def __len__(self) -> int:
        """How many tasks wait for a slot."""
        return len(self._waiting) + len(self._unplaced)

    @property
    def parked(self) -> dict[str, str]:
        """Tasks that cannot be run for now, and why."""
        return self._parked

    def hold(self) -> list[Assignment]:
        """Run nothing more; what was claimed ahead and no child has seen."""
        self._held = True
        unseen = [assignment for _, assignment in self._unplaced]
        self._unplaced.clear()
        return unseen

    def overdue(self) -> list[Assignment]:
        """Take out what was claimed ahead and has waited too long for a slot."""
        taken = []
        while self._unplaced and self._pace.is_overdue(self._unplaced[0][0]):
            taken.append(self._unplaced.popleft()[1])
        return taken

    @property
    def has_claims(self) -> bool:
        """Whether anything is claimed ahead."""
        return bool(self._unplaced)

    def claim(self) -> bool:
        """Reserve a place for a task that is only just being started; never past those that wait."""
        if self._waiting or self._free() < 1:
            return False
        self._reserved += 1
        return True

    def enqueue(self, task_id: str) -> None:
        """Let a task wait, behind the others."""
        self._waiting[task_id] = None

    def enqueue_first(self, task_ids: Sequence[str]) -> None:
        """Let tasks wait before all others, in this order."""
        for task_id in reversed(task_ids):
            self._waiting[task_id] = None
            self._waiting.move_to_end(task_id, last=False)

    def park(self, task_id: str, reason: str) -> None:
        """Let a task wait until the reason is gone; nothing of this start will run it."""
        self._parked[task_id] = reason

    def next(self) -> list[str]:
        """Take the tasks that are to run next and reserve a place for each; by the handful, as one commit is due."""
        free = self._free()
        if not self._waiting or free < max(1, self._places() // 2):
            return []
        chosen = [self._waiting.popitem(last=False)[0] for _ in range(min(free, len(self._waiting)))]
        self._reserved += len(chosen)
        return chosen

    def release(self) -> None:
        """Give a reservation back unused."""
        self._reserved -= 1

    def place(self, assignment: Assignment) -> None:
        """Use a reservation; the assignment takes the next slot that is idle."""
        self._reserved -= 1
        self.keep(assignment)
        self.place_waiting()

    def keep(self, assignment: Assignment) -> None:
        """Have an assignment take the next slot that is idle, after those that have waited longer."""
        self._unplaced.append((self._pace.now(), assignment))

    def place_waiting(self) -> None:
        """Give the pool what is assigned and found no slot yet."""
        while self._unplaced and self._pool.idle_slots and not self._held:
            _, assignment = self._unplaced.popleft()
            self._pace.begin(assignment.task_id)
            self._pool.assign(assignment)

    def ended(self, task_id: str) -> None:
        """Learn that a run is over."""
        self._pace.end(task_id)

    def withdraw(self, task_id: str) -> bool:
        """Take a task out before a child has it; whether that could be done."""
        if task_id in self._waiting:
            del self._waiting[task_id]
            return True
        if self._parked.pop(task_id, None) is not None:
            return True
        unplaced = next((claim for claim in self._unplaced if claim[1].task_id == task_id), None)
        if unplaced is not None:
            self._unplaced.remove(unplaced)
        return unplaced is not None

    def _places(self) -> int:
        return self._pool.size * (1 + self._pace.ahead)

    def _free(self) -> int:
        if self._held:
            return 0
        ahead = self._pool.size * self._pace.ahead
        return self._pool.idle_slots + ahead - self._reserved - len(self._unplaced)
