"""The pools that others would take: ProcessPoolExecutor and pebble, on a no-op, with two processes.

Touches processes; run in the bench's own environment with the name of one; reads counts line by line.
"""

from __future__ import annotations

import json
import multiprocessing
import sys
import time
from collections.abc import Callable
from concurrent.futures import Future, ProcessPoolExecutor, wait
from statistics import median

SLOTS = 2
Submit = Callable[[], "Future[None]"]


def noop(arguments: bytes) -> None:
    """Do nothing with one argument, which comes as JSON text to ours too."""
    json.loads(arguments)


def executor() -> Submit:
    """The standard library's."""
    context = multiprocessing.get_context("forkserver")
    pool = ProcessPoolExecutor(SLOTS, mp_context=context)
    return lambda: pool.submit(noop, b'["4155550123"]')


def pebble() -> Submit:
    """Give what pebble offers."""
    from pebble import ProcessPool  # type: ignore[import-not-found]  # noqa: PLC0415 -- only in the bench's environment

    context = multiprocessing.get_context("forkserver")
    pool = ProcessPool(max_workers=SLOTS, context=context)
    return lambda: pool.schedule(noop, args=(b'["4155550123"]',))


def measure(submit: Submit, trips: int, count: int) -> tuple[float, float]:
    """The p50 of a round trip in microseconds, and how many a second with both processes busy."""
    latencies = []
    for _ in range(trips):
        began = time.perf_counter()
        submit().result(30)
        latencies.append(time.perf_counter() - began)
    began = time.perf_counter()
    wait([submit() for _ in range(count)], 60)
    return median(latencies) * 1e6, count / (time.perf_counter() - began)


def main() -> None:
    """Measure as often as is asked."""
    submit = {"executor": executor, "pebble": pebble}[sys.argv[1]]()
    measure(submit, 100, 100)
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    for line in sys.stdin:
        trips, count = map(int, line.split())
        sys.stdout.write("{} {}\n".format(*measure(submit, trips, count)))
        sys.stdout.flush()


if __name__ == "__main__":
    main()
