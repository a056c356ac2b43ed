"""What a run may take before it is ended, and which of several limits holds.

Pure; of a function, an account or the whole service; given to the pool with each run.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any, Self


@dataclass(frozen=True, slots=True)
class Limits:
    """Of one run; `None` is no limit.

    Attributes:
        timeout_s: From its beginning until it is asked to end.
        grace_s: From being asked to end until it is killed.
        memory_bytes: Resident memory of its process and of all that this has started.
        cpu_s: Processor time of each of its processes.
        processes: How many it may have, its own included.
        open_files: Descriptors of each of its processes.
        file_bytes: Longest file that it may write.
    """

    timeout_s: float | None = None
    grace_s: float | None = None
    memory_bytes: int | None = None
    cpu_s: float | None = None
    processes: int | None = None
    open_files: int | None = None
    file_bytes: int | None = None

    def tightest(self, other: Self) -> Self:
        """Of each limit the one that is met first.

        >>> Limits(timeout_s=5).tightest(Limits(timeout_s=9, memory_bytes=1))
        Limits(timeout_s=5, grace_s=None, memory_bytes=1, cpu_s=None, processes=None, open_files=None, file_bytes=None)
        """
        lower: dict[str, Any] = {
            field.name: _lower(getattr(self, field.name), getattr(other, field.name))
            for field in fields(self)
        }
        return type(self)(**lower)


def _lower(one: float | None, other: float | None) -> float | None:
    return one if other is None or (one is not None and one < other) else other


#: Shared by all runs that have none.
NO_LIMITS = Limits()
