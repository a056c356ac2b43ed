"""Whether a child comes up: one that is started only for that.

Touches the child's connection and pipes through the event loop; used by pool.fork_servers.
"""

from __future__ import annotations

import asyncio
from contextlib import ExitStack
from typing import Final

from kazoo_tasks.pool.fork_client import Child
from kazoo_tasks.pool.frame import Frame, Kind
from kazoo_tasks.pool.link import Link
from kazoo_tasks.pool.output import NO_SLOT, Output

_MAX_REASON_BYTES: Final = 64 * 1024


async def probe(loop: asyncio.AbstractEventLoop, child: Child, within_s: float) -> str | None:
    """Why it does not; `None` if it does. The child stays its owner's to let go of."""
    heard = _Heard(loop)
    with ExitStack() as reading:
        for fd in (child.stdout_fd, child.stderr_fd):
            reading.callback(Output(loop, fd, NO_SLOT).close)
        reading.callback(Link(loop, child.connection, heard, _MAX_REASON_BYTES).close)
        try:
            async with asyncio.timeout(within_s):
                return await heard.said
        except TimeoutError:
            return f"no child was ready within {within_s:g} s"


class _Heard:
    """The first thing that is heard."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.said: asyncio.Future[str | None] = loop.create_future()

    def heard(self, frame: Frame) -> None:
        self._say(None if frame.kind is Kind.READY else frame.payload.decode(errors="replace"))

    def distrusted(self, why: str) -> None:
        self._say(why)

    def hung_up(self) -> None:
        self._say("a child ended before it was ready")

    def _say(self, what: str | None) -> None:
        if not self.said.done():
            self.said.set_result(what)
