"""Dramatiq: the worker's actor, and the driver that fills its queue.

Touches the broker and one file; run in the bench's own environment. BENCH_URL names the broker, BENCH_COUNT the file
to which each execution appends a byte: Dramatiq keeps no record, so that is how the end of the drain is seen.
"""

from __future__ import annotations

import os
import sys
import time

import dramatiq  # type: ignore[import-not-found]  # only in the bench's environment
from dramatiq.brokers.rabbitmq import RabbitmqBroker  # type: ignore[import-not-found]  # as above

broker = RabbitmqBroker(url=os.environ["BENCH_URL"])
dramatiq.set_broker(broker)
_COUNT = os.open(os.environ["BENCH_COUNT"], os.O_WRONLY | os.O_APPEND | os.O_CREAT)


@dramatiq.actor  # type: ignore[untyped-decorator]  # as above
def noop(digits: str) -> None:
    """Do nothing but be counted, with the argument that ours is given."""
    os.write(_COUNT, b".")


def main() -> None:
    """Fill the queue; writes how many were sent each second."""
    count = int(sys.argv[1])
    noop.send("4155550123")  # connects and declares
    began = time.perf_counter()
    for _ in range(count - 1):
        noop.send("4155550123")
    took = time.perf_counter() - began
    # The broker answers a farewell when it has read all that came before.
    broker.close()
    sys.stdout.write(f"{count / took}\n")


if __name__ == "__main__":
    main()
