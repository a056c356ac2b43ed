"""Starts what is to be started later, or tried again, when its time has come.

Touches the ledger and the runner; told of every change, and kept going by the service.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from heapq import heapify, heappop, heappush
from typing import Final, NamedTuple

from kazoo_tasks.core.ledger import Ledger
from kazoo_tasks.core.runner import Runner
from kazoo_tasks.model.change import Change, Kind
from kazoo_tasks.model.errors import StoreUnavailable
from kazoo_tasks.model.task import Task

#: The time of day may be set meanwhile, so it is looked at that often, and oftener in the second before a start.
_LOOK_S: Final = 0.5
_LOOK_CLOSELY_S: Final = 0.05
#: So that many that are due together hold nobody up.
_AT_ONCE: Final = 100
#: How long what the store refuses (full disk) waits before it is tried again.
_RETRY_S: Final = 1.0
#: Timers of what was started or removed stay in the heap until they are that many and the most of it.
_FEW: Final = 64


class _Timer(NamedTuple):
    due_at: int
    seq: int
    task_id: str


class StartTimers:
    """One heap of all that is to be started later or tried again, and one wait for the first of it.

    The time of day decides, as whoever named it would read it: if the clock is set forward what is due by then starts,
    if it is set back what is not yet due waits.
    """

    def __init__(self, ledger: Ledger, runner: Runner) -> None:
        """Nothing is to be started yet."""
        self._ledger = ledger
        self._runner = runner
        self._heap: list[_Timer] = []
        self._timers: dict[str, _Timer] = {}
        self._earlier = asyncio.Event()

    def __len__(self) -> int:
        """How many tasks are to be started later, or tried again."""
        return len(self._timers)

    def load(self, tasks: Iterable[Task]) -> None:
        """Take those of a former start."""
        for task in tasks:
            self._set(task)

    def changed(self, change: Change) -> None:
        """Learn what has become true."""
        task = change.task
        if change.kind is not Kind.REMOVED and _due_at(task) is not None:
            self._set(task)
        elif task.id in self._timers:
            self._unset(task)

    async def run(self) -> None:
        """Start what is due, for ever; what a turn that failed had in hand is due again."""
        self._heap = sorted(self._timers.values())
        while True:
            await self._wait()
            await self._start(self._due())

    def _set(self, task: Task) -> None:
        due_at = _due_at(task)
        if due_at is None:
            return
        timer = self._timers[task.id] = _Timer(due_at, task.seq, task.id)
        heappush(self._heap, timer)
        if self._heap[0] is timer:
            self._earlier.set()

    def _unset(self, task: Task) -> None:
        del self._timers[task.id]
        if len(self._heap) > max(_FEW, 2 * len(self._timers)):
            self._heap = [timer for timer in self._heap if self._holds(timer)]
            heapify(self._heap)

    async def _wait(self) -> None:
        while (left_s := self._left_s()) is None or left_s > 0:
            self._earlier.clear()
            # Seconds are whole: the one in which it is due begins somewhere in the next.
            look_s = None if left_s is None else _LOOK_CLOSELY_S if left_s <= 1 else _LOOK_S
            try:
                async with asyncio.timeout(look_s):
                    await self._earlier.wait()
            except TimeoutError:
                continue

    def _left_s(self) -> int | None:
        while self._heap and not self._holds(self._heap[0]):
            heappop(self._heap)
        return self._heap[0].due_at - self._ledger.now() if self._heap else None

    def _due(self) -> list[str]:
        due: list[str] = []
        while len(due) < _AT_ONCE and (left_s := self._left_s()) is not None and left_s <= 0:
            due.append(heappop(self._heap).task_id)
        return due

    async def _start(self, task_ids: list[str]) -> None:
        async with self._ledger.locks.hold(*task_ids):
            # What was started, removed or put off while the locks were waited for has no timer, or another.
            now = self._ledger.now()
            registry = self._ledger.registry
            due = [registry.get(task_id) for task_id in task_ids if self._is_due(task_id, now)]
            for task in due:
                if task.started_at is not None:
                    self._unset(task)
                    self._runner.try_again(task)
            due = [task for task in due if task.started_at is None]
            launches = self._runner.prepare([task.start(now) for task in due])
            changes = [change for launch in launches for change in launch.changes]
            try:
                await self._ledger.commit(
                    changes, settled=lambda written: self._runner.launch(launches, written=written)
                )
            except StoreUnavailable:
                for task in due:
                    heappush(self._heap, self._timers[task.id])
                await asyncio.sleep(_RETRY_S)

    def _is_due(self, task_id: str, now: int) -> bool:
        timer = self._timers.get(task_id)
        return timer is not None and timer.due_at <= now

    def _holds(self, timer: _Timer) -> bool:
        return self._timers.get(timer.task_id) is timer


def _due_at(task: Task) -> int | None:
    if task.started_at is None:
        return task.start_at
    return task.retry_at if task.is_active else None
