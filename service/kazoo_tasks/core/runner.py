"""From started to ended: gives waiting tasks to the pool and writes down what becomes of them.

Touches the pool through its port, and the ledger; asked by the desk, told by the pool.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from kazoo_tasks.core.errand import Errands
from kazoo_tasks.core.ledger import Ledger
from kazoo_tasks.core.schedule import Schedule
from kazoo_tasks.core.turn import Turns
from kazoo_tasks.model.change import Change, Kind
from kazoo_tasks.model.errors import KazooTasksError, NotFound, StoreUnavailable
from kazoo_tasks.model.outcome import Outcome, Succeeded
from kazoo_tasks.model.task import Status, Task
from kazoo_tasks.ports import Assignment, Pool

#: How long an outcome that the store refuses (full disk) waits before it is offered again.
_RETRY_S: Final = 1.0


@dataclass(frozen=True, slots=True)
class Launch:
    """A start that is decided and not yet committed.

    Attributes:
        claimed: A slot is reserved for it, so the assignment is committed together with the start.
    """

    task: Task
    changes: tuple[Change, ...]
    claimed: bool


class Runner:
    """Keeps the slots busy. Nothing is handed to a child before that it was is on disk."""

    def __init__(self, ledger: Ledger, pool: Pool, turns: Turns, errands: Errands) -> None:
        """Share the turns with the desk."""
        self._ledger = ledger
        self._pool = pool
        self._turns = turns
        self._errands = errands
        self._endings: dict[str, list[asyncio.Future[None]]] = {}
        self.schedule = Schedule(pool)

    # --- asked by the desk ---

    def prepare(self, task: Task) -> Launch:
        """Decide how a task that is being started begins: in a slot at once, or waiting."""
        started = Change(Kind.STARTED, task)
        if not self.schedule.claim():
            return Launch(task, (started,), claimed=False)
        assigned = task.assign(self._ledger.epoch)
        return Launch(assigned, (started, Change(Kind.ASSIGNED, assigned)), claimed=True)

    def launch(self, launches: Sequence[Launch], *, written: bool) -> None:
        """Let launches begin now that they are on disk, or give them up if they could not be written.

        To be called in the same breath as they are folded in: nobody may see a task started that cannot be stopped.
        """
        if written:
            self._begin(launches)
        else:
            self._abandon(launches)

    async def end(self, task_id: str, within_s: float) -> None:
        """Have a running task ended as stopped, and wait for that, but no longer than `within_s`."""
        ended: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._endings.setdefault(task_id, []).append(ended)
        self._pool.stop(task_id)
        await asyncio.wait([ended], timeout=within_s)

    async def drain(self, grace_s: float) -> None:
        """Run nothing more, and let what runs come to its end, but no longer than `grace_s`."""
        self.schedule.hold()
        running = {task.id for task in self._ledger.registry if task.status is Status.RUNNING}
        endings = [asyncio.get_running_loop().create_future() for _ in running]
        for task_id, ended in zip(running, endings, strict=True):
            self._endings.setdefault(task_id, []).append(ended)
        if endings:
            await asyncio.wait(endings, timeout=grace_s)

    # --- told by the pool ---

    def idle(self) -> None:
        """See `ports.PoolWatcher`."""
        self.schedule.place_waiting()
        while (task_id := self.schedule.next()) is not None:
            self._errands.send(self._assign(task_id), f"assign {task_id}")

    def ended(self, task_id: str, outcome: Outcome) -> None:
        """See `ports.PoolWatcher`."""
        self._errands.send(self._end(task_id, outcome), f"end {task_id}")

    def progressed(self, task_id: str, progress: bytes) -> None:
        """See `ports.PoolWatcher`."""
        self._errands.send(self._progress(task_id, progress), f"progress {task_id}")

    def _begin(self, launches: Sequence[Launch]) -> None:
        for launch in launches:
            if launch.claimed:
                self.schedule.place(_assignment(launch.task))
            else:
                self.schedule.enqueue(launch.task.id)
        self.idle()

    def _abandon(self, launches: Sequence[Launch]) -> None:
        for launch in launches:
            if launch.claimed:
                self.schedule.release()

    async def _assign(self, task_id: str) -> None:
        async with self._turns.take(task_id):
            try:
                # Stopped or removed between its turn in the queue and this one: nothing to run.
                assigned = self._ledger.registry.get(task_id).assign(self._ledger.epoch)
                await self._ledger.commit([Change(Kind.ASSIGNED, assigned)])
            except StoreUnavailable:
                self.schedule.release()
                self.schedule.enqueue(task_id)
                await asyncio.sleep(_RETRY_S)
                self.idle()
            except KazooTasksError:
                self.schedule.release()
            else:
                self.schedule.place(_assignment(assigned))

    async def _end(self, task_id: str, outcome: Outcome) -> None:
        async with self._turns.take(task_id):
            await self._write_end(task_id, outcome)
        for ended in self._endings.pop(task_id, ()):
            if not ended.done():
                ended.set_result(None)

    async def _write_end(self, task_id: str, outcome: Outcome) -> None:
        task, now = self._ledger.registry.get(task_id), self._ledger.now()
        ended = (
            task.succeed(now, outcome.result)
            if isinstance(outcome, Succeeded)
            else task.fail(now, outcome.text())
        )
        try:
            await self._ledger.commit([Change(Kind.ENDED, ended)])
        except StoreUnavailable:
            await asyncio.sleep(_RETRY_S)
            await self._write_end(task_id, outcome)

    async def _progress(self, task_id: str, progress: bytes) -> None:
        async with self._turns.take(task_id):
            try:
                task = self._ledger.registry.get(task_id).report(progress)
                await self._ledger.commit([Change(Kind.PROGRESSED, task)])
            except (StoreUnavailable, NotFound):
                return  # the next report tells more anyway


def _assignment(task: Task) -> Assignment:
    return Assignment(task.id, task.module, task.function, task.arguments, task.attempt)
