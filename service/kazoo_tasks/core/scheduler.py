"""Who runs next, and why not: the tasks that wait for a slot.

Touches only the pool's count of idle slots; asked by the runner.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import takewhile
from math import inf
from types import MappingProxyType
from typing import Final, NamedTuple

from kazoo_tasks.authoring import DEFAULT_PRIORITY
from kazoo_tasks.core.catalogue import Catalogue
from kazoo_tasks.core.concurrency import Concurrency, breaker_group
from kazoo_tasks.core.fair_queue import FairQueue
from kazoo_tasks.core.read_ahead import ReadAhead
from kazoo_tasks.model.change import Change, Kind
from kazoo_tasks.model.outcome import Outcome
from kazoo_tasks.model.quota import Contender, Group, Obstacle
from kazoo_tasks.model.reason import Reason
from kazoo_tasks.model.task import Task
from kazoo_tasks.ports import Assignment, Pool

#: What says that a run is over, or never was.
_GIVES_BACK: Final = frozenset({Kind.ENDED, Kind.REQUEUED, Kind.RETRYING, Kind.REMOVED})


_WORDS: Final = {
    Reason.BEHIND: "a slot",
    Reason.POOL_FULL: "a slot",
    Reason.ACCOUNT_LIMIT: "a run of its account to end",
    Reason.FUNCTION_LIMIT: "a run of its function to end",
    Reason.KEY_LIMIT: "a run with its concurrency key to end",
    Reason.RATE_UNTIL: "the next start that its account may have",
    Reason.BREAKER_UNTIL: "its function, whose runs died, to be tried again",
    Reason.RETRY_AT: "its next attempt",
    Reason.DRAINING: "the next start of the service, which is stopping",
}


class Delay(NamedTuple):
    """Why a task does not run.

    Attributes:
        waits_for: The same in words.
        details: What else there is to say.
        left_s: Seconds until that is over, if it is a time.
    """

    reason: Reason
    waits_for: str
    details: Mapping[str, object] = MappingProxyType({})
    left_s: float | None = None


class Scheduler:
    """Waiting tasks: the accounts in turn, and within each by priority and the order in which they were started.

    A place is reserved from the decision to use it until the commit is through and the scheduler has the assignment,
    so that no two decisions use one place. There are as many places as slots, and some more for runs so short that
    a slot would wait longer for the commit than for the run. From that decision until its end is on disk a task counts
    in every limit that it has.
    """

    def __init__(
        self,
        pool: Pool,
        read_ahead: ReadAhead,
        catalogue: Catalogue,
        concurrency: Concurrency,
        weights: Mapping[str, int],
    ) -> None:
        """Watch a pool, and how fast it goes.

        Args:
            pool: What runs tasks.
            read_ahead: How many more than it has slots.
            catalogue: Knows the priority of each function.
            concurrency: Says who may run beside whom.
            weights: How many tasks of an account go in one round; 1 if it is not named.
        """
        self.pool = pool
        self._read_ahead = read_ahead
        self._catalogue = catalogue
        self._concurrency = concurrency
        self._waiting = FairQueue(lambda account_id: weights.get(account_id, 1), read_ahead.now, self)
        # What is held up until a time, and no run's end is waited for.
        self._held_until: dict[Group, float] = {}
        self._parked: dict[str, str] = {}
        # Those that wait for the time of their next attempt.
        self._put_off: set[str] = set()
        # What is assigned and not begun, with the time since when: some of it the pool has, the rest found no room.
        self._unbegun: dict[str, float] = {}
        self._unplaced: deque[Assignment] = deque()
        self._reserved = 0
        self._held = False

    def __len__(self) -> int:
        """How many tasks wait for a slot; not those that wait for a time."""
        return len(self._waiting) + len(self._unbegun)

    @property
    def parked(self) -> dict[str, str]:
        """Tasks that cannot be run for now, and why."""
        return self._parked

    @property
    def waiting(self) -> list[str]:
        """Tasks that wait and are not assigned, as they came."""
        return list(self._waiting)

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

    def claim(self, tasks: Iterable[Task]) -> set[str]:
        """Reserve places for tasks that are only just being started, never past those that wait; gives which."""
        free = 0 if self._waiting.is_ready else self._free()
        claimed: set[str] = set()
        overtaken: set[str] = set()
        for task in tasks:
            if len(claimed) >= free:
                break
            who = Contender.of(task)
            if who.account_id in overtaken or self._waiting.has_any_of(who.account_id):
                continue
            if self._concurrency.obstacle(who) is None:
                self._concurrency.take(task.id, who)
                claimed.add(task.id)
            else:
                overtaken.add(who.account_id)
        self._reserved += len(claimed)
        return claimed

    def enqueue(self, task: Task) -> None:
        """Let a task wait for its account's turn."""
        self._waiting.push(task.id, Contender.of(task), self._priority(task))

    def enqueue_first(self, tasks: Sequence[Task]) -> None:
        """Let tasks wait before all others, in this order."""
        self._waiting.push_first({task.id: Contender.of(task) for task in tasks})

    def park(self, task_id: str, reason: str) -> None:
        """Let a task wait until the reason is gone; nothing of this start will run it."""
        self._parked[task_id] = reason

    def put_off(self, task_id: str) -> None:
        """Let a task wait for the time of its next attempt."""
        self._put_off.add(task_id)

    def is_put_off(self, task_id: str) -> bool:
        """Whether it does."""
        return task_id in self._put_off

    def next(self) -> list[str]:
        """Take the tasks that are to run next and reserve a place for each; by the handful, as one commit is due."""
        self._look_at_times()
        if not self._waiting.is_ready:
            return []
        free = self._free()
        if free < max(1, self._read_ahead.ahead):
            return []
        chosen: list[str] = []
        while len(chosen) < free and (found := self._waiting.pop()) is not None:
            self._concurrency.take(*found)
            chosen.append(found[0])
        self._reserved += len(chosen)
        return chosen

    @property
    def next_look_s(self) -> float | None:
        """Seconds until something that waits for a time is to be looked at, if anything is."""
        if not self._held_until:
            return None
        return max(0.0, min(self._held_until.values()) - self._read_ahead.now())

    def release(self, task_id: str) -> None:
        """Give a reservation back unused."""
        self._reserved -= 1
        self._give_back(task_id)

    def changed(self, change: Change) -> bool:
        """Learn what has become true; whether something that was held up may run by that."""
        return change.kind in _GIVES_BACK and self._give_back(change.task.id)

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

    def ended(self, task_id: str, outcome: Outcome) -> None:
        """Learn that a run is over; it counts in its limits until that is on disk."""
        self._unbegun.pop(task_id, None)
        self._read_ahead.end(task_id)
        if (function := self._concurrency.ended(task_id, outcome)) is not None:
            self._breaker_changed(function)

    def limits_changed(self) -> None:
        """Look at all that waits, since functions have other limits."""
        self._concurrency.count_anew()
        self._waiting.look_at_all()

    def breakers(self) -> Iterator[tuple[str, str, float | None]]:
        """Those that are not closed: whose, `open` or `half_open`, and for how many seconds if a time ends that."""
        now = self._read_ahead.now()
        for function, state in sorted(self._concurrency.breakers.not_closed.items()):
            is_open = state.until > now
            left_s = state.until - now if is_open and state.until != inf else None
            yield function, "open" if is_open else "half_open", left_s

    def switch_breaker(self, function: str, *, is_open: bool) -> None:
        """Open or close the breaker of `module.function` by hand."""
        if is_open:
            self._concurrency.breakers.open(function)
        else:
            self._concurrency.breakers.close(function)
        self._breaker_changed(function)

    def _breaker_changed(self, function: str) -> None:
        group = breaker_group(function)
        state = self._concurrency.breakers.not_closed.get(function)
        if state is not None:
            self._held_until[group] = state.until
            return
        self._held_until.pop(group, None)
        while self._waiting.look_again(group):
            pass

    def why(self, task: Task) -> Delay:
        """What keeps a task that waits from running: asked of those who decide."""
        if (said := self._parked.get(task.id)) is not None:
            return Delay(Reason.PARKED, said)
        if self._held:
            return Delay(Reason.DRAINING, _WORDS[Reason.DRAINING])
        if task.id in self._put_off:
            return Delay(Reason.RETRY_AT, _WORDS[Reason.RETRY_AT])
        obstacle = self._concurrency.obstacle(Contender.of(task)) if task.id in self._waiting else None
        if obstacle is not None:
            return self._hindered(obstacle)
        # What is chosen already is being assigned.
        behind, of_account = self._waiting.place_of(task.id) if task.id in self._waiting else (0, 0)
        behind += len(self._unbegun) if task.id in self._waiting else 0
        reason = Reason.BEHIND if behind or self._free() > 0 else Reason.POOL_FULL
        return Delay(reason, _WORDS[reason], {"behind": behind, "of_account": of_account})

    # --- rules of the queue ---

    def obstacle(self, who: Contender) -> Obstacle | None:
        """See `fair_queue.Rules`."""
        obstacle = self._concurrency.obstacle(who)
        if obstacle is not None and obstacle.until is not None:
            self._held_until[obstacle.group] = obstacle.until
        return obstacle

    def groups(self, who: Contender) -> Iterable[Group]:
        """See `fair_queue.Rules`."""
        return self._concurrency.groups(who)

    def withdraw(self, task_id: str) -> bool:
        """Take a task out before a child has it; whether that could be done."""
        if self._waiting.remove(task_id):
            return True
        if self._parked.pop(task_id, None) is not None:
            return True
        if task_id in self._put_off:
            self._put_off.discard(task_id)
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

    def _give_back(self, task_id: str) -> bool:
        is_room = False
        for group in self._concurrency.give_back(task_id):
            is_room |= self._waiting.look_again(group)
        return is_room

    def _look_at_times(self) -> None:
        now = self._read_ahead.now()
        for group in [group for group, until in self._held_until.items() if until <= now]:
            del self._held_until[group]
            self._waiting.look_again(group)

    def _hindered(self, obstacle: Obstacle) -> Delay:
        details: dict[str, object] = {}
        if obstacle.limit is not None:
            details = {"running": obstacle.running, "limit": obstacle.limit}
        if obstacle.until is None or obstacle.until == inf:
            return Delay(obstacle.reason, _WORDS[obstacle.reason], details)
        return Delay(
            obstacle.reason, _WORDS[obstacle.reason], details, obstacle.until - self._read_ahead.now()
        )

    def _priority(self, task: Task) -> int:
        if task.priority is not None:
            return task.priority
        offer = self._catalogue.offer(task.module, task.function)
        return DEFAULT_PRIORITY if offer is None else offer.priority

    def _free(self) -> int:
        if self._held:
            return 0
        return self.pool.room(self._read_ahead.ahead) - self._reserved - len(self._unplaced)
