"""What the load processes share: their beginning, their end, and their own cost.

Touches the standard streams; used by the two loads.
"""

from __future__ import annotations

import asyncio
import os
import resource
import sys
from collections.abc import Callable, Coroutine
from dataclasses import asdict
from typing import Any, Final

import orjson
import uvloop

from bench.spec import Told

#: No load takes longer, whatever the other side does.
_LIMIT_S: Final = 60.0
_FAILED: Final = 70


def cpu_s() -> float:
    """CPU time that this process has used."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def main(load: Callable[[dict[str, Any]], Coroutine[Any, Any, Told]]) -> None:
    """Run the load whose spec comes by the standard input, since it may be long, and write what came of it."""
    spec = orjson.loads(sys.stdin.buffer.read())
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        told = runner.run(_run(load(spec)))
    sys.stdout.buffer.write(orjson.dumps(asdict(told)))


async def _run(load: Coroutine[Any, Any, Told]) -> Told:
    asyncio.get_running_loop().set_exception_handler(_fail)
    async with asyncio.timeout(_LIMIT_S):
        return await load


def _fail(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    """A figure that some callback has failed under is none."""
    loop.default_exception_handler(context)
    os._exit(_FAILED)
