"""Our pool alone, on the same no-op: the real supervisor with real children, without broker, journal or desk.

Touches processes; run as a process of its own; reads counts line by line, as peer_pool does.
"""

from __future__ import annotations

import asyncio
import sys
import time
from statistics import median

import uvloop

from kazoo_tasks.model.outcome import Outcome, Succeeded
from kazoo_tasks.pool.supervisor import PoolSettings, ProcessPool
from kazoo_tasks.ports import Assignment

SLOTS = 2


class Feeder:
    """Gives the pool runs whenever a slot is idle, as long as some are left."""

    def __init__(self, pool: ProcessPool) -> None:
        """Feed this pool."""
        self._pool = pool
        self._left = self._open = self._number = 0
        self._done: asyncio.Future[None]

    async def run(self, count: int, at_once: int) -> None:
        """Have so many run, so many at once."""
        self._done = asyncio.get_running_loop().create_future()
        self._left = self._open = count
        for _ in range(min(at_once, count)):
            self._assign()
        self._at_once = at_once
        await self._done

    def _assign(self) -> None:
        self._left -= 1
        self._number += 1
        self._pool.assign(Assignment(f"{self._number:030x}", "bench_task", "noop", b'["4155550123"]'))

    def ended(self, task_id: str, outcome: Outcome) -> None:  # noqa: ARG002 -- the port's
        """See `ports.PoolWatcher`."""
        assert isinstance(outcome, Succeeded), outcome
        self._open -= 1
        if not self._open:
            self._done.set_result(None)

    def progressed(self, task_id: str, progress: bytes) -> None:
        """See `ports.PoolWatcher`."""

    def idle(self) -> None:
        """See `ports.PoolWatcher`."""
        if self._left > 0:
            self._assign()


async def measure(feeder: Feeder, trips: int, count: int) -> tuple[float, float]:
    """The p50 of a round trip in microseconds, and how many a second with both slots busy."""
    latencies = []
    for _ in range(trips):
        began = time.perf_counter()
        await feeder.run(1, 1)
        latencies.append(time.perf_counter() - began)
    began = time.perf_counter()
    await feeder.run(count, SLOTS)
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
