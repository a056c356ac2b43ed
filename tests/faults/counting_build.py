"""Run kazoo-tasks so that it tells, with each heartbeat, how many asyncio tasks it has.

Touches the product's heartbeat, in its own process only; run as a program by the soak: `counting_build.py service`.
"""

from __future__ import annotations

import asyncio

import structlog

from kazoo_tasks.cli.main import main
from kazoo_tasks.listener.heartbeat import Heartbeat
from kazoo_tasks.wire.reply import Vitals

_vitals = Heartbeat._vitals


def tell(self: Heartbeat) -> Vitals:
    """Tell it, and go on."""
    structlog.get_logger().info("lab.counted", asyncio_tasks=len(asyncio.all_tasks()))
    return _vitals(self)


if __name__ == "__main__":
    Heartbeat._vitals = tell  # type: ignore[method-assign]  # there is no door for this
    main()
