"""From started to ended: gives waiting tasks to the pool and writes down what becomes of them.

Touches the pool through its port, and the ledger; asked by the handlers, told by the pool.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence
from contextlib import suppress
from math import inf
from typing import Final, NamedTuple

from kazoo_tasks.core.background import BackgroundTasks
from kazoo_tasks.core.ledger import Ledger
from kazoo_tasks.core.read_ahead import PATIENCE_S
from kazoo_tasks.core.recovery import review, settle, wait_for_slot
from kazoo_tasks.core.retries import Retries
from kazoo_tasks.core.run_limits import RunLimits
from kazoo_tasks.core.scheduler import Scheduler
from kazoo_tasks.core.task_logs import TaskLogs
from kazoo_tasks.core.words import Words
from kazoo_tasks.model.change import Change, Kind
from kazoo_tasks.model.errors import KazooTasksError, Refused, StoreUnavailable
from kazoo_tasks.model.outcome import STOPPED_WAITING, Outcome
from kazoo_tasks.model.task import Status, Task
from kazoo_tasks.model.task_log import LogPart
from kazoo_tasks.ports import Assignment, SlotReport
from kazoo_tasks.wire.attempt import history_with

#: How long an outcome that the store refuses (full disk) waits before it is offered again.
_RETRY_S: Final = 1.0


class Launch(NamedTuple):
    """A start that is decided and not yet committed.

    Attributes:
        claimed: A place is reserved for it, so the assignment is committed together with the start.
    """

    task: Task
    changes: tuple[Change, ...]
    claimed: bool


class RunRules(NamedTuple):
    """What holds for runs: what each may take, and whether it is tried again."""

    limits: RunLimits
    retries: Retries


class Runner:
    """Keeps the slots busy. Nothing is handed to a child before that it was is on disk."""

    def __init__(
        self,
        ledger: Ledger,
        scheduler: Scheduler,
        background: BackgroundTasks,
        rules: RunRules,
        logs: TaskLogs,
    ) -> None:
        """Give tasks to the pool of `scheduler`."""
        self.limits, self.retries = rules
        self._logs = logs
        self._ledger = ledger
        self._pool = scheduler.pool
        self._background = background
        self._endings: dict[str, list[asyncio.Future[None]]] = {}
        self._words = Words(ledger, logs, rules.retries)
        self._round_due = self._writing = False
        self._watching: asyncio.TimerHandle | None = None
        self._looking: asyncio.TimerHandle | None = None
        self.scheduler = scheduler

    # --- asked by the handlers ---

    def prepare(self, tasks: Sequence[Task], kind: Kind = Kind.STARTED) -> list[Launch]:
        """Decide how tasks that are being started begin: with a place at once, or waiting."""
        # What nobody offers any more is parked, as if it had waited.
        offered = [task for task in tasks if self._is_offered(task)]
        claimed = self.scheduler.claim(offered)
        return [
            self._claimed(task, kind)
            if task.id in claimed
            else Launch(task, (Change(kind, task),), claimed=False)
            for task in tasks
        ]

    def launch(self, launches: Sequence[Launch], *, written: bool) -> None:
        """Let launches begin now that they are on disk, or give them up if they could not be written.

        To be called in the same breath as they are folded in: nobody may see a task started that cannot be stopped.
        """
        if written:
            self._begin(launches)
            return
        for launch in launches:
            if launch.claimed:
                self.scheduler.release(launch.task.id)
        self._come_round()

    async def stack(self, task_id: str) -> str | None:
        """See `ports.Pool`."""
        return await self._pool.stack(task_id)

    def slots(self) -> Sequence[SlotReport]:
        """See `ports.Pool.reports`."""
        return self._pool.reports()

    def switch_breaker(self, name: str, *, is_open: bool) -> None:
        """Leave `module.function` alone until it is closed, or run it again."""
        self.scheduler.switch_breaker(name, is_open=is_open)
        self._come_round()

    def once_more(self, task: Task) -> Task:
        """A failed task at the beginning of its next attempt.

        Raises:
            NotFailed: It has not failed.
        """
        now = self._ledger.now()
        return task.retry(now, history_with(task, task.ended_at or now, task.error or ""))

    async def end(self, task_id: str, within_s: float) -> None:
        """Have a running task ended as stopped, and wait for that, but no longer than `within_s`."""
        ended: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._endings.setdefault(task_id, []).append(ended)
        if unbegun := self.scheduler.take_unbegun(task_id):
            # Its child was lost while the request was written down, and the pool knows nothing of it any more.
            await self._take_back(unbegun)
        else:
            self._pool.stop(task_id)
        await asyncio.wait([ended], timeout=within_s)

    async def review(self) -> None:
        """Look again at what waits, since the catalogue is another; what the store does not take is left for later."""
        catalogue, scheduler = self.limits.catalogue, self.scheduler
        self.limits.forget()
        scheduler.limits_changed()
        parked = list(scheduler.parked)
        async with self._ledger.locks.hold(*parked):
            # What was interrupted and is offered again ends, or may run again, as at a start.
            tasks = [self._ledger.registry.get(task_id) for task_id in parked if task_id in scheduler.parked]
            changes = list(settle(tasks, catalogue, self._ledger.now()))
            unsettled = {change.task.id for change in changes}
            with suppress(StoreUnavailable):  # told by the ledger; what it does not take stays parked
                await self._ledger.commit(changes)
                for task_id in unsettled:
                    scheduler.withdraw(task_id)
                unsettled.clear()
            review(self._ledger.registry, catalogue, scheduler, unsettled)
        self._come_round()

    async def drain(self, grace_s: float) -> None:
        """Run nothing more, and let what runs come to its end, but no longer than `grace_s`."""
        with suppress(KazooTasksError):
            await self._take_back(self.scheduler.hold())
        running = [task.id for task in self._ledger.registry if task.status is Status.RUNNING]
        endings = [asyncio.get_running_loop().create_future() for _ in running]
        for task_id, ended in zip(running, endings, strict=True):
            self._endings.setdefault(task_id, []).append(ended)
        if endings:
            await asyncio.wait(endings, timeout=grace_s)

    def wait_again(self, task: Task) -> None:
        """Let a task go on that was withdrawn, since its end could not be written."""
        if task.status is Status.RUNNING:
            self.scheduler.keep([self._assignment(task)])
            self._watch_claims()
        elif task.retry_at is not None and task.retry_at > self._ledger.now():
            self.scheduler.put_off(task.id)
        else:
            wait_for_slot(task, self.limits.catalogue, self.scheduler)
        self._come_round()

    def try_again(self, task: Task) -> None:
        """Let a task wait for a slot whose next attempt is due."""
        if self.scheduler.is_put_off(task.id):
            self.scheduler.withdraw(task.id)
            wait_for_slot(task, self.limits.catalogue, self.scheduler)
            self._come_round()

    def changed(self, change: Change) -> None:
        """Learn what has become true."""
        if change.kind is Kind.RETRYING:
            self.scheduler.put_off(change.task.id)
        if self.scheduler.changed(change):
            self._come_round()

    # --- told by the pool ---

    def idle(self) -> None:
        """See `ports.PoolWatcher`."""
        self.scheduler.place_waiting()
        self._come_round()

    def ended(self, task_id: str, outcome: Outcome) -> None:
        """See `ports.PoolWatcher`."""
        self._words.over[task_id] = outcome
        self.scheduler.ended(task_id, outcome)
        self._come_round()

    def began(self, task_id: str) -> None:
        """See `ports.PoolWatcher`."""
        self.scheduler.began(task_id)

    def returned(self, assignments: Sequence[Assignment]) -> None:
        """See `ports.PoolWatcher`."""
        self.scheduler.returned(assignments)
        # While nothing more is run, as in a drain, they wait too long and are given back.
        self._watch_claims()
        self._come_round()

    def progressed(self, task_id: str, progress: bytes) -> None:
        """See `ports.PoolWatcher`."""
        self._words.reports[task_id] = progress
        self._come_round()

    def said(self, task_id: str, part: LogPart) -> None:
        """See `ports.PoolWatcher`."""
        with suppress(Refused):  # it is gone, and with it whatever it says
            task = self._ledger.registry.get(task_id)
            self._logs.said(task, part, self.limits.of(task).log_bytes or 0)

    def checkpointed(self, task_id: str, checkpoint: bytes) -> None:
        """See `ports.PoolWatcher`."""
        self._words.kept[task_id] = checkpoint
        self._come_round()

    # --- what comes up together is written together ---

    def _come_round(self) -> None:
        if not self._round_due:
            self._round_due = True
            self._background.start(self._round(), "round")

    async def _round(self) -> None:
        self._round_due = False
        self.scheduler.place_waiting()
        if chosen := self.scheduler.next():
            self._background.start(self._assign(chosen), "assign")
        self._look_later()
        # While the disk has one commit of ends, those that come up gather for the next.
        if not self._writing and self._words:
            self._writing = True
            try:
                self._tell_ended(await self._words.write())
            finally:
                self._writing = False
            if self._words:
                self._come_round()

    def _look_later(self) -> None:
        """Come round when something that waits for a time may run."""
        left_s = self.scheduler.next_look_s
        if left_s is None or left_s == inf:
            return
        loop = asyncio.get_running_loop()
        if self._looking is not None:
            if self._looking.when() <= loop.time() + left_s:
                return
            self._looking.cancel()
        self._looking = loop.call_later(left_s, self._look)

    def _look(self) -> None:
        self._looking = None
        self._come_round()

    def _is_offered(self, task: Task) -> bool:
        return self.limits.catalogue.offer(task.module, task.function) is not None

    def _claimed(self, task: Task, kind: Kind) -> Launch:
        assigned = self._as_assigned(task)
        return Launch(assigned, (Change(kind, task), Change(Kind.ASSIGNED, assigned)), claimed=True)

    def _begin(self, launches: Sequence[Launch]) -> None:
        self.scheduler.place([self._assignment(launch.task) for launch in launches if launch.claimed])
        for launch in launches:
            if not launch.claimed:
                wait_for_slot(launch.task, self.limits.catalogue, self.scheduler)
        self._watch_claims()
        self._come_round()

    async def _assign(self, chosen: Sequence[str]) -> None:
        async with self._ledger.locks.hold(*chosen):
            tasks = [task for task_id in chosen if (task := self._assigned(task_id))]
            if len(tasks) < len(chosen):
                self._come_round()  # what is not run makes room
            try:
                await self._ledger.commit([Change(Kind.ASSIGNED, task) for task in tasks])
            except StoreUnavailable:
                await self._put_back(tasks)
            except KazooTasksError:
                return  # the store is broken, and the process ends
            else:
                self.scheduler.place([self._assignment(task) for task in tasks])
                self._watch_claims()

    def _assigned(self, task_id: str) -> Task | None:
        try:
            return self._as_assigned(self._ledger.registry.get(task_id))
        except Refused:
            # Stopped or removed between its turn in the queue and this one: nothing to run.
            self.scheduler.release(task_id)
            return None

    def _as_assigned(self, task: Task) -> Task:
        version = self.limits.catalogue.versions.get(task.module)
        return task.assign(self._ledger.epoch, version, self._ledger.now())

    async def _put_back(self, tasks: Sequence[Task]) -> None:
        for task in tasks:
            self.scheduler.release(task.id)
        self.scheduler.enqueue_first(tasks)
        await asyncio.sleep(_RETRY_S)
        self._come_round()

    def _watch_claims(self) -> None:
        if self._watching is None and self.scheduler.has_claims:
            self._watching = asyncio.get_running_loop().call_later(PATIENCE_S, self._look_at_claims)

    def _look_at_claims(self) -> None:
        self._watching = None
        if overdue := self.scheduler.overdue():
            self._background.start(self._take_back(overdue), "take back")
        self._watch_claims()

    async def _take_back(self, unbegun: Sequence[Assignment]) -> None:
        """Let what was claimed and no child has begun wait like others: a crash would call it interrupted."""
        ids = [assignment.task_id for assignment in unbegun]
        async with self._ledger.locks.hold(*ids):
            changes = [self._taken_back(self._ledger.registry.get(task_id)) for task_id in ids]
            try:
                await self._ledger.commit(changes)
            except StoreUnavailable:
                self.scheduler.keep(unbegun)
            else:
                self.scheduler.enqueue_first(
                    [change.task for change in changes if change.kind is Kind.REQUEUED]
                )
                self._tell_ended(ids)
        self._come_round()

    def _taken_back(self, task: Task) -> Change:
        if not task.stop_asked:
            return Change(Kind.REQUEUED, task.take_back())
        # Asked to stop in the moment in which it was neither here nor there.
        return Change(Kind.ENDED, task.fail(self._ledger.end_time(task), STOPPED_WAITING.text()))

    def _tell_ended(self, task_ids: Iterable[str]) -> None:
        for task_id in task_ids:
            for ended in self._endings.pop(task_id, ()):
                if not ended.done():
                    ended.set_result(None)

    def _assignment(self, task: Task) -> Assignment:
        what = (task.id, task.module, task.function, task.arguments, task.attempt, task.account_id)
        return Assignment(*what, self.limits.of(task), task.checkpoint)
