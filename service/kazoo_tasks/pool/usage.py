"""What a run takes, with all that it has started, and whether that is more than it may.

Reads /proc; used by pool.slot for runs that have limits.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Final, NamedTuple

from kazoo_tasks.model.limits import Limits
from kazoo_tasks.pool.proc import children_of, read, stat
from kazoo_tasks.ports import Assignment

#: A run that is shorter is not looked at.
LOOK_S: Final = 0.05
#: How soon again: before it could have what it lacks to its limit, at the speed of memory.
_SOONEST_S: Final = 0.005
_LATEST_S: Final = 0.5
_BYTES_A_S: Final = 4 * 2**30
_MIB: Final = 2**20
_PAGE: Final = os.sysconf("SC_PAGE_SIZE")
_TICK_S: Final = 1 / os.sysconf("SC_CLK_TCK")


class Usage(NamedTuple):
    """Of a process and all below it.

    Attributes:
        memory_bytes: Resident memory; what they share counts for each.
        cpu_s: Since they began, and not since the run did.
    """

    processes: int
    memory_bytes: int
    cpu_s: float


def usage_of(pid: int) -> Usage:
    """What is taken now; zeros when the process is gone."""
    memory, ticks, count = 0, 0, 0
    for each in _tree(pid):
        statm, fields = read(each, "statm").split(), stat(each)
        if statm and fields:
            memory += int(statm[1]) * _PAGE
            ticks += int(fields[11]) + int(fields[12])
            count += 1
    return Usage(count, memory, ticks * _TICK_S)


class LimitWatch:
    """Holds one run to those of its limits that are looked at from outside.

    Attributes:
        run: Which one.
    """

    __slots__ = ("_began_at", "_limits", "_look_at", "run")

    def __init__(self, run: Assignment, began_at: float) -> None:
        """Take a run and when it began, in monotonic seconds."""
        self.run = run
        self._limits = run.limits
        self._began_at = began_at
        self._look_at = began_at + LOOK_S

    def is_too_long(self, now: float) -> bool:
        """Whether it has had its time."""
        return self._limits.timeout_s is not None and now - self._began_at >= self._limits.timeout_s

    def excess(self, pid: int, now: float) -> str:
        """What a process and all below it have more of than they may, if it is time to look."""
        if now < self._look_at or (self._limits.memory_bytes is None and self._limits.processes is None):
            return ""
        usage = usage_of(pid)
        self._look_at = now + soonest_s(usage, self._limits)
        return excess(usage, self._limits)

    def again(self, now: float) -> float:
        """When to look again."""
        return min(self._look_at, now + LOOK_S) if self._look_at > now else now + LOOK_S


def excess(usage: Usage, limits: Limits) -> str:
    """What is more than it may be, as the task's error tells it; nothing if nothing is."""
    if limits.memory_bytes is not None and usage.memory_bytes > limits.memory_bytes:
        return f"memory: {_mib(usage.memory_bytes)} > {_mib(limits.memory_bytes)}"
    if limits.processes is not None and usage.processes > limits.processes:
        return f"processes: {usage.processes} > {limits.processes}"
    return ""


def soonest_s(usage: Usage, limits: Limits) -> float:
    """In how many seconds to look again."""
    if limits.memory_bytes is None:
        return _LATEST_S
    missing_s = (limits.memory_bytes - usage.memory_bytes) / _BYTES_A_S
    return min(max(missing_s, _SOONEST_S), _LATEST_S)


def _mib(size: int) -> str:
    # Up, so that what is a little more than its limit does not look the same.
    return f"{-(-size // _MIB):,} MiB"


def _tree(pid: int) -> Iterator[int]:
    yield pid
    for child in children_of(pid):
        yield from _tree(child)
