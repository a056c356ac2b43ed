"""Background tasks: work that goes on after whoever began it has returned, without being forgotten or failing unseen.

Memory only; used where a callback may not wait.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any


class BackgroundTasks:
    """Detached tasks: held strongly, since asyncio itself does not, and reported when they crash."""

    def __init__(self, crashed: Callable[[BaseException], None]) -> None:
        """Tell `crashed` about every exception that comes out of one: it is a bug."""
        self._crashed = crashed
        self._under_way: set[asyncio.Task[None]] = set()

    def __len__(self) -> int:
        """How many are under way."""
        return len(self._under_way)

    def start(self, work: Coroutine[Any, Any, None], name: str) -> None:
        """Begin one."""
        task = asyncio.get_running_loop().create_task(work, name=name)
        self._under_way.add(task)
        task.add_done_callback(self._done)

    async def settle(self, timeout_s: float) -> bool:
        """Wait until none is under way, whether it came from outside or from another; false if time ran out."""
        try:
            async with asyncio.timeout(timeout_s):
                while self._under_way:
                    await asyncio.wait(self._under_way)
        except TimeoutError:
            return False
        return True

    def _done(self, task: asyncio.Task[None]) -> None:
        self._under_way.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            self._crashed(error)
