"""Work that goes on for as long as the service does, whatever becomes of one turn of it.

Touches nothing but what it is given; used by the service, and read by health.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Final

import structlog

from kazoo_tasks.model.errors import RequestsStopped, StoreBroken

#: From a failure to the next try, and how long a failure is told by health.
_PAUSE_S: Final = 1.0
_TOLD_S: Final = 60.0
_log = structlog.get_logger(__name__)


@dataclass(slots=True)
class Loop:
    """One such work: it is begun again when it fails.

    Attributes:
        work: Goes on until cancelled.
        failures: How often it failed.
    """

    name: str
    work: Callable[[], Awaitable[None]]
    failures: int = 0
    _failed_at: float = field(default=0.0, repr=False)
    _reason: str = field(default="", repr=False)

    async def run(self) -> None:
        """Go on until cancelled.

        Raises:
            RequestsStopped, StoreBroken: The process must end.
        """
        while True:
            try:
                await self.work()
            except (RequestsStopped, StoreBroken):
                raise
            except Exception as error:  # noqa: BLE001 - logged with its trace
                # The boundary: the next turn may do better, and those who rely on it must not wait for a restart.
                self.failures += 1
                self._failed_at, self._reason = asyncio.get_running_loop().time(), repr(error)
                _log.exception("service.loop_failed", loop=self.name, failures=self.failures)
            await asyncio.sleep(_PAUSE_S)

    def unwell(self) -> str | None:
        """Why it is unwell, for a while after it failed."""
        if not self.failures or asyncio.get_running_loop().time() - self._failed_at > _TOLD_S:
            return None
        return f"{self.name} failed, {self.failures} times until now: {self._reason[:200]}"
