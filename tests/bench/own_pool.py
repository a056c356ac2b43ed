"""Our pool alone, on the same no-op: the real supervisor with real children, without broker, journal or handlers.

The pool is fed as the runner feeds it: up to 32 runs ahead, since they are short.

Touches processes; run as a process of its own; reads counts line by line, as peer_pool does.
"""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import Sequence
from statistics import median

import uvloop

from kazoo_tasks.model.outcome import Outcome, Succeeded
from kazoo_tasks.model.task_log import LogPart
from kazoo_tasks.pool.settings import PoolSettings
from kazoo_tasks.pool.supervisor import ProcessPool
from kazoo_tasks.ports import Assignment

SLOTS = 2
AHEAD = 32


class Feeder:
    """Gives the pool as many runs as it has room for, as long as some are left."""

    def __init__(self, pool: ProcessPool) -> None:
        """Feed this pool."""
        self._pool = pool
        self._left = self._open = self._number = self._ahead = 0
        self._due = False
        self._done: asyncio.Future[None]

    async def run(self, count: int, ahead: int = 0) -> None:
        """Have so many run."""
        self._done = asyncio.get_running_loop().create_future()
        self._left = self._open = count
        self._ahead = ahead
        self._assign()
        await self._done

    def _assign(self) -> None:
        """What a slot has not begun when a handful of places is free is given it together."""
        room = min(self._pool.room(self._ahead), self._left)
        if room >= min(self._left, max(1, self._ahead)):
            self._left -= self._pool.assign([self._a_run() for _ in range(room)], self._ahead)

    def _a_run(self) -> Assignment:
        self._number += 1
        return Assignment(f"{self._number:030x}", "bench_task", "noop", b'["4155550123"]')

    def began(self, task_id: str) -> None:
        """See `ports.PoolWatcher`."""

    def returned(self, assignments: Sequence[Assignment]) -> None:
        """See `ports.PoolWatcher`."""
        raise AssertionError(f"expected every child to live, got {len(assignments)} runs back")

    def ended(self, task_id: str, outcome: Outcome) -> None:  # noqa: ARG002 -- the port's
        """See `ports.PoolWatcher`."""
        assert isinstance(outcome, Succeeded), outcome
        self._open -= 1
        if not self._open:
            self._done.set_result(None)
        elif self._left and not self._due:
            self._due = True
            asyncio.get_running_loop().call_soon(self._round)

    def _round(self) -> None:
        self._due = False
        self._assign()

    def progressed(self, task_id: str, progress: bytes) -> None:
        """See `ports.PoolWatcher`."""

    def said(self, task_id: str, part: LogPart) -> None:
        """See `ports.PoolWatcher`."""

    def checkpointed(self, task_id: str, checkpoint: bytes) -> None:
        """See `ports.PoolWatcher`."""

    def idle(self) -> None:
        """See `ports.PoolWatcher`."""


async def measure(feeder: Feeder, trips: int, count: int) -> tuple[float, float]:
    """The p50 of a round trip in microseconds, and how many a second with both slots busy."""
    latencies = []
    for _ in range(trips):
        began = time.perf_counter()
        await feeder.run(1)
        latencies.append(time.perf_counter() - began)
    began = time.perf_counter()
    await feeder.run(count, AHEAD)
    return median(latencies) * 1e6, count / (time.perf_counter() - began)


async def main() -> None:
    """Measure as often as is asked."""
    pool = ProcessPool(PoolSettings(SLOTS, ("bench.bench_task",)))
    feeder = Feeder(pool)
    await pool.start(feeder)
    try:
        await measure(feeder, 100, 100)
        sys.stdout.write("ready\n")
        sys.stdout.flush()
        while line := await asyncio.to_thread(sys.stdin.readline):
            trips, count = map(int, line.split())
            sys.stdout.write("{} {}\n".format(*await measure(feeder, trips, count)))
            sys.stdout.flush()
    finally:
        await pool.close()


if __name__ == "__main__":
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(main())
