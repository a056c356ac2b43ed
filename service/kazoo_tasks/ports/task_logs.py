"""The logs of tasks on disk, beside the journal, and worth less than it.

No implementation; store.task_logs has one.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Protocol

from kazoo_tasks.model.task_log import KeptLog


class LogStore(Protocol):
    """One log for each attempt that said something."""

    async def write(self, task_id: str, attempt: int, kept: KeptLog) -> None:
        """Keep this of a log, instead of what was kept of it.

        Raises:
            StoreUnavailable: It could not be written; what was kept is untouched.
        """
        ...

    async def read(self, task_id: str, attempt: int) -> KeptLog:
        """What is kept of a log; an empty one if there is none.

        Raises:
            StoreUnavailable: It cannot be read.
        """
        ...

    def remove(self, attempts: Mapping[str, int]) -> None:
        """Drop the logs of so many attempts of each task, after what was asked for before."""
        ...

    async def keep_only(self, is_known: Callable[[str], bool]) -> None:
        """Drop the logs of tasks that are not known; it is asked in another thread."""
        ...

    async def close(self) -> None:
        """Finish what was asked for."""
        ...
