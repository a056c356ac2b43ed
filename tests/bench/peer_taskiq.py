"""Taskiq over aio-pika: the worker's broker, and the driver that has no-ops executed and hears of each end.

Touches the broker; run in the bench's own environment, BENCH_URL names the broker. Taskiq has no results over AMQP,
so its result backend here publishes each result to the driver's queue: the same signal as Celery's and ours.
"""

from __future__ import annotations

import asyncio
import os
import sys
import time
from typing import Any

import aio_pika
import uvloop
from taskiq import AsyncResultBackend, TaskiqResult  # type: ignore[import-not-found]  # only in the bench's environment
from taskiq_aio_pika import AioPikaBroker  # type: ignore[import-not-found]  # as above

URL = os.environ["BENCH_URL"]
RESULTS = "taskiq-results"


class AmqpResults(AsyncResultBackend):  # type: ignore[misc]  # as above
    """Publishes the id of each task that is over."""

    async def startup(self) -> None:
        """Connect."""
        self._connection = await aio_pika.connect(URL)
        self._channel = await self._connection.channel(publisher_confirms=False)

    async def set_result(self, task_id: str, result: TaskiqResult) -> None:
        """Tell of one."""
        assert not result.is_err
        message = aio_pika.Message(task_id.encode(), delivery_mode=1)
        await self._channel.default_exchange.publish(message, RESULTS, mandatory=False)

    async def get_result(self, task_id: str, with_logs: bool = False) -> Any:  # noqa: FBT001, FBT002 -- Taskiq's own
        """Nobody asks."""
        raise NotImplementedError

    async def is_result_ready(self, task_id: str) -> bool:
        """Nobody asks."""
        raise NotImplementedError


broker = AioPikaBroker(URL, qos=100).with_result_backend(AmqpResults())


@broker.task(task_name="noop")  # type: ignore[untyped-decorator]  # as above
async def noop(digits: str) -> None:
    """Do nothing, with the argument that ours is given; a coroutine, which is Taskiq's quickest form."""


class Driver:
    """Sends, never more than so many that are not over, and counts what is over."""

    def __init__(self) -> None:
        """Nothing is under way."""
        self._over: asyncio.Semaphore

    async def open(self) -> None:
        """Hear of results."""
        connection = await aio_pika.connect(URL)
        channel = await connection.channel()
        queue = await channel.declare_queue(RESULTS, auto_delete=True)
        await queue.consume(self._took, no_ack=True)

    async def execute(self, count: int, at_once: int) -> float:
        """Have so many executed; the seconds that it took."""
        began = time.perf_counter()
        self._over = asyncio.Semaphore(at_once)
        async with asyncio.TaskGroup() as sending:
            for _ in range(count):
                await self._over.acquire()
                sending.create_task(noop.kiq("4155550123"))
        for _ in range(at_once):
            await self._over.acquire()
        return time.perf_counter() - began

    async def _took(self, _: object) -> None:
        self._over.release()


async def main() -> None:
    """Be the driver."""
    driver = Driver()
    await driver.open()
    await broker.startup()
    await driver.execute(200, 100)
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    while line := await asyncio.to_thread(sys.stdin.readline):
        took = await driver.execute(*map(int, line.split()))
        sys.stdout.write(f"{took} 0\n")
        sys.stdout.flush()
    await broker.shutdown()


if __name__ == "__main__":
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(main())
