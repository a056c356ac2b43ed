"""The service: journal, registry, pool and listener, wired, started in order and stopped in reverse.

Touches everything; run by the CLI.
"""

from __future__ import annotations

import asyncio
import itertools
import os
import random
from collections import Counter
from collections.abc import AsyncIterator, Coroutine
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass
from functools import partial
from typing import Any, Final

import structlog

from kazoo_tasks.assembly.catalogue import build_catalogue, module_paths, rebuild_catalogue
from kazoo_tasks.assembly.clock import SystemClock
from kazoo_tasks.assembly.collector import Collector
from kazoo_tasks.assembly.door import sender_of
from kazoo_tasks.assembly.health import Check, bus_check
from kazoo_tasks.assembly.journal import build_journal
from kazoo_tasks.assembly.loop import Loop
from kazoo_tasks.assembly.reload import Reload
from kazoo_tasks.assembly.scheduling import build_scheduler
from kazoo_tasks.core.background import BackgroundTasks
from kazoo_tasks.core.handlers import Handlers
from kazoo_tasks.core.ledger import DedupeWindow, Ledger
from kazoo_tasks.core.recovery import resume, settle
from kazoo_tasks.core.retention import Keep, Retention
from kazoo_tasks.core.retries import Retries
from kazoo_tasks.core.run_limits import RunLimits
from kazoo_tasks.core.runner import Runner, RunRules
from kazoo_tasks.core.schedules import Schedules
from kazoo_tasks.core.start_timers import StartTimers
from kazoo_tasks.core.task_logs import TaskLogs
from kazoo_tasks.listener.announcer import Announcer
from kazoo_tasks.listener.asked_snapshot import AskedSnapshots
from kazoo_tasks.listener.heartbeat import Heartbeat
from kazoo_tasks.listener.listener import Listener, Operations
from kazoo_tasks.listener.watchdog import Watch, Watchdog
from kazoo_tasks.model.change import Change
from kazoo_tasks.model.errors import CannotReload, RequestsStopped, StoreBroken, StoreUnavailable
from kazoo_tasks.pool.settings import PoolSettings
from kazoo_tasks.pool.supervisor import ProcessPool
from kazoo_tasks.ports import Bus, Journal, LogStore
from kazoo_tasks.settings import Settings
from kazoo_tasks.store.task_logs import TaskLogFiles
from kazoo_tasks.wire.header import Sender
from kazoo_tasks.wire.reply import Replies

_MIB: Final = 2**20
#: How long requests under way, and outcomes of ended tasks, may take to be written when the service stops.
_SETTLE_S: Final = 10.0
_EXPIRY_INTERVAL_S: Final = 30
_SPARING_INTERVAL_S: Final = 5
#: Between two steps of the retention: with 100 tasks a step it removes more than can come.
_REMOVAL_PAUSE_S: Final = 0.01
_DAY_S: Final = 86_400
_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Doors:
    """The adapters that differ between a look, a test and production."""

    bus: Bus
    journal: Journal
    logs: LogStore


class Service:
    """Everything between the bus and the children. Started once, stopped once."""

    def __init__(self, settings: Settings, doors: Doors, sender: Sender) -> None:
        """Build; nothing is touched before `start`."""
        self._settings = settings
        self._bus, self._journal, self._log_store = doors.bus, doors.journal, doors.logs
        self._stack = AsyncExitStack()
        clock = SystemClock()
        replies = Replies(sender)
        paths = module_paths(settings.modules)
        self._catalogue = build_catalogue(paths, settings.max_arguments_bytes)
        self._background = BackgroundTasks(self._crashed)
        self._announcer = Announcer(self._bus, replies)
        dedupe = DedupeWindow(settings.dedupe_window_s, settings.dedupe_max_mb * _MIB)
        self._ledger = Ledger(self._journal, clock, dedupe, self._changed, settings.quotas())
        self._pool = ProcessPool(_pool_settings(settings, paths))
        limits = RunLimits(self._catalogue, settings.run_limits(), settings.limits_of_accounts())
        self._logs = TaskLogs(doors.logs, clock.monotonic)
        keep = Keep(settings.task_keep_days, settings.task_keep)
        self._retention = Retention(self._ledger, self._logs, keep, sender.node)
        scheduler = build_scheduler(settings, self._pool, self._catalogue, clock)
        rules = RunRules(limits, Retries(self._catalogue, random.random))
        self._runner = Runner(self._ledger, scheduler, self._background, rules, self._logs)
        self._timers = StartTimers(self._ledger, self._runner)
        handlers = Handlers(self._catalogue, self._ledger, self._runner, self._logs, os.urandom)
        asked = AskedSnapshots(self._journal, clock.monotonic, settings.snapshot_asked_interval_s)
        rebuild = partial(rebuild_catalogue, paths, settings.max_arguments_bytes)
        self.reload = Reload(self._pool, self._catalogue, rebuild, self._review)
        self._schedules = Schedules(
            self._ledger, self._runner, self._catalogue, os.urandom, settings.account_schedules
        )
        operations = Operations(asked.take, self.reload, self._schedules)
        self._listener = Listener(self._bus, handlers, replies, self._background, operations)
        self._heartbeat = Heartbeat(self._bus, replies, clock.now(), settings.zone, settings.heartbeat_s)
        self._watchdog = Watchdog(self._bus, replies, lambda: self._listener.arrived, Watch())
        self._collector = Collector()
        self._bus.on_disconnect(self._collector.lost)
        self._loops = (
            Loop("announcer", self._announcer.run),
            Loop("start timers", self._timers.run),
            Loop("schedules", self._schedules.run),
            Loop("heartbeat", self._heartbeat.run),
            Loop("watchdog", self._watchdog.run),
            Loop("upkeep", self._upkeep),
            Loop("snapshots", self._snapshots),
            Loop("task logs", self._write_logs),
            Loop("retention", self._remove_finished),
        )
        self._draining = False
        self._told_of_logs: tuple[str | None, int] = None, 0
        #: Done, with the reason, when the process must end.
        self.broken = self._ledger.broken

    async def start(self) -> None:
        """Load, recover, and then take requests.

        Raises:
            CannotStart: With one sentence; what was started is stopped again.
        """
        try:
            await self._start()
        except BaseException:
            await self._stack.aclose()
            raise

    async def _start(self) -> None:
        loaded = await self._journal.load()
        self._ledger.load(loaded)
        self._schedules.load(loaded.documents)
        self._expire_audit()
        self._collector.spare()
        self._stack.push_async_callback(self._journal.close)
        self._stack.push_async_callback(self._close_logs)
        await self._recover()
        self._timers.load(self._ledger.registry)
        await self._pool.start(self._runner)
        self._stack.push_async_callback(self._pool.close)
        self._runner.idle()
        await self._bus.consume_requests(self._listener.handle)
        for loop in self._loops:
            self._go_on(loop)
        _log.info(
            "service.ready",
            tasks=len(self._ledger.registry),
            waiting=len(self._runner.scheduler),
            epoch=self._ledger.epoch,
            functions=self._catalogue.names,
        )

    def reload_asked(self) -> None:
        """Load the task modules anew; how it went is in the log."""
        self._background.start(self._reload(), "reload")

    def checks(self) -> dict[str, Check]:
        """How each part of it is."""
        return {
            "bus": bus_check(self._bus),
            "requests": self._check_requests,
            "store": self._check_store,
            "pool": self._check_pool,
            "service": self._check_service,
            "loops": self._check_loops,
        }

    async def _check_requests(self) -> str | None:
        return f"{self._watchdog.strikes} canaries did not arrive" if self._watchdog.strikes else None

    async def _check_store(self) -> str | None:
        return self._ledger.refused

    async def _check_pool(self) -> str | None:
        resting = self._pool.resting_slots
        return f"{resting} of {self._pool.size} slots rest: their children keep dying" if resting else None

    async def _check_loops(self) -> str | None:
        return "; ".join(reason for loop in self._loops if (reason := loop.unwell())) or None

    async def _check_service(self) -> str | None:
        return "draining" if self._draining else None

    async def stop(self, hurry: asyncio.Event) -> None:
        """Take no more requests, finish what is under way, leave the rest to the next start's recovery.

        Set `hurry` to end running tasks without waiting for them.
        """
        _log.info("service.draining", grace_s=self._settings.drain_s)
        self._draining = True
        self.reload.close()
        await self._bus.stop_consuming()
        await self._background.settle(_SETTLE_S)
        await _first(self._runner.drain(self._settings.drain_s), hurry.wait())
        await self._pool.close()
        await self._background.settle(_SETTLE_S)
        await self._announcer.flush()
        await self._take_snapshot()
        await self._stack.aclose()
        # Below a name of their own: `stack`, a request's key, is one that structlog writes as a traceback.
        _log.info("service.stopped", requests=dict(self._listener.counts))

    async def _review(self) -> None:
        await self._runner.review()
        self._schedules.review()

    async def _reload(self) -> None:
        with suppress(CannotReload):  # told by then
            await self.reload()

    async def _recover(self) -> None:
        changes = list(settle(self._ledger.registry, self._catalogue, self._ledger.now()))
        if changes:
            await self._ledger.commit(changes)
            _log.warning("service.recovered", **Counter(str(change.kind) for change in changes))
        resume(self._ledger.registry, self._catalogue, self._runner.scheduler)
        for task_id, reason in self._runner.scheduler.parked.items():
            _log.warning("service.parked", task=task_id, reason=reason)

    async def _upkeep(self) -> None:
        for beat in itertools.count(1):
            await asyncio.sleep(1)
            if beat % _SPARING_INTERVAL_S == 0:
                self._collector.spare()
            if beat % _EXPIRY_INTERVAL_S == 0:
                self._ledger.expire()
                self._expire_audit()
            if self._ledger.refused:
                await self._ledger.probe()

    def _expire_audit(self) -> None:
        # By the time that only goes on, as answers are: a clock that is set ahead must not cost what was written.
        since = self._ledger.answer_time() - self._settings.audit_keep_days * _DAY_S
        self._journal.keep_audit(since, self._settings.audit_keep)

    def _changed(self, change: Change) -> None:
        self._runner.changed(change)
        self._timers.changed(change)
        self._schedules.changed(change)
        self._announcer.announce(change)
        self._retention.told(change)

    async def _remove_finished(self) -> None:
        """Some at a time, with pauses for whoever asks for something."""
        while True:
            is_more_due = False
            with suppress(StoreUnavailable):  # told by health; what is due stays so
                is_more_due = await self._retention.step()
            await asyncio.sleep(_REMOVAL_PAUSE_S if is_more_due else 1)

    async def _write_logs(self) -> None:
        await self._log_store.keep_only(self._ledger.registry.__contains__)
        while True:
            await asyncio.sleep(1)
            await self._logs.write()
            self._tell_of_logs()

    def _tell_of_logs(self) -> None:
        """Say once each time that something could not be kept, or can be again."""
        told = self._logs.refused, self._logs.lost_bytes
        if told != self._told_of_logs:
            self._told_of_logs = told
            _log.warning("task_logs.incomplete", refused=told[0], lost_bytes=told[1])

    async def _close_logs(self) -> None:
        await self._logs.write(last=True)
        self._tell_of_logs()
        await self._log_store.close()

    async def _snapshots(self) -> None:
        while True:
            await asyncio.sleep(self._settings.snapshot_interval_s)
            await self._take_snapshot()

    async def _take_snapshot(self) -> None:
        if self.broken.done():
            return
        try:
            await self._journal.snapshot()
        except StoreUnavailable as error:
            _log.error("service.snapshot_failed", reason=str(error))

    def _go_on(self, loop: Loop) -> None:
        task = asyncio.create_task(loop.run(), name=loop.name)
        task.add_done_callback(self._ended)
        self._stack.push_async_callback(_cancel, task)

    def _ended(self, task: asyncio.Task[None]) -> None:
        if not task.cancelled() and (error := task.exception()) is not None:
            self._crashed(error)

    def _crashed(self, error: BaseException) -> None:
        if isinstance(error, RequestsStopped):
            if not self.broken.done():
                self.broken.set_result(error)
        elif not isinstance(error, StoreBroken):  # which is told by `broken` already
            _log.error("service.bug", exc_info=error)


@asynccontextmanager
async def opened_service(settings: Settings, bus: Bus, hurry: asyncio.Event) -> AsyncIterator[Service]:
    """A service that takes requests; set `hurry` to have it stop without waiting for running tasks.

    Raises:
        CannotStart: With one sentence.
    """
    doors = Doors(bus, build_journal(settings), TaskLogFiles(settings.data_dir))
    service = Service(settings, doors, sender_of(settings))
    await service.start()
    try:
        yield service
    finally:
        await service.stop(hurry)


def _pool_settings(settings: Settings, modules: tuple[str, ...]) -> PoolSettings:
    return PoolSettings(
        size=settings.pool_size,
        modules=modules,
        stop_grace_s=settings.stop_grace_s,
        max_result_bytes=settings.max_result_bytes,
        max_runs=settings.child_max_runs,
        max_child_bytes=settings.child_max_memory_mb and settings.child_max_memory_mb * _MIB,
        max_restarts=settings.max_restarts,
    )


async def _first(*works: Coroutine[Any, Any, Any]) -> None:
    """Wait for whichever is done first, and give the others up."""
    tasks = [asyncio.ensure_future(work) for work in works]
    await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    for task in tasks:
        await _cancel(task)


async def _cancel(task: asyncio.Task[None]) -> None:
    task.cancel()
    await asyncio.wait([task])
