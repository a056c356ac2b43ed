"""Starts what is to be started later, or tried again, when its time has come.

Touches the ledger and the runner; told of every change, and kept going by the service.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence
from typing import Final

from kazoo_tasks.core.ledger import Ledger
from kazoo_tasks.core.runner import Runner
from kazoo_tasks.core.timers import Timers
from kazoo_tasks.model.change import Change, Kind
from kazoo_tasks.model.errors import StoreUnavailable
from kazoo_tasks.model.task import Task

#: How long what the store refuses (full disk) waits before it is tried again.
_RETRY_S: Final = 1.0


class StartTimers:
    """A timer for each task that is to be started later, or tried again."""

    def __init__(self, ledger: Ledger, runner: Runner) -> None:
        """Nothing is to be started yet."""
        self._ledger = ledger
        self._runner = runner
        self._timers = Timers(ledger.now)

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
            self._timers.unset(task.id)

    async def run(self) -> None:
        """Start what is due, for ever; what a turn that failed had in hand is due again."""
        self._timers.begin()
        while True:
            await self._start(await self._timers.due())

    async def start_due(self) -> None:
        """Start what is due now."""
        while due := self._timers.take_due():
            await self._start(due)

    def _set(self, task: Task) -> None:
        if (due_at := _due_at(task)) is not None:
            self._timers.set(task.id, due_at, task.seq)

    async def _start(self, task_ids: Sequence[str]) -> None:
        async with self._ledger.locks.hold(*task_ids):
            # What was started, removed or put off while the locks were waited for has no timer, or another.
            registry, now = self._ledger.registry, self._ledger.now()
            tasks = [registry.get(task_id) for task_id in task_ids if self._timers.is_due(task_id)]
            for task in tasks:
                if task.started_at is not None:
                    self._timers.unset(task.id)
                    self._runner.try_again(task)
            due = [task for task in tasks if task.started_at is None]
            launches = self._runner.prepare([task.start(now) for task in due])
            changes = [change for launch in launches for change in launch.changes]
            try:
                await self._ledger.commit(
                    changes, settled=lambda written: self._runner.launch(launches, written=written)
                )
            except StoreUnavailable:
                for task in due:
                    self._timers.again(task.id)
                await asyncio.sleep(_RETRY_S)


def _due_at(task: Task) -> int | None:
    if task.started_at is None:
        return task.start_at
    return task.retry_at if task.is_active else None
