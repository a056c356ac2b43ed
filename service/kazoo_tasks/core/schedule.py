"""Who runs next, and why not: the tasks that wait for a slot.

Touches only the pool's count of idle slots; asked by the desk. Fairness, priorities and timers have their home here.
"""

from __future__ import annotations

from collections import OrderedDict, deque

from kazoo_tasks.ports import Assignment, Pool


class Schedule:
    """Waiting tasks in the order in which they were started.

    A slot is reserved from the decision to use it until the commit is through and the pool has the assignment, so
    that no two decisions use one slot.
    """

    def __init__(self, pool: Pool) -> None:
        """Watch a pool."""
        self._pool = pool
        # Not a plain dict, which skips all that was taken from its front before, each time.
        self._waiting: OrderedDict[str, None] = OrderedDict()
        self._parked: dict[str, str] = {}
        self._unplaced: deque[Assignment] = deque()
        self._reserved = 0
        self._held = False

    def __len__(self) -> int:
        """How many tasks wait for a slot."""
        return len(self._waiting) + len(self._unplaced)

    @property
    def parked(self) -> dict[str, str]:
        """Tasks that cannot be run for now, and why."""
        return self._parked

    def hold(self) -> None:
        """Run nothing more; what waits is left to the next start."""
        self._held = True

    def claim(self) -> bool:
        """Reserve a slot for a task that is only just being started; never past those that wait."""
        if self._waiting or not self._free():
            return False
        self._reserved += 1
        return True

    def enqueue(self, task_id: str) -> None:
        """Let a task wait, behind the others."""
        self._waiting[task_id] = None

    def park(self, task_id: str, reason: str) -> None:
        """Let a task wait until the reason is gone; nothing of this start will run it."""
        self._parked[task_id] = reason

    def next(self) -> str | None:
        """Take the task that is to run next and reserve a slot for it; `None` if none can run now."""
        if not self._waiting or not self._free():
            return None
        task_id, _ = self._waiting.popitem(last=False)
        self._reserved += 1
        return task_id

    def release(self) -> None:
        """Give a reservation back unused."""
        self._reserved -= 1

    def place(self, assignment: Assignment) -> None:
        """Use a reservation. A slot may have died meanwhile: then the assignment takes the next one."""
        self._reserved -= 1
        self._unplaced.append(assignment)
        self.place_waiting()

    def place_waiting(self) -> None:
        """Give the pool what was assigned and found no slot."""
        while self._unplaced and self._pool.idle_slots:
            self._pool.assign(self._unplaced.popleft())

    def withdraw(self, task_id: str) -> bool:
        """Take a task out before a child has it; whether that could be done."""
        if task_id in self._waiting:
            del self._waiting[task_id]
            return True
        if self._parked.pop(task_id, None) is not None:
            return True
        unplaced = next((a for a in self._unplaced if a.task_id == task_id), None)
        if unplaced is not None:
            self._unplaced.remove(unplaced)
        return unplaced is not None

    def _free(self) -> bool:
        return not self._held and self._pool.idle_slots > self._reserved + len(self._unplaced)
