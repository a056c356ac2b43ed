"""Celery: the worker's application, and the driver that has no-ops executed and waits for each result.

Touches the broker; run in the bench's own environment. BENCH_URL names the broker; the driver reads how many and how
many at a time from its arguments, for each line of its input once, and writes seconds and p50 in ms.
"""

from __future__ import annotations

import os
import sys
import time
from collections import deque
from statistics import median
from typing import Any

from celery import Celery  # type: ignore[import-not-found]  # only in the bench's environment

app = Celery("bench", broker=os.environ["BENCH_URL"], backend="rpc://")
app.conf.update(
    task_acks_late=True,
    worker_prefetch_multiplier=1,
    task_ignore_result=False,
    result_persistent=False,
    broker_connection_retry_on_startup=True,
    worker_hijack_root_logger=False,
)


@app.task(name="noop")  # type: ignore[untyped-decorator]  # as above
def noop(digits: str) -> None:
    """Do nothing, with the argument that ours is given."""


def execute(count: int, at_once: int) -> tuple[float, list[float]]:
    """Have so many executed, never more than so many sent and not awaited; seconds in all and for each."""
    under_way: deque[tuple[float, Any]] = deque()
    latencies: list[float] = []
    began = time.perf_counter()
    for _ in range(count):
        if len(under_way) == at_once:
            _await(under_way, latencies)
        under_way.append((time.perf_counter(), noop.delay("4155550123")))
    while under_way:
        _await(under_way, latencies)
    return time.perf_counter() - began, latencies


def _await(under_way: deque[tuple[float, Any]], latencies: list[float]) -> None:
    sent_at, result = under_way.popleft()
    result.get(timeout=30)
    latencies.append(time.perf_counter() - sent_at)


def main() -> None:
    """Be the driver."""
    execute(100, 100)
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    for line in sys.stdin:
        took, latencies = execute(*map(int, line.split()))
        sys.stdout.write(f"{took} {median(latencies) * 1000}\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
