"""The core without processes and files: a clock, a pool and request handlers that tests drive by hand.

Touches the event loop only; used by the tests of the core and of the listener.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field
from functools import partial
from itertools import islice
from types import ModuleType
from typing import Any

from kazoo_tasks import task
from kazoo_tasks.assembly.start_rate import StartRate
from kazoo_tasks.core.answers import Requester
from kazoo_tasks.core.background import BackgroundTasks
from kazoo_tasks.core.breaker import BreakerPolicy, Breakers
from kazoo_tasks.core.catalogue import Catalogue
from kazoo_tasks.core.concurrency import Accounts, Concurrency
from kazoo_tasks.core.handlers import Handlers
from kazoo_tasks.core.ledger import DedupeWindow, Ledger
from kazoo_tasks.core.order import Draft, Order
from kazoo_tasks.core.read_ahead import ReadAhead
from kazoo_tasks.core.retries import Retries
from kazoo_tasks.core.run_limits import RunLimits
from kazoo_tasks.core.runner import Runner, RunRules
from kazoo_tasks.core.scheduler import Scheduler
from kazoo_tasks.core.schedules import Schedules
from kazoo_tasks.core.start_timers import StartTimers
from kazoo_tasks.core.task_logs import TaskLogs
from kazoo_tasks.model.change import Change
from kazoo_tasks.model.errors import StoreUnavailable
from kazoo_tasks.model.limits import Limits
from kazoo_tasks.model.outcome import Failed, Failure, Outcome, Succeeded
from kazoo_tasks.model.quota import NO_QUOTA, Quota
from kazoo_tasks.model.task_log import KeptLog
from kazoo_tasks.modules import erlang, knm_converters, timer
from kazoo_tasks.ports import Assignment, PoolWatcher, SlotReport
from kazoo_tasks.store.memory import MemoryJournal
from kazoo_tasks.wire.codec import decode
from support.build import ACCOUNT, NOW


@dataclass
class HandClock:
    """A clock that goes when it is told to."""

    at: int = NOW
    jumped: int = 0

    def now(self) -> int:
        """See `ports.Clock`."""
        return self.at

    def monotonic(self) -> float:
        """See `ports.Clock`."""
        return float(self.at - self.jumped)

    def jump(self, by: int) -> None:
        """Be set, while no time passes."""
        self.at += by
        self.jumped += by


@dataclass
class HandPool:
    """A pool whose runs end when the test says so; what is sent ahead begins in the order in which it came."""

    size: int = 2
    running: dict[str, Assignment] = field(default_factory=dict)
    ahead: dict[str, Assignment] = field(default_factory=dict)
    stopped: list[str] = field(default_factory=list)
    watcher: PoolWatcher | None = None

    def room(self, ahead: int = 0) -> int:
        """See `ports.Pool`."""
        return self.size * (1 + ahead) - len(self.running) - len(self.ahead)

    async def start(self, watcher: PoolWatcher) -> None:
        """See `ports.Pool`."""
        self.watcher = watcher

    def assign(self, assignments: Iterable[Assignment], ahead: int = 0) -> int:
        """See `ports.Pool`."""
        taken = list(islice(assignments, max(0, self.room(ahead))))
        self.ahead |= {assignment.task_id: assignment for assignment in taken}
        self._begin()
        return len(taken)

    def take_back(self, task_ids: Collection[str]) -> list[Assignment]:
        """See `ports.Pool`."""
        return [self.ahead.pop(task_id) for task_id in list(self.ahead) if task_id in task_ids]

    def stop(self, task_id: str) -> None:
        """See `ports.Pool`; the test ends the run."""
        self.stopped.append(task_id)

    async def stack(self, task_id: str) -> str | None:
        """See `ports.Pool`; a run says only who it is."""
        return f"the stack of {task_id}" if task_id in self.running else None

    def reports(self) -> list[SlotReport]:
        """See `ports.Pool`."""
        busy = [
            SlotReport(n, "busy", n, task_id, 1.0, 1, 2**20, 0.5) for n, task_id in enumerate(self.running, 1)
        ]
        idle = range(len(busy) + 1, self.size + 1)
        return busy + [SlotReport(n, "idle", n, None, None, 1, 2**20, 0.5) for n in idle]

    async def prepare_reload(self) -> None:
        """See `ports.Pool`."""

    def discard_reload(self) -> None:
        """See `ports.Pool`."""

    def reload(self) -> None:
        """See `ports.Pool`."""

    async def close(self) -> None:
        """See `ports.Pool`."""

    def end(self, task_id: str, outcome: Outcome | None = None) -> None:
        """Let a run end."""
        del self.running[task_id]
        assert self.watcher
        self.watcher.ended(task_id, outcome or Succeeded())
        self._begin()
        self.watcher.idle()

    def lose(self, task_id: str) -> None:
        """Let a child die that was to begin this run."""
        assert self.watcher
        self.watcher.returned([self.running.pop(task_id)])

    def _begin(self) -> None:
        while self.ahead and len(self.running) < self.size:
            task_id = next(iter(self.ahead))
            self.running[task_id] = self.ahead.pop(task_id)
            if self.watcher:
                self.watcher.began(task_id)


@dataclass
class HandLogStore:
    """A store of logs in memory, which refuses while it is told to."""

    kept: dict[tuple[str, int], KeptLog] = field(default_factory=dict)
    refuses: str | None = None

    async def write(self, task_id: str, attempt: int, kept: KeptLog) -> None:
        """See `ports.LogStore`."""
        if self.refuses:
            raise StoreUnavailable(self.refuses)
        self.kept[task_id, attempt] = kept

    async def read(self, task_id: str, attempt: int) -> KeptLog:
        """See `ports.LogStore`."""
        return self.kept.get((task_id, attempt), KeptLog(0, []))

    def remove(self, attempts: Mapping[str, int]) -> None:
        """See `ports.LogStore`."""
        for key in [key for key in self.kept if key[1] <= attempts.get(key[0], 0)]:
            del self.kept[key]

    async def keep_only(self, is_known: Callable[[str], bool]) -> None:
        """See `ports.LogStore`."""
        self.kept = {key: kept for key, kept in self.kept.items() if is_known(key[0])}

    async def close(self) -> None:
        """See `ports.LogStore`."""


STOPPED = Failed("0.1.1", Failure.STOPPED, "stopped on request")


def a_scheduler(
    pool: HandPool,
    read_ahead: ReadAhead,
    catalogue: Catalogue,
    quota: Quota = NO_QUOTA,
    breakers: Breakers | None = None,
) -> Scheduler:
    """The scheduler of a pool, for accounts that all have one quota; its rates go by the clock of `read_ahead`."""
    breakers = breakers or Breakers(BreakerPolicy(), read_ahead.now, lambda *_: None)
    accounts = Accounts(lambda _: quota, partial(StartRate, monotonic=read_ahead.now))
    return Scheduler(
        pool, read_ahead, catalogue, Concurrency(catalogue, accounts, breakers, read_ahead.now), {}
    )


def limited_catalogue(limits: Mapping[str, tuple[int | None, int | None, int]]) -> Catalogue:
    """A module `limited` whose functions have limits: at once, for an account, for a key."""
    module = ModuleType("limited")
    for name, (most, per_account, per_key) in limits.items():

        def function() -> None:
            """Do nothing."""

        offered = task(max_running=most, max_running_per_account=per_account, max_running_per_key=per_key)
        setattr(module, name, offered(function))
    return Catalogue([module])


class Office:
    """Request handlers with everything behind them; `restarted` gives the next one on the same journal."""

    def __init__(
        self,
        journal: MemoryJournal | None = None,
        *,
        slots: int = 2,
        dedupe: DedupeWindow | None = None,
        quota: Quota = NO_QUOTA,
    ) -> None:
        """Build it, not yet loaded."""
        self.journal = journal or MemoryJournal()
        self.log_store = HandLogStore()
        self.clock = HandClock()
        self.pool = HandPool(slots)
        self.chance = 0.5
        self.changes: list[Change] = []
        self.crashes: list[BaseException] = []
        self.catalogue = Catalogue([timer, erlang, knm_converters])
        self.background = BackgroundTasks(self.crashes.append)
        self.ledger = Ledger(
            self.journal, self.clock, dedupe or DedupeWindow(), self._announce, lambda _: quota
        )
        self.logs = TaskLogs(self.log_store, self.clock.monotonic)
        limits = RunLimits(self.catalogue, Limits(log_bytes=1_000))
        read_ahead = ReadAhead(asyncio.get_running_loop().time)
        self.breakers = Breakers(BreakerPolicy(), self.clock.monotonic, lambda *_: None)
        self.scheduler = a_scheduler(self.pool, read_ahead, self.catalogue, quota, self.breakers)
        rules = RunRules(limits, Retries(self.catalogue, lambda: self.chance))
        self.runner = Runner(self.ledger, self.scheduler, self.background, rules, self.logs)
        self.timers = StartTimers(self.ledger, self.runner)
        self.schedules = Schedules(self.ledger, self.runner, self.catalogue, os.urandom, 10)
        self.handlers = Handlers(self.catalogue, self.ledger, self.runner, self.logs, os.urandom)
        self._msg_ids = 0

    def _announce(self, change: Change) -> None:
        self.changes.append(change)
        self.runner.changed(change)
        self.timers.changed(change)
        self.schedules.changed(change)

    async def open(self) -> Office:
        """Load it."""
        loaded = await self.journal.load()
        self.ledger.load(loaded)
        self.schedules.load(loaded.documents)
        await self.pool.start(self.runner)
        return self

    def requester(self, msg_id: str | None = None, digest: bytes = b"") -> Requester:
        """A request's, of its own unless a `msg_id` says otherwise."""
        self._msg_ids += 1
        return Requester(ACCOUNT, msg_id or f"msg-{self._msg_ids}", digest)

    async def add(self, *drafts: Draft, start: bool = False, msg_id: str | None = None) -> Any:
        """Add tasks (one `timer.sleep` unless said otherwise) and give back what the caller reads."""
        wanted = drafts or (Draft("timer", "sleep", [1]),)
        order = Order(ACCOUNT, wanted, bulk=len(wanted) > 1, start=start)
        return decode(await self.handlers.add(self.requester(msg_id), order))

    async def start(self, task_id: str, msg_id: str | None = None) -> Any:
        """Start a task."""
        return decode(await self.handlers.start(self.requester(msg_id), task_id, ACCOUNT))

    async def retry(self, task_id: str, msg_id: str | None = None) -> Any:
        """Try a failed task again."""
        return decode(await self.handlers.retry(self.requester(msg_id), task_id, ACCOUNT))

    async def stop(self, task_id: str, msg_id: str | None = None) -> Any:
        """Stop a task."""
        return decode(await self.handlers.stop(self.requester(msg_id), task_id, ACCOUNT))

    async def remove(self, task_id: str, msg_id: str | None = None) -> Any:
        """Remove a task."""
        return decode(await self.handlers.remove(self.requester(msg_id), task_id, ACCOUNT))

    async def settled(self) -> None:
        """Wait until nothing is under way."""
        assert await self.background.settle(timeout_s=5)
        assert not self.crashes, self.crashes


async def turn(until: Callable[[], Any]) -> None:
    """Let the event loop go round until something holds; a fact within reach needs few rounds."""
    for _ in range(1000):
        if until():
            return
        await asyncio.sleep(0)
    raise AssertionError("expected it to happen, and it did not")


async def both(first: Awaitable[Any], second: Awaitable[Any]) -> tuple[Any, Any]:
    """The outcomes of two things done at once; exceptions too."""
    outcomes = list(await asyncio.gather(first, second, return_exceptions=True))
    return outcomes[0], outcomes[1]
